"""One alert per episode: however findings are cut, repeated or replayed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import count

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


def finding(
    since: float, until: float, *, score: float = 0.5, subject: str = "C1", lon: float = 118.0, ends: bool = False
) -> Finding:
    s, u = START + int(since * SECOND), START + int(until * SECOND)
    evidence = {"numbers": {"until": until}}
    return Finding(
        "fishing_ban", subject, "z", s, u, lon, 31.0, score, Sentence(f"至{until}", f"to {until}"), evidence, ends
    )


class Book:
    """What the casebook does with changes, without a database: reads only what the findings reach."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []
        self.merged: list[Alert] = []
        self.numbers = count(1)

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
            alert = replace(change.alert, id=change.alert.id or next(self.numbers))
            self.alerts = [a for a in self.alerts if a.id != alert.id]
            if change.step == "merged":
                assert any(a.episode == change.into and a.fingerprint == alert.fingerprint for a in self.alerts)
                self.merged.append(alert)
            else:
                self.alerts.append(alert)
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


def test_a_call_for_help_that_comes_late_is_heard_though_an_earlier_one_was_cleared() -> None:
    rule = Rule("sos", "求救", "SOS", "sos", "high", "sos", live_within=3600, clear_after=300)
    book = Book()
    book.record([finding(0, 1)], now=1, rule=rule)
    book.mark("cleared")
    (again,) = book.record([finding(270, 271)], now=270 + 720, rule=rule)
    assert (again.step, again.alert.state, again.news) == ("reopened", "open", True)
    book.mark("cleared")
    assert book.record([finding(270, 271)], now=1000, rule=rule) == [], "and not by a replay"
    (old,) = book.record([finding(540, 541)], now=540 + 3700, rule=rule)
    assert (old.step, old.news) == ("extended", False), "as a first one it would be history"


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


def test_a_late_finding_that_joins_two_alerts_makes_them_one() -> None:
    book = Book()
    book.record([finding(0, 10, score=0.9), finding(1000, 1010)], now=1010)
    older, younger = sorted(book.alerts, key=lambda a: a.episode)
    kept, gone = book.record([finding(5, 1005)], now=1020)
    assert (kept.step, kept.alert.id, kept.alert.count, kept.alert.score) == ("extended", older.id, 3, 0.9)
    assert (kept.alert.first_seen, kept.alert.last_seen) == (older.first_seen, younger.last_seen)
    assert kept.alert.sentence == younger.sentence, "what was seen last"
    assert (gone.step, gone.alert.id, gone.alert.state, gone.into) == ("merged", younger.id, "cleared", older.episode)
    assert book.record([finding(5, 1005), finding(0, 10), finding(1000, 1010)], now=1030) == []


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("open", "open", "open"),
        ("cleared", "open", "open"),
        ("open", "acknowledged", "acknowledged"),
        ("acknowledged", "open", "acknowledged"),
        ("cleared", "acknowledged", "acknowledged"),
        ("open", "cleared", "cleared"),
        ("cleared", "cleared", "cleared"),
    ],
)
def test_two_made_one_are_what_the_later_part_is_and_taken_over_by_who_took_either(
    first: str, second: str, expected: str
) -> None:
    book = Book()
    book.record([finding(0, 10), finding(1000, 1010)], now=1010)
    for alert, state in zip(sorted(book.alerts, key=lambda a: a.episode), (first, second), strict=True):
        taken = "zhang" if state == "acknowledged" else None
        changed = replace(alert, state=state, acked_by=taken, case_id=alert.id * 10)  # type: ignore[arg-type]
        book.alerts = [changed if a.id == alert.id else a for a in book.alerts]
    kept, gone = book.record([finding(5, 1005)], now=1020)
    assert (kept.alert.state, kept.news) == (expected, False)
    assert kept.alert.acked_by == ("zhang" if expected == "acknowledged" else None)
    assert (kept.alert.case_id, gone.alert.case_id) == (10, 20), "each case keeps its alert: people work on both"


def test_an_alert_that_was_called_false_is_not_made_one_with_another() -> None:
    book = Book()
    book.record([finding(0, 10)], now=10)
    book.mark("void")
    book.record([finding(1000, 1010)], now=1010)
    (change,) = book.record([finding(200, 900)], now=1020)  # 190 s from the one, 100 s from the other
    assert (change.step, change.alert.first_seen) == ("extended", moment(START + 200 * SECOND))
    assert sorted(a.state for a in book.alerts) == ["open", "void"]
    assert book.record([finding(200, 900)], now=1030) == []


def test_parts_of_one_go_that_turn_out_to_be_one_are_one_alert_and_one_piece_of_news() -> None:
    book = Book()
    (change,) = book.record([finding(0, 10), finding(1000, 1010), finding(5, 1012)], now=1020)
    assert (change.step, change.alert.count, change.alert.state) == ("raised", 3, "open")
    assert book.merged == []


def test_news_of_a_part_is_news_of_the_whole() -> None:
    book = Book()
    book.record([finding(0, 10)], now=10)
    book.mark("cleared")
    (change,) = book.record([finding(1000, 1010), finding(5, 1012)], now=1020)
    assert (change.step, change.alert.state, change.alert.id) == ("reopened", "open", 1)
    history = Book()
    history.record([finding(0, 10)], now=10_000)
    assert history.only.historical
    (change,) = history.record([finding(9000, 9990), finding(5, 9995)], now=10_000)
    assert (change.step, change.alert.historical, change.alert.state) == ("promoted", False, "open")


