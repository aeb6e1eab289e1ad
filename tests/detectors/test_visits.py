"""Stays in zones: against a plain fold one fix at a time, and in clear scenes."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detectors.thresholds import WrongThreshold
from detectors.visits import Visit, Visits, arrived
from devices.readings import FIX, SECOND, Rows, rows
from devices.registry import Registry
from devices.site import Site, Zone

ZONES = {"K": (0, 10), "P": (5, 20), "R": (30, 40)}  # on one line, in thousandths of a degree; K and P overlap
SITE = Site(
    [],
    [
        Zone(code, kind, code, code, "", shapely.box(118 + w / 1000, 31, 118 + e / 1000, 31.01))
        for (code, (w, e)), kind in zip(ZONES.items(), ("checkpoint", "patrol", "restricted"), strict=True)
    ]
    + [Zone("W", "water", "W", "W", "", shapely.box(117, 30, 119, 32))],
    [],
    Registry([]),
)
VISITS = Visits(settle=20.0, lost=100.0)
tracks = st.lists(
    st.tuples(
        st.integers(1, 3), st.sampled_from([1, 5, 5, 9, 15, 30, 120]), st.sampled_from([-5, 2, 7, 7, 15, 25, 35])
    ),
    max_size=60,
)
quick = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def fixes_of(track: list[tuple[int, int, int]]) -> Rows:
    """(device, seconds since its fix before, place) to fixes in order of each device's time."""
    clocks: dict[int, int] = {}
    made = []
    for device, pause, place in track:
        clocks[device] = clocks.get(device, 1000 + device) + pause
        at = clocks[device] * SECOND
        made.append((device, at, at, 118 + place / 1000 + 0.0001, 31.005, 1, 0, 5, 80, 0))
    return rows(FIX, sorted(made, key=lambda f: (f[1], f[0])))


@dataclass
class Plain:
    """The definition, word by word, for one device and zone."""

    entered: int | None = None
    side: bool = False
    begin: int | None = None
    before: int | None = None

    def fix(self, at: int, inside: bool) -> list[tuple[int, int | None]]:
        told: list[tuple[int, int | None]] = []
        if self.before is not None and at - self.before > VISITS.lost * SECOND:
            if self.entered is not None:
                told.append((self.entered, self.before if self.side else self.begin))
            self.entered = self.begin = None
        if self.begin is None or inside != self.side:
            self.side, self.begin = inside, at
        self.before = at
        if at - self.begin >= VISITS.settle * SECOND:
            if inside and self.entered is None:
                self.entered = self.begin
                told.append((self.begin, None))
            elif not inside and self.entered is not None:
                told.append((self.entered, self.begin))
                self.entered = None
        return told


def plainly(fixes: Rows) -> list[Visit]:
    found = []
    for device in (1, 2, 3):
        for code, (west, east) in ZONES.items():
            fold = Plain()
            for fix in fixes[fixes["device"] == device]:
                inside = west / 1000 <= fix["lon"] - 118 <= east / 1000
                found += [Visit(device, code, *told) for told in fold.fix(int(fix["at"]), bool(inside))]
    return found


def in_order(visits: list[Visit]) -> list[Visit]:
    return sorted(visits, key=lambda v: (v.device, v.zone, v.entered, v.left or 0))


def parts_of(fixes: Rows, seed: int, longest: int) -> list[Rows]:
    draw, parts, i = random.Random(seed), [], 0
    while i < len(fixes):
        size = draw.randint(1, longest)
        part = fixes[i : i + size]
        parts.append(part[draw.sample(range(len(part)), len(part))])
        i += size
    return parts


def folded(parts: list[Rows], state: Any = None) -> list[Visit]:
    state = VISITS.start(SITE) if state is None else state
    return [visit for part in parts for visit in VISITS.step(state, part, SITE)]


@quick
@given(tracks, st.integers(0, 999))
def test_it_is_the_plain_fold_however_it_is_cut(track: list[tuple[int, int, int]], seed: int) -> None:
    fixes = fixes_of(track)
    expected = in_order(plainly(fixes))
    assert in_order(folded([fixes])) == expected
    assert in_order(folded(parts_of(fixes, seed, 7))) == expected
    assert in_order(folded(parts_of(fixes, seed, 1))) == expected


def stored(visits: list[Visit]) -> dict[tuple[int, str, int], int | None]:
    """The table after the upserts."""
    return {(v.device, v.zone, v.entered): v.left for v in visits}


@quick
@given(tracks, st.integers(0, 999), st.floats(0, 1))
def test_a_restart_with_the_stored_visits_goes_on(track: list[tuple[int, int, int]], seed: int, share: float) -> None:
    fixes = fixes_of(track)
    stop = int(share * len(fixes))
    never = stored(folded([fixes]))
    table = stored(folded([fixes[:stop]]))
    if stop:
        since = int(fixes["at"][stop - 1]) - int(VISITS.memory * SECOND)
        last = rows(FIX)
        for device in (1, 2, 3):
            own = fixes[:stop][fixes[:stop]["device"] == device]
            last = rows(FIX, [*last.tolist(), *own[-1:].tolist()])
        state = VISITS.start(SITE, [Visit(*key, left) for key, left in table.items()], since, last)
        again = [f for f in fixes[:stop] if f["at"] >= since]
        parts = [rows(FIX, [f.tolist() for f in again]), *parts_of(fixes[stop:], seed, 5)]
        table |= stored(folded(parts, state))
    else:
        table |= stored(folded([fixes]))
    assert table == never


