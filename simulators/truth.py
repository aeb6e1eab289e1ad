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
    "low_water": "the water stands below its usual level by the amount in the note",
    "unusual": "many more people are at a door, or far fewer, than there ever are at that hour of the week",
    "smoke": "something burns near a smoke sensor",
    "rush": "people pour into a place within minutes, many times faster than it usually fills",
    "gathering": "many more people are in a place than there ever are at that hour of the week, though it holds them",
    "outage": "power or network fails for many devices at once",
    "battery": "a terminal's battery runs down on duty, much faster than usual, until it is empty",
    "collapse": "a patroller lies motionless where it is dangerous and has pressed nothing",
    "strayed": "somebody leaves the area that his terminal belongs to, until back",
    "trespass": "somebody with a terminal goes into a closed area, from crossing its edge to leaving it",
    "missed_patrol": "a patrol that the plan asks for does not take place, or is broken off long before it is done",
    "off_route": "a patrol leaves its line for a long way round, walks only a part of it, or in the wrong order",
    "jump": "a terminal is made to say that it is far away from its bearer",
    "frozen": "a terminal is made to repeat one place while its bearer is elsewhere",
    "carried_double": "one person carries the terminals of two on a round",
    "replay": "a terminal is made to send a track that was walked before",
    "fast_rise": "the water rises much faster than it usually does, whatever its level",
    "stuck_sensor": "a sensor goes on sending, but its value no longer follows what it measures",
    "level_shift": "a sensor was knocked or set wrongly: all its values are off by the same amount",
}
HARMLESS: Final = {
    "walker": "somebody walks along the bank with nothing in hand",
    "busy": "a place is fuller than usual, but holds them all",
    "coverage_gap": "a terminal is alive but out of reach of the network; what it measured is sent afterwards",
    "lost_contact": "a terminal that works is out of the network's reach for a quarter of an hour or longer",
    "dispatched": "a terminal follows an order: from accepting it to going back to its round",
    "poles": "somebody walks along the bank with poles that look like rods",
    "picnic": "people rest at the water for some minutes",
    "open_season": "people angle in a ban zone outside its season, when it is allowed",
    "licensed": "a boat with a permit nets where others must not",
    "passing_boat": "a boat crosses a ban zone, perhaps with a short halt",
    "off_duty": "a terminal is switched off properly, with a farewell",
    "blip": "the network is away for many devices for a minute or two",
    "tunnel": "a terminal passes where neither satellites nor the network reach it",
    "indoors": "a terminal is charged under a roof: a worse place, fewer fixes",
    "parked": "several terminals lie together at the station",
    "together": "two patrols walk side by side for some minutes",
    "multipath": "a receiver is misled by reflections for a fix or two",
    "fence_walk": "a patrol walks along the edge of a closed area, outside it",
    "breather": "a patrol stands about for some minutes, steps to and fro",
    "late_patrol": "a patrol comes late, but in time",
    "short_cut": "a patrol leaves its line for a little, and comes back to it",
    "spike": "one wild value, as when a sensor is cleaned",
    "storm": "wind and rain move the water to and fro, more than usual",
    "swell": "the water stands higher than usual, but below the mark",
    "ebb": "the water stands lower than usual, but above the mark for low water",
    "gap": "a sensor's samples are lost for a while",
    "noise": "a counter miscounts for some hours, up and down",
    "set_right": "a sensor that was off is set right again: its values jump back",
}


@dataclass(frozen=True, slots=True)
class Episode:
    """One thing that happened. ``until`` 0: it has not ended yet."""

    kind: str  # a key of INCIDENTS or HARMLESS
    subject: str  # the device concerned (several with commas; of a planned walk its plan too), or ""
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