# ── Findings that end an episode ────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("state", ["open", "acknowledged"])
def test_an_end_clears_the_alert_with_its_sentence(state: str) -> None:
    book = Book()
    book.record([finding(0, 100)], now=100)
    book.mark(state)
    (change,) = book.record([finding(0, 130, ends=True)], now=131)
    assert (change.step, change.ended, change.news, change.alert.state) == ("ended", True, False, "cleared")
    assert change.alert.ending == Sentence("至130", "to 130")
    assert (change.alert.sentence.zh, change.alert.count) == ("至100", 1), "what was seen stays"
    assert book.record([finding(0, 100), finding(0, 130, ends=True)], now=140) == []
    assert book.record([finding(0, 125)], now=140) == [], "what comes late from before the end does not bring it back"


@pytest.mark.parametrize("state", ["cleared", "void"])
def test_an_end_of_what_is_over_changes_nothing(state: str) -> None:
    book = Book()
    book.record([finding(0, 100)], now=100)
    book.mark(state)
    assert book.record([finding(0, 130, ends=True)], now=131) == []


def test_an_end_without_an_alert_is_nothing() -> None:
    book = Book()
    assert book.record([finding(0, 130, ends=True)], now=131) == []
    book.record([finding(0, 100, subject="C2")], now=131)
    assert book.record([finding(0, 130, ends=True)], now=131) == []
    assert book.record([finding(500, 600, subject="C2", ends=True)], now=600) == [], "too far from it"


def test_acknowledged_ended_and_seen_again_is_open_again_and_waits_for_somebody() -> None:
    book = Book()
    book.record([finding(0, 100)], now=100)
    book.alerts = [replace(book.only, state="acknowledged", acked_by="zhang", acked_at=moment(START))]
    book.record([finding(0, 130, ends=True)], now=131)
    assert book.only.acked_by == "zhang", "who had it stays to be seen until it comes back"
    (change,) = book.record([finding(200, 210)], now=215)
    again = change.alert
    assert (change.step, again.state, again.acked_by, again.acked_at, again.ending) == (
        "reopened",
        "open",
        *(None,) * 3,
    )
    assert again.armed_at == moment(START + 215 * SECOND)
    assert book.record([finding(0, 130, ends=True)], now=220) == [], "the old end, seen again, does not end it"


def test_what_began_and_ended_in_one_go_is_told_and_over() -> None:
    (change,) = Book().record([finding(0, 100), finding(0, 130, ends=True)], now=131)
    assert (change.step, change.ended, change.alert.state) == ("raised", True, "cleared")
    (change,) = Book().record([finding(0, 100), finding(0, 130, ends=True), finding(140, 150)], now=151)
    assert (change.step, change.ended, change.alert.state) == ("raised", False, "open")


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
def test_findings_in_order_of_their_ends_give_exactly_the_episodes(
    drawn: list[tuple[tuple[int, int], str]],
) -> None:
    """Against an independent account: one alert for each episode, with its span."""
    rule = replace(RULE, live_within=1e9)
    found, book = _in_order(drawn), Book()
    for f in found:
        book.record([f], now=5000, rule=rule)
    assert {(a.subject, a.first_seen, a.last_seen) for a in book.alerts} == {
        (who, moment(since), moment(until)) for who, since, until in _oracle(found, 300)
    }
    assert len(book.alerts) == len(_oracle(found, 300))
    assert sum(a.count for a in book.alerts) <= len(found)


@given(drawn=st.permutations(range(12)), gap=st.integers(50, 600))
def test_in_whatever_order_they_come_touching_findings_end_as_one_alert(drawn: list[int], gap: int) -> None:
    """What a worker sees that folds the same stretch in pieces from several sides."""
    rule, book = replace(RULE, live_within=1e9), Book()
    found = [finding(n * gap, n * gap + 40) for n in range(12)]
    for n in drawn:
        book.record([found[n]], now=8000, rule=rule)
    assert len(book.alerts) == (1 if gap - 40 <= 300 else 12)
    assert {a.state for a in book.merged} <= {"cleared"}


def test_an_end_that_joins_two_alerts_makes_them_one_and_clears_it() -> None:
    book = Book()
    for since, until, ends in ((0, 0, False), (301, 301, False), (0, 301, True)):
        book.record([finding(since, until, ends=ends)], now=301)
    (whole,) = book.alerts
    assert (whole.state, whole.first_seen, whole.last_seen) == ("cleared", moment(START), moment(START + 301 * SECOND))
    (part,) = book.merged
    assert (part.state, part.episode) == ("cleared", moment(START + 301 * SECOND))


@given(
    drawn=st.lists(st.tuples(spans, st.sampled_from(["C1", "C2"]), st.booleans()), max_size=20),
    replays=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=20),
)
def test_ends_too_can_be_triaged_again_for_ever(
    drawn: list[tuple[tuple[int, int], str, bool]], replays: list[tuple[int, int]]
) -> None:
    """Findings and ends go by in order, ends last of a moment; any stretch of what went by is triaged again at once."""
    made = [finding(since, since + long, subject=who, ends=ends) for (since, long), who, ends in drawn]
    found = sorted(made, key=lambda f: (f.until, f.ends, f.since))
    straight, again = Book(), Book()
    for n, f in enumerate(found):
        now = (f.until - START) / SECOND
        straight.record([f], now=now)
        again.record([f], now=now)
        for begin, length in replays:
            again.record(found[min(begin, n) : min(begin + length, n) + 1], now=now)
            assert again.alerts == straight.alerts


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
