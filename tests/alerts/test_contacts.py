"""Contacts as data: who hears of what, when they have quiet, and what is wrong with a line."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.contacts import Contact, Pace, Quiet, WrongContact, contact_from, contact_problems, contacts_of
from devices.site import CHINA

moments = st.integers(0, 6 * 366 * 86400).map(lambda s: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=s))
clocks = st.builds(time, st.integers(0, 23), st.integers(0, 59))


@given(begins=clocks, ends=clocks, now=moments)
def test_quiet_ends_at_its_end_and_holds_just_while_the_clock_is_between(
    begins: time, ends: time, now: datetime
) -> None:
    until = Quiet(begins, ends).until(now)
    clock = now.astimezone(CHINA).time()
    inside = begins <= clock < ends if begins < ends else clock >= begins or clock < ends
    assert (until is not None) == inside
    if until is not None:
        assert until.astimezone(CHINA).time() == ends
        assert now < until <= now + timedelta(days=1)
        assert Quiet(begins, ends).until(until) is None or begins == ends


@pytest.mark.parametrize(
    ("cells", "severity", "category", "hears"),
    [
        ({}, "low", "noise", True),
        ({"severity": "medium"}, "low", "noise", False),
        ({"severity": "medium"}, "medium", "noise", True),
        ({"severity": "medium"}, "high", "noise", True),
        ({"severity": "high"}, "", "", True),
        ({"kinds": "fishing sos"}, "low", "sos", True),
        ({"kinds": "fishing sos"}, "high", "noise", False),
        ({"kinds": "fishing"}, "", "", True),
    ],
)
def test_who_hears_of_what(cells: dict[str, str], severity: str, category: str, hears: bool) -> None:
    assert contact_from({"to": "u", "address": "json://h", **cells}).hears(severity, category) is hears


def test_high_severity_breaks_through_the_quiet() -> None:
    contact = contact_from({"to": "u", "address": "json://h", "quiet": "22:00..07:00"})
    night = datetime(2026, 6, 1, 23, tzinfo=CHINA)
    assert contact.quiet_until("high", night) is None
    for severity in ("", "low", "medium"):
        assert contact.quiet_until(severity, night) == datetime(2026, 6, 2, 7, tzinfo=CHINA)
    assert contact.quiet_until("low", night.replace(hour=12)) is None


def test_the_cells_of_a_line() -> None:
    found = contact_from(
        {
            "to": " fishery ",
            "address": "mailto://x",
            "name": "群",
            "severity": "high",
            "kinds": " a  b ",
            "quiet": "",
            "digest": "3/2h",
        }
    )
    assert found == Contact("fishery", "mailto://x", "群", "high", ("a", "b"), None, Pace(3, timedelta(hours=2)))
    assert contact_from({"to": "u"}).pace == Pace(10, timedelta(minutes=10))
    assert contact_from({"to": "u", "digest": "-"}).pace is None
    assert contact_from({"to": "u", "digest": "999/30s"}).pace == Pace(999, timedelta(seconds=30))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("severity", "urgent"),
        *(("quiet", text) for text in ("22:00", "24:00..07:00", "7:00..8:00", "08:00..08:00", "22:00-07:00")),
        *(("digest", text) for text in ("10", "0/10m", "10/0m", "10/25h", "1000/1m", "10/10d", "x")),
    ],
)
def test_a_cell_that_means_nothing_is_named(column: str, value: str) -> None:
    with pytest.raises(WrongContact) as wrong:
        contact_from({"to": "u", "address": "json://h", column: value})
    assert (wrong.value.column, wrong.value.value) == (column, value)
    assert wrong.value.zh and wrong.value.en


def test_a_units_other_addresses_follow_the_line_without_one() -> None:
    lines = [
        Contact("u", "", severity="medium", quiet=Quiet(time(22), time(7))),
        Contact("u", "json://b", "群"),
    ]
    found = contacts_of("u", ["json://a", "json://b", "json://a"], lines)
    assert [(c.address, c.name, c.severity, c.quiet is None) for c in found] == [
        ("json://b", "群", "low", True),
        ("json://a", "", "medium", False),
    ]
    assert [c.severity for c in contacts_of("u", ["json://a"], [])] == ["low"]


def test_no_secret_is_in_what_people_see() -> None:
    contact = Contact("u", "DingTalk://SECRET@token/")
    assert contact.label == "dingtalk" and "SECRET" not in contact.key
    assert Contact("u", "json://h", "值班群").label == "值班群"


@pytest.mark.parametrize(
    ("contact", "column"),
    [
        (Contact("", "json://h"), "to"),
        (Contact("nobody", "json://h"), "to"),
        (Contact("@", "json://h"), "to"),
        (Contact("@wang", ""), "address"),
        (Contact("fishery", "json://h", kinds=("fishing", "fihsing")), "kinds"),
    ],
)
def test_what_is_wrong_with_a_line_is_said(contact: Contact, column: str) -> None:
    ((found, zh, en),) = contact_problems(contact, {"fishery"}, {"fishing"})
    assert found == column and zh and en


@pytest.mark.parametrize("to", ["fishery", "@wang", "@desk"])
def test_a_line_in_order(to: str) -> None:
    contact = Contact(to, "json://h", kinds=("anything",))
    assert list(contact_problems(contact, {"fishery"}, set())) == []
    assert list(contact_problems(Contact("fishery", ""), {"fishery"}, {"fishing"})) == []
