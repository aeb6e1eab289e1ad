"""One alert per episode: however findings are cut, repeated or replayed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.alert import Alert
from alerts.rules import Rule
from alerts.triage import Change, reach, triage
from detectors.base import Finding, Sentence
from devices.site import moment

SECOND = 1_000_000
START = 1_790_000_000 * SECOND
RULE = Rule("ban", "禁渔", "Ban", "fishing_ban", "high", "fishing", live_within=600, clear_after=300)


def finding(since: float, until: float, *, score: float = 0.5, subject: str = "C1", lon: float = 118.0) -> Finding:
    s, u = START + int(since * SECOND), START + int(until * SECOND)
    evidence = {"numbers": {"until": until}}
    return Finding("fishing_ban", subject, "z", s, u, lon, 31.0, score, Sentence(f"至{until}", f"to {until}"), evidence)


class Book:
    """What the casebook does with changes, without a database: reads only what the findings reach."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []

    def record(self, found: Sequence[Finding], now: float, rule: Rule = RULE) -> list[Change]:
        pairs = [(rule, f) for f in found]
        spans = [reach(*pair) for pair in pairs]
        prints = {f"{rule.code}|{f.subject}|{f.zone}" for f in found}
        current = [
            a
            for a in self.alerts
            if a.fingerprint in prints and any(a.last_seen >= s and a.first_seen <= u for s, u in spans)
        ]
        changes = triage(pairs, current, moment(START + int(now * SECOND)))
        for change in changes:
            number = change.alert.id or len(self.alerts) + 1
            self.alerts = [a for a in self.alerts if a.id != number] + [replace(change.alert, id=number)]
        return changes

    def mark(self, state: str) -> None:
        self.alerts = [replace(a, state=state) for a in self.alerts]  # type: ignore[arg-type]

    @property
    def only(self) -> Alert:
        (alert,) = self.alerts
        return alert


def test_a_new_finding_raises_an_alert() -> None:
    book = Book()
    (change,) = book.record([finding(0, 10)], now=12)
    assert (change.step, change.news, change.alert.id) == ("raised", True, 0)
    assert (change.alert.state, change.alert.count, change.alert.historical) == ("open", 1, False)
    assert change.alert.episode == change.alert.first_seen == moment(START)


def test_what_overlaps_or_follows_closely_extends_it() -> None:
    book = Book()
    book.record([finding(0, 10, score=0.9)], now=10)
    (change,) = book.record([finding(5, 20, score=0.4)], now=20)
    assert (change.step, change.alert.count, change.alert.score) == ("extended", 2, 0.9)
    assert change.alert.sentence.zh == "至20" and change.alert.evidence["numbers"]["until"] == 20
    (change,) = book.record([finding(320, 330)], now=330)  # a gap of exactly clear_after
    assert (change.step, change.alert.count) == ("extended", 3)
    (change,) = book.record([finding(630.001, 640)], now=640)  # a moment more
    assert change.step == "raised"
    assert len(book.alerts) == 2


def test_an_earlier_part_that_comes_later_grows_it_backwards_and_keeps_the_newer_words() -> None:
    book = Book()
    book.record([finding(100, 200)], now=200)
    (change,) = book.record([finding(50, 150)], now=210)
    assert (change.alert.first_seen, change.alert.sentence.zh) == (moment(START + 50 * SECOND), "至200")
    assert change.alert.episode == moment(START + 100 * SECOND), "the key of the row never changes"


@pytest.mark.parametrize("state", ["open", "acknowledged", "cleared", "void"])
def test_a_replay_inside_what_is_known_changes_nothing_in_any_state(state: str) -> None:
    book = Book()
    book.record([finding(0, 100), finding(50, 200)], now=200)
    book.mark(state)
    before = book.only
    assert book.record([finding(0, 100), finding(50, 200), finding(60, 70)], now=250) == []
    assert book.only == before


@pytest.mark.parametrize("state", ["cleared", "void"])
def test_a_new_episode_after_the_end_of_one_is_a_new_alert(state: str) -> None:
    book = Book()
    book.record([finding(0, 10)], now=10)
    book.mark(state)
    (change,) = book.record([finding(311, 320)], now=320)
    assert change.step == "raised" and len(book.alerts) == 2


def test_acknowledged_stays_so_while_it_lasts_and_void_for_good() -> None:
    for state in ("acknowledged", "void"):
        book = Book()
        book.record([finding(0, 10)], now=10)
        book.mark(state)
        (change,) = book.record([finding(20, 30)], now=30)
        assert (change.step, change.alert.state) == ("extended", state)


def test_a_cleared_alert_comes_back_only_for_what_goes_on_now() -> None:
    book = Book()
    book.record([finding(0, 10)], now=10)
    book.mark("cleared")
    (late,) = book.record([finding(20, 30)], now=400)  # it went on for a little, and is over
    assert (late.step, late.alert.state) == ("extended", "cleared")
    (now,) = book.record([finding(40, 320)], now=400)
    assert (now.step, now.alert.state, now.news) == ("reopened", "open", True)


def test_history_is_recorded_and_promoted_when_it_turns_out_to_go_on() -> None:
    book = Book()
    (old,) = book.record([finding(0, 100)], now=701)
    assert (old.step, old.alert.historical, old.alert.state, old.news) == ("recorded", True, "cleared", False)
    (more,) = book.record([finding(100, 150)], now=900)
    assert (more.step, more.alert.state) == ("extended", "cleared")
    (live,) = book.record([finding(200, 880)], now=900)
    assert (live.step, live.alert.historical, live.alert.state) == ("promoted", False, "open")
    assert live.alert.raised_at == moment(START + 900 * SECOND)


