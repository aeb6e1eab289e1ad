"""Comparing a rule with another form of it: how thresholds are written, and which alerts stay, come and go."""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.alert import Alert
from alerts.backtest import Book, compare, moment_from, proposed_from
from alerts.rules import Rule, RuleError, rule_from
from detectors import DETECTORS
from detectors.base import Finding, Sentence
from devices.readings import SECOND
from devices.site_folder import read_folder

EXAMPLE = Path(__file__).parents[2] / "examples" / "shijiu"

RULE = Rule("fishing_ban", "禁渔", "Fishing", "fishing_ban", "medium", "illegal_fishing", {"dwell": 300.0})
NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
SAID = Sentence("一", "one")


@pytest.mark.parametrize(
    ("written", "meant"), [("5m", 300.0), ("300", 300.0), ("300s", 300.0), ("0.1h", 360.0), ("0.01d", 864.0)]
)
def test_times_are_written_as_people_do(written: str, meant: float) -> None:
    assert proposed_from(RULE, {"dwell": written}).settings["dwell"] == meant


def test_the_rest_of_the_rule_stays() -> None:
    proposed = proposed_from(RULE, {"lone_dwell": "20m", "clear_after": "10m"})
    assert proposed.settings == {"dwell": 300.0, "lone_dwell": 1200.0}
    assert proposed.clear_after == 600.0
    assert proposed_from(RULE, {}) == RULE


@pytest.mark.parametrize(
    ("name", "text", "named"), [("dwel", "5m", "dwell"), ("dwell", "soon", "such as"), ("dwell", "-5", "dwell")]
)
def test_what_cannot_be_is_named(name: str, text: str, named: str) -> None:
    with pytest.raises(RuleError, match=named):
        proposed_from(RULE, {name: text})


@pytest.mark.parametrize("row", read_folder(EXAMPLE).rules, ids=lambda row: str(row["code"]))
def test_every_refusal_of_a_threshold_is_said_in_chinese_too(row: dict[str, Any]) -> None:
    rule, refused = rule_from(row), 0
    for field in dataclasses.fields(DETECTORS[rule.detector]):  # type: ignore[arg-type]
        for text in ("-1", "2.5", "x", "", "1e9") if field.init else ():
            try:
                proposed_from(rule, {field.name: text})
            except RuleError as error:
                refused += 1
                assert re.search("[\u4e00-\u9fff]", error.zh.split("：", 1)[1]), error.zh
    assert refused > 3


def test_moments() -> None:
    assert moment_from("7d", NOW) == NOW - timedelta(days=7)
    assert moment_from("2026-11-22T08:00:00+08:00", NOW) == datetime(2026, 11, 22, tzinfo=UTC)
    for wrong in ("yesterday", "2026-11-22", "7"):
        with pytest.raises(ValueError, match="expected a time"):
            moment_from(wrong, NOW)


def findings(spans: list[tuple[str, int, int]]) -> list[Finding]:
    return [
        Finding("fishing_ban", subject, "Z", since * SECOND, (since + lasts) * SECOND, 118.0, 31.0, 0.9, SAID, {})
        for subject, since, lasts in spans
    ]


def alerts(spans: list[tuple[str, int, int]]) -> list[Alert]:
    book = Book(RULE)
    book.take(findings(spans))
    return book.alerts(datetime(1970, 1, 1, tzinfo=UTC))


SPANS = st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 20_000), st.integers(0, 2_000)), max_size=12)


@given(SPANS, SPANS)
def test_every_alert_is_on_one_side(present: list[tuple[str, int, int]], proposed: list[tuple[str, int, int]]) -> None:
    before, after = alerts(present), alerts(proposed)
    sides = compare(before, after, RULE.clear_after)
    assert sorted(map(id, sides.kept + sides.added)) == sorted(map(id, after))
    assert {id(alert) for alert in sides.gone} <= {id(alert) for alert in before}
    back = compare(after, before, RULE.clear_after)
    assert back.added == sides.gone
    assert back.gone == sides.added


@given(SPANS)
def test_the_same_rule_changes_nothing(spans: list[tuple[str, int, int]]) -> None:
    sides = compare(alerts(spans), alerts(spans), RULE.clear_after)
    assert not sides.added
    assert not sides.gone


def test_findings_of_one_episode_are_one_alert() -> None:
    found = alerts([("A", 0, 400), ("A", 0, 600), ("A", 700, 100), ("A", 9000, 10), ("B", 100, 10)])
    assert [(a.subject, int((a.last_seen - a.first_seen).total_seconds())) for a in found] == [
        ("A", 800),
        ("B", 10),
        ("A", 10),
    ]


@given(SPANS)
def test_what_turns_out_to_be_one_is_one(spans: list[tuple[str, int, int]]) -> None:
    """Alerts of one subject lie further apart than ``clear_after``, in whatever order their findings came."""
    found = alerts(spans)
    for one, other in pairwise(sorted(found, key=lambda alert: (alert.subject, alert.first_seen))):
        if one.subject == other.subject:
            assert (other.first_seen - one.last_seen).total_seconds() > RULE.clear_after
