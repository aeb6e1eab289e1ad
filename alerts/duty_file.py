"""The duty matrix as files: CSV or an Excel workbook, in and out. What is wrong is said with file and row. Pure.

A CSV file is one table, known by its header; a workbook has a sheet for each. Columns may have Chinese names, as the
lists that centres keep have them.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from xml.etree.ElementTree import ParseError

from openpyxl import Workbook, load_workbook
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter
from openpyxl.utils.exceptions import InvalidFileException

from alerts import categories, supervisors
from alerts.duty import DutyProblem
from devices.site_contents import SiteError
from devices.site_text import decode_text, shown, text_problem

DUTY, CATEGORIES, SUPERVISORS = "duty", "categories", "supervisors"
TABLES: Final[dict[str, tuple[str, ...]]] = {
    DUTY: ("category", "area", "unit"),
    CATEGORIES: categories.COLUMNS,
    SUPERVISORS: supervisors.COLUMNS,
}
SHEETS: Final = {DUTY: "职责清单", CATEGORIES: "事项", SUPERVISORS: "督办人员"}
_NEEDED: Final = {DUTY: TABLES[DUTY], CATEGORIES: ("code", "name", "name_en"), SUPERVISORS: ("area", "name", "name_en")}
_CHINESE: Final = {
    "事项": "category",
    "事项编码": "code",
    "辖区": "area",
    "辖区编码": "area",
    "单位": "unit",
    "责任单位": "unit",
    "名称": "name",
    "姓名": "name",
    "英文名称": "name_en",
    "风险等级": "severity",
    "高": "high",
    "中": "medium",
    "低": "low",
    "提醒": "remind",
    "督办": "supervise",
    "账号": "account",
    "科室": "office",
}
MOST_BYTES: Final = 8 * 2**20
MOST_ROWS: Final = 100_000
_MOST_UNPACKED: Final = 64 * 2**20  # bytes of a workbook; a small file can hold a great deal of nothing


class Line(NamedTuple):
    """One record and the row in which it stands, as a spreadsheet counts."""

    row: int
    cells: dict[str, str]


@dataclass(frozen=True, slots=True)
class DutyTables:
    """What a file holds: its tables by name, each only if the file has it, and what of it cannot be read."""

    file: str
    tables: Mapping[str, list[Line]] = field(default_factory=dict)
    problems: tuple[DutyProblem, ...] = ()


def read_file(name: str, raw: bytes) -> DutyTables:
    """The tables in a file, told apart by what it is, not by its name. What cannot be read is among its problems."""
    if len(raw) > MOST_BYTES:
        return _unreadable(name, f"文件过大，最多 {MOST_BYTES >> 20} MiB", f"is larger than {MOST_BYTES >> 20} MiB")
    try:
        sheets = _workbook(name, raw) if raw.startswith(b"PK\x03\x04") else {"": _csv(name, raw)}
    except _Unreadable as error:
        return _unreadable(name, error.zh, error.en, error.row)
    tables: dict[str, list[Line]] = {}
    problems: list[DutyProblem] = []
    for sheet, records in sheets.items():
        where = f"{name}[{sheet}]" if sheet else name
        table, lines, found = _table(where, sheet, records)
        problems += found
        if table and table in tables:
            zh, en = f"有两个“{SHEETS[table]}”表", f"there are two tables of {table}"
            problems.append(DutyProblem("unreadable", "", "", zh, en, where))
        elif table:
            tables[table] = lines
    if not tables and not problems:
        return _unreadable(name, "没有内容", "holds nothing")
    return DutyTables(name, tables, tuple(problems))


def write_csv(table: str, rows: Iterable[Mapping[str, str]]) -> bytes:
    """One table as CSV in UTF-8 with a byte order mark, which Excel needs."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(TABLES[table])
    writer.writerows([row[column] for column in TABLES[table]] for row in rows)
    return out.getvalue().encode("utf-8-sig")


def write_workbook(tables: Mapping[str, Sequence[Mapping[str, str]]]) -> bytes:
    """All tables as one workbook, a sheet each. Every cell is text, so that no code becomes a number."""
    book = Workbook()
    del book[book.sheetnames[0]]
    for table, columns in TABLES.items():
        sheet = book.create_sheet(SHEETS[table])
        sheet.append(columns)
        for row in tables.get(table, ()):
            sheet.append([row[column] for column in columns])
        for cells in sheet.iter_rows():
            for cell in cells:
                cell.number_format, cell.data_type = "@", "s"  # "=1+1" in a cell is a text too
        for number, column in enumerate(columns, 1):
            widths = [len(row[column]) for row in tables.get(table, ())]
            sheet.column_dimensions[get_column_letter(number)].width = min(60, 4 + max([len(column), *widths]))
            sheet.cell(1, number).font = Font(bold=True)
        sheet.freeze_panes = "A2"
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


