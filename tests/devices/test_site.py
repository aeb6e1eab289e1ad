"""Seasons against a slow reference, the tree of areas, and the registry's addresses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import shapely
from hypothesis import example, given
from hypothesis import strategies as st

from devices.registry import Device, Registry
from devices.site import CHINA, Area, Plan, Season, Site, Zone, micros, moment

days = st.dates().map(lambda d: f"{d:%m-%d}")
hours = st.times().map(lambda t: f"{t:%H:%M}")
moments = st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
spans = st.lists(moments, min_size=1, max_size=8)


def slow(season: Season, at: datetime) -> bool:
    """Word by word: the season's days and hours, by the site's clock."""
    local = at.astimezone(CHINA)

    def within(now: str, first: str, last: str) -> bool:
        return first <= now <= last if first <= last else now >= first or now <= last

    def in_hours(now: str, opens: str, closes: str) -> bool:
        if opens == closes:
            return True
        return opens <= now < closes if opens < closes else now >= opens or now < closes

    return within(f"{local:%m-%d}", season.first, season.last) and in_hours(
        f"{local:%H:%M}", season.opens, season.closes
    )


@given(st.builds(Season, days, days, hours, hours), spans)
@example(Season("11-01", "02-29", "18:00", "06:00"), [datetime(2024, 2, 29, 15, 59, tzinfo=UTC)])
def test_a_season_is_on_when_the_calendar_says_so(season: Season, times: list[datetime]) -> None:
    at = np.array([micros(t) for t in times], np.int64)
    assert season.active(at).tolist() == [slow(season, t) for t in times]


@pytest.mark.parametrize(
    ("local", "on"),
    [
        ("2025-02-28T23:59:59.999999", False),
        ("2025-03-01T00:00:00", True),
        ("2025-06-30T23:59:59.999999", True),
        ("2025-07-01T00:00:00", False),
    ],
)
def test_both_days_of_a_season_are_whole_and_by_the_clock_of_china(local: str, on: bool) -> None:
    at = micros(datetime.fromisoformat(local).replace(tzinfo=CHINA))
    assert Season("03-01", "06-30").active(np.array([at])).tolist() == [on]


@pytest.mark.parametrize(("local", "on"), [("17:59", False), ("18:00", True), ("05:59", True), ("06:00", False)])
def test_hours_over_midnight_begin_and_end_on_the_minute(local: str, on: bool) -> None:
    at = micros(datetime.fromisoformat(f"2026-05-01T{local}").replace(tzinfo=CHINA))
    assert Season(opens="18:00", closes="06:00").active(np.array([at])).tolist() == [on]


def test_a_season_over_no_moments_is_empty() -> None:
    assert Season().active(np.empty(0, np.int64)).shape == (0,)


@given(st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.timezones()))  # noqa: DTZ001
def test_microseconds_and_back_are_exact(at: datetime) -> None:
    assert moment(micros(at)) == at.astimezone(UTC)
    assert moment(micros(at) + 1) - at.astimezone(UTC) == timedelta(microseconds=1)


def site(*areas: tuple[str, str]) -> Site:
    return Site([Area(code, code, code, "street", parent) for code, parent in areas], [], [], Registry([]))


def test_lineage_goes_from_the_finest_to_the_top() -> None:
    tree = site(("district", ""), ("street", "district"), ("village", "street"), ("grid", "village"))
    assert tree.lineage("grid") == ["grid", "village", "street", "district"]
    assert tree.lineage("district") == ["district"]
    assert tree.lineage("nowhere") == []


def test_lineage_ends_where_the_tree_is_broken_or_goes_in_a_circle() -> None:
    assert site(("a", "b"), ("b", "a")).lineage("a") == ["a", "b"]
    assert site(("a", "gone")).lineage("a") == ["a"]


def test_zones_of_a_kind_come_in_the_order_of_their_codes() -> None:
    box = shapely.box(0, 0, 1, 1)
    zones = [Zone(code, kind, "", "", "", box) for code, kind in (("b", "water"), ("c", "patrol"), ("a", "water"))]
    assert [z.code for z in Site([], zones, [], Registry([])).zones_of("water")] == ["a", "b"]


def device(code: str, number: int, *aliases: str, **more: float) -> Device:
    return Device(code, "terminal", code, code, "", "", role="patrol", aliases=aliases, id=number, **more)


def test_a_device_is_found_by_code_alias_and_id() -> None:
    first, second = device("T1", 1, "owntracks/a/b", interval=5.0), device("T2", 7, lon=118.5, lat=31.5)
    registry = Registry([first, second])
    assert registry.resolve("T1") is registry.resolve("owntracks/a/b") is registry.by_id(np.int32(1)) is first
    assert registry.resolve("T3") is None
    with pytest.raises(KeyError):
        registry.by_id(3)
    assert registry.size == 8
    assert registry.interval.tolist() == [0, 5, 0, 0, 0, 0, 0, 0]
    assert registry.lon[7] == 118.5
    assert np.isnan(registry.lon[1])


@pytest.mark.parametrize(
    "devices",
    [
        [device("T1", 1), device("T1", 2)],
        [device("T1", 1, "T2"), device("T2", 2)],
        [device("T1", 1, "x"), device("T2", 2, "x")],
    ],
)
def test_an_address_leads_to_one_device_only(devices: list[Device]) -> None:
    with pytest.raises(ValueError, match="belongs to both T1 and T"):
        Registry(devices)


def a_plan(
    opens: str = "08:00", closes: str = "12:00", days: tuple[int, ...] = (1, 3, 7), who: tuple[str, ...] = ()
) -> Plan:
    return Plan("P", "quota", "巡护", "Patrol", "A", ("Z",), opens=opens, closes=closes, days=days, who=who)


@given(hours, hours, st.sets(st.integers(1, 7)), moments, st.integers(1, 20 * 86400))
def test_windows_are_those_of_the_calendar(opens: str, closes: str, on: set[int], since: datetime, lasts: int) -> None:
    plan = a_plan(opens, closes, tuple(on))
    begin, end = micros(since), micros(since) + lasts * 1_000_000
    expected = []
    day = (since.astimezone(CHINA) - timedelta(days=2)).replace(hour=0, minute=0, second=0, microsecond=0)
    while micros(day) < end:
        first = day.replace(hour=int(opens[:2]), minute=int(opens[3:]))
        last = day.replace(hour=int(closes[:2]), minute=int(closes[3:]))
        last += timedelta(days=last <= first)
        if day.isoweekday() in on and micros(first) < end and micros(last) > begin:
            expected.append((micros(first), micros(last)))
        day += timedelta(days=1)
    assert list(plan.windows(begin, end)) == expected


def test_whom_a_plan_is_for() -> None:
    registry = Registry([
        Device("T1", "terminal", "a", "A", "A", "A", role="patrol", id=1),
        Device("T2", "terminal", "b", "B", "A", "A", role="police", id=2),
        Device("V3", "vessel", "c", "C", "A", "A", id=3),
    ])  # fmt: skip
    assert a_plan().walkers(registry).tolist() == [False, True, True, False]
    assert a_plan(who=("patrol", "V3")).walkers(registry).tolist() == [False, True, False, True]
    assert not a_plan(who=("boat",)).walkers(registry).any()
