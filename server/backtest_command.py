"""``patrolgrid backtest``: what a rule with other thresholds would have alerted, before it is switched on."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from psycopg_pool import AsyncConnectionPool
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from alerts.backtest import moment_from
from server.backtest import Outcome, backtest
from server.service_commands import addresses
from server.settings import read_settings
from store.backtests import end_backtest, note_progress, take_backtest
from store.database import open_pool
from store.registry import load_rules, load_site

out, err = Console(), Console(stderr=True)


def run_backtest(
    rule: Annotated[str, typer.Option(help="Code of the rule")] = "",
    since: Annotated[str, typer.Option(help="From when: 7d, 12h, or 2026-11-22T08:00:00+08:00")] = "7d",
    until: Annotated[str, typer.Option(help="Until when; empty: now")] = "",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="A threshold to try: dwell=5m; may be repeated")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole result as JSON")] = False,
    asked: Annotated[bool, typer.Option("--asked", help="Run those that were asked for in the console")] = False,
) -> None:
    """Run a rule over stored history, as it is and with other thresholds, and show what would be added and what would
    go."""
    if asked:
        asyncio.run(_run_asked())
        return
    if not rule:
        raise typer.BadParameter("which rule? give --rule CODE", param_hint="--rule")
    wishes = dict(_wish(text) for text in set_ or [])
    try:
        begin, end = _span(since, until)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since, --until") from error
    outcome = asyncio.run(_run(rule, wishes, begin, end))
    if as_json:
        out.print_json(json.dumps(outcome.as_json(), ensure_ascii=False))
    else:
        _show(outcome)


def _wish(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise typer.BadParameter(f"{text!r}: expected NAME=VALUE", param_hint="--set")
    return name.strip(), value.strip()


def _span(since: str, until: str) -> tuple[datetime, datetime]:
    now = datetime.now(UTC)
    return moment_from(since, now), moment_from(until, now) if until else now


async def _run(rule: str, wishes: dict[str, str], since: datetime, until: datetime) -> Outcome:
    async with open_pool(addresses(read_settings()).database_url, max_size=1) as pool:
        with Progress(console=err, transient=True) as bar:
            task = bar.add_task("history", total=1.0)

            async def progress(done: float) -> None:
                bar.update(task, completed=done)

            return await _over_store(pool, rule, wishes, (since, until), progress)


async def _over_store(
    pool: AsyncConnectionPool, code: str, wishes: dict[str, str], span: tuple[datetime, datetime], progress: Any
) -> Outcome:
    async with pool.connection() as conn:
        site, rules = await load_site(conn), await load_rules(conn)
        found = {rule.code: rule for rule in rules}
        if code not in found:
            raise typer.BadParameter(f"there is no rule {code!r}; there are {', '.join(found)}", param_hint="--rule")
        return await backtest(conn, site, found[code], wishes, *span, progress)


async def _run_asked() -> None:
    """Those that wait in the queue, one after the other, until none is left."""
    async with open_pool(addresses(read_settings()).database_url, max_size=2) as pool:
        while True:
            async with pool.connection() as conn:
                job = await take_backtest(conn)
            if job is None:
                return

            async def progress(done: float, job_id: int = job.id) -> None:
                async with pool.connection() as conn:
                    await note_progress(conn, job_id, done)

            result, error = None, ""
            try:
                outcome = await _over_store(pool, job.rule, job.wishes, (job.since, job.until), progress)
                result = outcome.as_json()
            except (ValueError, LookupError, typer.BadParameter) as failure:
                error = str(failure)
            async with pool.connection() as conn:
                await end_backtest(conn, job.id, result=result, error=error)


def _show(outcome: Outcome) -> None:
    plain = outcome.as_json()
    counts = plain["counts"]
    out.print(
        f"{plain['rule']}: {plain['since'][:16]} – {plain['until'][:16]} UTC, {plain['readings']} readings 条读数",
        highlight=False,
    )
    table = Table("", "from 始", "to 止", "subject 对象", "zone 区域", "what 检出")
    for side, colour, sign in (("added", "green", "+"), ("gone", "red", "-")):
        for alert in plain[side]:
            sentence = alert["sentence"]
            table.add_row(
                f"[{colour}]{sign}[/{colour}]",
                alert["first_seen"][:19],
                alert["last_seen"][:19],
                alert["subject"],
                alert["zone"],
                f"{sentence['zh']}\n{sentence['en']}",
            )
    if counts["added"] or counts["gone"]:
        out.print(table)
    out.print(
        f"present 现有 {counts['present']}, proposed 拟用 {counts['proposed']}: {counts['kept']} kept 保留,"
        f" [green]{counts['added']} added 新增[/green], [red]{counts['gone']} gone 减少[/red]",
        highlight=False,
    )
