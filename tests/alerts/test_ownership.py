"""Whose a case could be: what speaks for a unit, and that one which sent it back is not suggested again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from alerts.case import Case, Entry
from alerts.duty import DutyMatrix
from alerts.ownership import MOST_SUGGESTED, Handled, declined, suggest, unclear_since
from detectors.base import Sentence
from devices.registry import Registry
from devices.site import Area, Site, Unit

NOW = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)
DISTRICT, STREET, OTHER = "320118000000", "320118100000", "320118101000"
SITE = Site(
    [
        Area(DISTRICT, "区", "District", "district"),
        Area(STREET, "街道", "Street", "street", DISTRICT),
        Area(OTHER, "镇", "Town", "street", DISTRICT),
    ],
    [],
    [
        Unit("water", "水利站", "Water", DISTRICT),
        Unit("street", "街道办", "Street office", STREET),
        Unit("town", "镇政府", "Town office", OTHER),
        Unit("market", "市监所", "Market", OTHER),
    ],
    Registry([]),
)
CASE = Case("PG-1", "manhole", Sentence("井盖", "Cover"), "low", "opened", STREET, None, NOW, NOW + timedelta(days=2))


def had(unit: str, *, same: bool = True, near: bool = True, cases: int = 1) -> Handled:
    return Handled(unit, same, near, cases, "PG-0", NOW)


def entry(seq: int, action: str, **changed: Any) -> Entry:
    note = "不归我们管" if action == "decline" else ""
    return Entry(1, seq, NOW + timedelta(minutes=seq), f"by-{seq}", action, note, {"set": changed} if changed else {})


def test_who_sent_it_back_and_since_when_it_is_nobodys() -> None:
    entries = [
        entry(1, "report", unit="market", status="reported"),
        entry(2, "note"),
        entry(3, "decline", unit=None, status="opened"),
        entry(4, "assign", unit="town"),
        entry(5, "decline", unit=None),
        entry(6, "note"),
    ]
    assert [(d.unit, d.by, d.why) for d in declined(entries)] == [
        ("market", "by-3", "不归我们管"),
        ("town", "by-5", "不归我们管"),
    ]
    assert unclear_since(entries) == NOW + timedelta(minutes=5)
    assert unclear_since(entries[:2]) == NOW + timedelta(minutes=1)


def test_the_history_of_the_place_counts_most_then_the_matrix_then_the_area() -> None:
    duty = DutyMatrix([("manhole", OTHER, "market"), ("noise", STREET, "town")])
    found = suggest(CASE, SITE, duty, [had("water", cases=3)])
    assert [s.unit for s in found] == ["water", "market", "street"]
    assert "500 米内办理过同类事件 3 件" in found[0].why[0].zh
    assert "had 3 cases of this kind within 500 m" in found[0].why[0].en
    assert "职责清单" in found[1].why[0].zh
    assert found[2].why[0] == Sentence("街道的单位", "a unit of Street")


def test_who_sent_it_back_is_not_suggested() -> None:
    found = suggest(CASE, SITE, DutyMatrix([]), [had("water", cases=9)], ["water"])
    assert [s.unit for s in found] == ["street"]


@given(
    st.lists(
        st.builds(
            had,
            st.sampled_from(["water", "street", "town", "market", "gone"]),
            same=st.booleans(),
            near=st.booleans(),
            cases=st.integers(1, 500),
        ),
        max_size=12,
    )
)
def test_suggestions_are_ranked_known_and_reasoned(history: list[Handled]) -> None:
    found = suggest(CASE, SITE, DutyMatrix([]), history)
    assert len(found) <= MOST_SUGGESTED
    assert [s.score for s in found] == sorted((s.score for s in found), reverse=True)
    assert all(s.why and s.score > 0 and s.unit in SITE.units for s in found)
    more = suggest(CASE, SITE, DutyMatrix([]), [*history, had("town", cases=5)])
    before, after = ({s.unit: s.score for s in each}.get("town", 0) for each in (found, more))
    assert after >= before, "more that speaks for a unit never makes it less likely"
