"""Sensors: limits with hysteresis, rates of rise, stuck and shifted sensors, values that are not usual."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detectors.base import Batch, Finding
from detectors.hazard import Hazard
from devices.readings import SAMPLE, SECOND, rows
from devices.registry import Device, Registry
from devices.site import Site

MONDAY = 1_780_848_000 * SECOND  # 2026-06-08 00:00 at the site
DAY, HOUR = 86_400.0, 3600.0
GAUGE = {"quantity": "water_level", "normal": 7.9, "warn": 8.1, "alarm": 8.3, "low_warn": 7.5, "rise": 0.3}
Found = list[Finding]


def a_site(**properties: Any) -> Site:
    gauge = Device("WL", "sensor", "水位计", "Gauge", "", "", interval=60, lon=118.7, lat=31.5, id=1,
                   properties=properties or GAUGE)  # fmt: skip
    return Site([], [], [], Registry([gauge, Device("X", "sensor", "另一个", "Other", "", "", id=2)]))


SITE = a_site()


def samples(values: Iterable[float], every: float = 60.0, begin: float = 0.0, quantity: str = "water_level") -> Any:
    """One sensor's samples, from Monday on."""
    moments = (MONDAY + round((begin + i * every) * SECOND) for i in itertools.count())
    return [(1, at, at + SECOND // 2, quantity, value) for at, value in zip(moments, values, strict=False)]


def lake(seconds: float, extra: Callable[[float], float] = lambda t: 0.0, seed: int = 1, every: float = 60.0) -> Any:
    """A level that rocks, with a daily round and a slow rise over weeks."""
    draw = random.Random(seed)
    for i in range(int(seconds / every)):
        t = i * every
        rocking = 0.018 * math.sin(t / 437.7) + draw.gauss(0, 0.004)
        yield round(7.9 + rocking + 0.03 * math.sin(t / DAY * 2 * math.pi) + 0.005 * t / DAY + extra(t), 3)


def watch(detector: Hazard, told: Any, site: Site = SITE, size: int = 500) -> Found:
    state, found = detector.start(site), []
    for i in range(0, len(told), size):
        part = rows(SAMPLE, told[i : i + size])
        found += detector.step(state, Batch(samples=part), int(part["received"].max()), site)
    return found


def minutes(found: Found) -> list[tuple[float, float, bool]]:
    return [((f.since - MONDAY) / 60 / SECOND, (f.until - MONDAY) / 60 / SECOND, f.ends) for f in found]


LEVEL = Hazard(tells=("level",), confirm=2)


# ── Limits ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_it_takes_two_samples_and_the_second_step_is_told() -> None:
    found = watch(LEVEL, samples([7.9, 8.1, 8.1, 8.2, 8.3, 8.31, 8.31]))
    assert minutes(found) == [(1, 2, False), (1, 5, False)]
    assert [f.evidence["numbers"]["step"] for f in found] == [1, 2]
    assert [f.evidence["numbers"]["limit_value"] for f in found] == [8.1, 8.3]
    assert found[0].score < found[1].score
    assert (found[0].subject, found[0].zone, found[0].lon) == ("WL", "", 118.7)


def test_one_wild_sample_is_nothing() -> None:
    assert watch(LEVEL, samples([7.9, 99.0, 7.9, 8.2, 7.9, math.nan, 8.4, 7.9])) == []


def test_between_release_and_limit_it_goes_on_and_then_ends_with_a_sentence() -> None:
    found = watch(LEVEL, samples([8.2, 8.2, 8.09, 8.085, 8.2, 8.07, 8.07, 8.07]))
    assert minutes(found) == [(0, 1, False), (0, 5, False), (0, 6, True)]
    assert found[-1].sentence.zh == "水位计：水位已恢复到8.07 m（解除值8.08 m），历时6分钟。"
    assert found[-1].sentence.en == "Gauge: water level is back at 8.07 m (all-clear 8.08 m), after 6 min."


def test_a_level_that_only_hovers_below_the_limit_is_over_after_a_while() -> None:
    found = watch(LEVEL, samples([8.2, 8.2, *[8.09] * 60]))
    assert [f.ends for f in found].count(True) == 1
    assert found[-1].until == MONDAY + 32 * 60 * SECOND


def test_what_an_officer_reads() -> None:
    found = watch(LEVEL, samples([8.2] * 12))
    assert found[1].sentence.zh == "水位计：水位8.2 m，达到预警值8.1 m，6月8日00:00起已5分钟。"
    assert found[1].sentence.en == (
        "Gauge: water level 8.2 m, at or above the warning limit 8.1 m, for 5 min since 8 Jun 00:00."
    )
    (feature,) = found[1].evidence["geojson"]["features"]
    assert feature["properties"]["quantity"] == "water_level"


def test_low_water() -> None:
    (found,) = watch(LEVEL, samples([7.6, 7.5, 7.4]))
    assert "low" not in found.sentence.en.split("water level")[0]
    assert "at or below the warning limit 7.5 m" in found.sentence.en
    assert "低至预警值7.5 m" in found.sentence.zh


def test_a_day_of_high_water_is_at_least_a_day() -> None:
    found = watch(LEVEL, samples([8.2] * 2000))
    assert "at least 24 h since" in found[-1].sentence.en
    assert found[-1].evidence["numbers"]["at_least"] is True


@pytest.mark.parametrize(
    ("properties", "rule", "value", "limit"),
    [
        ({"normal": 5.0}, {"over_normal": 0.2, "over_normal_alarm": 0.5}, 5.3, 5.2),
        ({"normal": 5.0, "warn": 6.0}, {"over_normal": 0.2}, 6.1, 6.0),
        ({"unit": "m"}, {"warn": 3.0, "alarm": 4.0}, 3.5, 3.0),
        ({"warn": 6.0}, {"warn": 3.0}, 6.5, 6.0),
        ({"limits": {"water_level": {"warn": 2.0}}, "warn": 1.0}, {}, 2.5, 2.0),
        ({"alarm": 6.0}, {}, 6.5, 6.0),
        ({"warn": "high", "alarm": True}, {"warn": 3.0}, 3.5, 3.0),
    ],
)
def test_the_limits_of_the_device_come_before_those_of_the_rule(
    properties: Any, rule: Any, value: float, limit: float
) -> None:
    found = watch(Hazard(tells=("level",), confirm=2, **rule), samples([value] * 3), a_site(**properties))
    assert [f.evidence["numbers"]["limit_value"] for f in found] == [limit]


def test_limits_are_for_the_quantity_that_the_device_measures() -> None:
    assert watch(LEVEL, samples([50.0] * 5, quantity="humidity")) == []
    assert watch(Hazard(quantities=("smoke",), warn=1.0), samples([50.0] * 5)) == []
    assert watch(Hazard(warn=1.0), samples([50.0] * 5, quantity="battery"), a_site(a=1)) == []


def test_without_a_limit_nothing_is_said_and_strangers_are_left_out() -> None:
    assert watch(LEVEL, samples([50.0] * 5), a_site(a=1)) == []
    stranger = [(77, *row[1:]) for row in samples([50.0] * 5)]
    assert watch(Hazard(warn=1.0), stranger) == []


def test_changed_limits_hold_from_then_on() -> None:
    state = LEVEL.start(SITE)
    told = [rows(SAMPLE, part) for part in (samples([8.0] * 5), samples([8.0] * 5, begin=300))]
    lower = a_site(**GAUGE | {"warn": 7.95})
    assert LEVEL.step(state, Batch(samples=told[0]), 0, SITE) == []
    assert len(LEVEL.step(state, Batch(samples=told[1]), 0, lower)) == 1


def test_one_quantity_over_does_not_end_what_goes_on_with_the_other() -> None:
    site = a_site(limits={"temperature": {"warn": 40}, "smoke": {"warn": 2}})
    hot, smoke = [50.0] * 4 + [20.0] * 6, [3.0] * 7 + [0.1] * 3
    told = samples(hot, quantity="temperature") + samples(smoke, begin=20, quantity="smoke")
    ends = [f for f in watch(LEVEL, told, site) if f.ends]
    assert [f.evidence["geojson"]["features"][0]["properties"]["quantity"] for f in ends] == ["smoke"]


# ── Rate of rise ────────────────────────────────────────────────────────────────────────────────────────────────────
RISE = Hazard(tells=("rise",))


def test_a_rise_is_told_before_the_level_is_reached_and_its_end() -> None:
    found = watch(RISE, samples(lake(4 * HOUR, lambda t: 0.5 * min(1.0, max(0.0, (t - HOUR) / HOUR)))))
    assert found
    first, last = found[0], found[-1]
    assert HOUR < (first.until - MONDAY) / SECOND < HOUR + 40 * 60
    assert first.evidence["numbers"]["rate_per_h"] == pytest.approx(0.5, abs=0.2)
    assert "rising by" in first.sentence.en
    assert "上升速度每小时" in first.sentence.zh
    assert last.ends
    assert 2 * HOUR < (last.until - MONDAY) / SECOND < 2 * HOUR + 40 * 60


def test_rocking_and_wild_samples_are_no_rise() -> None:
    draw = random.Random(3)
    wild = [value + (0.5 if draw.random() < 0.05 else 0.0) for value in lake(2 * DAY)]
    assert watch(RISE, samples(wild)) == []


# ── Stuck, shifted ──────────────────────────────────────────────────────────────────────────────────────────────────
STUCK = Hazard(tells=("stuck",))


def test_a_stuck_sensor_is_told_and_its_end() -> None:
    values = list(lake(4 * DAY))
    values[4000:4300] = [7.912] * 300
    found = watch(STUCK, samples(values))
    assert (found[0].until - found[0].since) / SECOND == pytest.approx(7200, abs=400)
    assert "has been exactly 7.91 m" in found[0].sentence.en
    assert "可能卡滞" in found[0].sentence.zh
    assert [f.ends for f in found].index(True) == len(found) - 1
    assert found[-1].until - found[0].since == pytest.approx(300 * 60 * SECOND, abs=600 * SECOND)


def test_a_coarse_sensor_may_stay_at_a_value_for_hours_and_any_at_zero() -> None:
    coarse = [round(value, 1) for value in lake(6 * DAY)]  # changes some times a day
    assert watch(STUCK, samples(coarse)) == []
    resting = [value if t < 3000 else 0.0 for t, value in enumerate(lake(4 * DAY))]
    assert watch(STUCK, samples(resting)) == []


def test_what_does_not_report_is_not_stuck() -> None:
    values = list(lake(3 * DAY))
    assert watch(STUCK, samples(values) + samples([values[-1]] * 5, begin=3 * DAY + 5 * HOUR)) == []


SHIFT = Hazard(tells=("shift",))


def test_a_shift_is_told_with_both_levels() -> None:
    found = watch(SHIFT, samples(lake(DAY, lambda t: 0.4 if t > 12 * HOUR else 0.0)))
    assert found
    assert found[0].evidence["numbers"]["shift"] == pytest.approx(0.4, abs=0.05)
    assert abs((found[0].since - MONDAY) / SECOND - 12 * HOUR) < 900
    assert (found[0].until - MONDAY) / SECOND < 13.5 * HOUR
    assert "jumped from" in found[0].sentence.en
    assert "突变为" in found[0].sentence.zh


def test_a_slow_rise_and_a_short_one_are_no_shift() -> None:
    assert watch(SHIFT, samples(lake(DAY, lambda t: 0.4 * min(1.0, max(0.0, t - 6 * HOUR) / (1.5 * HOUR))))) == []
    assert watch(SHIFT, samples(lake(DAY, lambda t: 0.4 if 6 * HOUR < t < 6.5 * HOUR else 0.0))) == []


# ── What is usual ───────────────────────────────────────────────────────────────────────────────────────────────────
ODD = Hazard(tells=("odd",))


def market(days: float, extra: Callable[[float], float] = lambda t: 0.0, every: float = 300.0) -> list[float]:
    """People in a place with a market on Saturdays."""
    draw, found = random.Random(5), []
    for i in range(int(days * DAY / every)):
        t = i * every
        day, hour = int(t // DAY) % 7, t % DAY / HOUR
        busy = max(0.0, math.sin((hour - 7) / 12 * math.pi)) * (120 if day == 5 else 40)
        found.append(float(max(0, round(draw.gauss(busy, math.sqrt(busy + 1)) + extra(t)))))
    return found


def test_a_crowd_on_a_tuesday_is_strange_though_saturdays_have_as_many() -> None:
    tuesday = 22 * DAY + 10 * HOUR
    people = market(24, lambda t: 80.0 if tuesday < t < tuesday + 3 * HOUR else 0.0)
    found = watch(ODD, samples(people, every=300, quantity="people"))
    assert found
    assert {f.evidence["geojson"]["features"][0]["properties"]["what"] for f in found} == {"odd"}
    assert tuesday < (found[0].until - MONDAY) / SECOND < tuesday + 1.5 * HOUR
    assert found[0].evidence["numbers"]["usual_value"] == pytest.approx(35, abs=15)
    assert found[-1].ends
    assert "usual at this hour of the week" in found[0].sentence.en


def door(days: float, day: Callable[[int], float], shift: Callable[[int], float], every: float = 300.0) -> list[float]:
    """People behind a door that opens at eight and shuts at seven in the evening, ``shift`` hours later on a day;
    ``day`` says how many."""
    draw, found = random.Random(7), []
    for i in range(int(days * DAY / every)):
        number, hour = int(i * every // DAY), i * every % DAY / HOUR
        late = shift(number)
        busy = day(number) * min(1.0, max(0.0, hour - 7.5 - late), max(0.0, 19.5 + late - hour))
        found.append(float(max(0, round(draw.gauss(busy, math.sqrt(busy))))))
    return found


@pytest.mark.parametrize("most", [60, 150, 300])
def test_an_opening_door_and_the_day_after_a_feast_are_usual(most: int) -> None:
    """A quarter more on two days, a quarter of an hour earlier or later; three times as many on one day only."""
    everything = Hazard(tells=("odd", "shift"))
    people = door(27, lambda n: 1.25 * most if n in (16, 23) else most, lambda n: (0.0, 0.25, -0.25)[n % 3])
    assert watch(everything, samples(people, every=300, quantity="people")) == []
    feast = door(24, lambda n: 3 * most if n == 22 else most, lambda n: 0.0)
    days = {
        int((f.until - MONDAY) / SECOND // DAY) for f in watch(everything, samples(feast, every=300, quantity="people"))
    }
    assert days == {22}


def test_a_door_that_stays_shut_is_strange() -> None:
    people = door(24, lambda n: 0.0 if n == 22 else 200.0, lambda n: 0.0)
    found = watch(ODD, samples(people, every=300, quantity="people"))
    assert 22 * DAY + 8 * HOUR < (found[0].until - MONDAY) / SECOND < 22 * DAY + 11 * HOUR
    assert found[-1].ends


def test_it_says_nothing_before_it_has_learned() -> None:
    tuesday = 8 * DAY + 10 * HOUR
    people = market(10, lambda t: 80.0 if tuesday < t < tuesday + 3 * HOUR else 0.0)
    assert watch(ODD, samples(people, every=300, quantity="people")) == []


def test_weeks_of_a_lake_that_slowly_rises_are_usual() -> None:
    assert watch(ODD, samples(lake(28 * DAY, every=300.0), every=300.0)) == []


def test_a_lake_that_stands_higher_than_its_day_is_strange_long_before_the_limit() -> None:
    bare = a_site(quantity="water_level")
    high = samples(lake(24 * DAY, lambda t: 0.15 if 22 * DAY < t < 22.3 * DAY else 0.0, every=300.0), every=300.0)
    found = watch(ODD, high, bare)
    assert found
    assert 22 * DAY < (found[0].until - MONDAY) / SECOND < 22.1 * DAY


# ── The law, where the memory is shorter than the series ────────────────────────────────────────────────────────────
ALL = Hazard(
    tells=("level", "rise", "stuck", "shift", "odd"), warn=1.0, alarm=2.0, low_warn=-0.0, rise=20.0, hold=60.0,
    renew=40.0, longest=200.0, beat=20.0, rise_window=100.0, stuck_factor=2.0, stuck_least=60.0, shift_window=80.0,
    slot=20.0, season=300.0, cycles=2, confirm=2,
)  # fmt: skip


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0.4, 0.95), every=st.sampled_from([5.0, 7.0, 19.0]))
@example(seed=2880, share=0.875, every=19.0)  # silent for longer than it remembers, with something going on
def test_a_state_refilled_with_its_memory_goes_on_like_one_that_never_stopped(
    seed: int, share: float, every: float
) -> None:
    draw, value, values = random.Random(seed), 0.5, []
    length = int(3 * ALL.memory / every)
    while len(values) < length:
        kind, count = draw.choice(["noise", "noise", "up", "same", "high", "gap"]), draw.randint(3, 80)
        for i in range(count):
            base = {"up": 0.03 * i, "high": 1.1, "noise": 0.5 + 0.2 * math.sin(len(values) * every / 48)}.get(kind)
            value = value if base is None else round(base + draw.gauss(0, 0.05), 2)
            values.append(math.nan if kind == "gap" else value)
    told = samples(values[:length], every)
    stop = MONDAY + round(share * length * every) * SECOND
    before, after = [r for r in told if r[2] <= stop], [r for r in told if r[2] > stop]
    stored = [r for r in before if r[1] >= stop - int(ALL.memory * SECOND)]
    never = watch(ALL, before + after, a_site(a=1), size=draw.randint(1, 90))
    state = ALL.start(bare := a_site(a=1))
    found = list(ALL.step(state, Batch(samples=rows(SAMPLE, stored)), stop, bare))
    for i in range(0, len(after), 50):
        found += ALL.step(state, Batch(samples=rows(SAMPLE, after[i : i + 50])), stop, bare)
    assert [f for f in found if f.until > stop] == [f for f in never if f.until > stop]


def test_the_memory_holds_weeks_only_where_something_is_learned() -> None:
    assert LEVEL.memory == LEVEL.refold_memory < 2 * DAY
    assert ODD.memory > 21 * DAY
    assert ODD.refold_memory == LEVEL.memory
