"""Calls for help: an SOS button or a man-down sensor, told at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import numpy as np

from detectors.base import Batch, Finding, Sentence
from detectors.thresholds import check_above, check_from
from detectors.wording import clock, device_at, evidence, point, span, stamp, whereabouts
from devices.readings import SECOND, Flag, Rows
from devices.site import Site

NEVER: Final = -(1 << 62)
CALLS: Final = int(Flag.SOS | Flag.MAN_DOWN)

COLUMNS: Final = np.dtype([
    ("first", "<i8"), ("last", "<i8"),                     # the present episode's first and last call, UTC µs
    ("placed", "<i8"), ("lon", "<f8"), ("lat", "<f8"),     # the last known place, and when it was there
    ("charged", "<i8"), ("battery", "<f8"),                # the last known charge, percent
])  # fmt: skip
EMPTY: Final = np.array((NEVER, NEVER, NEVER, np.nan, np.nan, NEVER, np.nan), COLUMNS)


@dataclass(slots=True)
class State:
    """What the fold knows; columns by device id. ``calls``: when each device called, so that no call counts twice."""

    devices: Rows = field(default_factory=lambda: np.empty(0, COLUMNS))
    calls: dict[int, set[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Sos:
    """Somebody calls for help.

    Definition. A fix with the flag SOS or MAN_DOWN is a call; it is told as soon as it is there. Calls of one device
    that follow each other within ``repeat`` s are one episode, told again in every ``renew`` s of the clock in which
    there is another call. A call without a place gets the device's last known one, if that is not older than
    ``place_within`` s. A call that comes late (store and forward) is told like any other; if it belongs to the present
    episode it only lengthens it.

    How it fails. A button pressed by mistake is told. A terminal without network calls nobody until it is heard again.
    Without any known place the finding has none (NaN) and names the device's area. The beginning of an episode is known
    for ``longest`` s at most.

    Source: the SOS flag of the terminals (JT/T 808 alarm bit 0; ``sos`` topic of the own contract).

    >>> from devices.readings import FIX, rows
    >>> from devices.registry import Device, Registry
    >>> site = Site([], [], [], Registry([Device("T1", "terminal", "张三", "Zhang San", "", "", role="patrol", id=1)]))
    >>> nan = float("nan")
    >>> fixes = [(1, 0, 0, 118.0, 31.0, 0, 0, 5, 80, 0)]
    >>> fixes += [(1, t * SECOND, t * SECOND, nan, nan, nan, nan, nan, nan, int(Flag.SOS)) for t in (60, 90)]
    >>> detector = Sos()
    >>> found = detector.step(detector.start(site), Batch(fixes=rows(FIX, fixes)), 90 * SECOND, site)
    >>> [(f.subject, f.lon, f.lat, (f.until - f.since) // SECOND) for f in found]
    [('T1', 118.0, 31.0, 0), ('T1', 118.0, 31.0, 30)]
    >>> print(found[0].sentence.en)
    SOS from Zhang San at 118.00000° E, 31.00000° N (place 1 min old), battery 80 %, since 1 Jan 08:01.
    """

    kind: ClassVar[str] = "sos"
    by_reception: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = ("fixes",)

    repeat: float = 300.0  # s
    renew: float = 15.0  # s
    place_within: float = 3600.0  # s
    longest: float = 1800.0  # s

    def __post_init__(self) -> None:
        check_above(self, 0, "repeat", "renew", "longest")
        check_from(self, 0, "place_within")

    @property
    def memory(self) -> float:
        """Seconds: the oldest place, or the longest episode and the pause before it."""
        return max(self.place_within, self.longest + self.repeat) + 1.0

    def start(self, site: Site) -> State:
        """Nobody has called."""
        return State(np.full(site.registry.size, EMPTY))

    def step(self, state: State, batch: Batch, now: int, site: Site) -> list[Finding]:
        """Fold a batch; see :class:`detectors.base.Detector`. ``now`` does not matter."""
        fixes = batch.fixes
        if not len(fixes):
            return []
        missing = max(site.registry.size, int(fixes["device"].max()) + 1) - len(state.devices)
        if missing > 0:
            state.devices = np.append(state.devices, np.full(missing, EMPTY))
        calling = (fixes["flags"] & CALLS) != 0
        found: list[Finding] = []
        if calling.any():  # rare: only then does the order within the batch matter
            fixes = fixes[np.lexsort((fixes["device"], fixes["at"], fixes["received"]))]
            done = 0
            for i in np.flatnonzero((fixes["flags"] & CALLS) != 0).tolist():
                self._remember(state, fixes[done : i + 1])
                done = i + 1
                found += self._call(state, fixes[i], site)
            fixes = fixes[done:]
        self._remember(state, fixes)
        return found

    def _remember(self, state: State, fixes: Rows) -> None:
        """Note last places and charges: those of the newest event time."""
        devices, who, when = state.devices, fixes["device"], fixes["at"]
        for at, known, columns in (("placed", "lon", ("lon", "lat")), ("charged", "battery", ("battery",))):
            newer = np.flatnonzero(np.isfinite(fixes[known]) & (when > devices[at][who]))
            if (when[newer[1:]] < when[newer[:-1]]).any():
                newer = newer[np.argsort(when[newer], kind="stable")]  # of a device's several the last one stays
            device = who[newer]
            devices[at][device] = when[newer]
            for column in columns:
                devices[column][device] = fixes[column][newer]

    def _call(self, state: State, fix: Any, site: Site) -> list[Finding]:
        """One call: what there is to tell of it."""
        if not self._new(state, int(fix["device"]), int(fix["at"])):
            return []
        device, at, row = int(fix["device"]), int(fix["at"]), state.devices[int(fix["device"])]
        first, last, repeat = int(row["first"]), int(row["last"]), int(self.repeat * SECOND)
        if at < first - repeat:  # long before the present episode, and late: an episode of its own
            return self._finding(state, fix, at, at, site)
        if at > last + repeat:
            state.devices["first"][device] = state.devices["last"][device] = at
            return self._finding(state, fix, at, at, site)
        if first <= at <= last:
            return []  # within what is known: nothing new
        bucket = int(self.renew * SECOND)
        state.devices["first"][device], state.devices["last"][device] = min(first, at), max(last, at)
        if at > last and at // bucket == last // bucket:
            return []
        until = max(last, at)
        return self._finding(state, fix, max(min(first, at), until - int(self.longest * SECOND)), until, site)

    def _new(self, state: State, device: int, at: int) -> bool:
        """Whether the call is heard for the first time, as far as memory goes back; notes it."""
        calls = state.calls.setdefault(device, set())
        known = at in calls
        calls.add(at)
        oldest = max(calls) - int(self.memory * SECOND)
        if min(calls) < oldest:
            state.calls[device] = {call for call in calls if call >= oldest}
        return not known

    def _finding(self, state: State, fix: Any, since: int, until: int, site: Site) -> list[Finding]:
        known, row = device_at(site, int(fix["device"])), state.devices[int(fix["device"])]
        code, area = (known.code, known.area) if known else (f"#{fix['device']}", "")
        lon, lat, age = self._place(fix, row)
        fresh = abs(int(fix["at"]) - int(row["charged"])) <= self.place_within * SECOND
        battery = float(row["battery"]) if fresh else float("nan")
        fallen = bool(int(fix["flags"]) & Flag.MAN_DOWN)
        name = Sentence(known.name, known.name_en or code) if known else Sentence(code, code)
        call = point(lon, lat, device=code, at=stamp(int(fix["at"])), man_down=fallen)
        numbers = {"battery": battery, "place_age_s": age, "lasted_s": (until - since) / SECOND}
        sentence = _sentence(name, whereabouts(site, lon, lat, area), age, battery, clock(since), fallen=fallen)
        score = 0.8 if fallen else 1.0
        return [Finding(self.kind, code, "", since, until, lon, lat, score, sentence, evidence([call], **numbers))]

    def _place(self, fix: Any, row: Any) -> tuple[float, float, float]:
        """Longitude, latitude, and how many seconds old the place is."""
        if np.isfinite(fix["lon"]) and np.isfinite(fix["lat"]):
            return float(fix["lon"]), float(fix["lat"]), 0.0
        age = abs(int(fix["at"]) - int(row["placed"])) / SECOND
        if age > self.place_within:
            return float("nan"), float("nan"), 0.0
        return float(row["lon"]), float(row["lat"]), age


def _sentence(name: Sentence, where: Sentence, age: float, battery: float, when: Sentence, *, fallen: bool) -> Sentence:
    what = Sentence("倒地报警", "Man down:") if fallen else Sentence("发出求救", "SOS from")
    charge, old = Sentence("电量未知", "battery unknown"), Sentence("", "")
    if np.isfinite(battery):
        charge = Sentence(f"电量{battery:.0f}%", f"battery {battery:.0f} %")
    if age >= 1:
        old = Sentence(f"（{span(age).zh}前的位置）", f" (place {span(age).en} old)")
    return Sentence(
        f"{name.zh}{what.zh}，在{where.zh}{old.zh}，{charge.zh}，{when.zh}起。",
        f"{what.en} {name.en} at {where.en}{old.en}, {charge.en}, since {when.en}.",
    )
