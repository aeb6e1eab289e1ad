"""The tables of a site: CSV as people save it from Excel, in, and CSV that Excel opens, out."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from devices.site_contents import SiteError, SiteErrors, place
from devices.site_text import parse_json, shown

_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_MANGLED: Final = re.compile(r"\d(\.\d+)?E\+\d+")  # 3.20118E+11: what Excel makes of a code of twelve digits
_YES: Final = {"true", "yes", "1", "是"}
_NO: Final = {"false", "no", "0", "否"}


@dataclass(frozen=True, slots=True)
class Table:
    """The columns of one CSV file. The optional ones may be missing from the header; their cells are then empty."""

    file: str
    columns: tuple[str, ...]  # in the order in which they are written
    optional: tuple[str, ...] = ()


class Row:
    """One record with its line, whose cells are read as what they should be; what is wrong goes to ``errors``."""

    def __init__(self, table: Table, line: int, cells: dict[str, str], errors: list[SiteError]) -> None:
        self.file = table.file
        self.line = line
        self._cells = cells
        self._name = cells.get("code", "")
        self._errors = errors

    def _wrong(self, column: str, problem: str) -> None:
        self._errors.append(SiteError(self.file, place(f"line {self.line}", self._name, column), problem))

    def text(self, column: str) -> str:
        """The cell without blanks at its ends."""
        cell = self._cells.get(column, "")
        if column in ("code", "area", "parent", "share") and _MANGLED.fullmatch(cell):
            self._wrong(column, f"{cell} is a code that Excel made a number: make the column text, then type it again")
        return cell

    def words(self, column: str) -> tuple[str, ...]:
        """The words of a cell, parted by blanks."""
        return tuple(self._cells.get(column, "").split())

    def number(self, column: str) -> float | None:
        """The number in the cell; None when it is empty or no number."""
        cell = self._cells.get(column, "")
        if not cell:
            return None
        if not _NUMBER.fullmatch(cell):
            self._wrong(column, f"{shown(cell)} is no number: write it like 12.5")
            return None
        return float(cell)

    def truth(self, column: str, *, default: bool) -> bool:
        """Yes or no; the default when empty."""
        cell = self._cells.get(column, "").lower()
        if cell and cell not in _YES | _NO:
            self._wrong(column, f"{shown(cell)} is neither true nor false")
        return cell in _YES if cell else default

    def table(self, column: str) -> dict[str, Any]:
        """A JSON object; empty when the cell is."""
        cell = self._cells.get(column, "")
        if not cell:
            return {}
        try:
            value = parse_json(cell)
        except ValueError as error:
            self._wrong(column, f"{shown(cell)} is no JSON: {error}")
            return {}
        if not isinstance(value, dict):
            self._wrong(column, f'{shown(cell)} is no JSON object: write it like {{"bearing": 90}}')
            return {}
        return value


def read_table(table: Table, text: str, errors: list[SiteError]) -> list[Row]:
    """The records of a CSV file, without empty lines; cells are stripped. A record that is partly wrong is returned all
    the same, so that its other problems show up in the same go; what is wrong with it is added to ``errors``.

    Raises:
        SiteErrors: the file as a whole is no such table.
    """
    records = _records(table.file, text)
    if not records:
        raise SiteErrors([SiteError(table.file, "", f"is empty: its first line must be {','.join(table.columns)}")])
    line, cells = records[0]
    header = [name.lower() for name in cells]
    while header and not header[-1]:
        header.pop()  # Excel's trailing commas
    problems = _header_problems(table, header)
    if problems:
        raise SiteErrors(SiteError(table.file, f"line {line}", problem) for problem in problems)
    rows = []
    for line, cells in records[1:]:
        row = dict(zip(header, cells, strict=False))
        if any(cells[len(header) :]):
            problem = f"has {len(cells)} cells, the header {len(header)}: put a text with a comma in double quotes"
            errors.append(SiteError(table.file, place(f"line {line}", row.get("code", "")), problem))
        rows.append(Row(table, line, row, errors))
    return rows


def _records(file: str, text: str) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    records, line = [], 1
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                records.append((line, stripped))
            line = reader.line_num + 1
    except csv.Error as error:
        problem = f"is no CSV: {error}; is a double quote missing?"
        raise SiteErrors([SiteError(file, f"line {line}", problem)]) from error
    return records


def _header_problems(table: Table, header: list[str]) -> list[str]:
    if len(header) == 1 and re.search(r"[;\t]", header[0]):
        return ["the columns are parted by semicolons or tabs: save the file with commas"]
    listed = ",".join(table.columns)
    missing = [name for name in table.columns if name not in (*header, *table.optional)]
    problems = [f"column {name!r} is missing: the columns are {listed}" for name in missing]
    unknown = [name for name in header if name not in table.columns]
    problems += [f"column {shown(name)} is unknown: the columns are {listed}" for name in dict.fromkeys(unknown)]
    repeated = [name for name in table.columns if header.count(name) > 1]
    return problems + [f"column {name!r} is there twice: keep one" for name in repeated]


def write_table(table: Table, rows: Iterable[Sequence[str]]) -> bytes:
    """CSV in UTF-8 with a byte order mark, without which the Chinese Excel reads the file as GBK."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(rows)
    return out.getvalue().encode("utf-8-sig")


def number_text(value: float) -> str:
    """The shortest text that is read as the same number; "" for an unknown one (NaN)."""
    if value != value:
        return ""
    return str(int(value)) if abs(value) < 1e15 and value == int(value) else repr(value)
