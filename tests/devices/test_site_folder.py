"""The site folder: lossless, tolerant of what Excel and map tools do, and exact about what is wrong."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import shapely

from devices.registry import Device
from devices.site_contents import FILES, ZONES
from devices.site_folder import SiteErrors, SiteFolder, read_folder, write_folder

DISTRICT, STREET, VILLAGE, GRID = "990101000000", "990101001000", "990101001201", "990101001201-01"
EXAMPLE = Path(__file__).parents[2] / "examples" / "shijiu"
with (Path(__file__).parent / "broken_site_folders.csv").open(newline="", encoding="utf-8") as cases:
    BROKEN = list(csv.reader(cases))[1:]  # what to replace in a file of the small site, by what, and what is then said


def edit(folder: Path, file: str, old: str, new: str) -> None:
    text = (folder / file).read_text("utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new), "utf-8")


def problems_of(folder: Path) -> list[str]:
    with pytest.raises(SiteErrors) as caught:
        read_folder(folder)
    assert all(str(error) in str(caught.value) for error in caught.value.errors)
    return [str(error) for error in caught.value.errors]


def contents(folder: Path) -> dict[str, bytes]:
    return {file: (folder / file).read_bytes() for file in FILES}


# ── Lossless ────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_what_is_written_is_read_again(folder: Path, small: SiteFolder) -> None:
    assert read_folder(folder) == small


def test_writing_the_example_again_changes_no_byte(tmp_path: Path) -> None:
    write_folder(read_folder(EXAMPLE), tmp_path)
    assert contents(tmp_path) == contents(EXAMPLE)


# ── What people's tools do to files ─────────────────────────────────────────────────────────────────────────────────
def test_gbk_from_the_chinese_excel_is_read(folder: Path, small: SiteFolder) -> None:
    for file in ("areas.csv", "units.csv", "devices.csv", "duty.csv"):
        text = (folder / file).read_bytes().decode("utf-8-sig")
        (folder / file).write_bytes(text.replace("\n", "\r\n").encode("gbk"))
    assert read_folder(folder) == small


def test_utf8_without_a_byte_order_mark_is_read(folder: Path, small: SiteFolder) -> None:
    for file in FILES:
        (folder / file).write_bytes((folder / file).read_bytes().removeprefix(b"\xef\xbb\xbf"))
    assert read_folder(folder) == small


def test_columns_in_any_order_and_capitals_and_empty_lines_and_trailing_commas(folder: Path, small: SiteFolder) -> None:
    text = f"Unit , AREA,category,,\n,,,,\nfishery, {DISTRICT} ,sos,,\n,,,,\n"
    (folder / "duty.csv").write_text(text, "utf-8")
    assert read_folder(folder) == small


def test_a_folder_without_plans_is_read(folder: Path, small: SiteFolder) -> None:
    (folder / "plans.toml").unlink()
    assert read_folder(folder) == replace(small, plans=())


def test_optional_columns_may_be_missing(folder: Path) -> None:
    text = f"code,kind,role,name,name_en,area,share\nT1,terminal,police,甲,A,{GRID},{STREET}\n"
    (folder / "devices.csv").write_text(text, "utf-8")
    assert read_folder(folder).devices == (Device("T1", "terminal", "甲", "A", GRID, STREET, role="police"),)


def test_what_map_tools_add_is_taken_or_left(folder: Path, small: SiteFolder) -> None:
    collection = json.loads((folder / ZONES).read_text("utf-8"))
    collection |= {"name": "zones", "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}}
    for feature in collection["features"]:
        feature["id"] = 7
        feature["properties"] |= {"area": int(VILLAGE), "hours": feature["properties"].get("hours")}
        if feature["geometry"]["type"] == "LineString":
            feature["geometry"]["coordinates"] = [[*p, 12.5] for p in feature["geometry"]["coordinates"]]
    (folder / ZONES).write_text(json.dumps(collection), "utf-8")
    assert read_folder(folder) == small


# ── What is wrong is said with file, line or feature, value and remedy ──────────────────────────────────────────────
@pytest.mark.parametrize(("file", "old", "new", "expected"), BROKEN)
def test_a_broken_file_is_explained(folder: Path, file: str, old: str, new: str, expected: str) -> None:
    edit(folder, file, old, new)
    assert expected in problems_of(folder)


RING = "[[118.0, 31.0], [118.01, 31.0], [118.01, 31.01], [118.0, 31.0]]"


@pytest.mark.parametrize(
    ("ring", "expected"),
    [
        ("[[118.0, 31.0], [118.01, 31.01], [118.01, 31.0], [118.0, 31.01], [118.0, 31.0]]",
         "the outline crosses or touches itself or has no extent (Self-intersection[118.005 31.005]): draw it again"),
        ("[[118.0, 31.0], [118.01, 31.0], [118.01, 31.01]]",
         "a ring of 3 positions: it needs at least 4, the last the same as the first"),
        ("[[118.0, 31.0], [118.01, 31.0], [118.01, 31.01], [118.0, 31.01]]",
         "the ring that begins at [118.0, 31.0] ends at [118.0, 31.01]: close it"),
        ("[]", "a ring is []: expected a list that is not empty"),
    ],
)  # fmt: skip
def test_a_broken_outline_is_explained(folder: Path, ring: str, expected: str) -> None:
    text = (folder / ZONES).read_text("utf-8").replace(RING, ring, 1)
    (folder / ZONES).write_text(text, "utf-8")
    assert problems_of(folder) == [f"{ZONES}, feature 1 (NF), geometry: {expected}"]


def test_all_problems_are_shown_at_once_and_each_once(folder: Path) -> None:
    edit(folder, "units.csv", DISTRICT, "990101007777")
    edit(folder, "devices.csv", ",5,", ",five,")
    edit(folder, "devices.csv", f",{GRID}", ",990101009999")
    edit(folder, ZONES, "118.1, 31.1", "31.1, 118.1")
    edit(folder, "rules.toml", "600.0", "nan")
    found = problems_of(folder)
    starts = [error.split(": ")[0] for error in found]
    assert starts == [
        "units.csv, line 2 (fishery), area",
        "devices.csv, line 2 (T001), interval",
        "devices.csv, line 2 (T001), area",
        f"{ZONES}, feature 3 (P), geometry",
        "rules.toml, line 1 (sos), live_within",
    ]


def test_a_missing_file_hides_no_other_and_brings_no_unknown_references(folder: Path) -> None:
    (folder / "areas.csv").unlink()
    edit(folder, "site.toml", '"小湖"', "7")
    assert problems_of(folder) == [
        'site.toml, name: 7 is not text: put it in quotes, name = "…"',
        f"areas.csv: is missing in {folder}: a site folder has {', '.join(FILES)}",
    ]


def test_a_folder_that_is_none_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "nowhere", tmp_path / "file"):
        assert problems_of(path) == [f"{path}: is no folder: a site is a folder with {', '.join(FILES)}"]


def test_a_file_that_cannot_be_read_is_named(folder: Path) -> None:
    (folder / "duty.csv").unlink()
    (folder / "duty.csv").mkdir()
    assert problems_of(folder) == ["duty.csv: cannot be read: Is a directory"]


def test_utf8_with_a_wound_is_not_taken_for_gbk(folder: Path) -> None:
    data = (folder / "areas.csv").read_bytes()
    (folder / "areas.csv").write_bytes(data.replace("镇".encode(), "镇".encode()[:2]))
    (folder / "units.csv").write_bytes((folder / "units.csv").read_text("utf-8-sig").encode("utf-16"))
    assert problems_of(folder) == [
        "areas.csv, line 3: byte 0xe9 is neither UTF-8 nor GBK: save the file again as UTF-8",
        "units.csv: is UTF-16 (Excel's “Unicode text”): save it as “CSV UTF-8”",
    ]


def test_lines_are_those_of_the_file_also_after_a_cell_of_several_lines(folder: Path) -> None:
    text = f'code,name,name_en,area\n\na,"甲\n乙",A,{DISTRICT}\n\nb,丙,,{DISTRICT}\nfishery,丁,D,{DISTRICT}\n'
    (folder / "units.csv").write_text(text, "utf-8")
    assert problems_of(folder) == [
        "units.csv, line 3 (a), name: '甲\\n乙' has an invisible character (U+000A): remove it",
        "units.csv, line 6 (b), name_en: is empty",
    ]


def without_areas(site: SiteFolder) -> SiteFolder:
    return replace(site, areas=(), units=(), devices=(), zones=(), plans=(), duties=())


def with_zone(**changes: Any) -> Callable[[SiteFolder], SiteFolder]:
    return lambda site: replace(site, zones=(replace(site.zones[0], **changes),), plans=())


def with_half_a_character(site: SiteFolder) -> SiteFolder:
    return replace(site, devices=(replace(site.devices[0], properties={"a": {"b": "\ud800"}}),))


@pytest.mark.parametrize(
    ("change", "file", "where", "problem"),
    [
        (without_areas, "areas.csv", "", "has no area: a site has at least one"),
        (with_zone(properties={"hours": 1}), ZONES, "feature 1 (NF), properties", "'hours' has a meaning of its own"),
        (with_zone(geometry=shapely.Polygon()), ZONES, "feature 1 (NF), geometry", "is empty: draw it again"),
        (with_half_a_character, "devices.csv", "record 1 (T001), properties", "a: b: '\\ud800' has an invisible"),
    ],
)
def test_a_site_that_could_not_be_read_again_is_not_written(
    small: SiteFolder, tmp_path: Path, change: Callable[[SiteFolder], SiteFolder], file: str, where: str, problem: str
) -> None:
    with pytest.raises(SiteErrors) as caught:
        write_folder(change(small), tmp_path / "out")
    assert [(e.file, e.where) for e in caught.value.errors] == [(file, where)]
    assert caught.value.errors[0].problem.startswith(problem)
    assert not (tmp_path / "out").exists()
