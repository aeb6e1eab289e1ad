"""What keeps an alert silent, and what never may."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.case import Actor, Refused
from alerts.rules import Inhibitor, Rule
from alerts.suppression import About, Arrangements, Silence, Window, silence_asked, window_asked
from devices.registry import Device, Registry
from devices.site import Area, Site

NOW = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
DISTRICT, LAKE, TOWN, GRID = "320118000000", "320118100000", "320118101000", "320118100201-01"
AREAS = [
    Area(DISTRICT, "区", "District", "district"),
    Area(LAKE, "湖", "Lake", "street", DISTRICT),
    Area(TOWN, "镇", "Town", "street", DISTRICT),
    Area(GRID, "格", "Grid", "grid", LAKE),
]
DEVICES = [
    Device("T1", "terminal", "1", "1", GRID, LAKE, role="patrol"),
    Device("T2", "terminal", "2", "2", LAKE, LAKE, role="patrol"),
    Device("T3", "terminal", "3", "3", TOWN, TOWN, role="patrol"),
]
SITE = Site(AREAS, [], [], Registry([replace(d, id=n) for n, d in enumerate(DEVICES)]))
BAN = About(1, "fishing_ban", "fishing_ban", "C1", "ban", GRID, "medium")
SOS = About(2, "sos", "sos", "T1", "", GRID, "high")
OPERATOR = Actor("zhang", "operator")
SOS_RULE = Rule("sos", "求救", "SOS", "sos", "high", "sos")
MADE: dict[str, Any] = {"created_by": "zhang", "created_at": NOW, "starts": NOW, "ends": NOW + HOUR}
FEED = About(7, "silence", "silence", "feed", "", None, "low")


def silence(**given: Any) -> Silence:
    return Silence(
        **{"created_by": "zhang", "created_at": NOW, "reason": "演练", "starts": NOW, "ends": NOW + HOUR, **given}
    )


def window(**given: Any) -> Window:
    return Window(
        **{"created_by": "zhang", "created_at": NOW, "reason": "换电池", "starts": NOW, "ends": NOW + HOUR, **given}
    )


def quiet(about: About, *, now: datetime = NOW, rule: Rule | None = None, **given: Any) -> str | None:
    verdict = Arrangements(SITE, now, **given).verdict(about, rule)
    return verdict and verdict.by


@pytest.mark.parametrize(
    ("named", "fits"),
    [
        ({"rule": "fishing_ban"}, True),
        ({"rule": "crowd"}, False),
        ({"kind": "fishing_ban"}, True),
        ({"subject": "C1"}, True),
        ({"subject": "C2"}, False),
        ({"zone": "ban"}, True),
        ({"area": GRID}, True),
        ({"area": LAKE}, True),
        ({"area": DISTRICT}, True),
        ({"area": TOWN}, False),
        ({"rule": "fishing_ban", "area": TOWN}, False),
        ({"rule": "fishing_ban", "zone": "ban", "area": LAKE}, True),
    ],
)
def test_a_silence_fits_what_it_names_and_all_of_it(named: dict[str, str], fits: bool) -> None:
    assert (quiet(BAN, silences=(silence(**named),)) == "silence") is fits


def test_a_silence_holds_from_its_start_until_its_end_or_until_it_is_ended() -> None:
    made = silence(rule="fishing_ban", starts=NOW, ends=NOW + HOUR)
    moments = [NOW - timedelta(seconds=1), NOW, NOW + HOUR - timedelta(seconds=1), NOW + HOUR]
    assert [quiet(BAN, now=m, silences=(made,)) is not None for m in moments] == [False, True, True, False]
    ended = replace(made, ended_at=NOW + HOUR / 2, ended_by="li")
    assert quiet(BAN, now=NOW + HOUR / 2 - timedelta(seconds=1), silences=(ended,))
    assert not quiet(BAN, now=NOW + HOUR / 2, silences=(ended,))


def test_why_is_said_in_both_languages_with_who_and_until_when() -> None:
    verdict = Arrangements(SITE, NOW, (replace(silence(rule="fishing_ban"), id=5),)).verdict(BAN, None)
    assert verdict is not None and verdict.id == 5
    assert verdict.reason.zh == "zhang 设置静默至 2026-11-20 11:30：演练"
    assert verdict.reason.en == "silenced by zhang until 2026-11-20 11:30: 演练"


def test_a_call_for_help_of_high_severity_is_told_whatever_is_arranged() -> None:
    everything = {
        "silences": (silence(area=DISTRICT), silence(subject="T1"), silence(kind="sos")),
        "windows": (window(devices=("T1",), areas=(DISTRICT,)),),
        "live": (FEED,),
    }
    rule = replace(SOS_RULE, inhibited_by=(Inhibitor("silence", "site", "feed"),))
    assert quiet(SOS, rule=rule, **everything) is None
    assert quiet(replace(SOS, severity="medium"), rule=rule, **everything) == "silence"


@pytest.mark.parametrize("named", [{"rule": "sos"}, {"kind": "sos"}, {"kind": "sos", "area": LAKE}])
def test_a_silence_for_calls_for_help_is_refused_with_the_reason(named: dict[str, str]) -> None:
    with pytest.raises(Refused) as refusal:
        silence_asked(silence(**named), OPERATOR, [SOS_RULE])
    assert refusal.value.code == "sos"
    assert "求救" in refusal.value.zh and "call for help" in refusal.value.en
    silence_asked(silence(**named), OPERATOR, [replace(SOS_RULE, severity="medium")])


@pytest.mark.parametrize(
    ("given_", "code"),
    [
        ({}, "missing"),
        ({"rule": "x", "reason": " "}, "missing"),
        ({"rule": "x", "ends": NOW}, "wrong_value"),
        ({"rule": "x", "starts": NOW - 2 * HOUR, "ends": NOW - HOUR}, "wrong_value"),
        ({"rule": "x", "ends": NOW + timedelta(days=31)}, "wrong_value"),
        ({"rule": "x", "reason": "a\x00b"}, "wrong_text"),
    ],
)
def test_a_senseless_silence_is_refused(given_: dict[str, Any], code: str) -> None:
    with pytest.raises(Refused) as refusal:
        silence_asked(silence(**given_), OPERATOR, [])
    assert refusal.value.code == code and refusal.value.zh and refusal.value.en


@pytest.mark.parametrize("role", ["viewer", "unit"])
def test_only_the_desk_may_arrange_silence(role: Any) -> None:
    with pytest.raises(Refused, match="role"):
        silence_asked(silence(rule="x"), Actor("wang", role), [])
    with pytest.raises(Refused, match="role"):
        window_asked(window(zones=("z",)), Actor("wang", role))


# ── Maintenance ─────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("named", "fits"),
    [
        ({"devices": ("C1",)}, True),
        ({"zones": ("other", "ban")}, True),
        ({"areas": (LAKE,)}, True),
        ({"areas": (TOWN,)}, False),
        ({"devices": ("C2",), "zones": ("other",)}, False),
    ],
)
def test_a_window_covers_any_of_what_it_names(named: dict[str, Any], fits: bool) -> None:
    assert (quiet(BAN, windows=(window(**named),)) == "maintenance") is fits


def test_what_is_no_device_zone_or_area_of_it_is_not_covered_by_an_empty_name() -> None:
    nowhere = About(3, "x", "x", "", "", None, "low")
    assert quiet(nowhere, windows=(window(devices=("C1",), areas=(LAKE,)),)) is None


def test_a_weekly_window_is_on_at_the_same_hours_of_each_week_until_it_ends() -> None:
    made = window(devices=("C1",), weekly=True, repeats_until=NOW + timedelta(days=14))
    week = timedelta(days=7)
    on = [made.on(NOW + n * week + hours * HOUR) for n in range(4) for hours in (0, 0.5, 1)]
    assert on == [True, True, False] * 3 + [False] * 3
    assert not made.on(NOW - timedelta(seconds=1)) and not made.on(NOW + timedelta(days=3))
    assert replace(made, repeats_until=None).on(NOW + 500 * week)
    assert not replace(made, ended_at=NOW + week).on(NOW + week)
    assert [made.over(NOW + n * week + 2 * HOUR) for n in range(4)] == [False, False, True, True]


@given(hours=st.integers(1, 167), offset=st.integers(0, 10**7))
def test_a_weekly_window_is_on_for_just_its_part_of_the_week(hours: int, offset: int) -> None:
    made = window(devices=("C1",), weekly=True, ends=NOW + hours * HOUR)
    at = NOW + timedelta(seconds=offset)
    assert made.on(at) == (offset % (7 * 86400) < hours * 3600)
    until = made.until(at)
    assert until is None or at < until <= at + hours * HOUR


@pytest.mark.parametrize(
    "given_",
    [
        {},
        {"zones": ("z",), "ends": NOW},
        {"zones": ("z",), "weekly": True, "ends": NOW + timedelta(days=7)},
        {"zones": ("z",), "repeats_until": NOW + HOUR},
        {"zones": ("z",), "weekly": True, "repeats_until": NOW - HOUR},
    ],
)
def test_a_senseless_window_is_refused(given_: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        window_asked(window(**given_), OPERATOR)


# ── Inhibition ──────────────────────────────────────────────────────────────────────────────────────────────────────
QUIET = Rule(
    "silence", "失联", "Silent", "silence", "low", "silence", inhibited_by=(Inhibitor("silence", "site", "feed"),)
)


def silent(subject: str, area: str | None = None, number: int = 20) -> About:
    return About(number, "silence", "silence", subject, "", area, "low")


def test_a_feed_that_is_down_inhibits_its_terminals_and_not_itself() -> None:
    assert quiet(silent("T1"), rule=QUIET, live=(FEED,)) == "inhibition"
    assert quiet(FEED, rule=QUIET, live=(FEED,)) is None
    assert quiet(silent("T1"), rule=QUIET, live=(silent("T2"),)) is None, "only the feed does"
    assert quiet(silent("T1"), rule=QUIET) is None


@pytest.mark.parametrize(
    ("same", "source", "target", "reached"),
    [
        ("area", silent("x", LAKE), silent("T1", GRID), True),
        ("area", silent("x", GRID), silent("T2", LAKE), False),
        ("area", silent("x", None), silent("T1", GRID), False),
        ("share", silent("T1"), silent("T2"), True),
        ("share", silent("T1"), silent("T3"), False),
        ("share", silent("T1"), silent("a person"), False),
        ("subject", silent("T1"), replace(BAN, subject="T1"), True),
        ("subject", silent("T1"), replace(BAN, subject="T2"), False),
        ("zone", replace(BAN, rule="silence", subject="x"), BAN, True),
        ("zone", silent("T1"), silent("T2"), False),
        ("site", silent("T1"), BAN, True),
    ],
)
def test_what_an_inhibitor_reaches(same: Any, source: About, target: About, reached: bool) -> None:
    rule = Rule("other", "-", "-", "crowd", "low", "x", inhibited_by=(Inhibitor("silence", same),))
    assert (quiet(replace(target, rule="other"), rule=rule, live=(source,)) == "inhibition") is reached


def test_arrangements_that_are_not_on_now_are_none() -> None:
    later = silence(rule="x", starts=NOW + HOUR, ends=NOW + 2 * HOUR)
    assert Arrangements(SITE, NOW, (later,), (window(zones=("z",), starts=NOW - 2 * HOUR, ends=NOW - HOUR),)).idle
    assert not Arrangements(SITE, NOW, live=(FEED,)).idle
