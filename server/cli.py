"""The command ``patrolgrid``."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer
import uvloop
from rich.console import Console
from rich.text import Text

from alerts.rules import RuleError
from devices.site_folder import SiteError, SiteErrors
from server import (
    account_commands,
    backtest_command,
    certificate_command,
    duty_commands,
    evidence_commands,
    reject_commands,
    service_commands,
    simulate_command,
    site_commands,
)
from server.demo import run_demo
from server.private import ServicesError, give_way
from server.publisher import BrokerAway, end_sessions
from server.service_commands import addresses
from server.settings import Settings, WrongSetting, read_settings
from server.shards import Shard
from server.telemetry import set_up_logs
from server.wiring import NotReady, run, upgrade
from simulators import NoLake, UnknownScenario, WrongArgument
from store.database import MigrationError

console = Console(stderr=True)
KNOWN = (
    BrokerAway,
    MigrationError,
    NoLake,
    NotReady,
    RuleError,
    ServicesError,
    SiteError,
    SiteErrors,
    UnknownScenario,
    WrongArgument,
    WrongSetting,
    psycopg.OperationalError,
)
"""Errors whose message says what was wrong and what to do."""

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="""PatrolGrid 巡格: where a county's patrols are, what is going wrong, and whether it was finished.

    New here? [bold]patrolgrid demo[/bold] starts everything on this machine with a simulated lake and prints where to
    look.

    A real site: [bold]services up[/bold] (or docker compose), [bold]migrate[/bold], [bold]site load FOLDER[/bold],
    [bold]accounts add NAME[/bold], then [bold]serve[/bold].

    Settings come from PATROLGRID_* in the environment, then patrolgrid.toml in this folder;
    [bold]patrolgrid settings[/bold] lists them.""",
)
app.add_typer(site_commands.site, name="site")
app.add_typer(site_commands.devices, name="devices")
app.add_typer(duty_commands.app, name="duty")
app.add_typer(account_commands.app, name="accounts")
app.add_typer(reject_commands.app, name="rejects")
app.add_typer(evidence_commands.app, name="evidence")
app.add_typer(service_commands.app, name="services")
app.command("simulate")(simulate_command.simulate)
app.command("backtest")(backtest_command.run_backtest)
app.command("certificate")(certificate_command.show_certificate)


def _loud(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end; Ctrl-C is a normal end."""
    try:
        uvloop.run(work)
    except KeyboardInterrupt:
        console.print("stopped")


@app.command()
def serve() -> None:
    """Run worker and console in one process, with the private services unless addresses are set."""
    settings = _begin()
    found = addresses(settings)
    asyncio.run(upgrade(found))
    _loud(run(settings, found, worker=True, console=True))


@app.command()
def worker(
    shard: Annotated[str, typer.Option(help="Of several workers the INDEX-th, from 0: INDEX/COUNT")] = "",
    end_session: Annotated[
        bool, typer.Option("--end-session", help="Do not run: end its session at the broker, with what waits there")
    ] = False,
) -> None:
    """Run a worker alone: MQTT in, detection, notices out. Its /metrics and /readyz are on PATROLGRID_WORKER_PORT."""
    settings = _begin(**({"shard": shard} if shard else {}))
    if end_session:
        client = Shard.parse(settings.shard).client(settings.worker)
        for name in asyncio.run(end_sessions(addresses(settings).mqtt_url, client)):
            console.print(f"session {client} ended at {name}")
        return
    found = addresses(settings)  # may start them, at the niceness that we have now
    give_way(os.getpid())  # what it has not taken waits safely at the broker, which must not wait for it
    _loud(run(settings, found, worker=True, console=False))


@app.command("console")
def console_() -> None:
    """Run the console alone: pages, REST and the live stream."""
    settings = _begin()
    _loud(run(settings, addresses(settings), worker=False, console=True))


@app.command()
def migrate() -> None:
    """Bring the database to this version's schema. Safe to repeat, and to run from several machines at once."""
    settings = _begin()
    applied = asyncio.run(upgrade(addresses(settings)))
    console.print("\n".join(f"applied {name}" for name in applied) or "already up to date")


@app.command()
def demo(
    site: Annotated[Path, typer.Option(help="Site folder to load")] = Path("examples/shijiu"),
    scenario: Annotated[str, typer.Option(help="What happens: demo, evening or quiet")] = "demo",
    seed: Annotated[int, typer.Option(help="Another seed, another evening")] = 1,
    minutes: Annotated[float, typer.Option(help="Stop by itself after so long; 0: at Ctrl-C")] = 0.0,
) -> None:
    """Start everything on this machine with a simulated lake, and print the address and a one-time password."""
    settings = _begin()
    _loud(run_demo(settings, site, scenario=scenario, seed=seed, minutes=minutes))


@app.command("settings")
def list_settings() -> None:
    """List every setting with its present value and meaning."""
    settings = _begin()
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        shown = "(set)" if name.endswith("_url") and value else str(value)
        console.print(Text.assemble((f"PATROLGRID_{name.upper()}", "bold"), f" = {shown or '(empty)'}"))
        console.print(Text(f"    {field.description}"))  # text, not markup: mqtt[s]:// is no tag


def _begin(**given: object) -> Settings:
    settings = read_settings(**given)
    set_up_logs(settings.log_level, as_json=settings.log_json)
    return settings


def main() -> None:
    """Entry point: a known error is one clear sentence and exit code 1, never a traceback."""
    try:
        app()
    except KNOWN as error:
        _say(error)
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        _say(NotReady(f"the database lacks this version's schema, run `patrolgrid migrate` first ({error})"))
    except ExceptionGroup as group:  # from parts that run side by side
        known, unknown = group.split(KNOWN)
        if unknown is not None:
            raise
        _say(known)
    sys.exit(1)


def _say(error: BaseException | None) -> None:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            _say(each)
    else:
        console.print(f"{type(error).__name__}: {error}", style="red", highlight=False, markup=False)
