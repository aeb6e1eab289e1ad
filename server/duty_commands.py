"""``patrolgrid duty``: the duty matrix as files, without the rest of the site."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from psycopg import AsyncConnection
from rich.console import Console
from rich.table import Table
from rich.text import Text

from alerts.duty import DutyProblem
from alerts.duty_change import DutyBook, DutyChange, Proposal, propose
from alerts.duty_file import DUTY, MOST_BYTES, TABLES, DutyTables, read_file, write_csv, write_workbook
from devices.registry import Registry
from devices.site import Site
from devices.site_folder import read_folder
from server.account_commands import fail, with_database
from store.duties import duty_problems, import_duties, load_book, load_places, used_categories
from store.site_check import book_of, site_problems

app = typer.Typer(
    no_args_is_help=True, help="The duty matrix: which unit is responsible for which kind of event where."
)
out = Console()

MOST_SHOWN = 200  # lines of changes or problems
File = Annotated[Path, typer.Argument(help="CSV file of one table, or Excel workbook (.xlsx) of several")]
Merge = Annotated[bool, typer.Option("--merge", help="Add the file's lines to the present ones instead")]


@app.command("import")
def import_(
    file: File,
    merge: Merge = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing")] = False,
) -> None:
    """Take a file over as the matrix, the kinds or the supervisors: all of it or nothing. Running workers take it."""
    given = _read(file)
    actor = f"{getpass.getuser()} (command)"

    async def work(conn: AsyncConnection[Any]) -> tuple[Proposal, bool]:
        preview = await import_duties(conn, given, actor=actor, merge=merge, dry_run=True)
        if dry_run or preview.refused:
            return preview, False
        return await import_duties(conn, given, actor=actor, merge=merge), True

    proposal, done = with_database(work)
    _print_changes(proposal.changes)
    _print_problems(proposal.problems)
    if proposal.refused:
        fail("nothing was changed / 未作任何修改")
    out.print(_counted(proposal) + ("" if done else " (dry run / 预览)"), style="green", highlight=False)


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="Where to write: .csv for one table, .xlsx for all")],
    table: Annotated[str, typer.Option(help=f"Of a CSV file: {', '.join(TABLES)}")] = DUTY,
    replace: Annotated[bool, typer.Option("--replace", help="Replace the file if it is there")] = False,
) -> None:
    """Write the matrix as a file that `import` takes."""
    if table not in TABLES:
        fail(f"there is no table {table!r}: take one of {', '.join(TABLES)}")
    if file.suffix.lower() not in (".csv", ".xlsx"):
        fail(f"{file}: the name must end in .csv or .xlsx")
    if file.exists() and not replace:
        fail(f"{file} is there already: take another name, or --replace it")
    tables = with_database(load_book).tables()
    book = file.suffix.lower() == ".xlsx"
    file.write_bytes(write_workbook(tables) if book else write_csv(table, tables[table]))
    rows = sum(map(len, tables.values())) if book else len(tables[table])
    out.print(f"{rows} rows written to {file} / 已导出 {rows} 行", style="green", highlight=False)


@app.command()
def check(
    file: Annotated[Path | None, typer.Argument(help="A file to check; without: the present matrix")] = None,
    merge: Merge = False,
    site: Annotated[Path | None, typer.Option(help="Check against this site folder; needs no database then")] = None,
) -> None:
    """Say conflicts, unknown codes and holes, with file and row. Exit code 1 if anything but holes is found."""
    given = _read(file) if file else DutyTables("")

    async def work(conn: AsyncConnection[Any]) -> tuple[DutyProblem, ...]:
        if file is None:
            return tuple(await duty_problems(conn))
        present, places = await load_book(conn), await load_places(conn)
        return propose(present, given, places, await used_categories(conn), merge=merge).problems

    problems = _against(site, given, merge=merge) if site else with_database(work)
    _print_problems(problems)
    errors = sum(not problem.note for problem in problems)
    if errors:
        fail(f"{errors} to mend / 共 {errors} 处须改正")
    out.print("in order / 无误", style="green")


def _against(folder: Path, given: DutyTables, *, merge: bool) -> tuple[DutyProblem, ...]:
    found = read_folder(folder, site_problems)
    place = Site(found.areas, found.zones, found.units, Registry(()))
    used = {str(rule["category"]) for rule in found.rules if rule.get("active", True)}
    book = book_of(found)
    present = DutyBook() if given.tables.keys() >= set(TABLES) else book
    return propose(present, given, place, used, merge=merge).problems


def _read(file: Path) -> DutyTables:
    try:
        with file.open("rb") as opened:
            raw = opened.read(MOST_BYTES + 1)
    except OSError as error:
        fail(f"{file}: {error.strerror} / 无法读取文件")
    return read_file(file.name, raw)


def _print_changes(changes: Sequence[DutyChange]) -> None:
    if not changes:
        return
    shown = Table("", "table", "key", "before", "after", box=None)
    marks = {"added": ("+", "green"), "changed": ("~", "yellow"), "removed": ("-", "red")}
    for change in changes[:MOST_SHOWN]:
        mark, style = marks[change.what]
        cells = (mark, change.table, " ".join(change.key), change.before, change.after)
        shown.add_row(*map(Text, cells), style=style)
    out.print(shown)
    if len(changes) > MOST_SHOWN:
        out.print(f"… and {len(changes) - MOST_SHOWN} more", highlight=False)


def _print_problems(problems: Sequence[DutyProblem]) -> None:
    for problem in problems[:MOST_SHOWN]:
        word, style = ("note: ", "yellow") if problem.note else ("", "red")
        out.print(Text(f"{word}{problem.place}{problem.en} / {problem.zh}", style))
    if len(problems) > MOST_SHOWN:
        out.print(f"… and {len(problems) - MOST_SHOWN} more", highlight=False)


def _counted(proposal: Proposal) -> str:
    count = {what: sum(c.what == what for c in proposal.changes) for what in ("added", "changed", "removed")}
    numbers = (count["added"], count["changed"], count["removed"])
    return "{} added, {} changed, {} removed".format(*numbers) + " / 新增 {}，修改 {}，删除 {}".format(*numbers)
