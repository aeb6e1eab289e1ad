"""What waits for the detectors is bounded, and what priming has read is not folded again."""

from __future__ import annotations

import asyncio

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.base import Batch
from devices.readings import FIX, SAMPLE, SECOND, SIGHTING, Flag, rows
from server.waiting import NEVER, AlreadyRead, Waiting, joined, oldest_received

T0 = 1_800_000_000 * SECOND


def fixes(*keys: tuple[int, int, int], flags: int = 0) -> Batch:
    """Fixes of (device, event time, reception), the times in seconds after T0."""
    made = [(d, T0 + at * SECOND, T0 + got * SECOND, 118.9, 31.4, 1.0, 0.0, 5.0, 80.0, flags) for d, at, got in keys]
    return Batch(rows(FIX, made))


async def test_it_is_full_by_readings_and_has_room_again_when_they_are_taken() -> None:
    waiting = Waiting(3)
    waiting.put_nowait(fixes((1, 0, 5)))
    assert waiting.oldest_received() == T0 + 5 * SECOND
    waiting.put_nowait(fixes((1, 1, 6), (1, 2, 7)))
    blocked = asyncio.create_task(waiting.put(fixes((1, 3, 8))))
    await asyncio.sleep(0)
    assert waiting.full()
    assert not blocked.done()
    assert len(await waiting.get()) == 1
    await blocked
    assert waiting.oldest_received() == T0 + 6 * SECOND
    assert [len(waiting.get_nowait()) for _ in range(2)] == [2, 1]
    assert waiting.oldest_received() == NEVER


def test_what_waits_is_taken_as_one_batch() -> None:
    waiting = Waiting(100)
    for at in (3, 1, 2):
        waiting.put_nowait(fixes((2, at, 9), (1, at, 9)))
    assert len(joined(waiting.take(most=2))) == 2, "what is more waits for the next time"
    whole = joined([Batch(), *waiting.take(most=100)])
    assert whole.fixes[["device", "at"]].tolist() == [(d, T0 + at * SECOND) for d in (1, 2) for at in (1, 2)]
    assert waiting.empty()
    assert waiting.take(most=100) == []
    assert len(joined([])) == 0


KEYS = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 4), st.integers(0, 9)), unique=True, max_size=12)


@given(read=KEYS, came=KEYS, since=st.integers(0, 9))
def test_only_what_was_read_since_then_is_left_out(
    read: list[tuple[int, int, int]], came: list[tuple[int, int, int]], since: int
) -> None:
    already = AlreadyRead(T0 + since * SECOND)
    already.add(fixes(*read))
    already.end(T0 + 9 * SECOND)
    known = {key for key in read if key[2] >= since}
    left = already.without(fixes(*came)).fixes
    assert left.tolist() == [
        row for row, key in zip(fixes(*came).fixes.tolist(), came, strict=True) if key not in known
    ]


def test_the_same_fix_with_an_alarm_that_was_added_later_comes_through() -> None:
    already = AlreadyRead(T0)
    already.add(fixes((1, 0, 1)))
    already.end(T0 + 9 * SECOND)
    called = fixes((1, 0, 2), flags=int(Flag.SOS))
    assert len(already.without(called)) == 1


def test_sightings_and_samples_are_told_apart_by_their_own_keys() -> None:
    seen = [(7, T0, T0, label, 1, 0.9, "a", 118.9, 31.4, "") for label in ("person", "rod")]
    values = [(8, T0, T0, quantity, 3.2) for quantity in ("smoke", "water_level")]
    already = AlreadyRead(T0)
    already.add(Batch(sightings=rows(SIGHTING, seen[:1]), samples=rows(SAMPLE, values[:1])))
    left = already.without(Batch(sightings=rows(SIGHTING, seen), samples=rows(SAMPLE, values)))
    assert (left.sightings["label"].tolist(), left.samples["quantity"].tolist()) == (["rod"], ["water_level"])


def test_it_forgets_with_the_first_batch_that_was_received_later() -> None:
    already = AlreadyRead(T0)
    already.add(fixes((1, 0, 0)))
    already.end(T0 + 3 * SECOND)
    assert len(already.without(fixes((1, 0, 0), (1, 1, 1)))) == 1
    assert len(already.without(Batch())) == 0
    assert len(already.without(fixes((1, 9, 4)))) == 1
    assert len(already.without(fixes((1, 0, 0)))) == 1, "nothing is remembered any more"


def test_of_nothing_there_is_no_oldest() -> None:
    assert oldest_received(Batch()) == NEVER
    assert np.iinfo(np.int64).max == NEVER
