"""``patrolgrid evidence``: whether the casebook still says what was written into it."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.console import Console

from server.service_commands import addresses
from server.settings import Settings, read_settings
from store.database import open_pool
from store.evidence import Anchor, Report, verify_all

app = typer.Typer(no_args_is_help=True, help="The hash chains over all entries of all cases.")
out = Console()


@app.callback()
def _group() -> None:
    """Keep ``verify`` a sub-command while it is the only one."""


@app.command()
def verify(
    anchor: Annotated[
        str,
        typer.Option(help="One that was printed earlier and kept elsewhere"),
    ] = "",
) -> None:
    """Check every case's chain and the ledger over all cases. Exit code 1 if anything was changed.

    Write the printed anchor down outside this system (on paper, in another office): only with an earlier anchor can it
    be proved that nothing was cut off at the end.
    """
    report = asyncio.run(_verify(read_settings(), Anchor.parse(anchor) if anchor else None))
    for fault in report.faults:
        out.print(f"[red]{fault.number} #{fault.seq}: {fault.zh} / {fault.en}[/red]", highlight=False)
    colour = "green" if report.good else "red"
    wrong = "unchanged 完好" if report.good else f"{len(report.faults)} faults 处异常"
    out.print(f"[{colour}]{report.cases} cases 件, {report.entries} entries 条: {wrong}[/{colour}]", highlight=False)
    out.print(f"anchor 锚点 {report.head}", highlight=False)
    if not report.good:
        raise typer.Exit(1)


async def _verify(settings: Settings, anchor: Anchor | None) -> Report:
    async with (
        open_pool(addresses(settings).database_url, max_size=1) as pool,
        pool.connection() as conn,
    ):
        return await verify_all(conn, anchor)
