"""The file of a case: what is in its JSON and its PDF, and in which stretches terminals were sent."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, get_args

import numpy as np
import pypdfium2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.case import Entry
from alerts.case_file import LONGEST_TRACK, CaseFile, Span, case_json, case_problems, photos_of, spans_of
from alerts.case_map import case_map
from alerts.case_pdf import Language, case_pdf
from alerts.pdf_text import drawable, font, paragraph, style
from alerts.transitions import FINAL
from detectors.base import Sentence
from devices.site import micros

KEY = "ab" * 32
LANGUAGES: tuple[Language, ...] = get_args(Language)


def text_of(raw: bytes) -> str:
    """What one reads, or a search finds."""
    document = pypdfium2.PdfDocument(raw)
    pages = [page.get_textpage().get_text_range() for page in document]
    document.close()
    return "\n".join(pages)


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_json_holds_everything_and_holds_together(case_file: CaseFile) -> None:
    found = case_json(case_file)
    assert list(case_problems(found, [photo.sha256 for photo in case_file.photos])) == []
    assert found["case"]["outcome"] == "劝离并登记" and found["case"]["id"] == 7
    assert [entry["seq"] for entry in found["entries"]] == list(range(1, 9))
    assert found["entries"][0]["at"] == "2026-06-06T11:42:11.250000+00:00"
    assert [each["entry"] for each in found["attachments"]] == [4, 4]
    assert found["alerts"][0]["score"] is None and found["alerts"][0]["evidence"] == {"numbers": {"people": 2}}
    assert [notice["via"] for notice in found["notices"]] == ["", "值班群", ""]
    (feature,) = found["tracks"]["features"]
    assert feature["geometry"]["type"] == "LineString"
    assert len(feature["geometry"]["coordinates"]) == len(feature["properties"]["times"]) == 81
    assert feature["properties"]["device"] == "T1"
    assert found["left_out"] == [{"zh": "终端 T9 的轨迹", "en": "the track of terminal T9"}]


@pytest.mark.parametrize(("points", "kind"), [(0, None), (1, "Point"), (2, "LineString")])
def test_a_track_of_few_points(case_file: CaseFile, points: int, kind: str | None) -> None:
    (track,) = case_file.tracks
    some = replace(track, at=track.at[:points], lon=track.lon[:points], lat=track.lat[:points])
    geometry = case_json(replace(case_file, tracks=[some]))["tracks"]["features"][0]["geometry"]
    assert (geometry and geometry["type"]) == kind


def test_what_an_entry_says_of_pictures_in_another_form_is_none(case_file: CaseFile) -> None:
    for wrong in ("x", [1], [{"sha256": "x"}], [{**_photo(), "more": 1}], {"a": 1}):
        assert photos_of([replace(case_file.entries[0], data={"attachments": wrong})]) == []
    assert len(photos_of([replace(case_file.entries[0], data={"attachments": [_photo(), _photo()]})])) == 1


def _photo() -> dict[str, Any]:
    return {"sha256": "ab", "type": "image/jpeg", "bytes": 1, "width": 1, "height": 1}


# ── When terminals were sent ────────────────────────────────────────────────────────────────────────────────────────
def test_the_stretch_of_the_case(case_file: CaseFile) -> None:
    at = {entry.action: entry.at for entry in case_file.entries}
    assert spans_of(case_file.entries, case_file.exported_at) == [Span("T1", at["dispatch"], at["feedback"])]
    assert spans_of(case_file.entries[:3], case_file.exported_at) == [Span("T1", at["dispatch"], case_file.exported_at)]


changes = st.fixed_dictionaries(
    {},
    optional={
        "terminal": st.sampled_from(["T1", "T2", None]),
        "status": st.sampled_from(["dispatched", "handling", "fed_back", "closed", "void", "opened"]),
        "unit": st.just("u"),
    },
)


@given(steps=st.lists(st.tuples(st.integers(0, 5 * 86400), changes), max_size=12))
def test_stretches_lie_between_the_entries_and_none_is_after_the_end(steps: list[tuple[int, dict[str, Any]]]) -> None:
    now = start = datetime.fromisoformat("2026-06-06T12:00:00+08:00")
    entries, sent, expected = [], None, 0
    for seq, (seconds, changed) in enumerate(steps, 1):
        now += timedelta(seconds=seconds)
        entries.append(Entry(1, seq, now, "a", "x", "", {"set": changed} if changed else {}))
        over = changed.get("status") in {*FINAL, "fed_back"}
        if changed.get("terminal") and not over:
            sent, expected = changed["terminal"], expected + 1
    spans = spans_of(entries, now + timedelta(hours=1))
    assert len(spans) == expected and (not spans or spans[-1].terminal == sent)
    for earlier, later in pairwise(spans):
        assert earlier.until <= later.since
    for span in spans:
        assert start <= span.since <= span.until <= now + timedelta(hours=1)
        assert span.until - span.since <= LONGEST_TRACK


# ── PDF ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_pdf_tells_the_case(case_file: CaseFile, read_picture: Callable[[Any], bytes], lang: Language) -> None:
    raw = case_pdf(case_file, lang, KEY, read_picture)
    text = re.sub(r"\s+", "", text_of(raw))
    told = {
        "zh": [
            "事件卷宗",
            "测试县",
            "禁渔区垂钓：北岸",
            "渔政队",
            "湖滨街道",
            "办理经过",
            "预警立案",
            "派遣T1",
            "现场图片",
            "禁渔区违规垂钓",
            "巡护1号(T1)",
        ],
        "en": [
            "Casefile",
            "Testcounty",
            "Fishinginabanzone:northshore",
            "Fishery",
            "Lakeside",
            "Timeline",
            "sentT1",
            "Anglinginabanzone",
        ],
    }[lang]
    both = [
        *("PG-20260606-0007", "劝离并登记", "118.880000,31.470000", "两名垂钓人员，已劝离。船主李㛃，证号〔U+1F600〕"),
        *(KEY, case_file.entries[-1].hash.hex(), case_file.photos[0].sha256, "wang"),
    ]
    for part in [*told, *both]:
        assert part in text, part


def test_the_font_goes_with_the_file(case_file: CaseFile, read_picture: Callable[[Any], bytes]) -> None:
    """Or a reader without Chinese letters would show none."""
    raw = case_pdf(case_file, "zh", KEY, read_picture)
    assert re.findall(rb"/FontName /\w{6}\+PatrolGridSansSC", raw) and b"/FontFile2" in raw
    assert b"STSong" not in raw


def test_the_letters_of_official_chinese_are_there() -> None:
    known = font().face.charToGlyph
    pairs = (bytes([row, cell]) for row in range(0xB0, 0xF8) for cell in range(0xA1, 0xFF))
    letters = "".join(pair.decode("gb2312", "ignore") for pair in pairs)
    assert len(letters) == 6763 and all(ord(letter) in known for letter in letters)
    assert drawable("彧堃㛃a°→\u2028😀") == "彧堃㛃a°→〔U+2028〕〔U+1F600〕"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_case_of_which_next_to_nothing_is_known(case_file: CaseFile, lang: Language) -> None:
    case = replace(case_file.case, area=None, unit=None, lon=None, lat=None, terminal=None, outcome="", category="<b>&")
    bare = replace(case_file, case=case, alerts=[], notices=[], tracks=[], photos=[], left_out=())
    text = text_of(case_pdf(bare, lang, KEY, lambda photo: b""))
    assert "<b>&" in text and {"zh": "未定", "en": "unclear"}[lang] in text


def test_a_long_story_takes_many_pages(case_file: CaseFile, read_picture: Callable[[Any], bytes]) -> None:
    first = case_file.entries[0]
    long = [replace(first, seq=n + 1, action="note", note="很长的说明" * 300, data={}) for n in range(60)]
    notices = list(case_file.notices) * 100
    raw = case_pdf(replace(case_file, entries=[*long, *case_file.entries], notices=notices), "zh", KEY, read_picture)
    pages = text_of(raw)
    count = len(pypdfium2.PdfDocument(raw))
    assert count > 20 and f"第 {count} 页 共 {count} 页" in pages


@given(
    lons=st.lists(st.floats(-180, 180), max_size=4),
    lats=st.lists(st.floats(-85, 85), max_size=4),
    placed=st.booleans(),
)
def test_a_map_of_any_places(case_file: CaseFile, lons: list[float], lats: list[float], placed: bool) -> None:
    count = min(len(lons), len(lats))
    (track,) = case_file.tracks
    at = np.arange(count, dtype=np.int64) * 600_000_000 + micros(case_file.exported_at)
    some = replace(track, at=at, lon=np.array(lons[:count]), lat=np.array(lats[:count]))
    place = (118.88, 31.47) if placed else None
    for lang in LANGUAGES:
        drawing = case_map(place, [], [some], case_file.site, (400.0, 200.0), lang)
        assert (drawing is None) == (not placed and not count)


def test_a_title_in_markup_is_text(case_file: CaseFile) -> None:
    case = replace(case_file.case, title=Sentence("<font size=99>大</font>", "a < b & c"))
    assert "<font size=99>大</font>" in text_of(case_pdf(replace(case_file, case=case, photos=[]), "zh", KEY, bytes))


@given(st.text(alphabet="终端相距米定位于秒前事件，。；：！？、）", min_size=20, max_size=120), st.integers(60, 300))
def test_no_line_begins_with_a_mark_that_ends_a_part(text: str, room: int) -> None:
    """One mark is hung at the end of the line before; of several in a row, which nobody writes, the rest goes on."""
    written = re.sub(r"([，。；：！？、）])[，。；：！？、） ]+", r"\1", text.strip("，。；：！？、） "))
    told = paragraph(written, style(9, "zh"))
    told.wrap(room, 10_000)
    lines = [
        "".join(part if isinstance(part, str) else part.text for part in line_words(line)) for line in told.blPara.lines
    ]
    assert not [line for line in lines[1:] if line[:1] in set("，。；：！？、）")]


def line_words(line: Any) -> Any:
    return line.words if hasattr(line, "words") else line[1]
