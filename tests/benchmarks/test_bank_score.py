"""Matching alerts with the truth, and the counts that come of it."""

from __future__ import annotations

import math
from typing import Any

import pytest

from alerts.alert import Alert
from alerts.rules import Rule
from alerts.triage import alert_from
from benchmarks.bank_replay import Raised
from benchmarks.bank_score import CAUSES, JUSTIFIED, Score, score_world
from benchmarks.evaluate import SHOWN, figures
from detectors import DETECTORS
from detectors.base import Finding, Sentence
from devices.readings import SECOND
from devices.site import moment
from simulators.truth import HARMLESS, INCIDENTS, Episode

NOON = 1_795_341_600 * SECOND


def alert(kind: str, subject: str, zone: str = "", since: float = 0.0, until: float = 60.0, **place: float) -> Alert:
    at = {"lon": 118.9, "lat": 31.46} | place
    begin, end = (NOON + int(s * SECOND) for s in (since, until))
    finding = Finding(kind, subject, zone, begin, end, at["lon"], at["lat"], 0.9, Sentence("", ""), {})
    rule = Rule(kind, kind, kind, kind, "medium", "x")
    return alert_from(rule, finding, moment(end), historical=False)


def raised(at: float, *args: Any, **more: Any) -> Raised:
    first = alert(*args, **more)
    return Raised(first, NOON + int(at * SECOND), news=True, lon=first.lon, lat=first.lat)


def happened(
    kind: str, subject: str = "", zone: str = "", since: float = 0.0, until: float = 600.0, note: str = ""
) -> Episode:
    begin, end = (NOON + int(s * SECOND) for s in (since, until))
    return Episode(kind, subject, zone, begin, end, 118.9, 31.46, note)


def score(detector: str, truth: list[Episode], *alerts: Raised) -> Score:
    return score_world("test", 1, truth, alerts)[detector]


def test_every_detector_has_its_causes_and_every_incident_a_detector() -> None:
    assert set(CAUSES) >= set(DETECTORS)
    assert set().union(*CAUSES.values()) == set(INCIDENTS)
    assert set().union(*JUSTIFIED.values()) <= set(HARMLESS)


def test_an_alert_of_the_same_device_in_time_is_right_and_gives_the_wait() -> None:
    found = score("silence", [happened("silence", "T1")], raised(200, "silence", "T1", since=0, until=200))
    assert (found.incidents, found.found, found.alerts, found.right) == (1, 1, 1, 1)
    assert found.waits == [200.0]
    assert (found.precision, found.recall) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("subject", "since", "until"),
    [("T2", 0, 200), ("T1", 1_600, 1_700), ("T1", -900, -400)],
    ids=["other", "after", "before"],
)
def test_an_alert_of_another_device_or_time_is_false_and_the_incident_missed(
    subject: str, since: float, until: float
) -> None:
    truth = [happened("silence", "T1"), happened("tunnel", subject, since=since, until=until)]
    found = score("silence", truth, raised(until, "silence", subject, since=since, until=until))
    assert (found.found, found.right) == (0, 0)
    assert [miss.episode.subject for miss in found.misses] == ["T1"]
    assert "tunnel" in found.false[0].near
    assert (found.precision, found.recall) == (0.0, 0.0)


def test_the_json_line_holds_every_miss_and_every_false_alarm() -> None:
    truth = [happened("silence", f"T{n}") for n in range(SHOWN + 5)]
    told = figures(score("silence", truth, raised(200, "silence", "T99", since=0, until=200)), days=2.0)
    assert len(told["missed"]) == SHOWN + 5
    assert told["missed"][7] == {"world": "test:1", "kind": "silence", "subject": "T7"}
    assert [false["subject"] for false in told["false"]] == ["T99"]
    assert told["alerts_per_terminal_day"] == 0.5


def test_several_alerts_of_one_incident_are_right_and_the_first_counts() -> None:
    alerts = [raised(300, "sos", "T1", until=300), raised(90, "sos", "T1", until=90)]
    found = score("sos", [happened("sos", "T1")], *alerts)
    assert (found.found, found.alerts, found.right, found.waits) == (1, 2, 2, [90.0])


def test_fishing_is_matched_by_zone_and_distance_on_the_water_by_a_larger_one() -> None:
    bank, boat = happened("fishing", zone="Z"), happened("fishing", zone="Z", note="a boat sets a net")
    near = raised(300, "fishing_ban", "31.46,118.9", "Z", lat=31.4605)  # 56 m
    aside = raised(300, "fishing_ban", "31.462,118.9", "Z", lat=31.462)  # 222 m
    assert score("fishing_ban", [bank], near).right == 1
    assert score("fishing_ban", [bank], aside).right == 0
    assert score("fishing_ban", [boat], aside).right == 1
    assert score("fishing_ban", [happened("fishing", zone="Y")], near).right == 0


def test_a_pair_and_a_plan_are_known_by_any_of_their_names() -> None:
    pair = happened("carried_double", "T1,T2")
    assert score("spoofed_track", [pair], raised(60, "spoofed_track", "T2+T1")).right == 1
    walk = happened("off_route", "T3,walk-p-01")
    assert score("route", [walk], raised(60, "route", "walk-p-01 2026-10-20 12:00")).right == 1
    assert score("route", [walk], raised(60, "route", "walk-p-02 2026-10-20 12:00")).right == 0


def test_an_outage_is_told_of_the_feed_or_a_part_of_it() -> None:
    outage = happened("outage", "feed,T1,T2")
    for subject in ("feed", "feed:990101001000", "T1"):
        assert score("silence", [outage], raised(300, "silence", subject, until=300)).right == 1
    assert score("silence", [outage], raised(300, "silence", "T9", until=300)).right == 0


def test_what_is_justified_counts_neither_way() -> None:
    late = happened("late_patrol", zone="G", since=0, until=3_000)
    reminder = raised(1_800, "patrol_gap", "grid", "G", since=0, until=1_800)
    found = score("patrol_gap", [late], reminder)
    assert (found.alerts, found.neither, len(found.false)) == (0, 1, 0)
    assert math.isnan(found.precision)
    afterwards = raised(4_000, "patrol_gap", "grid", "G", since=3_600, until=4_000)
    assert score("patrol_gap", [late], afterwards).false


def test_a_missed_patrol_is_measured_from_the_end_of_its_window() -> None:
    missed = happened("missed_patrol", zone="G", until=36_000)
    found = score("patrol_gap", [missed], raised(32_400, "patrol_gap", "grid", "G", since=0, until=32_400))
    assert found.waits == [-3_600.0]


def test_scores_add_up() -> None:
    total = Score()
    total.add(score("sos", [happened("sos", "T1")], raised(10, "sos", "T1", until=10)))
    total.add(score("sos", [happened("collapse", "T2")], raised(10, "sos", "T3", until=10)))
    assert (total.incidents, total.found, total.alerts, total.right) == (2, 1, 2, 1)
    assert total.kinds == {"sos": [1, 1], "collapse": [1, 0]}
    assert (total.precision, total.recall) == (0.5, 0.5)
    assert total.wait(0.9) == 10.0
    assert math.isnan(Score().wait(0.5))
