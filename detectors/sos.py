"""Calls for help: an SOS button or a man-down sensor, told at once, and those who lie where it is dangerous."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import numpy as np

from detectors.arrivals import last_is_newest
from detectors.base import Batch, Finding, Sentence
from detectors.dangers import Dangers
from detectors.motionless import Motionless, Still, Stillness
from detectors.thresholds import check_above, check_from, check_order, words
from detectors.wording import clock, device_at, evidence, point, span, stamp, whereabouts
from devices.readings import SECOND, Flag, Rows
from devices.registry import Device
from devices.site import Site, Zone

NEVER: Final = -(1 << 62)
SUSPECTED: Final = 0.5  # how sure, of somebody who merely does not move
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

    dangers: Dangers
    motionless: Motionless | None
    devices: Rows
    calls: dict[int, set[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Sos:
    """Somebody calls for help.

    Definition. *Call*: a fix with the flag SOS or MAN_DOWN; it is told as soon as it is there. Calls of one device that
    follow each other within ``repeat`` s are one episode, told again in every ``renew`` s of the clock in which there
    is another call. A call without a place gets the device's last known one, if that is not older than ``place_within``
    s. A call that comes late (store and forward) is told like any other; if it belongs to the present episode it only
    lengthens it.

    *Man down suspected*, with a lower score and the hazard zone as its zone: a terminal of one of the ``roles`` that
    was on the move within the last ``duty`` s, still sends, and has been within ``within`` m of one place for ``still``
    s (0: not judged), by one place for each ``beat`` s, a fifth of which may be wild; in a zone of the kinds water
    (10 m off the bank) or restricted or with the property ``hazard`` true, and not in a checkpoint or a zone with the
    property ``station`` true. Told again in every ``still_renew`` s of the clock; not of who has called within ``duty``
    s. Its end is not told: who drifts or is carried away moves too.

    How it fails. A button pressed by mistake is told. A terminal without network calls nobody until it is heard again.
    Without any known place the finding has none (NaN) and names the device's area. The beginning of an episode is known
    for ``longest`` s at most. Somebody who rests for long in a hazard zone is suspected, and a terminal left there;
    nobody is where no hazard zone is drawn.

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
    still: float = 600.0  # s
    within: float = 25.0  # m
    duty: float = 2400.0  # s
    still_renew: float = 120.0  # s
    beat: float = 120.0  # s
    roles: tuple[str, ...] = ("patrol", "police")

    def __post_init__(self) -> None:
        check_above(self, 0, "repeat", "renew", "longest", "within", "duty", "still_renew", "beat")
        check_from(self, 0, "place_within", "still")
        words(self, "roles")
        if self.still:
            check_order(self, "beat", "still")

    @property
    def memory(self) -> float:
        """Seconds: the oldest place, the longest episode and the pause before it, or the last move that counts."""
        lying = self.duty + self.still + 3 * self.beat if self.still else 0.0
        return max(self.place_within, self.longest + self.repeat, lying) + 1.0

    def start(self, site: Site) -> State:
        """Nobody has called."""
        limits = Stillness.of(self.still, self.within, self.duty, self.still_renew, self.beat)
        motionless = Motionless(limits, site.registry.size) if self.still else None
        return State(Dangers(site), motionless, np.full(site.registry.size, EMPTY))

    def step(self, state: State, batch: Batch, now: int, site: Site) -> list[Finding]:
        """Fold a batch; see :class:`detectors.base.Detector`. ``now`` does not matter."""
        fixes = batch.fixes
        if not len(fixes):
            return []
        if state.dangers.site is not site:
            state.dangers = Dangers(site)
        missing = max(site.registry.size, int(fixes["device"].max()) + 1) - len(state.devices)
        if missing > 0:
            state.devices = np.append(state.devices, np.full(missing, EMPTY))
        calling = (fixes["flags"] & CALLS) != 0
        found: list[Finding] = []
        stills = deque(self._stills(state, fixes))
        if calling.any():  # rare: only then does the order within the batch matter
            fixes = fixes[np.lexsort((fixes["device"], fixes["at"], fixes["received"]))]
            done = 0
            for i in np.flatnonzero((fixes["flags"] & CALLS) != 0).tolist():
                self._remember(state, fixes[done : i + 1])
                done, order = i + 1, (int(fixes["received"][i]), int(fixes["at"][i]))
                while stills and (stills[0].received, stills[0].at) < order:
                    found += self._lying(state, stills.popleft(), site)
                found += self._call(state, fixes[i], site)
            fixes = fixes[done:]
        self._remember(state, fixes)
        for still in stills:
            found += self._lying(state, still, site)
        return found

    def _stills(self, state: State, fixes: Rows) -> list[Still]:
        """Who does not move where that is dangerous, in order of arrival."""
        told = state.motionless.step(fixes, state.dangers.hold) if state.motionless is not None else []
        return sorted(told, key=lambda still: (still.received, still.at, still.device))

    def _remember(self, state: State, fixes: Rows) -> None:
        """Note last places and charges: those of the newest event time."""
        devices, who, when = state.devices, fixes["device"], fixes["at"]
        for at, known, columns in (("placed", "lon", ("lon", "lat")), ("charged", "battery", ("battery",))):
            newer = np.flatnonzero(np.isfinite(fixes[known]) & (when > devices[at][who]))
            device, moment = who[newer], when[newer]
            if not last_is_newest(device, moment):
                order = np.argsort(moment, kind="stable")  # of a device's several the last one stays
                newer, device, moment = newer[order], device[order], moment[order]
            devices[at][device] = moment
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
        battery = self._charge(row, int(fix["at"]))
        fallen = bool(int(fix["flags"]) & Flag.MAN_DOWN)
        name = Sentence(known.name, known.name_en or code) if known else Sentence(code, code)
        call = point(lon, lat, device=code, at=stamp(int(fix["at"])), man_down=fallen)
        numbers = {"battery": battery, "place_age_s": age, "lasted_s": (until - since) / SECOND}
        sentence = _sentence(name, whereabouts(site, lon, lat, area), age, battery, clock(since), fallen=fallen)
        score = 0.8 if fallen else 1.0
        return [Finding(self.kind, code, "", since, until, lon, lat, score, sentence, evidence([call], **numbers))]

    def _lying(self, state: State, still: Still, site: Site) -> list[Finding]:
        """Somebody does not move: told if it is where that is dangerous, and he has not called himself."""
        known, begin = device_at(site, still.device), still.at - int(self.duty * SECOND)
        if known is None or known.role not in self.roles or known.kind != "terminal":
            return []
        if any(at >= begin for at in state.calls.get(still.device, ())):
            return []
        zone = state.dangers.zone_at(still.lon, still.lat)
        if zone is None:
            return []
        lasted = (still.at - still.since) / SECOND
        place = point(still.lon, still.lat, device=known.code, at=stamp(still.at), zone=zone.code)
        numbers = {
            "still_s": lasted, "limit_s": self.still, "within_m": self.within,
            "since_moved_s": (still.at - still.moved) / SECOND, "battery": still.battery,
        }  # fmt: skip
        said = _suspicion(known, zone, lasted, self)
        return [Finding(self.kind, known.code, zone.code, still.since, still.at, still.lon, still.lat, SUSPECTED, said,
                        evidence([place], **numbers))]  # fmt: skip

    def _charge(self, row: Any, at: int) -> float:
        """The last known battery charge in percent, NaN where it is too old."""
        return float(row["battery"]) if abs(at - int(row["charged"])) <= self.place_within * SECOND else float("nan")

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


def _suspicion(known: Device, zone: Zone, lasted: float, limits: Sos) -> Sentence:
    quiet, most = span(lasted), span(limits.still)
    return Sentence(
        f"疑似倒地：{known.name}在{zone.name}内已{quiet.zh}没有移动（{limits.within:g}米以内，阈值{most.zh}），此前在走动，"
        "未按求救键，终端仍在上报。",
        f"Man down suspected: {known.name_en or known.code} has not moved in {zone.name_en} for {quiet.en} (within"
        f" {limits.within:g} m, limit {most.en}); was on the move before, has not called, the terminal still sends.",
    )
