"""The transition table: who may do what, why not, and that nothing is closed which was not fed back and verified."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.case import (
    MOST_TEXT,
    SYSTEM,
    Actor,
    Case,
    Entry,
    Part,
    Refused,
    Wish,
    difference,
    recorded,
)
from alerts.chain import act, offers, stale
from alerts.transitions import ACTION_NAMES, FINAL, ROLE_NAMES, STATUS_NAMES, STATUSES, TRANSITIONS, Role
from detectors.base import Sentence

NOW = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)
OPERATOR, SUPERVISOR, ADMIN = Actor("o", "operator"), Actor("s", "supervisor"), Actor("a", "admin")
FISHERY, POLICE = Actor("f", "unit", "fishery"), Actor("p", "unit", "police")
EVERYBODY = [OPERATOR, SUPERVISOR, ADMIN, FISHERY, POLICE, SYSTEM, Actor("v", "viewer"), Actor("u", "unit")]


def case(**changed: Any) -> Case:
    blank = Case(
        number="PG-20261120-0001",
        category="fishing",
        title=Sentence("垂钓", "Angling"),
        severity="high",
        status="opened",
        area=None,
        unit="fishery",
        opened_at=NOW,
        due_at=NOW + timedelta(hours=4),
        lon=118.88,
        lat=31.47,
    )
    return replace(blank, **changed)


def test_the_whole_chain() -> None:
    steps: list[tuple[str, Actor, Wish]] = [
        ("open", OPERATOR, Wish()),
        ("assign", OPERATOR, Wish(unit="fishery")),
        ("dispatch", OPERATOR, Wish(terminal="T1")),
        ("accept", FISHERY, Wish()),
        ("arrive", SYSTEM, Wish()),
        ("feedback", FISHERY, Wish(note="三人收竿离开")),
        ("return", SUPERVISOR, Wish(note="照片不清")),
        ("feedback", FISHERY, Wish(note="补照片")),
        ("verify", OPERATOR, Wish(note="已电话核实")),
        ("close", OPERATOR, Wish(outcome="劝离三人")),
        ("reopen", SUPERVISOR, Wish(note="又来了", until="4h")),
    ]
    now = case(status="reported", unit=None)
    seen = []
    for action, actor, wish in steps:
        now = act(now, action, actor, wish, NOW)
        seen.append(now.status)
    assert seen == [
        *("opened", "opened", "dispatched", "handling", "handling", "fed_back", "handling", "fed_back", "verified"),
        *("closed", "opened"),
    ]
    assert now.version == 1 + len(steps) - 1, "arriving while it is handled changes nothing but the timeline"
    assert (now.closed_at, now.outcome, now.terminal, now.unit) == (None, "", None, "fishery")


def test_closing_says_when_and_how() -> None:
    closed = act(case(status="verified"), "close", OPERATOR, Wish(outcome=" 劝离 "), NOW)
    assert (closed.closed_at, closed.outcome) == (NOW, "劝离")
    assert not closed.overdue(NOW + timedelta(days=9)), "what was closed in time is never overdue"
    assert case().overdue(NOW + timedelta(hours=5)) and not case().overdue(NOW)


@pytest.mark.parametrize(
    ("status", "action", "actor", "wish", "code"),
    [
        ("opened", "void", Actor("v", "viewer"), Wish(note="x"), "role"),
        ("opened", "note", Actor("v", "viewer"), Wish(note="x"), "role"),
        ("fed_back", "return", OPERATOR, Wish(note="x"), "role"),
        ("closed", "reopen", OPERATOR, Wish(note="x"), "role"),
        ("dispatched", "arrive", ADMIN, Wish(), "role"),
        ("dispatched", "accept", OPERATOR, Wish(), "role"),
        ("dispatched", "accept", POLICE, Wish(), "other_unit"),
        ("dispatched", "accept", Actor("u", "unit"), Wish(), "other_unit"),
        ("handling", "note", POLICE, Wish(note="x"), "other_unit"),
        ("opened", "close", SUPERVISOR, Wish(outcome="x"), "state"),
        ("handling", "verify", OPERATOR, Wish(note="x"), "state"),
        ("closed", "void", ADMIN, Wish(note="x"), "state"),
        ("merged", "note", ADMIN, Wish(note="x"), "state"),
        ("handling", "feedback", FISHERY, Wish(note="  "), "missing"),
        ("fed_back", "verify", OPERATOR, Wish(), "missing"),
        ("verified", "close", OPERATOR, Wish(outcome="  "), "missing"),
        ("opened", "assign", OPERATOR, Wish(), "missing"),
        ("dispatched", "dispatch", OPERATOR, Wish(), "missing"),
        ("opened", "void", OPERATOR, Wish(note="x" * (MOST_TEXT + 1)), "too_long"),
        ("opened", "void", OPERATOR, Wish(note="a\x00b"), "wrong_text"),
        ("opened", "void", OPERATOR, Wish(note="a\ud800"), "wrong_text"),
        ("opened", "explode", ADMIN, Wish(), "no_such_action"),
    ],
)
def test_a_refusal_says_why_in_both_languages(status: Any, action: str, actor: Actor, wish: Wish, code: str) -> None:
    with pytest.raises(Refused) as refused:
        act(case(status=status), action, actor, wish, NOW)
    assert refused.value.code == code
    assert any("\u4e00" <= letter <= "\u9fff" for letter in refused.value.zh)
    assert refused.value.en.isascii() or action == "explode"


def test_a_refusal_of_a_state_names_it_and_what_is_needed() -> None:
    with pytest.raises(Refused) as refused:
        act(case(status="handling"), "close", OPERATOR, Wish(outcome="x"), NOW)
    assert "处置中" in refused.value.zh and "已回访" in refused.value.zh
    assert "being handled" in refused.value.en and "verified" in refused.value.en


def test_dispatch_needs_somebody_and_a_place() -> None:
    with pytest.raises(Refused, match="ownership"):
        act(case(unit=None), "dispatch", OPERATOR, Wish(), NOW)
    with pytest.raises(Refused, match="place"):
        act(case(lon=None, lat=None), "dispatch", OPERATOR, Wish(terminal="T1"), NOW)
    assert act(case(unit=None), "dispatch", OPERATOR, Wish(terminal="T1"), NOW).terminal == "T1"
    assert act(case(), "dispatch", OPERATOR, Wish(), NOW).status == "dispatched"
    sent = case(status="dispatched", terminal="T1", version=5)
    again = act(sent, "dispatch", OPERATOR, Wish(terminal="T2"), NOW)
    assert (again.terminal, again.version) == ("T2", 6)
    assert act(sent, "dispatch", OPERATOR, Wish(terminal="T1"), NOW) == sent, "the same order again changes nothing"


def test_offers_are_exactly_what_is_not_refused() -> None:
    """Of a case in every status, with parts and deadlines as they come: what is offered can be done by some wish."""
    full = Wish(
        note="n", unit="police", terminal="T1", outcome="o", units=("fire",), until="2wd", into=9,
        resolution="on_spot", participants=("渔政", "公安"),
    )  # fmt: skip
    wishes = [full, replace(full, unit="centre")]
    standings = [
        case(),
        case(unit=None),
        case(due_at=NOW - timedelta(hours=1)),
        case(due_at=NOW - timedelta(hours=1), overdue_reason="暴雨", extension_asked=NOW + timedelta(hours=1)),
        case(parts=(Part("police", "封路", NOW, "o"),), supervision=1),
        case(parts=(Part("police", "封路", NOW, "o", NOW), Part("centre", "x", NOW, "o")), supervision=2),
        case(parts=(Part("police", "封路", NOW, "o", NOW, NOW, "好"),), supervision=3),
        case(parts=(Part("police", "封路", NOW, "o", None, NOW, "误叫", withdrawn=True),)),
    ]
    for status, standing, actor in itertools.product(STATUSES, standings, EVERYBODY):
        now = replace(standing, status=status)
        offered = {offer.action for offer in offers(now, actor, NOW)}
        assert offered == {action for action in TRANSITIONS if any(_can(now, action, actor, w) for w in wishes)}


def _can(now: Case, action: str, actor: Actor, wish: Wish) -> bool:
    try:
        act(now, action, actor, wish, NOW)
    except Refused:
        return False
    return True


def test_everything_has_a_name_in_both_languages() -> None:
    assert set(TRANSITIONS) <= set(ACTION_NAMES)
    assert set(STATUS_NAMES) == set(STATUSES) and set(ROLE_NAMES) == set(get_args(Role))
    for name in [*ACTION_NAMES.values(), *STATUS_NAMES.values(), *ROLE_NAMES.values()]:
        assert name.zh and name.en.isascii() and not name.zh.isascii()


wishes = st.builds(
    Wish,
    note=st.sampled_from(["", "好", " "]),
    unit=st.sampled_from([None, "fishery", "police"]),
    terminal=st.sampled_from([None, "T1", "T2"]),
    outcome=st.sampled_from(["", "劝离"]),
)
moves = st.lists(st.tuples(st.sampled_from([*TRANSITIONS, "x"]), st.sampled_from(EVERYBODY), wishes), max_size=60)


@given(start=st.sampled_from(["reported", "opened"]), moves=moves)
def test_no_sequence_of_actions_by_anybody_closes_what_was_not_fed_back_and_verified(start: Any, moves: Any) -> None:
    now, since_open = case(status=start), list[str]()
    for action, actor, wish in moves:
        try:
            after = act(now, action, actor, wish, NOW)
        except Refused:
            continue
        assert after.version == now.version + (after != now)
        since_open = [] if action == "reopen" else [*since_open, action]
        if after.status == "closed" and now.status != "closed":
            fed_back = len(since_open) - 1 - since_open[::-1].index("feedback")
            verified = len(since_open) - 1 - since_open[::-1].index("verify")
            assert fed_back < verified
            assert "return" not in since_open[fed_back:]
            assert after.outcome and actor.role in ("operator", "supervisor", "admin")
        assert (after.closed_at is not None) == (after.status in FINAL)
        if actor.role == "unit":
            assert actor.unit == now.unit
        now = after


@given(moves=moves)
def test_what_steps_record_adds_up_to_the_case(moves: Any) -> None:
    now = case()
    told = recorded(now)
    for action, actor, wish in moves:
        try:
            after = act(now, action, actor, wish, NOW)
        except Refused:
            continue
        told |= difference(now, after)
        now = after
    assert told == recorded(now)


def test_a_stale_version_is_told_what_changed() -> None:
    since = [Entry(1, 3, NOW, "li", "accept", ""), Entry(1, 4, NOW, "li", "feedback", "已劝离")]
    refused = stale(case(status="fed_back"), 2, since)
    assert refused.code == "stale"
    assert "li 接单；li 反馈结果" in refused.zh and "已反馈" in refused.zh
    assert "li: accept; li: feed back" in refused.en
    assert stale(case(), 9, []).code == "stale"
