"""A storm becomes digests: in a simulated outbox, whatever comes when, none is lost and none is sent twice."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from alerts.contacts import Pace
from alerts.notice import Notice, both
from alerts.pacing import MOST_LISTED, STRAGGLERS, URGENT, Lately, digest_body, paced

START = datetime(2026, 6, 1, tzinfo=UTC)


def notice(number: int, severity: str = "low", title: str = "") -> Notice:
    named = title or f"事件{number}"
    return Notice(number, number, "apprise", "u", "r", both((named, "文"), (f"case {number}", "x")), severity=severity)


@dataclass
class Sent:
    at: datetime
    members: list[int]
    digest: bool
    high: bool


@dataclass
class Outbox:
    """What :mod:`store.outbox` does with one contact, without a database."""

    pace: Pace | None
    sent: list[Sent] = field(default_factory=list)
    waiting: list[Notice] = field(default_factory=list)
    gathered: list[Notice] = field(default_factory=list)
    due: datetime | None = None

    def tick(self, now: datetime) -> None:
        pace = self.pace
        recent = [s for s in self.sent if pace and s.at > now - pace.within]
        lately = Lately(
            lesser=sum(s.digest or not s.high for s in recent),
            high=sum(s.high and not s.digest for s in recent),
            oldest=min((s.at for s in recent), default=None),
            digest=max((s.at for s in recent if s.digest), default=None),
            gathered=next((len(s.members) for s in reversed(recent) if s.digest), 0),
            opened=self.due is not None,
        )
        outlet = paced(self.waiting, lately, pace, now)
        by_id = {n.id: n for n in self.waiting}
        assert sorted([*outlet.send, *outlet.gather]) == sorted(by_id)
        for number in outlet.send:
            self.sent.append(Sent(now, [number], False, by_id[number].severity == "high"))
        if outlet.gather:
            assert outlet.at is not None and outlet.at > now
            self.gathered += [by_id[number] for number in outlet.gather]
            self.due = min(self.due, outlet.at) if self.due else outlet.at
        self.waiting = []
        if self.due is not None and self.due <= now:
            high = any(n.severity == "high" for n in self.gathered)
            self.sent.append(Sent(now, [n.id for n in self.gathered], True, high))
            self.gathered, self.due = [], None


paces = st.builds(Pace, st.integers(1, 6), st.integers(1, 10).map(lambda n: timedelta(minutes=n)))
storms = st.lists(st.tuples(st.integers(0, 1500), st.sampled_from(["low", "medium", "high", ""])), max_size=80)


@given(pace=paces, storm=storms)
def test_none_is_lost_none_is_sent_twice_and_nobody_is_flooded(pace: Pace, storm: list[tuple[int, str]]) -> None:
    outbox, came = Outbox(pace), {n: (s, sev) for n, (s, sev) in enumerate(sorted(storm), 1)}
    for second in range(0, 1500 + 2 * 600 + 60, 5):
        outbox.waiting += [notice(n, sev) for n, (at, sev) in came.items() if second - 5 < at <= second]
        outbox.tick(START + timedelta(seconds=second))
    assert sorted(number for s in outbox.sent for number in s.members) == sorted(came)
    for s in outbox.sent:
        for number in s.members:
            at, severity = came[number]
            waited = s.at - START - timedelta(seconds=at)
            slack = timedelta(seconds=10)
            assert waited <= (URGENT if severity == "high" else pace.within + STRAGGLERS) + slack
    lesser = [s.at for s in outbox.sent if not s.high]
    high = [s.at for s in outbox.sent if s.high and not s.digest]
    for group in (lesser, high):
        for begin in group:
            assert sum(begin <= at < begin + pace.within for at in group) <= pace.most + 1


def test_a_burst_becomes_one_digest_at_once() -> None:
    outbox = Outbox(Pace())
    outbox.waiting = [notice(n) for n in range(1, 41)]
    for second in range(0, 30, 5):
        outbox.tick(START + timedelta(seconds=second))
    assert [len(s.members) for s in outbox.sent] == [40]
    assert outbox.sent[0].at == START + STRAGGLERS


def test_as_many_as_the_pace_allows_go_by_themselves() -> None:
    outbox = Outbox(Pace())
    outbox.waiting = [notice(n) for n in range(1, 11)]
    outbox.tick(START)
    assert [s.members for s in outbox.sent] == [[n] for n in range(1, 11)]


def test_a_steady_storm_is_one_digest_in_each_stretch() -> None:
    outbox = Outbox(Pace(10, timedelta(minutes=10)))
    for second in range(0, 3600, 5):
        outbox.waiting = [notice(second + 1)]
        outbox.tick(START + timedelta(seconds=second))
    assert sum(s.digest for s in outbox.sent) in (5, 6)
    assert len(outbox.sent) <= 10 + 6


def test_a_call_for_help_goes_at_once_in_the_middle_of_a_storm() -> None:
    outbox = Outbox(Pace(3, timedelta(minutes=10)))
    outbox.waiting = [notice(n) for n in range(1, 30)]
    outbox.tick(START)
    outbox.waiting = [notice(99, "high")]
    outbox.tick(START + timedelta(seconds=5))
    assert [s.members for s in outbox.sent] == [[99]]


def test_without_a_pace_everything_goes() -> None:
    outbox = Outbox(None)
    outbox.waiting = [notice(n) for n in range(1, 100)]
    outbox.tick(START)
    assert len(outbox.sent) == 99


def test_a_digest_lists_what_it_stands_for_the_most_severe_first() -> None:
    body = digest_body([notice(1), notice(2, "medium", "事件1"), notice(3, "high", "求助")])
    assert body["title"] == {
        "zh": "3 条通知合并，其中高风险 1 条",
        "en": "3 notices in one, 1 of high severity",
    }
    assert body["text"]["zh"].split("\n")[0] == "· 求助"
    assert body["text"]["en"].split("\n") == ["· case 3", "· case 1", "· case 2"]


def test_a_digest_of_very_many_counts_what_it_does_not_list() -> None:
    members = [notice(n) for n in range(1, 101)] + [notice(200 + n, title="事件1") for n in range(3)]
    lines = digest_body(members)["text"]["zh"].split("\n")
    assert len(lines) == MOST_LISTED + 1 and lines[-1] == f"另有 {103 - MOST_LISTED} 条，请在控制台查看"
    same = [Notice(n, 1, "apprise", "u", "r", both(("甲", "文"), ("a", "x"))) for n in range(1, 5)]
    assert digest_body(same)["text"] == {"zh": "· 甲（4 条）", "en": "· a (4)"}
