"""The matrix as files: whatever is written is read again; whatever else comes is refused by row, never by a crash."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from alerts import duty_file
from alerts.categories import category_from
from alerts.duty import Duty
from alerts.duty_change import DutyBook, propose, with_row
from alerts.duty_file import CATEGORIES, DUTY, SUPERVISORS, TABLES, read_file, write_csv, write_workbook
from alerts.supervisors import Supervisor, supervisors_of
from devices.registry import Registry
from devices.site import Area, Site, Unit

DISTRICT, STREET, VILLAGE = "320118000000", "320118100000", "320118100001"
SITE = Site(
    [
        Area(DISTRICT, "区", "District", "district"),
        Area(STREET, "街道", "Street", "street", DISTRICT),
        Area(VILLAGE, "村", "Village", "community", STREET),
    ],
    [],
    [Unit(code, code, code, DISTRICT) for code in ("fishery", "police")],
    Registry([]),
)
BOOK = DutyBook((Duty("fishing", DISTRICT, "fishery"), Duty("crowd", STREET, "police")))

cells = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=12).map(str.strip)
needed = cells.filter(bool)


def lines(table: str) -> st.SearchStrategy[list[dict[str, str]]]:
    columns = {c: needed if c in duty_file._NEEDED[table] else cells for c in TABLES[table]}
    return st.lists(st.fixed_dictionaries(columns), max_size=4)


@settings(max_examples=60)
@given(tables=st.fixed_dictionaries({name: lines(name) for name in TABLES}))
@example(tables={DUTY: [{"category": "=1+1", "area": "012", "unit": "1e5"}], CATEGORIES: [], SUPERVISORS: []})
def test_what_is_written_is_read_again(tables: dict[str, list[dict[str, str]]]) -> None:
    for name, rows in tables.items():
        found = read_file("x.csv", write_csv(name, rows))
        assert not found.problems
        assert [line.cells for line in found.tables[name]] == rows
    book = read_file("x.xlsx", write_workbook(tables))
    assert not book.problems
    assert {name: [line.cells for line in found] for name, found in book.tables.items()} == tables


@settings(max_examples=150)
@given(raw=st.binary(max_size=300) | st.text(max_size=200).map(lambda t: t.encode("utf-8", "replace")))
@example(raw=b"PK\x03\x04")
@example(raw=b"\xff\xfe\x00")
@example(raw=b'category,area,unit\n"')
def test_anything_else_is_refused_and_never_breaks(raw: bytes) -> None:
    found = read_file("x", raw)
    assert found.tables or found.problems
    assert all(problem.zh and problem.en for problem in found.problems)
    propose(BOOK, found, SITE, ["fishing"], merge=False)


def workbook(*rows: list[Any], title: str = "Sheet1") -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = title
    for row in rows:
        sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def test_a_workbook_as_people_make_it() -> None:
    raw = workbook([], ["事项", "辖区编码", "责任单位"], ["fishing", 320118100000.0, " police "], [None, None, None])
    found = read_file("清单.xlsx", raw)
    assert not found.problems
    (line,) = found.tables[DUTY]
    assert line == (3, {"category": "fishing", "area": STREET, "unit": "police"})
    notes = workbook(["只是说明"], title="说明")
    assert [p.kind for p in read_file("x.xlsx", notes).problems] == ["unreadable"], "no table at all"


def test_a_small_file_that_holds_very_much_is_not_unpacked() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("xl/workbook.xml", b"0" * (70 * 2**20))
    assert len(packed.getvalue()) < 2**20
    (problem,) = read_file("bomb.xlsx", packed.getvalue()).problems
    assert "unpacks to more than" in problem.en
    (problem,) = read_file("big.csv", b"x" * (duty_file.MOST_BYTES + 1)).problems
    assert "is larger than" in problem.en


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("category,area\nfishing,1\n", "the header must be one of"),
        ("category,area,unit,colour\nfishing,1,2,red\n", "column 'colour' is unknown"),
        ("category,area,unit,unit\nfishing,1,2,3\n", "column 'unit' is there twice"),
        ("category,area,unit\nfishing,,police\n", "area: is empty"),
        ("category,area,unit\nfish\u200bing,1,police\n", "invisible character"),
    ],
)
def test_what_is_wrong_with_a_table_is_named(text: str, said: str) -> None:
    problems = read_file("x.csv", text.encode()).problems
    assert said in " ".join(problem.en for problem in problems)
    assert all(problem.file == "x.csv" and problem.row for problem in problems)


# ── Changes ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_file_replaces_its_table_or_is_merged_into_it() -> None:
    given_ = read_file("x.csv", f"category,area,unit\ncrowd,{STREET},fishery\nsos,{DISTRICT},police\n".encode())
    replaced = propose(BOOK, given_, SITE, (), merge=False)
    assert replaced.book.duties == (("crowd", STREET, "fishery"), ("sos", DISTRICT, "police"))
    assert {(c.what, *c.key) for c in replaced.changes} == {
        ("changed", "crowd", STREET),
        ("added", "sos", DISTRICT),
        ("removed", "fishing", DISTRICT),
    }
    merged = propose(BOOK, given_, SITE, (), merge=True)
    assert merged.book.duties == (BOOK.duties[0], ("crowd", STREET, "fishery"), ("sos", DISTRICT, "police"))
    assert not replaced.refused


def test_kinds_that_leave_others_without_one_are_refused() -> None:
    kinds = read_file("x.csv", "code,name,name_en\nfishing,垂钓,Fishing\n".encode())
    proposal = propose(BOOK, kinds, SITE, ["sos"], merge=False)
    assert proposal.refused
    assert [(p.kind, p.category) for p in proposal.problems if not p.note] == [("unknown_category", "crowd")]
    assert ("hole", "sos") in [(p.kind, p.category) for p in proposal.problems]
    wrong = read_file("x.csv", "code,name,name_en,high\nfishing,垂钓,Fishing,soon\n".encode())
    (problem, *_) = propose(DutyBook(), wrong, SITE, (), merge=False).problems
    assert (problem.file, problem.row, problem.kind) == ("x.csv", 2, "wrong_cell")
    assert "high: 'soon'" in problem.en


def test_a_row_takes_the_place_of_the_one_before() -> None:
    assert with_row(BOOK, "fishing", DISTRICT, "police").duties[0] == ("fishing", DISTRICT, "police")
    assert with_row(BOOK, "sos", DISTRICT, "police").duties[2:] == (("sos", DISTRICT, "police"),)
    assert with_row(BOOK, "fishing", DISTRICT, None).duties == BOOK.duties[1:]


def test_supervisors_of_the_unit_go_first_then_the_finest_area() -> None:
    listed = [
        Supervisor(DISTRICT, "", "甲", "A"),
        Supervisor(DISTRICT, "police", "乙", "B"),
        Supervisor(STREET, "", "丙", "C"),
        Supervisor(STREET, "", "丁", "D"),
    ]

    def names(area: str | None, unit: str | None, levels: int = 1) -> str:
        return "".join(p.name_en for p in supervisors_of(listed, area, unit, SITE, levels=levels))

    assert names(VILLAGE, "fishery") == "CD"
    assert names(VILLAGE, "fishery", 2) == "CDA"
    assert names(VILLAGE, "police") == "B"
    assert names(VILLAGE, "police", 2) == "BCD"
    assert names(DISTRICT, None) == "A"
    assert names(None, None) == "A", "a case without an area is supervised at the top"
    assert supervisors_of([], VILLAGE, None, SITE) == []


def test_kinds_come_back_from_a_book() -> None:
    kinds = (category_from({"code": "fishing", "name": "垂钓", "name_en": "Fishing", "low": "2wd"}),)
    book = DutyBook(BOOK.duties, kinds, (Supervisor(STREET, "", "丙", "C"),))
    read = read_file("x.xlsx", write_workbook(book.tables()))
    assert propose(DutyBook(), read, SITE, (), merge=False).book == book
