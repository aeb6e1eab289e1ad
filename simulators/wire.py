"""What goes out: messages of the own MQTT contract (v1), written as the devices write them."""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import msgspec

from devices.readings import SECOND
from devices.registry import Device

_ENCODER: Final = msgspec.json.Encoder()


class Message(NamedTuple):
    """One message, in the order in which a device would hand it to its network."""

    at: int  # UTC µs of world time at which it is sent; never earlier than what it tells of
    topic: str
    payload: bytes
    retain: bool = False


class Speaker:
    """Writes messages under one device's topics."""

    __slots__ = ("_prefix", "device")

    def __init__(self, device: Device) -> None:
        self.device = device
        self._prefix = f"pg/v1/{device.share}/{device.code}/"

    def topic(self, leaf: str) -> str:
        """The topic of a kind of message: fix, sighting, sample, status, sos, command, command/ack."""
        return self._prefix + leaf

    def say(self, at: int, leaf: str, content: dict[str, Any] | list[dict[str, Any]]) -> Message:
        """A message sent at ``at``. A list stays one: an array of fixes says that they were stored."""
        return Message(at, self.topic(leaf), _ENCODER.encode(content), retain=leaf == "status")


def whole_ms(at: float) -> int:
    """UTC µs cut to whole milliseconds: what the payload's seconds with three digits can carry exactly."""
    return math.floor(at / 1000) * 1000


def seconds(at: int) -> float:
    """UTC µs as the payload's ``t``: seconds with three digits."""
    return round(at / SECOND, 3)
