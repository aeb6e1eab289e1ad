"""Parts of several units, extensions, overdue cases, supervision, merging; and what no order of steps can do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from alerts.case import SYSTEM, Actor, Case, Part, Refused, Wish, difference, recorded
from alerts.chain import act, offers, said
from alerts.transitions import FINAL, TRANSITIONS
from detectors.base import Sentence

NOW = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)  # a Friday, 10:30 in China
LATE = NOW + timedelta(hours=5)
OPERATOR, SUPERVISOR = Actor("o", "operator"), Actor("s", "supervisor")
FISHERY, POLICE, FIRE = Actor("f", "unit", "fishery"), Actor("p", "unit", "police"), Actor("x", "unit", "fire")
EVERYBODY = [OPERATOR, SUPERVISOR, Actor("a", "admin"), FISHERY, POLICE, FIRE, SYSTEM, Actor("v", "viewer")]


def case(**changed: Any) -> Case:
    blank = Case(
        number="PG-20261120-0001",
        category="fishing",
        title=Sentence("垂钓", "Angling"),
        severity="high",
        status="handling",
        area=None,
        unit="fishery",
        opened_at=NOW,
        due_at=NOW + timedelta(hours=4),
        lon=118.88,
        lat=31.47,
        id=7,
    )
    return replace(blank, **changed)


def why(now: Case, action: str, actor: Actor, wish: Wish, at: datetime = NOW) -> str:
    with pytest.raises(Refused) as refused:
        act(now, action, actor, wish, at)
    assert any("\u4e00" <= letter <= "\u9fff" for letter in refused.value.zh)
    assert refused.value.en.isascii()
    return refused.value.code


def whistled(**changed: Any) -> Case:
    wish = Wish(note="联合处置", units=("police", "fire"), tasks={"fire": "备好救生艇"})
    return act(case(**changed), "whistle", OPERATOR, wish, NOW)


def test_a_unit_declines_and_nobody_owns_the_case() -> None:
    declined = act(case(terminal="T1"), "decline", FISHERY, Wish(note="不属本单位职责"), NOW)
    assert (declined.status, declined.unit, declined.terminal) == ("opened", None, None)
    assert why(case(), "decline", POLICE, Wish(note="x")) == "other_unit"
    assert why(case(), "decline", OPERATOR, Wish(note="x")) == "role"
    assert why(case(), "decline", FISHERY, Wish()) == "missing"


def test_a_transfer_begins_again_with_another_unit() -> None:
    for actor in (FISHERY, OPERATOR):
        moved = act(case(terminal="T1"), "transfer", actor, Wish(note="属治安", unit="police"), NOW)
        assert (moved.status, moved.unit, moved.terminal) == ("dispatched", "police", None)
    assert why(case(), "transfer", FISHERY, Wish(note="x", unit="fishery")) == "wrong_value"
    assert why(case(), "transfer", FISHERY, Wish(note="x")) == "missing"
    assert why(moved, "feedback", FISHERY, Wish(note="x")) == "other_unit"


def test_each_unit_that_is_whistled_for_has_its_own_part() -> None:
    now = whistled()
    assert now.part("police") == Part("police", "联合处置", NOW, "o")
    assert now.part("fire") == Part("fire", "备好救生艇", NOW, "o")
    assert now.called == {"police", "fire"}
    now = act(now, "check_in", POLICE, Wish(), NOW + timedelta(minutes=5))
    now = act(now, "part_done", POLICE, Wish(note="已封控路口"), NOW + timedelta(minutes=30))
    assert why(now, "feedback", FISHERY, Wish(note="好了")) == "parts_undone"
    now = act(now, "withdraw_part", OPERATOR, Wish(note="不需要救生艇", unit="fire"), NOW)
    assert now.called == {"police"}
    assert now.part("fire") == Part("fire", "备好救生艇", NOW, "o", None, NOW, "不需要救生艇", withdrawn=True)
    now = act(now, "feedback", FISHERY, Wish(note="好了", resolution="on_spot"), NOW)
    assert (now.status, now.resolution) == ("fed_back", "on_spot")
    assert [p.unit for p in now.parts] == ["fire", "police"]


def test_what_a_unit_with_a_part_may_and_may_not() -> None:
    now = whistled()
    assert {offer.action for offer in offers(now, POLICE, NOW)} == {"check_in", "note"}
    assert why(now, "part_done", POLICE, Wish(note="x")) == "not_checked_in"
    assert why(now, "feedback", POLICE, Wish(note="x")) == "other_unit"
    assert why(now, "check_in", FISHERY, Wish()) == "other_unit"
    there = act(now, "check_in", POLICE, Wish(), NOW)
    assert why(there, "check_in", POLICE, Wish()) == "checked_in"
    assert {offer.action for offer in offers(there, POLICE, NOW)} == {"part_done", "note"}
    done = act(there, "part_done", POLICE, Wish(note="x"), NOW)
    assert why(done, "part_done", POLICE, Wish(note="x")) == "part_over"
    assert why(done, "withdraw_part", OPERATOR, Wish(note="x", unit="police")) == "no_part"


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        (Wish(note="x"), "missing"),
        (Wish(units=("police",)), "missing"),
        (Wish(note="x", units=("fishery",)), "wrong_value"),
        (Wish(note="x", units=("fire",), tasks={"police": "y"}), "wrong_value"),
        (Wish(note="x", units=("police",)), "already_called"),
        (Wish(note="x", units=tuple(f"u{n}" for n in range(21))), "too_long"),
        (Wish(note="x", units=("fire",), tasks={"fire": "a\x00"}), "wrong_text"),
    ],
)
def test_a_whistle_that_will_not_do(wish: Wish, code: str) -> None:
    assert why(case(parts=(Part("police", "t", NOW, "o"),)), "whistle", OPERATOR, wish) == code


def test_a_unit_called_again_begins_anew() -> None:
    done = case(parts=(Part("police", "t", NOW, "o", NOW, NOW, "好"),))
    again = act(done, "whistle", SUPERVISOR, Wish(note="再来", units=("police", "police")), LATE)
    assert again.parts == (Part("police", "再来", LATE, "s"),)


def test_an_extension_in_working_time_is_asked_and_granted() -> None:
    asked = act(case(), "ask_extension", FISHERY, Wish(note="等设备", until="1wd"), NOW)
    assert asked.extension_asked == datetime(2026, 11, 23, 6, 30, tzinfo=UTC)  # Monday, the time it was due on Friday
    assert asked.due_at == case().due_at
    assert why(asked, "ask_extension", FISHERY, Wish(note="x", until="2wd")) == "already_asked"
    granted = act(asked, "grant_extension", SUPERVISOR, Wish(), NOW)
    assert (granted.due_at, granted.extension_asked) == (asked.extension_asked, None)
    other = act(asked, "grant_extension", SUPERVISOR, Wish(until="2h"), NOW)
    assert other.due_at == case().due_at + timedelta(hours=2)
    refused = act(asked, "refuse_extension", SUPERVISOR, Wish(note="设备已到"), NOW)
    assert (refused.due_at, refused.extension_asked) == (case().due_at, None)
    assert why(case(), "grant_extension", SUPERVISOR, Wish()) == "not_asked"
    assert why(asked, "grant_extension", OPERATOR, Wish()) == "role"
    assert why(asked, "grant_extension", SUPERVISOR, Wish(), asked.extension_asked) == "wrong_value"
    assert said("ask_extension", Wish(until="1wd", participants=("x",))) == {"until": "1wd"}


@pytest.mark.parametrize(
    "until",
    [
        *("", "soon", "0h", "2026-11-24T10:00:00", "2026-11-20T10:00:00+08:00", "2029-01-01T00:00:00Z", "251wd"),
        *("2026-11-20T14:30:00+08:00", "9999-12-31T23:59:59-14:00", "1" * 30),
    ],
)
def test_a_deadline_that_is_none(until: str) -> None:
    assert why(case(), "ask_extension", FISHERY, Wish(note="x", until=until)) in ("missing", "wrong_value")


def test_a_stated_moment_is_taken() -> None:
    asked = act(case(), "ask_extension", FISHERY, Wish(note="x", until="2026-11-24T10:00:00+08:00"), NOW)
    assert asked.extension_asked == datetime(2026, 11, 24, 2, tzinfo=UTC)


def test_an_overdue_case_goes_on_only_with_a_reason() -> None:
    assert why(case(), "feedback", FISHERY, Wish(note="好了"), LATE) == "overdue_unexplained"
    assert why(case(), "explain_overdue", FISHERY, Wish(note="暴雨")) == "not_overdue"
    explained = act(case(), "explain_overdue", FISHERY, Wish(note=" 暴雨 "), LATE)
    assert explained.overdue_reason == "暴雨"
    back = act(explained, "feedback", FISHERY, Wish(note="好了"), LATE)
    verified = act(back, "verify", OPERATOR, Wish(note="好"), LATE)
    assert act(verified, "close", OPERATOR, Wish(outcome="劝离"), LATE).status == "closed"
    silent = replace(verified, overdue_reason="")
    assert why(silent, "close", OPERATOR, Wish(outcome="劝离"), LATE) == "overdue_unexplained"
    assert act(silent, "close", OPERATOR, Wish(outcome="劝离"), NOW).status == "closed"


def test_a_new_deadline_needs_a_new_reason() -> None:
    late = case(overdue_reason="暴雨", extension_asked=LATE + timedelta(hours=1))
    moved = act(late, "grant_extension", SUPERVISOR, Wish(), LATE)
    assert moved.overdue_reason == ""
    assert why(moved, "feedback", FISHERY, Wish(note="x"), LATE + timedelta(hours=2)) == "overdue_unexplained"


def test_supervision_goes_in_steps() -> None:
    now = case()
    for level, step in enumerate(("urge", "letter", "second_letter")):
        later = {"urge", "letter", "second_letter"} - {step}
        assert {why(now, other, SYSTEM, Wish(note="x")) for other in later} == {"supervision"}
        now = act(now, step, SYSTEM, Wish(note="逾期未办"), NOW)
        assert now.supervision == level + 1
    assert why(now, "second_letter", SUPERVISOR, Wish(note="x")) == "supervision"
    assert why(case(), "urge", OPERATOR, Wish(note="x")) == "role"


def test_a_joint_decision_gives_an_unclear_case_an_owner() -> None:
    wish = Wish(note="湖面归渔政", unit="fishery", participants=("综治中心", "渔政", "公安"))
    assert act(case(unit=None), "decide_owner", SUPERVISOR, wish, NOW).unit == "fishery"
    assert why(case(), "decide_owner", SUPERVISOR, wish) == "owner_known"
    assert why(case(unit=None), "decide_owner", OPERATOR, wish) == "role"
    alone = replace(wish, participants=("渔政", "渔政 "))
    assert why(case(unit=None), "decide_owner", SUPERVISOR, alone) == "missing"
    assert said("decide_owner", wish) == {"participants": ["综治中心", "渔政", "公安"]}


def test_a_merged_case_is_split_again_as_it_was() -> None:
    before = whistled(terminal="T1")
    merged = act(before, "merge", OPERATOR, Wish(note="同一件事", into=3), NOW)
    assert (merged.status, merged.merged_into, merged.status_before, merged.closed_at) == ("merged", 3, "handling", NOW)
    assert [offer.action for offer in offers(merged, OPERATOR, NOW)] == ["split"]
    split = act(merged, "split", OPERATOR, Wish(note="不是一件事"), LATE)
    assert split == replace(before, version=before.version + 2)
    assert why(before, "merge", OPERATOR, Wish(note="x", into=7)) == "wrong_value"
    assert why(before, "merge", OPERATOR, Wish(note="x")) == "missing"


def test_reopening_counts_and_begins_a_new_round() -> None:
    closed = case(
        status="closed", closed_at=NOW, outcome="o", resolution="on_spot", supervision=2, overdue_reason="r", reopened=1
    )
    again = act(closed, "reopen", SUPERVISOR, Wish(note="又来了", until="1wd"), LATE)
    assert (again.status, again.reopened, again.supervision, again.resolution) == ("opened", 2, 0, "")
    assert (again.overdue_reason, again.closed_at, again.outcome) == ("", None, "")
    assert again.due_at == datetime(2026, 11, 23, 7, 30, tzinfo=UTC)
    assert why(closed, "reopen", SUPERVISOR, Wish(note="又来了")) == "missing", "never the old deadline"
    assert act(closed, "reopen", SYSTEM, Wish(note="又来了", until="4h"), LATE).due_at == LATE + timedelta(hours=4)


def test_a_terminal_is_replaced_or_the_case_goes_back() -> None:
    sent = case(status="dispatched", terminal="T1")
    assert act(sent, "reoffer", SYSTEM, Wish(terminal="T2"), NOW).terminal == "T2"
    assert why(sent, "reoffer", OPERATOR, Wish(terminal="T2")) == "role"
    alone = act(sent, "nobody_near", SYSTEM, Wish(), NOW)
    assert (alone.status, alone.terminal) == ("dispatched", None), "its unit still has it"
    nobodys = act(replace(sent, unit=None), "nobody_near", SYSTEM, Wish(), NOW)
    assert (nobodys.status, nobodys.terminal) == ("opened", None)
    assert act(case(status="opened"), "nobody_near", SYSTEM, Wish(), NOW) == case(status="opened")


wishes = st.builds(
    Wish,
    note=st.sampled_from(["", "好"]),
    unit=st.sampled_from([None, "fishery", "police", "fire"]),
    terminal=st.sampled_from([None, "T1", "T2"]),
    outcome=st.sampled_from(["", "劝离"]),
    units=st.sampled_from([(), ("police",), ("police", "fire"), ("fishery", "fire")]),
    tasks=st.sampled_from([{}, {"police": "封路"}]),
    until=st.sampled_from(["", "2h", "1wd", "2026-12-01T00:00:00Z", "soon"]),
    into=st.sampled_from([None, 3, 7]),
    resolution=st.sampled_from(["", "on_spot", "nonsense"]),
    participants=st.sampled_from([(), ("a", "b")]),
)
ONWARD: dict[str, tuple[str, Actor, Wish]] = {
    "reported": ("open", OPERATOR, Wish()),
    "opened": ("dispatch", OPERATOR, Wish(terminal="T1")),
    "dispatched": ("accept", SYSTEM, Wish()),
    "handling": ("feedback", SUPERVISOR, Wish(note="好")),
    "fed_back": ("verify", OPERATOR, Wish(note="好")),
    "verified": ("close", OPERATOR, Wish(outcome="劝离")),
    "closed": ("reopen", SUPERVISOR, Wish(note="又来了", until="1wd")),
    "merged": ("split", OPERATOR, Wish(note="不同")),
    "void": ("note", OPERATOR, Wish(note="好")),
}
TEXTS = {"note": "好", "outcome": "劝离"}


class Moves(RuleBasedStateMachine):
    """Anybody does anything in any order while time goes on."""

    @initialize(status=st.sampled_from(["reported", "opened"]), unit=st.sampled_from([None, "fishery"]))
    def begin(self, status: Any, unit: Any) -> None:
        self.now, self.at = case(status=status, unit=unit), NOW
        self.told = recorded(self.now)
        self.since_opened: list[str] = []
        self.before_merge: Case | None = None
        self.units: set[str] = set()

    @rule(action=st.sampled_from([*TRANSITIONS, "x"]), actor=st.sampled_from(EVERYBODY), wish=wishes)
    def move(self, action: str, actor: Actor, wish: Wish) -> None:
        self._try(action, actor, wish)

    @rule(data=st.data(), wish=wishes)
    def move_as_offered(self, data: Any, wish: Wish) -> None:
        """So that runs get far: somebody does what is offered, with the words it needs."""
        ways = [(o.action, who) for who in EVERYBODY for o in offers(self.now, who, self.at) if o.action != "void"]
        if ways:
            action, actor = data.draw(st.sampled_from(ways))
            self._try(action, actor, replace(wish, **TEXTS))

    @rule(steps=st.integers(1, 7))
    def go_on(self, steps: int) -> None:
        """So that runs get to the end: those whose turn it is do what the chain has next."""
        for _ in range(steps):
            if self.now.overdue(self.at):
                self._try("explain_overdue", OPERATOR, Wish(note="暴雨"))
            for part in self.now.parts:
                self._try("withdraw_part", OPERATOR, Wish(note="不需要", unit=part.unit))
            self._try(*ONWARD[self.now.status])

    @rule(hours=st.sampled_from([0.1, 3, 30]))
    def wait(self, hours: float) -> None:
        self.at += timedelta(hours=hours)

    def _try(self, action: str, actor: Actor, wish: Wish) -> None:
        before = self.now
        try:
            after = act(before, action, actor, wish, self.at)
        except Refused as refused:
            assert refused.zh and refused.en
            return
        self.told |= difference(before, after)
        assert after.version == before.version + (after != before)
        self._judge(before, after, action, actor)
        self.now = after

    def _judge(self, before: Case, after: Case, action: str, actor: Actor) -> None:
        self.since_opened = [] if action == "reopen" else [*self.since_opened, action]
        if after.status == "closed" and before.status != "closed":
            last = {step: n for n, step in enumerate(self.since_opened)}
            assert last["feedback"] < last["verify"] and last.get("return", -1) < last["feedback"]
            assert after.outcome and actor.role in ("operator", "supervisor", "admin")
        if action in ("feedback", "close"):
            assert not before.overdue(self.at) or before.overdue_reason
        if action == "feedback":
            assert not any(part.undone for part in after.parts)
        if actor.role == "unit":
            assert actor.unit == before.unit or (
                actor.unit in before.called and action in ("check_in", "part_done", "note")
            )
        if action == "merge":
            self.before_merge = before
        if action == "split":
            assert self.before_merge is not None
            assert replace(after, version=0) == replace(self.before_merge, version=0)
        assert {part.unit for part in before.parts} <= {part.unit for part in after.parts}, "no part is lost"
        assert after.due_at == before.due_at or action in ("grant_extension", "reopen")
        assert after.reopened == before.reopened + (action == "reopen")
        assert action != "reopen" or after.due_at > self.at, "a new round has time of its own"

    @invariant()
    def the_timeline_adds_up(self) -> None:
        if hasattr(self, "now"):
            assert self.told == recorded(self.now)

    @invariant()
    def it_has_ended_when_it_says_so(self) -> None:
        if hasattr(self, "now"):
            assert (self.now.closed_at is not None) == (self.now.status in FINAL)
            assert (self.now.merged_into is not None) == (self.now.status == "merged")
            assert (self.now.status_before is not None) == (self.now.status == "merged")
            assert [part.unit for part in self.now.parts] == sorted({part.unit for part in self.now.parts})


Moves.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestMoves = Moves.TestCase


@given(wish=wishes, action=st.sampled_from(sorted(TRANSITIONS)), actor=st.sampled_from(EVERYBODY))
def test_what_is_recorded_of_a_wish_is_plain_and_short(wish: Wish, action: str, actor: Actor) -> None:
    assert set(said(action, wish)) <= {"until", "participants", "units", "unit"}
