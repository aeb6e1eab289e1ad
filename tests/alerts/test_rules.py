"""Rules as data: what is wrong in one is named."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.rules import Rule, RuleError, build_detector, check_together, rule_from, rule_to
from detectors import DETECTORS

ROW: dict[str, Any] = {
    "code": "fishing_ban",
    "name": "禁渔区垂钓",
    "name_en": "Fishing in the ban zone",
    "detector": "fishing_ban",
    "severity": "high",
    "category": "fishing",
}


def test_a_short_row_takes_the_defaults() -> None:
    rule = rule_from(ROW)
    assert (rule.open_case, rule.deadline, rule.dispatch, rule.settings) == (True, "", "none", {})


def test_whole_numbers_do_for_durations() -> None:
    rule = rule_from({**ROW, "live_within": 900, "clear_after": 0})
    assert (rule.live_within, rule.clear_after) == (900.0, 0.0)
    assert isinstance(rule.live_within, float)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("code", "Fishing"),
        ("code", "a|b"),
        ("code", ""),
        ("code", 7),
        ("name", " "),
        ("name_en", ""),
        ("category", ""),
        ("detector", ""),
        ("severity", "huge"),
        ("severity", 3),
        ("open_case", "yes"),
        ("deadline", "2 days"),
        ("dispatch", "everybody"),
        ("live_within", 0),
        ("live_within", float("inf")),
        ("live_within", "10m"),
        ("clear_after", -1),
        ("clear_after", float("nan")),
        ("settings", [1]),
        ("colour", "red"),
        ("escalate", [{"to": "huge", "count": 5}]),
        ("escalate", "10m"),
        ("group", "village"),
        ("group_within", 0),
        ("group_case", True),  # without a group
        ("inhibited_by", [{"rule": "silence"}]),
        ("inhibited_by", [{"rule": "silence", "same": "street"}]),
    ],
)
def test_what_is_wrong_is_named_with_rule_field_and_value(field: str, value: object) -> None:
    with pytest.raises(RuleError) as error:
        rule_from({**ROW, field: value})
    assert error.value.field == field and error.value.rule == str({**ROW, field: value}["code"])
    assert repr(value) in str(error.value) and field in str(error.value)


@pytest.mark.parametrize("field", list(ROW))
def test_what_is_missing_is_named(field: str) -> None:
    with pytest.raises(RuleError) as error:
        rule_from({name: value for name, value in ROW.items() if name != field})
    assert error.value.field == field


settings = st.dictionaries(st.text("abc", min_size=1), st.integers() | st.text(max_size=3) | st.booleans(), max_size=3)
rules = st.builds(
    Rule,
    code=st.from_regex(r"[a-z][a-z0-9_-]{0,39}", fullmatch=True),
    name=st.text(min_size=1).filter(str.strip),
    name_en=st.just("x"),
    detector=st.sampled_from(sorted(DETECTORS)),
    severity=st.sampled_from(["low", "medium", "high"]),
    category=st.just("c"),
    settings=settings,
    open_case=st.booleans(),
    deadline=st.sampled_from(["30m", "4h", "2wd"]),
    dispatch=st.sampled_from(["none", "nearest"]),
    live_within=st.floats(0.1, 1e6),
    clear_after=st.floats(0, 1e6),
    active=st.booleans(),
)


@given(rules)
def test_a_rule_survives_the_way_to_a_row_and_back(rule: Rule) -> None:
    assert rule_from(rule_to(rule)) == rule


@pytest.mark.parametrize("kind", sorted(DETECTORS))
def test_every_detector_is_built_with_its_own_thresholds_and_nothing_else(kind: str) -> None:
    rule = rule_from({**ROW, "detector": kind})
    assert build_detector(rule).kind == kind
    with pytest.raises(RuleError, match=r"settings\.no_such"):
        build_detector(rule_from({**ROW, "detector": kind, "settings": {"no_such": 1}}))


def test_an_unknown_detector_is_named_with_those_there_are() -> None:
    with pytest.raises(RuleError, match=r"detector = 'psychic'.*fishing_ban"):
        build_detector(rule_from({**ROW, "detector": "psychic"}))


@pytest.mark.parametrize(
    ("detector", "field", "value"),
    [
        ("fishing_ban", "dwell", "long"),
        ("fishing_ban", "labels", "person"),
        ("fishing_ban", "gear_beats", 1.5),
        ("crowd", "sustain", None),
        ("sos", "repeat", [1]),
    ],
)
def test_a_setting_of_the_wrong_type_is_named(detector: str, field: str, value: object) -> None:
    with pytest.raises(RuleError) as error:
        build_detector(rule_from({**ROW, "detector": detector, "settings": {field: value}}))
    assert error.value.field == f"settings.{field}" and error.value.value == value


def test_settings_reach_the_detector_in_its_own_types() -> None:
    row = {**ROW, "settings": {"dwell": 120, "labels": ["person", "rod"]}}
    built: Any = build_detector(rule_from(row))
    assert built.dwell == 120.0 and isinstance(built.dwell, float)
    assert built.labels == ("person", "rod")


def test_a_setting_that_the_detector_itself_refuses_is_a_rule_error() -> None:
    with pytest.raises(RuleError) as error:
        build_detector(rule_from({**ROW, "settings": {"dwell": -1}}))
    assert (error.value.field, error.value.value) == ("settings.dwell", -1.0)
    assert "above 0" in error.value.problem


TOLD: dict[str, Any] = {
    **ROW,
    "severity": "low",
    "escalate": [{"after": "10m", "to": "medium"}, {"count": 5, "night": True, "to": "high"}],
    "inhibited_by": [{"rule": "silence", "subject": "feed", "same": "site"}],
    "group": "street",
    "group_case": True,
}


def test_how_alerts_are_told_is_data_and_comes_out_as_it_went_in() -> None:
    rule = rule_from(TOLD)
    assert [(step.to, step.after, step.count, step.night) for step in rule.escalate] == [
        ("medium", "10m", 0, False),
        ("high", "", 5, True),
    ]
    assert (rule.inhibited_by[0].same, rule.group, rule.group_within) == ("site", "street", 600.0)
    assert rule_from(rule_to(rule)) == rule


@pytest.mark.parametrize(
    ("field", "rows", "named"),
    [
        ("escalate", [{"to": "high", "after": "10 min"}], "escalate.after"),
        ("escalate", [{"to": "high"}], "escalate.to"),
        ("escalate", [{"to": "high", "night": True, "at": "22:00"}], "escalate.at"),
        ("inhibited_by", [{"rule": "x", "same": "site", "object": "feed"}], "inhibited_by.object"),
        ("escalate", [{"to": "low", "count": 5}], "escalate.to"),  # not above the rule's own
        ("inhibited_by", [{"rule": "fishing_ban", "same": "site"}], "inhibited_by.rule"),  # itself
    ],
)
def test_a_wrong_field_of_a_step_is_named(field: str, rows: object, named: str) -> None:
    with pytest.raises(RuleError) as error:
        rule_from({**TOLD, field: rows})
    assert error.value.field == named


def test_a_call_for_help_of_high_severity_has_no_inhibitor() -> None:
    row = {**ROW, "detector": "sos", "inhibited_by": TOLD["inhibited_by"]}
    with pytest.raises(RuleError, match="never kept silent"):
        rule_from(row)
    assert rule_from({**row, "severity": "medium"}).inhibited_by


def test_calls_for_help_of_high_severity_do_not_share_a_case() -> None:
    row = {**ROW, "detector": "sos", "group": "street", "group_case": True}
    with pytest.raises(RuleError, match="its own case"):
        rule_from(row)
    assert rule_from({**row, "severity": "medium"}).group_case


def test_rules_name_each_other_and_not_in_a_circle() -> None:
    def rule(code: str, *by: str) -> Rule:
        return rule_from(
            {**ROW, "code": code, "inhibited_by": [{"rule": b, "same": "site", "subject": "x"} for b in by]}
        )

    check_together([rule("a", "b"), rule("b", "c"), rule("c", "c")])
    with pytest.raises(RuleError, match="no such rule") as unknown:
        check_together([rule("a", "d")])
    assert unknown.value.rule == "a" and unknown.value.value == "d"
    with pytest.raises(RuleError, match="circle"):
        check_together([rule("a", "b"), rule("b", "c"), rule("c", "a")])
    with pytest.raises(RuleError, match="circle"):
        check_together([rule("z", "a"), rule("a", "b"), rule("b", "a")])
