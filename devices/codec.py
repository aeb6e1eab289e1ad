"""The contract of a codec: from one MQTT message to readings, or a named reason why not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from devices.readings import Reading


class Undecodable(ValueError):
    """A payload that is no reading. ``reason`` is a short stable code (a metric label), ``detail`` says where."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Codec(Protocol):
    """One wire format. Register it in :mod:`devices.codecs`; the pipeline picks it by the topic alone."""

    name: str
    filters: tuple[str, ...]  # MQTT topic filters to subscribe to; ``{share}`` stands for the worker's areas

    def decode(self, topic: str, payload: bytes, received: int) -> Sequence[Reading]:
        """Readings of one message, in the payload's order; may be empty (a keepalive).

        ``received`` is our clock in UTC µs. Place is returned in WGS-84. A list message whose elements are partly bad
        raises :class:`PartlyUndecodable` with the good ones.

        Raises:
            Undecodable: the whole payload is no reading of this format.
        """
        ...


class PartlyUndecodable(Undecodable):
    """Some elements of an array are bad: ``readings`` are the good ones; the message is kept as a reject as well."""

    def __init__(self, reason: str, detail: str, readings: Sequence[Reading]) -> None:
        super().__init__(reason, detail)
        self.readings = readings
