"""What makes a run of the benchmarks fail."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.bench import show
from benchmarks.faults import NEVER, kept


def a_run(broker: str = "mosquitto", **other: Any) -> dict[str, Any]:
    """A run in which all went well, but for what is given; ``kinds`` as what they lost."""
    losses = {"worker-kill": 0, "broker-cut": 0, "broker-kill": 0} | other.pop("losses", {})
    kinds = {name: {"lost": lost, "recovery_most_s": 3.0} for name, lost in losses.items()}
    run = {"broker": broker, "kinds": kinds, "lost": sum(losses.values()), "worker_rss_most_mb": 300}
    return run | dict.fromkeys((*NEVER, "out_of_order"), 0) | other


@pytest.mark.parametrize("broker", ["mosquitto", "nats"])
def test_a_run_of_faults_in_which_all_went_well_is_kept(broker: str) -> None:
    assert kept(a_run(broker))


@pytest.mark.parametrize("wrong", [*NEVER, "out_of_order", "lost"])
def test_each_thing_that_must_not_be_fails_it(wrong: str) -> None:
    assert not kept(a_run(**{wrong: 1}))


@pytest.mark.parametrize("kind", ["worker-kill", "broker-cut"])
def test_only_what_a_killed_mosquitto_loses_is_not_judged(kind: str) -> None:
    assert kept(a_run(losses={"broker-kill": 3_000}))
    assert not kept(a_run(losses={"broker-kill": 3_000, kind: 1}))
    assert not kept(a_run(losses={"broker-kill": 3_000}, lost=3_001))
    assert not kept(a_run("nats", losses={"broker-kill": 1}))


def test_nats_may_deliver_out_of_order() -> None:
    assert kept(a_run("nats", out_of_order=20_000))


def test_slow_recovery_and_much_memory_fail_it() -> None:
    slow, fat = a_run(), a_run(worker_rss_most_mb=513)
    slow["kinds"]["broker-cut"]["recovery_most_s"] = 10.1
    assert not kept(slow)
    assert not kept(fat)
    away = a_run()
    away["kinds"]["database-away"] = {"lost": 0, "recovery_most_s": 70.0}
    assert kept(away)


def test_figures_are_held_against_what_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    wanted = {"ratio": ("≥", 0.95), "missing": ("≤", 0.0)}
    assert show({"ratio": 0.95, "missing": 0, "beside": 7}, wanted)
    assert not show({"ratio": 0.94, "missing": 0}, wanted)
    assert not show({"ratio": 0.95, "missing": 1}, wanted)
    assert capsys.readouterr().out.count("NOT met") == 2
