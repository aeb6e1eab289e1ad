"""Scenarios: in order, the same for the same seed, and of things that the world knows."""

from __future__ import annotations

import ast
from itertools import islice, pairwise
from pathlib import Path

import pytest

from devices.site_folder import SiteFolder
from simulators.plot import Impossible
from simulators.scenarios import SCENARIOS, Cue, cues
from simulators.truth import HARMLESS, INCIDENTS, Diary
from simulators.world import World

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_cues_come_in_order_and_are_the_same_again(scenario: str, seed: int) -> None:
    some, again = (list(islice(cues(scenario, seed), 300)) for _ in range(2))
    assert some == again
    assert all(a.at <= b.at for a, b in pairwise(some))


def test_the_demo_never_ends_and_the_evening_does() -> None:
    assert len(list(islice(cues("demo", 1), 5_000))) == 5_000
    assert max(c.at for c in cues("evening", 1)) < 3 * 3600
    assert not list(cues("quiet", 1))


def test_the_demo_has_something_every_few_minutes_and_another_sos_after_ten() -> None:
    some = [c for c in islice(cues("demo", 1), 400) if c.what not in ("walker", "busy")]
    assert max(b.at - a.at for a, b in pairwise(some)) < 900
    first, second, *_ = (c.at for c in some if c.what == "sos")
    assert 500 < second - first < 720


def test_a_cue_that_the_world_does_not_know_is_refused(pond: SiteFolder) -> None:
    world = World(pond, "quiet", 1, 0)
    with pytest.raises(Impossible, match=r"'earthquake': expected one of anglers"):
        world.plot.play(Cue(0.0, "earthquake"), 1, 1)


def test_an_episode_must_be_of_a_described_kind(pond: SiteFolder) -> None:
    with pytest.raises(ValueError, match="'alien'"):
        Diary(World(pond, "quiet", 1, 0).ground.frame).begin("alien", 0, (0.0, 0.0))


@pytest.mark.parametrize("page", ["simulators.md", "simulators.zh-CN.md"])
def test_the_page_lists_every_scenario_and_every_kind_of_truth(page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    for name in (*SCENARIOS, *INCIDENTS, *HARMLESS):
        assert f"| `{name}` |" in text, name


def test_the_simulators_import_nothing_of_the_product_but_devices() -> None:
    for path in (ROOT / "simulators").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [a.name for a in node.names] if isinstance(node, ast.Import) else []
            assert not {m.split(".")[0] for m in modules} & {
                "detectors", "alerts", "store", "ingest", "console", "server"
            }, path.name  # fmt: skip
            if {"aiomqtt", "time"} & set(modules):
                assert path.name == "publish.py"