@quick
@given(tracks, st.integers(0, 999))
def test_repeated_and_late_fixes_change_nothing(track: list[tuple[int, int, int]], seed: int) -> None:
    fixes = fixes_of(track)
    state, draw, told = VISITS.start(SITE), random.Random(seed), []
    done = rows(FIX)
    for part in parts_of(fixes, seed, 9):
        again = [part[draw.randrange(len(part))].tolist() for _ in range(2)]
        again += [done[draw.randrange(len(done))].tolist() for _ in range(2) if len(done)]
        told += VISITS.step(state, rows(FIX, [*part.tolist(), *again]), SITE)
        done = rows(FIX, [*done.tolist(), *part.tolist()])
    assert in_order(told) == in_order(folded([fixes]))


def walk(*places: tuple[float, int]) -> Rows:
    """One device with a fix every 5 s; (seconds, place) says from when it is where."""
    end = int(places[-1][0])
    now = {t: max((p for p in places if p[0] <= t), key=lambda p: p[0])[1] for t in range(0, end + 1, 5)}
    return rows(FIX, [(1, t * SECOND, 0, 118 + x / 1000, 31.005, 1, 0, 5, 80, 0) for t, x in now.items()])


def test_passing_through_the_edge_is_no_visit() -> None:
    assert folded([walk((0, 25), (100, 35), (115, 25), (300, 25))]) == []


def test_noise_at_the_edge_does_not_end_a_visit() -> None:
    inside = [(t, 35 if t % 40 < 30 else 41) for t in range(120, 500, 5)]
    found = folded([walk((0, 25), *inside, (500, 25), (600, 25))])
    assert [(v.zone, v.entered // SECOND, v.left and v.left // SECOND) for v in found] == [
        ("R", 120, None),
        ("R", 120, 500),
    ]


def test_a_terminal_switched_off_inside_left_at_its_last_fix() -> None:
    on, off = walk((0, 35), (200, 35)), walk((0, 35), (20, 35))
    off["at"] += 3600 * SECOND
    found = folded([on, off])
    assert [(v.entered // SECOND, v.left and v.left // SECOND) for v in found] == [
        (0, None),
        (0, 200),
        (3600, None),
    ]


def test_useless_fixes_are_left_out() -> None:
    fixes = walk((0, 35), (100, 35))
    fixes["lon"][1::2] = float("nan")
    fixes["accuracy"][2::4] = 500.0
    fixes["lon"][2::4] = 118.0
    assert [v.left for v in folded([fixes])] == [None]


def test_zones_of_other_kinds_are_not_visited() -> None:
    assert {v.zone for v in folded([walk((0, 7), (100, 7))])} == {"K", "P"}


def test_a_changed_site_keeps_the_visits_of_zones_that_stay() -> None:
    state, track = VISITS.start(SITE), walk((0, 35), (200, 35), (300, 25), (400, 25))
    first = VISITS.step(state, track[track["at"] < 150 * SECOND], SITE)
    new = [Zone("A", "patrol", "A", "A", "", shapely.box(118.02, 31, 118.028, 31.01)), *list(SITE.zones.values())[1:]]
    changed = Site([], new, [], Registry([]))
    later = VISITS.step(state, track[track["at"] >= 150 * SECOND], changed)
    assert [(v.zone, v.left and v.left // SECOND) for v in first + later] == [("R", None), ("A", None), ("R", 300)]


def test_a_line_is_visited_within_reach(lake: Any) -> None:
    near = lake.fixes(4, range(0, 60, 5), (8200.0, 25.0))
    line = Zone("L", "patrol", "L", "L", "", shapely.LineString([f[3:5] for f in lake.fixes(4, [0, 1], (8000.0, 0.0), step=(400.0, 0.0))]))  # fmt: skip # noqa: E501
    site = Site([], [line], [], Registry([]))
    assert [v.zone for v in Visits().step(Visits().start(site), rows(FIX, near), site)] == ["L"]
    assert Visits(reach=20.0).step(Visits(reach=20.0).start(site), rows(FIX, near), site) == []


def test_arrived_says_when_a_terminal_is_there(lake: Any) -> None:
    fixes = rows(FIX, lake.fixes(4, range(0, 100, 5), (-100, 0), step=(2.0, 0.0)) + lake.fixes(5, [1], (0, 0)))
    lon, lat = map(float, lake.fixes(5, [0], (0, 0))[0][3:5])
    assert arrived(fixes, 4, lon, lat, within=20.5) == lake.at(40)
    assert arrived(fixes, 4, lon, lat + 0.01) is None
    assert arrived(rows(FIX), 4, lon, lat) is None
    assert arrived(rows(FIX, lake.fixes(4, [0])), 4, lon, lat) is None, "without a place"


@pytest.mark.parametrize("wrong", [{"settle": -1}, {"lost": 0}, {"reach": float("nan")}, {"settle": 700.0}])
def test_wrong_thresholds_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(WrongThreshold, match=next(iter(wrong))):
        Visits(**wrong)
