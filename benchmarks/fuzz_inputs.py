"""What ``make fuzz`` draws: good messages and streams of every kind, and accidents that happen to them."""

from __future__ import annotations

import json
import random
from typing import Any, Final

from devices.readings import SECOND
from ingest import packets
from ingest.messages import Message

NOW: Final = 1_732_230_000
SHARE: Final = "320118001000"
MOST: Final = 3_000  # bytes of a PUBLISH that is kept, here

KINDS: Final[dict[str, dict[str, Any]]] = {
    "fix": {"t": NOW, "lon": 118.88, "lat": 31.47, "spd": 1.2, "hdg": 87, "acc": 4.5, "bat": 88},
    "sos": {"t": NOW, "kind": "man_down", "lon": 118.88, "lat": 31.47, "crs": "gcj02"},
    "sighting": {"t": NOW, "label": "net", "n": 2, "conf": 0.8, "track": "7", "lon": 118.9, "lat": 31.5, "snap": "a/b"},
    "sample": {"t": NOW, "q": "water_level", "v": 7.9},
    "status": {"t": NOW, "online": True, "bat": 70},
    "command/ack": {"id": "17", "t": NOW, "ok": True, "note": "好"},
}
TRACKS: Final[dict[str, Any]] = {
    "_type": "location",
    "tst": NOW,
    "lat": 31.47,
    "lon": 118.88,
    "acc": 9,
    "vel": 4,
    "cog": 360,
    "batt": 50,
    "topic": "x",
}
DEVICES: Final = (*["T-1", "T-2", "C-1", "S-1"] * 4, "T-3", "X-1", "nobody", "", "é", "+", "T-1/x")
TYPES: Final = (
    "location",
    "transition",
    "lwt",
    "card",
    "cmd",
    "waypoints",
    "beacon",
    "encrypted",
    "steps",
    "",
    7,
    None,
)
_NASTY: Final = r"""
    0 -0 -0.0 1 -1 1e-320 1e308 -1e308 1e309 1e400 NaN nan Infinity -Infinity 9007199254740993 18446744073709551616
    123456789012345678901234567890 00 01 1. .5 +1 1e 0x10 181 -181 90.0000001 360 361 -0.1 100.1 2147483648 1732230000
    1732230000.000001 1732230000000 1732230000000000 4070908800 0.001 -62135596801 253402300800 "1732230000"
    "2024-11-22T07:00:00Z" "2024-11-22T07:00:00" "2024-11-22T07:00:60+24:00" "0001-01-01T00:00:00Z"
    "9999-12-31T23:59:59.999999999Z" "" "\u0000" "\ud800" "\uD83D\uDE00" "utm" "gcj02" "bd09" "wgs84" null true false
    [] {} [1] [[]] [null] undefined ' " \ // /**/ , : [ ] { } [[[[[[[[[[ {{{{{
"""
NASTY: Final = tuple(_NASTY.split())


