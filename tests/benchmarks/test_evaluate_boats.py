"""The boats' figures: right sums, never by weights that have seen the boat; and the weights that are shipped."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.boat_tracks import DATA, WrongBoats, read_boats
from benchmarks.evaluate_boats import FIGURES, TARGET, WAYS, boats_table, evaluate_boats, figures, speed_rule
from benchmarks.fit_fishing import MODELS, SHIPPED, fitted
from detectors.movement import model

HEADER = "set,boat,trip,gear,time,lat,lon,fishing"


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return evaluate_boats(DATA)


def a_file(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "boats.csv"
    path.write_text("\n".join((header, *lines)) + "\n", "utf-8")
    return path


def test_boats_never_seen_are_judged_as_well_as_was_asked_for(result: dict[str, Any]) -> None:
    for way in MODELS:
        for figure, least in TARGET.items():
            assert result[way]["pooled"][figure] >= least, (way, figure)
            assert result[way]["pooled"][figure] > result["speed_rule"]["pooled"][figure]
    assert result["boats_of_the_fit"] == result["boats"] == 10
    assert result["seconds"] < 180


def test_the_page_says_what_was_measured(result: dict[str, Any]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "detectors" / "fishing_ban.md").read_text("utf-8")
    table = [row for row in page.split("## Measured")[1].splitlines() if row.startswith("| ")]
    for name in (*result["causal"]["sets"], "pooled"):
        (row,) = [row.replace("**", "") for row in table if row.startswith((f"| {name}", f"| **{name}"))]
        cells = [cell.strip() for cell in row.strip("|").split("|")][1:]
        for way, cell in zip(("speed_rule", "causal", "hindsight"), cells, strict=True):
            part = result[way]["pooled"] if name == "pooled" else result[way]["sets"][name]
            told = [float(value) for value in cell.split("/")]
            assert told == pytest.approx([part["balanced_accuracy"], part["f1"]], abs=0.0016), (name, way)


def test_the_figures_are_json_and_a_table(result: dict[str, Any]) -> None:
    assert json.loads(json.dumps(result)) == result
    assert boats_table(result).row_count == len(WAYS) * 5


def test_the_shipped_weights_are_those_that_the_script_fits() -> None:
    for name, again in fitted().items():
        shipped = model(name)
        assert shipped.base == pytest.approx(again.base, abs=0.002)
        assert list(shipped.curves) == list(again.curves) == list(MODELS[name])
        for key, (at, adds) in again.curves.items():
            assert shipped.curves[key][0] == pytest.approx(at, abs=0.002)
            assert shipped.curves[key][1] == pytest.approx(adds, abs=0.01), key
    assert hashlib.sha256(DATA.read_bytes()).hexdigest() in SHIPPED.read_text("utf-8")


def test_unknown_boats_are_scored_by_the_shipped_weights(tmp_path: Path) -> None:
    """The same tracks under other names: seen by the weights, and scored as such, so better."""
    with DATA.open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["set"] == "CREEL"]
    lines_ = [",".join({**row, "boat": "X" + row["boat"]}.values()) for row in rows]
    found = evaluate_boats(a_file(tmp_path, *lines_))
    assert (found["boats"], found["boats_of_the_fit"], found["fixes"]) == (3, 0, len(rows))
    boats = read_boats(tmp_path / "boats.csv")
    told = model().log_odds(boats.features()) > 0
    assert found["causal"]["pooled"] == figures(boats.fishing, told)


def test_figures_by_hand() -> None:
    fishing, guess = np.array([1, 1, 1, 1, 0, 0], bool), np.array([1, 1, 1, 0, 1, 0], bool)
    found = figures(fishing, guess)
    assert [found[name] for name in FIGURES] == [0.6667, 0.625, 0.75, 0.75, 0.75]
    nothing = figures(np.zeros(3, bool), np.zeros(3, bool))
    assert [nothing[name] for name in FIGURES] == [1.0, None, None, None, None]


def test_the_plain_rule_and_traps(tmp_path: Path) -> None:
    """4.5 knots are 2.3 m/s; 0.001° of latitude is 111 m. Doubled and backward times, two trips of one boat."""
    path = a_file(
        tmp_path,
        "S,B,1,FPO,2020-01-01 10:00:00,54.000,1.0,1", "S,B,1,FPO,2020-01-01 10:01:00,54.001,1.0,1",
        "S,B,1,FPO,2020-01-01 10:02:00,54.003,1.0,0", "S,B,1,FPO,2020-01-01 10:02:00,54.009,1.0,0",
        "S,B,1,FPO,2020-01-01 10:01:30,54.002,1.0,1", "S,B,2,FPO,2020-01-01 10:02:10,55.000,1.0,1",
    )  # fmt: skip
    boats = read_boats(path)
    assert speed_rule(boats).tolist() == [True, True, False, True, False, True]
    assert len(set(boats.trips.tolist())) == 2
    found = boats.features()
    assert all(values.shape == (6,) for values in found.values())
    assert found["pace_now"][2] == found["pace_now"][3], "one moment, one judgement"
    assert np.isnan(found["pace_now"][[0, 5]]).all()


def test_a_packed_file_with_another_header_is_the_same(tmp_path: Path) -> None:
    line = "S,B,1,FPO,2020-01-01T10:00:00+08:00,54.0,1.0,0"
    plain = read_boats(a_file(tmp_path, line, header=HEADER.replace("time", "time (UTC)")))
    packed = tmp_path / "boats.csv.gz"
    packed.write_bytes(gzip.compress((HEADER + "\n" + line).encode()))
    assert read_boats(packed).at.tolist() == plain.at.tolist() == [1_577_844_000_000_000]


@pytest.mark.parametrize(
    ("lines", "header", "told"),
    [
        ((), HEADER, "no fixes"),
        ((), HEADER.replace("fishing", "label"), "no column 'fishing'"),
        (("S,B,1,FPO,noon,54,1,0",), HEADER, "boats.csv:2"),
        (("S,B,1,FPO,2020-01-01 10:00:00,54,1,0", "S,B,1,FPO,2020-01-01 10:00:00,54,1,maybe"), HEADER, "boats.csv:3"),
        (("S,B,1,FPO,2020-01-01 10:00:00,nan,1,0",), HEADER, "a place in degrees"),
        (("S,B,1,FPO,2020-01-01 10:00:00,54",), HEADER, "boats.csv:2"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(tmp_path: Path, lines: tuple[str, ...], header: str, told: str) -> None:
    with pytest.raises(WrongBoats, match=told):
        read_boats(a_file(tmp_path, *lines, header=header))