def test_exactly_as_old_as_allowed_is_still_live() -> None:
    assert Book().record([finding(0, 100)], now=700)[0].step == "raised"


def test_in_one_go_it_is_one_change_per_alert() -> None:
    changes = Book().record([finding(0, 10), finding(5, 30), finding(400, 410), finding(20, 40)], now=410)
    assert [(c.step, c.alert.count) for c in changes] == [("raised", 3), ("raised", 1)]
    mixed = Book().record([finding(0, 10), finding(300, 690)], now=700)  # history first, then now
    assert [(c.step, c.alert.state) for c in mixed] == [("raised", "open")]


def test_other_subjects_are_other_alerts() -> None:
    book = Book()
    book.record([finding(0, 10, subject="C1"), finding(0, 10, subject="C2")], now=10)
    assert len(book.alerts) == 2


def test_a_place_that_is_unknown_does_not_replace_one_that_is_known() -> None:
    book = Book()
    book.record([finding(0, 10, lon=118.5)], now=10)
    book.record([finding(10, 20, lon=float("nan"))], now=20)
    assert book.only.lon == 118.5


def test_a_late_finding_between_two_alerts_goes_to_one_of_them() -> None:
    book = Book()
    book.record([finding(0, 10), finding(1000, 1010)], now=1010)
    (change,) = book.record([finding(5, 1005)], now=1020)
    assert change.step == "extended" and len(book.alerts) == 2
    assert book.record([finding(5, 1005)], now=1030) == []


spans = st.tuples(st.integers(0, 3000), st.integers(0, 400))
episodes = st.lists(st.tuples(spans, st.sampled_from(["C1", "C2"])), max_size=25)


def _in_order(drawn: list[tuple[tuple[int, int], str]]) -> list[Finding]:
    """Findings in the order in which a fold gives them out: by their ends."""
    made = [finding(since, since + long, subject=who) for (since, long), who in drawn]
    return sorted(made, key=lambda f: (f.until, f.since))


def _oracle(found: list[Finding], clear_after: int) -> set[tuple[str, int, int]]:
    """The episodes: spans of one subject joined wherever the gap is at most ``clear_after``."""
    joined: list[list[int]] = []
    result: set[tuple[str, int, int]] = set()
    for who in ("C1", "C2"):
        joined = []
        for f in sorted((f for f in found if f.subject == who), key=lambda f: f.since):
            if joined and f.since - joined[-1][1] <= clear_after * SECOND:
                joined[-1][1] = max(joined[-1][1], f.until)
            else:
                joined.append([f.since, f.until])
        result |= {(who, since, until) for since, until in joined}
    return result


@given(drawn=episodes, cuts=st.lists(st.tuples(st.integers(0, 25), st.integers(0, 25)), max_size=12), data=st.data())
def test_prefixes_suffixes_and_repeats_in_any_cut_give_the_same_alerts(
    drawn: list[tuple[tuple[int, int], str]], cuts: list[tuple[int, int]], data: st.DataObject
) -> None:
    """The stream goes forward in pieces; after each, any stretch of what went by is played again, also cut at will."""
    rule = replace(RULE, live_within=1e9)  # so that ``now`` cannot make one run's news another's history
    found = _in_order(drawn)
    straight = Book()
    if found:
        straight.record(found, now=5000, rule=rule)
    cut, done = Book(), 0
    for step, back in [*cuts, (len(found), 0)]:
        ahead = min(len(found), done + step)
        for piece in (found[done:ahead], found[max(0, ahead - back) : ahead]):
            split = data.draw(st.integers(0, len(piece)))
            for part in (piece[:split], piece[split:]):
                if part:
                    cut.record(part, now=5000, rule=rule)
        done = ahead

    def seen(book: Book) -> list[Alert]:
        return sorted((replace(a, id=0) for a in book.alerts), key=lambda a: (a.subject, a.episode))

    assert seen(cut) == seen(straight)


@given(drawn=episodes)
def test_ends_in_order_give_exactly_the_episodes_unless_a_long_one_joins_two(
    drawn: list[tuple[tuple[int, int], str]],
) -> None:
    """Against an independent account: never fewer alerts than episodes, and their spans cover just the episodes."""
    rule = replace(RULE, live_within=1e9)
    found, book = _in_order(drawn), Book()
    for f in found:
        book.record([f], now=5000, rule=rule)
    wanted = _oracle(found, 300)
    for who, since, until in wanted:
        inside = [a for a in book.alerts if a.subject == who and moment(since) <= a.first_seen <= moment(until)]
        assert min(a.first_seen for a in inside) == moment(since)
        assert max(a.last_seen for a in inside) == moment(until)
        assert sum(a.count for a in inside) <= len([f for f in found if f.subject == who])
    assert len(book.alerts) >= len(wanted)


@given(
    gaps=st.lists(st.tuples(st.integers(1, 900), st.integers(0, 200)), min_size=1, max_size=20),
    now_lag=st.integers(0, 500),
)
def test_findings_that_follow_each_other_make_one_alert_per_episode(gaps: list[tuple[int, int]], now_lag: int) -> None:
    book, at, found = Book(), 0, []
    for gap, long in gaps:
        found.append(finding(at + gap, at + gap + long))
        at += gap + long
    for f in found:
        book.record([f], now=(f.until - START) / SECOND + now_lag)
    assert len(book.alerts) == len(_oracle(found, 300))
    assert all(not a.historical for a in book.alerts)
    for alert in book.alerts:
        assert alert.last_seen - alert.first_seen >= timedelta(0)
