"""One page's queue: bounded, and never silent about a loss."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.live import RESYNC, Live, Watcher
from console.sight import Sight

EVERYWHERE = Sight("operator", None, None)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("tell"), st.integers(0, 99)),
        st.tuples(st.just("place"), st.sampled_from("AB"), st.integers(0, 99)),
        st.tuples(st.just("take")),
    ),
    max_size=60,
)


def events(text: bytes) -> list[tuple[str, object]]:
    found = []
    for block in text.decode().split("\n\n")[:-1]:
        event, data = block.split("\n")
        found.append((event.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


@given(backlog=st.integers(1, 4), steps=steps)
def test_every_event_arrives_or_is_owned_up_to(backlog: int, steps: list[tuple[object, ...]]) -> None:
    watcher = Watcher(EVERYWHERE, backlog)
    told: list[int] = []
    placed: dict[str, int] = {}
    for step in [*steps, ("take",)]:
        if step[0] == "tell":
            told.append(step[1])  # type: ignore[arg-type]
            watcher.tell("alert", str(step[1]).encode())
        elif step[0] == "place":
            placed[step[1]] = step[2]  # type: ignore[index, assignment]
            watcher.place(step[1], json.dumps([step[1], step[2]]).encode())  # type: ignore[arg-type]
        else:
            assert watcher.wake.is_set() or not (told or placed)
            got = events(watcher.take())
            frames = [data for name, data in got if name == "positions"]
            assert frames == ([[[d, n] for d, n in placed.items()]] if placed else [])
            others = [(name, data) for name, data in got if name != "positions"]
            if len(told) > backlog:
                assert others == [("resync", {})], "the page reads all again, so what is told before that says nothing"
            else:
                assert others == [("alert", number) for number in told]
            assert not watcher.wake.is_set()
            told, placed = [], {}


def test_a_position_that_waits_is_replaced() -> None:
    watcher = Watcher(EVERYWHERE, 1)
    for number in range(1000):
        watcher.place("T1", str(number).encode())
    assert watcher.take() == b"event: positions\ndata: [999]\n\n"
    assert watcher.take() == b""


def test_resync_replaces_what_waits() -> None:
    watcher = Watcher(EVERYWHERE, 5)
    watcher.tell("alert", b"1")
    watcher.resync()
    assert watcher.take() == RESYNC


@pytest.mark.parametrize("wrong", [{"frame": 0}, {"beat": 0}, {"backlog": 0}])
def test_a_senseless_hub_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        Live(None, "", None, **wrong)  # type: ignore[arg-type]
