"""No way through the window of tries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.throttle import Throttle


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@given(
    limit=st.integers(1, 5),
    window=st.floats(1, 100),
    steps=st.lists(st.tuples(st.floats(0, 60), st.sampled_from("ab")), max_size=60),
)
def test_never_more_than_the_limit_in_any_window(limit: int, window: float, steps: list[tuple[float, str]]) -> None:
    clock = Clock()
    throttle = Throttle(limit, window, clock=clock)
    let_through: dict[str, list[float]] = {"a": [], "b": []}
    for pause, key in steps:
        clock.now += pause
        recent = [t for t in let_through[key] if t > clock.now - window]
        wait = throttle.attempt(key)
        assert (wait == 0) == (len(recent) < limit)
        if wait == 0:
            let_through[key].append(clock.now)
        else:
            assert 1 <= wait <= window + 1


def test_waiting_as_told_is_enough() -> None:
    clock = Clock()
    throttle = Throttle(2, 10, clock=clock)
    assert [throttle.attempt("a") for _ in range(2)] == [0, 0]
    clock.now = 3.5
    wait = throttle.attempt("a")
    assert wait == 7
    clock.now += wait
    assert throttle.attempt("a") == 0


def test_a_try_given_back_does_not_count() -> None:
    throttle = Throttle(2, 10, clock=Clock())
    throttle.attempt("a")
    throttle.attempt("a")
    throttle.give_back("a")
    assert throttle.attempt("a") == 0
    assert throttle.attempt("a") > 0
    throttle.give_back("never seen")


def test_invented_names_do_not_fill_the_memory() -> None:
    throttle = Throttle(1, 10, most=100, clock=Clock())
    for number in range(1000):
        throttle.attempt(str(number))
    assert len(throttle._tries) == 100
    assert throttle.attempt("999") > 0, "the newest are kept"


@pytest.mark.parametrize("wrong", [(0, 1.0, 1), (1, 0.0, 1), (1, 1.0, 0)])
def test_a_senseless_throttle_is_refused(wrong: tuple[int, float, int]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        Throttle(wrong[0], wrong[1], most=wrong[2])