class _Unreadable(Exception):
    def __init__(self, zh: str, en: str, row: int = 0) -> None:
        super().__init__(en)
        self.zh, self.en, self.row = zh, en, row


def _unreadable(file: str, zh: str, en: str, row: int = 0) -> DutyTables:
    return DutyTables(file, {}, (DutyProblem("unreadable", "", "", zh, en, file, row),))


Records = list[tuple[int, list[str]]]


def _csv(name: str, raw: bytes) -> Records:
    try:
        text = decode_text(name, raw)
    except SiteError as error:
        raise _Unreadable(f"不是 UTF-8 或 GBK 编码的 CSV 文件（{error.where or '整个文件'}）", error.problem) from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    records, row = [], 1
    try:
        for number, cells in enumerate(reader, 1):
            row = number
            records.append((number, [cell.strip() for cell in cells]))
            _check_rows(number)
    except csv.Error as error:
        raise _Unreadable(
            f"不是 CSV：{error}；是否缺少双引号？", f"is no CSV: {error}; is a double quote missing?", row
        ) from error
    return records


def _workbook(name: str, raw: bytes) -> dict[str, Records]:
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as packed:
            if sum(part.file_size for part in packed.infolist()) > _MOST_UNPACKED:
                raise _Unreadable("展开后过大", f"unpacks to more than {_MOST_UNPACKED >> 20} MiB")
        book = load_workbook(io.BytesIO(raw), read_only=True, data_only=True)
        try:
            return {sheet.title: _sheet(sheet.iter_rows(values_only=True)) for sheet in book.worksheets}
        finally:
            book.close()
    except (zipfile.BadZipFile, InvalidFileException, KeyError, ValueError, ParseError, EOFError) as error:
        raise _Unreadable(
            "不是可读的 Excel 工作簿（.xlsx）", f"is no Excel workbook that can be read: {error}"
        ) from error


def _sheet(rows: Iterable[Sequence[object]]) -> Records:
    records = []
    for number, cells in enumerate(rows, 1):
        _check_rows(number)
        records.append((number, [_text(cell) for cell in cells]))
    return records


def _check_rows(number: int) -> None:
    if number > MOST_ROWS:
        raise _Unreadable(f"超过 {MOST_ROWS} 行", f"has more than {MOST_ROWS} rows", number)


def _text(cell: object) -> str:
    """A cell as text. A code of twelve digits that Excel holds as a number has lost nothing: it is written out."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def _table(where: str, sheet: str, records: Records) -> tuple[str, list[Line], list[DutyProblem]]:
    """Which table the records are, its lines, and what is wrong with them; "" for an empty sheet or a foreign one."""
    filled = [(row, cells) for row, cells in records if any(cells)]
    if not filled:
        return "", [], []
    top, names = filled[0]
    header = [_CHINESE.get(name, name.lower()) for name in names]
    table = next((each for each, needed in _NEEDED.items() if set(needed) <= set(header)), "")
    if not table:
        if sheet and sheet not in SHEETS.values() and sheet not in TABLES:
            return "", [], []  # a sheet of notes
        listed = "；".join(",".join(columns) for columns in TABLES.values())
        zh, en = (
            f"表头不对，应为：{listed}",
            f"is no table of ours: the header must be one of {listed.replace('；', '; ')}",
        )
        return "", [], [DutyProblem("unreadable", "", "", zh, en, where, top)]
    problems = [DutyProblem("unreadable", "", "", zh, en, where, top) for zh, en in _header(table, header)]
    lines = []
    for row, cells in filled[1:]:
        found = dict(zip(header, cells, strict=False))
        lines.append(Line(row, {column: found.get(column, "") for column in TABLES[table]}))
        problems += _cell_problems(where, table, lines[-1])
    return table, lines, problems


def _header(table: str, header: list[str]) -> list[tuple[str, str]]:
    unknown = [name for name in header if name and name not in TABLES[table]]
    repeated = [name for name in TABLES[table] if header.count(name) > 1]
    listed = ",".join(TABLES[table])
    return [
        *(
            (f"没有“{name}”这一列，应为 {listed}", f"column {shown(name)} is unknown: the columns are {listed}")
            for name in unknown
        ),
        *((f"“{name}”列出现两次", f"column {name!r} is there twice: keep one") for name in repeated),
    ]


def _cell_problems(where: str, table: str, line: Line) -> list[DutyProblem]:
    found = []
    for column in TABLES[table]:
        cell = line.cells[column]
        if (problem := text_problem(cell)) and (cell or column in _NEEDED[table]):
            zh = "不能为空" if not cell else f"{shown(cell)} 过长，或首尾有空格，或含有不可见字符"
            found.append(
                DutyProblem("wrong_cell", "", "", f"{column} 列：{zh}", f"{column}: {problem}", where, line.row)
            )
    return found
