"""What truly happened: the labels against which a detector can be judged. Named by the event, never by a threshold."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Final

import msgspec

from devices.site import moment
from simulators.places import Frame, Spot

INCIDENTS: Final = {
    "fishing": "people angle from the bank, or net from a boat, where it is forbidden: from the first line or net in "
    "the water to the last one out",
    "crowd": "more people are in a place than it holds",
    "sos": "a patroller is in trouble and has pressed the button: until helped or able to go on",
    "silence": "a terminal is dead (broken, empty, switched off) and sends nothing",
    "high_water": "the water stands above its usual level by the amount in the note",
    "smoke": "something burns near a smoke sensor",
}
HARMLESS: Final = {
    "walker": "somebody walks along the bank with nothing in hand",
    "busy": "a place is fuller than usual, but holds them all",
    "coverage_gap": "a terminal is alive but out of reach of the network; what it measured is sent afterwards",
    "dispatched": "a terminal follows an order: from accepting it to going back to its round",
}


@dataclass(frozen=True, slots=True)
class Episode:
    """One thing that happened. ``until`` 0: it has not ended yet."""

    kind: str  # a key of INCIDENTS or HARMLESS
    subject: str  # the device concerned, or ""
    zone: str  # the zone it happened in, or ""
    since: int  # UTC µs
    until: int
    lon: float
    lat: float
    note: str

    def line(self) -> bytes:
        """One JSON line; times as RFC 3339 in UTC."""
        fields = asdict(self) | {"since": moment(self.since).isoformat(), "until": moment(self.until).isoformat()}
        fields |= {"lon": round(self.lon, 6), "lat": round(self.lat, 6), "incident": self.kind in INCIDENTS}
        return msgspec.json.encode(fields)


class Diary:
    """Episodes as they begin and end."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._open: dict[int, Episode] = {}
        self._count = 0
        self.ended: list[Episode] = []

    def begin(self, kind: str, at: int, spot: Spot, *, subject: str = "", zone: str = "", note: str = "") -> int:
        """Note the beginning; returns the number under which to end it."""
        if kind not in INCIDENTS and kind not in HARMLESS:
            raise ValueError(f"unknown kind of episode {kind!r}: describe it in simulators.truth")
        lon, lat = self._frame.degrees(*spot)
        self._count += 1
        self._open[self._count] = Episode(kind, subject, zone, at, 0, lon, lat, note)
        return self._count

    def end(self, number: int, at: int) -> None:
        """Note the end."""
        self.ended.append(replace(self._open.pop(number), until=at))

    def drop(self, number: int) -> None:
        """Strike an episode out: it turned out to be part of another."""
        del self._open[number]

    def finish(self, at: int) -> None:
        """End what still goes on when the simulation stops."""
        for number in list(self._open):
            self.end(number, at)

    def take(self) -> list[Episode]:
        """The episodes that have ended since the last call."""
        taken, self.ended = self.ended, []
        return taken
