"""What a new case says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
import shapely

from alerts.alert import Alert, alert_from
from alerts.categories import Categories, category_from
from alerts.deadline import Due
from alerts.duty import DutyMatrix
from alerts.opening import area_at, area_of, case_from, case_number, case_reported, title_of
from alerts.rules import Rule
from detectors.base import Finding, Sentence
from devices.registry import Device, Registry
from devices.site import Area, Site, Unit, Zone, micros

NOW = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)
DISTRICT, STREET = "320118000000", "320118100000"
SITE = Site(
    [Area(DISTRICT, "区", "District", "district"), Area(STREET, "街道", "Street", "street", DISTRICT)],
    [
        Zone("lake", "water", "湖", "Lake", DISTRICT, shapely.box(118, 31, 119, 32)),
        Zone("ban", "no_fishing", "禁渔区", "Ban zone", STREET, shapely.box(118.5, 31.5, 118.6, 31.6)),
        Zone("lost", "restricted", "旧", "Old", "999999999999", shapely.box(118.5, 31.5, 118.6, 31.6)),
    ],
    [Unit("fishery", "渔政", "Fishery", DISTRICT)],
    Registry([Device("T1", "terminal", "一号", "No. 1", STREET, STREET, aliases=("owntracks/a/b",), id=1)]),
)
RULE = Rule("ban", "垂钓", "Fishing", "fishing_ban", "high", "fishing", deadline="30m")


def alert(zone: str = "ban", subject: str = "C9", lon: float = 118.55) -> Alert:
    found = Finding("k", subject, zone, micros(NOW), micros(NOW), lon, 31.55, 0.5, Sentence("句", "s"), {})
    return replace(alert_from(RULE, found, NOW, historical=False), area=area_of(SITE, zone, subject))


@pytest.mark.parametrize(
    ("zone", "subject", "area"),
    [
        ("ban", "T1", STREET),
        ("lake", "T1", DISTRICT),
        ("", "T1", STREET),
        ("", "owntracks/a/b", STREET),
        ("", "unknown", None),
        ("gone", "unknown", None),
        ("lost", "T1", None),
    ],
)
def test_the_area_is_the_zones_else_the_devices(zone: str, subject: str, area: str | None) -> None:
    assert area_of(SITE, zone, subject) == area


def test_the_area_of_a_place_is_that_of_the_finest_zone_around_it() -> None:
    assert area_at(SITE, 118.55, 31.55) == STREET
    assert area_at(SITE, 118.1, 31.1) == DISTRICT
    assert area_at(SITE, 117.0, 31.1) is None
    assert area_at(SITE, None, None) is None


def test_a_case_takes_its_facts_from_alert_rule_and_matrix() -> None:
    duty = DutyMatrix([("fishing", DISTRICT, "fishery")])
    case, grounds = case_from(alert(), RULE, site=SITE, duty=duty, number="PG-1", now=NOW)
    assert (case.area, case.unit, case.severity, case.status) == (STREET, "fishery", "high", "opened")
    assert (case.lon, case.lat) == (118.55, 31.55)
    assert grounds.due == Due(case.due_at) and case.due_at == datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
    nowhere, unknown = case_from(alert(lon=float("nan")), RULE, site=SITE, duty=DutyMatrix([]), number="PG-2", now=NOW)
    assert (nowhere.lon, nowhere.lat, nowhere.unit) == (None, None, None)
    assert unknown.recorded()["duty_by"] == "nobody"
    assert grounds.recorded() == {
        "deadline": "30m",
        "deadline_by": "rule",
        "guessed_years": [],
        "duty": ["fishing", DISTRICT, "fishery"],
        "duty_by": "above",
    }


def test_without_a_deadline_of_the_rules_own_the_kind_and_severity_give_it() -> None:
    kinds = Categories([category_from({"code": "fishing", "name": "垂钓", "name_en": "Fishing", "high": "2wh"})])
    rule = replace(RULE, deadline="")
    case, grounds = case_from(alert(), rule, site=SITE, duty=DutyMatrix([], kinds), number="PG-1", now=NOW)
    assert case.due_at == datetime(2026, 11, 20, 4, 30, tzinfo=UTC)
    assert (grounds.limit.deadline, grounds.limit.by) == ("2wh", "category")
    case, grounds = case_reported(
        number="PG-2",
        category="noise",
        title="噪声",
        severity="low",
        place=(118.55, 31.55),
        site=SITE,
        duty=DutyMatrix([("*", STREET, "fishery")], kinds),
        owner=None,
        now=NOW,
    )
    assert (grounds.limit.deadline, grounds.limit.by) == ("2wd", "severity")
    assert (case.unit, grounds.recorded()["duty_by"]) == ("fishery", "any")


def test_titles_name_the_zone_else_the_device_else_the_subject() -> None:
    assert title_of(alert("ban"), RULE, SITE) == Sentence("垂钓：禁渔区", "Fishing: Ban zone")
    assert title_of(alert("", "T1"), RULE, SITE) == Sentence("垂钓：一号", "Fishing: No. 1")
    assert title_of(alert("", "x"), RULE, SITE) == Sentence("垂钓：x", "Fishing: x")


def test_numbers_count_by_the_day_of_the_site() -> None:
    assert case_number(datetime(2026, 11, 22, 15, 59, tzinfo=UTC), 7) == "PG-20261122-0007"
    assert case_number(datetime(2026, 11, 22, 16, 0, tzinfo=UTC), 1) == "PG-20261123-0001"
    assert case_number(NOW, 12345) == "PG-20261120-12345"
