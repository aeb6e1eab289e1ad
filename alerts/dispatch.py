"""Whom to send: the nearest fit terminal by its last position, and why others are not fit. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from alerts.case import Case
from detectors.base import Sentence
from detectors.geo import distance
from devices.readings import Flag

FRESH: Final = 600.0  # seconds: where a terminal was longer ago says little about where it is
ARRIVED: Final = 60.0  # metres: so near counts as on the spot; a handset in the open errs by 5-20 m
NEAR: Final = 20_000.0  # metres: half an hour on country roads; whoever is farther off is not near
PATIENCE: Final = 120.0  # seconds in which a terminal is to acknowledge its order
LOW_BATTERY: Final = 15.0  # percent: a handset that may go silent on the way is not sent while another can be

UNFIT_NAMES: Final[dict[str, Sentence]] = {
    "help": Sentence("自身正在求助", "it calls for help itself"),
    "no_place": Sentence("没有定位", "its place is not known"),
    "stale": Sentence("定位过旧", "its position is old"),
    "offline": Sentence("终端离线", "it is offline"),
    "far": Sentence("距离过远", "it is too far away"),
    "busy": Sentence("正在处理其他事件", "it is on another case"),
    "involved": Sentence("是未结事件的当事终端", "an open case is about it"),
    "battery": Sentence("电量不足", "its battery is low"),
    "suspect": Sentence("轨迹存疑", "its track is doubtful"),
    "asked": Sentence("本次派遣已派过", "it was sent to this case before"),
}
"""Why a terminal is not sent by itself. An officer may send it all the same."""


def let_go(before: Case, after: Case) -> str | None:
    """The terminal that a step takes off a case on which it was; None when it stays or there was none.

    Who has done it (``fed_back``) is not let go, nor who goes to the same place for the case that goes on (``merged``).
    """
    if before.status not in ("dispatched", "handling") or before.terminal is None:
        return None
    return before.terminal if after.terminal != before.terminal or after.status == "void" else None


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a terminal: its last position, and what it is doing."""

    device: int
    code: str
    name: Sentence
    at: datetime  # of the position, by the terminal's clock
    lon: float  # degrees; NaN: not known
    lat: float
    battery: float  # percent; NaN: not known
    flags: int  # devices.readings.Flag
    offline: bool = False  # it has said goodbye, or its last will has, since that position
    suspect: bool = False  # an alert that is not over doubts its track
    involved: bool = False  # an open case is about it: who calls for help is not sent to help
    busy: str | None = None  # the number of the case it is on


@dataclass(frozen=True, slots=True)
class Candidate:
    """A terminal that could be sent, with how far away it is (metres) and how old its position (seconds).

    ``unfit`` are the codes of :data:`UNFIT_NAMES` that speak against it; empty: it is fit. ``distance`` is NaN where
    the place is not known.
    """

    standing: Standing
    distance: float
    age: float
    unfit: tuple[str, ...]

    @property
    def fit(self) -> bool:
        """Whether it is sent without anybody deciding so."""
        return not self.unfit


def judged(
    standings: Iterable[Standing], lon: float, lat: float, now: datetime, *, asked: Collection[str] = ()
) -> list[Candidate]:
    """All of them, the fit ones first, each kind by distance; of equally near ones the one with the newer position.

    ``asked`` are the codes of terminals that had their order for the same dispatch before.
    """
    known = list(standings)
    aways = distance([one.lon for one in known], [one.lat for one in known], lon, lat).tolist()
    found = []
    for one, away in zip(known, aways, strict=True):
        age = max(0.0, (now - one.at).total_seconds())
        found.append(Candidate(one, away, age, tuple(_against(one, away, age, asked))))
    return sorted(found, key=_order)


def _order(candidate: Candidate) -> tuple[bool, float, float, int]:
    away = candidate.distance if math.isfinite(candidate.distance) else math.inf
    return (not candidate.fit, away, candidate.age, candidate.standing.device)


def _against(one: Standing, away: float, age: float, asked: Collection[str]) -> Iterable[str]:
    if one.flags & (Flag.SOS | Flag.MAN_DOWN):
        yield "help"
    if one.flags & Flag.NO_POSITION or not math.isfinite(away):
        yield "no_place"
    elif away > NEAR:
        yield "far"
    if age > FRESH:
        yield "stale"
    if one.offline:
        yield "offline"
    if one.busy is not None:
        yield "busy"
    if one.involved:
        yield "involved"
    if one.battery < LOW_BATTERY:  # not of one that is not known
        yield "battery"
    if one.suspect or one.flags & Flag.SUSPECT:
        yield "suspect"
    if one.code in asked:
        yield "asked"
