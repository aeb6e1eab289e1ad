"""make evaluate: worlds by seed, whose tracks a file holds, and one world through the product."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from benchmarks.bank_run import COUNTS, SCORE_SEEDS, SEEDS, World, run_world, worlds
from benchmarks.evaluate import UnknownTracks, kind_of, main
from simulators.bank import CHAPTERS


def test_fit_and_score_never_share_a_seed_and_there_are_enough() -> None:
    assert len(set().union(*SEEDS.values())) == sum(map(len, SEEDS.values()))
    assert set(COUNTS) == set(CHAPTERS)
    assert max(COUNTS.values()) <= min(map(len, SEEDS.values()))
    assert len(set(worlds(SCORE_SEEDS))) == sum(COUNTS.values())
    assert len(worlds(SCORE_SEEDS, quick=True)) < 0.2 * sum(COUNTS.values())


def test_an_unknown_chapter_is_refused_with_its_name() -> None:
    with pytest.raises(SystemExit, match="'sea'"):
        worlds(SCORE_SEEDS, ["sea"])


def test_tracks_are_told_apart_by_their_columns(tmp_path: Path) -> None:
    boats, foot = tmp_path / "boats.csv", tmp_path / "foot.csv.gz"
    boats.write_text("set,boat,trip,gear,time (UTC),lat,lon,fishing\n")
    with gzip.open(foot, "wt") as file:
        file.write("track,t,x,y,truth\n1,0,0,0,OnFoot\n")
    assert kind_of(boats) == "boats"
    assert kind_of(foot) == "foot"


@pytest.mark.parametrize("content", [b"a,b,c\n1,2,3\n", b"", b"\xff\xfe\x00\x01", b"track,t,x\n"])
def test_other_files_are_refused_with_what_they_hold(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "some.csv"
    path.write_bytes(content)
    with pytest.raises(UnknownTracks, match=r"some\.csv: .*(expected those of boats|no CSV text)"):
        kind_of(path)


def test_a_file_that_is_named_and_wrong_ends_with_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "boats.csv").write_text("set,boat,trip,gear,time (UTC),lat,lon,fishing\nA,B,C,D,yesterday,31,118,1\n")
    with pytest.raises(SystemExit, match=r"TRACKS: .*boats\.csv"):
        main(["--tracks", str(tmp_path / "boats.csv")])
    with pytest.raises(SystemExit, match=r"TRACKS: .*none\.csv"):
        main(["--tracks", str(tmp_path / "none.csv")])


def test_one_world_goes_through_the_product_and_gives_the_same_again() -> None:
    first, again = (run_world(World("help", 3), keep=True) for _ in range(2))
    assert first.rejects == 0
    assert first.readings > 10_000
    assert first.scores["sos"].kinds["sos"] == [5, 5]
    assert [(r.at, r.alert.fingerprint, r.alert.first_seen) for r in first.raised] == [
        (r.at, r.alert.fingerprint, r.alert.first_seen) for r in again.raised
    ]
