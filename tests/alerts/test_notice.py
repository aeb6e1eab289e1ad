"""What notices say, and how long a failed one waits."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from alerts.case import Case
from alerts.notice import MOST_ATTEMPTS, backoff, command, contact_key, message
from detectors.base import Sentence

NOW = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)
CASE = Case(
    "PG-20261120-0001", "fishing", Sentence("垂钓", "Angling"), "high", "opened", None, "u", NOW,
    NOW + timedelta(hours=4), lon=118.88, lat=31.47,
)  # fmt: skip


def test_a_command_tells_where_and_why_in_both_languages() -> None:
    assert command(CASE) == {
        "do": "goto",
        "lon": 118.88,
        "lat": 31.47,
        "case": "PG-20261120-0001",
        "zh": "请前往现场：垂钓",
        "en": "Go to the scene: Angling",
    }


def test_a_message_names_the_case_and_its_deadline_in_site_time() -> None:
    body = message(CASE, Sentence("派遣", "dispatch"))
    assert body["title"] == {"zh": "PG-20261120-0001 垂钓", "en": "PG-20261120-0001 Angling"}
    assert body["text"]["zh"] == "派遣。办结时限 2026-11-20 14:30。位置 118.88000, 31.47000"
    assert body["text"]["en"] == "dispatch. Due 2026-11-20 14:30 (Beijing time). Place 118.88000, 31.47000"


def test_a_whole_sentence_in_a_message_ends_once() -> None:
    body = message(replace(CASE, lon=None, lat=None), Sentence("水位8.10米。", "8.10 m."))
    assert body["text"]["zh"] == "水位8.10米。办结时限 2026-11-20 14:30"
    assert body["text"]["en"] == "8.10 m. Due 2026-11-20 14:30 (Beijing time)"


@given(attempts=st.integers(0, 2000), seed=st.integers())
def test_pauses_double_to_a_longest_with_half_of_it_by_chance(attempts: int, seed: int) -> None:
    longest = min(1800.0, 5.0 * 2 ** max(0, min(attempts, 50) - 1))
    assert longest / 2 <= backoff(attempts, random.Random(seed)).total_seconds() <= longest


def test_all_attempts_together_last_an_hour_or_so() -> None:
    longest = sum(
        (backoff(n, type("Most", (random.Random,), {"random": lambda _: 1.0})()) for n in range(1, MOST_ATTEMPTS)),
        timedelta(),
    )
    assert timedelta(minutes=100) < longest < timedelta(minutes=104)


def test_a_contact_is_known_again_but_not_shown() -> None:
    assert contact_key("dingtalk://token") == contact_key("dingtalk://token") != contact_key("dingtalk://other")
    assert "token" not in contact_key("dingtalk://token")