class Mutator:
    """Draws broken messages; the same seed draws the same ones."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._before = b"{}"

    def message(self) -> Message:
        """A topic and a payload, of which much is right and something may be wrong."""
        dice = self._dice
        topic, payload = self._owntracks() if dice.random() < 0.15 else self._own()
        if dice.random() < 0.02:
            topic = self._spoilt(topic.encode()).decode("utf-8", "replace")
        if dice.random() < 0.25:
            payload = self._spoilt(payload)
        self._before = payload
        received = (NOW + dice.randrange(4)) * SECOND
        return Message(topic, payload, received, 1, 1, 1, dice.random() < 0.1, dice.random() < 0.1)

    def stream(self) -> bytes:
        """What a broker might send; at times one message many times with ids of its own, or the same one again."""
        dice, made = self._dice, b""
        for _ in range(dice.randrange(1, 6)):
            if dice.random() < 0.25:
                made += dice.choice((b"\x20\x02\x00\x00", b"\xd0\x00", b"\x90\x03\x00\x01\x01", b"\x40\x02\x00\x07"))
                continue
            message = self.message()
            payload = message.payload + bytes(dice.choice((0, 0, 0, 0, 0, 0, MOST - 60, 5 * MOST)))
            mid = dice.choice((0, 1, 65_535))
            made += packets.publish(message.topic, payload, mid, dup=dice.random() < 0.1)
            if mid and dice.random() < 0.3:
                made += packets.publish(message.topic, payload, mid, dup=True)
            if dice.random() < 0.1:  # as many as the reader takes as columns
                made += b"".join(packets.publish(message.topic, message.payload, other) for other in range(1, 13))
        return self._spoilt(made) if dice.random() < 0.6 else made

    def pieces(self, stream: bytes) -> list[bytes]:
        """The stream cut anywhere."""
        places = sorted(self._dice.randrange(len(stream) + 1) for _ in range(self._dice.randrange(6)))
        return [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]

    def _own(self) -> tuple[str, bytes]:
        dice = self._dice
        kind = dice.choice(("fix", "fix", "fix", *KINDS))
        share = SHARE if dice.random() < 0.95 else dice.choice(("320118002000", "", "x"))
        topic = f"pg/v1/{share}/{dice.choice(DEVICES)}/{kind if dice.random() < 0.98 else dice.choice(tuple(KINDS))}"
        if dice.random() < 0.15:
            some = [self._object(KINDS[kind]) for _ in range(dice.choice((0, 1, 2, 3, 7)))]
            return topic, b"[" + b",".join(some) + b"]"
        return topic, self._object(KINDS[kind])

    def _owntracks(self) -> tuple[str, bytes]:
        topic = self._dice.choice(
            ("owntracks/zhang/phone", "owntracks/zhang/phone/event", "owntracks/li/p", "owntracks//")
        )
        return topic, self._object(TRACKS | {"_type": self._dice.choice(TYPES)})

    def _object(self, fields: dict[str, Any]) -> bytes:
        """JSON of the fields, a moment of their own, and some left out, twice there, or with a nasty value."""
        dice, parts = self._dice, []
        for name, value in fields.items():
            text = json.dumps(value, ensure_ascii=dice.random() < 0.5)
            if name in ("t", "tst") and dice.random() < 0.7:
                text = f"{NOW - dice.randrange(3600) - dice.random():.6f}"
            draw = dice.random()
            if draw < 0.02:
                continue
            if draw < 0.1:
                text = dice.choice(NASTY)
            parts += [f'"{name}":{text}'] * (2 if draw > 0.98 else 1)
        if dice.random() < 0.05:
            parts.append(f'"sos":{dice.choice(("true", "false", "1", "null"))}')
        dice.shuffle(parts)
        return ("{" + dice.choice((",", ", ", " ,\n")).join(parts) + "}").encode("utf-8", "surrogatepass")

    def _spoilt(self, data: bytes) -> bytes:
        """One to three accidents."""
        dice, spoilt = self._dice, bytearray(data)
        for _ in range(dice.randrange(1, 4)):
            at, end = sorted(dice.randrange(len(spoilt) + 1) for _ in range(2)) if spoilt else (0, 0)
            accident = dice.randrange(8)
            if accident == 0 and at < len(spoilt):
                spoilt[at] ^= 1 << dice.randrange(8)
            elif accident == 1:
                spoilt[at:at] = dice.choice(NASTY).encode()
            elif accident == 2:
                spoilt[at:end] = b""
            elif accident == 3:
                del spoilt[at:]
            elif accident == 4:
                spoilt[at:at] = spoilt[at : min(end, at + 64)] * dice.choice((1, 2, 30))
            elif accident == 5:
                spoilt[at:end] = dice.randbytes(min(end - at, 16))
            elif accident == 6:
                spoilt += self._before
            else:
                spoilt[at:at] = dice.choice((b"\0", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"[" * 3000))
        return bytes(spoilt[: 1 << 16])
