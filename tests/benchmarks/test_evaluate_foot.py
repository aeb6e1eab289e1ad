"""The scoring of real tracks: it runs on what is kept, is silent there, and would not be silent about what is wrong."""

from __future__ import annotations

import csv
import gzip
import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from benchmarks.evaluate_foot import TARGET, crossings, evaluate_foot, print_foot
from benchmarks.foot_tracks import DATA, Track, WrongTracks, ground, read_tracks

Point = tuple[float, float, float]


def written(path: Path, tracks: dict[str, list[Point]], packed: bool = False) -> Path:
    with gzip.open(path, "wt") if packed else path.open("w") as lines:  # type: ignore[operator]
        table = csv.writer(lines)
        table.writerow(["track", "t", "x", "y", "truth"])
        table.writerows([name, *point, "OnFoot"] for name, points in tracks.items() for point in points)
    return path


def walk(seed: int, seconds: int = 400) -> list[Point]:
    """A walk to the north-east with a receiver's noise."""
    draw = random.Random(seed)
    return [(float(t), 1.0 * t + draw.gauss(0, 2), 0.6 * t + draw.gauss(0, 2)) for t in range(0, seconds, 5)]


def test_the_tracks_that_are_kept_alarm_nobody_beyond_the_target() -> None:
    result = evaluate_foot()
    assert (result["tracks"], round(result["hours"])) == (548, 63)
    assert set(result["detectors"]) >= {"spoofed_track", "silence"}
    for kind, figures in result["detectors"].items():
        assert figures["all"]["per_100_h"] <= TARGET, (kind, result["false_alarms"])
    fenced = result["detectors"].get("geofence")
    assert fenced is None or fenced["alerts"] > 500, "each goes into his zone, and that is told"


def test_what_is_forged_or_silent_is_listed_with_what_is_in_the_track(tmp_path: Path) -> None:
    jumping = [(t, x + (9000.0 if t >= 200 else 0.0), y) for t, x, y in walk(1)]
    gone = [(t, x, y) for t, x, y in walk(2, 3000) if not 300 < t < 2400]
    path = written(tmp_path / "odd.csv.gz", {"fine": walk(3), "jump": jumping, "gone": gone}, packed=True)
    result = evaluate_foot(path)
    listed = {(alarm["detector"], alarm["track"]) for alarm in result["false_alarms"]}
    assert ("spoofed_track", "jump") in listed
    assert ("silence", "gone") in listed
    assert not {track for _, track in listed} & {"fine"}
    (silent,) = [alarm for alarm in result["false_alarms"] if alarm["detector"] == "silence"]
    assert silent["why"].startswith("longest gap 2100 s")
    assert result["detectors"]["silence"]["all"]["false_alarms"] == 1
    assert not result["detectors"]["silence"]["ok"]
    console = Console(record=True, width=160)
    print_foot(console, json.loads(json.dumps(result)))
    text = console.export_text()
    assert "too many" in text
    assert "track gone" in text


def a_track(depths: list[float]) -> Track:
    points: list[Any] = [(5.0 * k, depth, 0.0) for k, depth in enumerate(depths)]
    t, x, y = (np.array(column) for column in zip(*points, strict=True))
    return Track("one", t, x, y, t >= 0)


@pytest.mark.parametrize(
    ("depths", "times"),
    [
        ([-500, -300, -100, 100, 300, 500], 1),
        ([-500, -20, 10, -15, 20, -10, 15, 200, 500], 1),
        ([-500, -100, 100, -100, 100, -100, 100, 500], 3),
    ],
)
def test_a_crossing_is_counted_by_its_depth_and_not_by_its_noise(depths: list[float], times: int) -> None:
    track = a_track(depths)
    assert crossings(ground([track]), 0) == times


def test_a_file_that_holds_no_tracks_is_named(tmp_path: Path) -> None:
    boats = tmp_path / "boats.csv"
    boats.write_text("boat,lat,lon\n1,2,3\n")
    with pytest.raises(
        WrongTracks, match=r"boats.csv: no column t, track, truth, x, y: expected track, t, x, y, truth"
    ):
        evaluate_foot(boats)
    broken = tmp_path / "broken.csv"
    broken.write_text("track,t,x,y,truth\n1,0,0,0,OnFoot\n1,5,soon,0,OnFoot\n")
    with pytest.raises(WrongTracks, match=r"broken.csv, line 3: .*soon"):
        evaluate_foot(broken)
    with pytest.raises(WrongTracks, match="no track with two fixes"):
        evaluate_foot(written(tmp_path / "empty.csv", {"a": [(0.0, 0.0, 0.0)]}))


def test_the_speed_is_what_the_places_tell() -> None:
    tracks = read_tracks(DATA)
    fastest = max(float(np.nanmax(track.speed)) for track in tracks)
    assert 25 < fastest < 60
    one = a_track([0.0, 10.0, 20.0, 40.0])
    assert one.speed.tolist() == pytest.approx([2.0, 2.0, 3.0, 4.0])
    assert not any(math.isnan(v) for v in one.speed)
