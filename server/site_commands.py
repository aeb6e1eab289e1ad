"""``patrolgrid site`` and ``patrolgrid devices``: the site as files, and what is known of its devices."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar, cast

import typer
from psycopg import AsyncConnection
from rich.console import Console
from rich.table import Table
from rich.text import Text

from devices.registry import Device, Kind, Registry
from devices.site import Site
from devices.site_contents import (
    AREAS,
    CATEGORIES,
    CONTACTS,
    DEVICES,
    DUTY,
    FILES,
    PLANS,
    RULES,
    SUPERVISORS,
    UNITS,
    ZONES,
)
from devices.site_folder import SiteErrors, SiteFolder, read_folder, write_folder
from server.service_commands import addresses
from server.settings import read_settings
from store.database import open_pool, pending
from store.device_states import DeviceState, device_states
from store.registry import (
    Saved,
    UnknownDevice,
    add_device,
    deactivate_device,
    read_site,
    save_site,
)
from store.site_check import book_of, site_problems, unknown_people

site = typer.Typer(
    no_args_is_help=True, help="The site: areas, units, devices, zones, duties and rules, as a folder of files."
)
devices = typer.Typer(no_args_is_help=True, help="The devices of the site, and when each was last heard.")
out = Console()
err = Console(stderr=True)

Result = TypeVar("Result")
Folder = Annotated[Path, typer.Argument(help="Site folder, e.g. examples/shijiu; docs/site.md describes its files")]
Code = Annotated[str, typer.Argument(help="The device's code, e.g. T001")]


# ── site ────────────────────────────────────────────────────────────────────────────────────────────────────────────
@site.command()
def check(folder: Folder) -> None:
    """Read a site folder and say all that is wrong with it. Needs no database. Exit code 1 if something is."""
    found = _read(folder)
    _print_site(found)
    matrix = book_of(found).matrix()
    place = Site(found.areas, found.zones, found.units, Registry(()))
    for problem in matrix.problems(place, {str(rule["category"]) for rule in found.rules}):
        out.print(Text(f"note: {problem.en} / {problem.zh}", "yellow"))
    for name in unknown_people(found):
        note = f"note: @{name} is not in {SUPERVISORS}: it must be the name of an account / 应为账号名"
        out.print(Text(note, "yellow"))
    out.print("in order", style="green")


@site.command()
def load(folder: Folder) -> None:
    """Make a site folder the site, all of it or nothing. Running workers and consoles take it at once."""
    found = _read(folder)
    saved = _with_database(lambda conn: save_site(conn, found))
    _print_site(found, saved)


@site.command()
def export(
    folder: Folder,
    replace: Annotated[bool, typer.Option("--replace", help="Replace the site files that are in the folder")] = False,
) -> None:
    """Write the site as files, as they were loaded. Edit them and load them again."""
    present = [file for file in FILES if (folder / file).exists()]
    if present and not replace:
        _fail(f"{folder} already has {', '.join(present)}: take another folder, or --replace them")
    found = _with_database(read_site)
    if not found.areas:
        _fail("no site is loaded: run `patrolgrid site load FOLDER` first")
    write_folder(found, folder)
    _print_site(found)
    out.print(f"written to {folder}", style="green", highlight=False)


def _read(folder: Path) -> SiteFolder:
    try:
        return read_folder(folder, site_problems)
    except SiteErrors as errors:
        _fail_site(errors)


def _print_site(found: SiteFolder, saved: Saved | None = None) -> None:
    out.print(Text(f"{found.name} · {found.name_en}", "bold"))
    table = Table("file", "records", box=None)
    if saved is not None:
        table.add_column("new")
        table.add_column("no longer in the site")
    sizes = {
        AREAS: found.areas,
        UNITS: found.units,
        DEVICES: found.devices,
        CATEGORIES: found.categories,
        DUTY: found.duties,
        SUPERVISORS: found.supervisors,
        CONTACTS: found.contacts,
        ZONES: found.zones,
        PLANS: found.plans,
        RULES: found.rules,
    }
    for file, records in sizes.items():
        changes = [] if saved is None else [_few(codes.get(file, ())) for codes in (saved.added, saved.left)]
        table.add_row(file, str(len(records)), *changes)
    out.print(table)


def _few(codes: tuple[str, ...]) -> str:
    return ", ".join(codes) if len(codes) <= 4 else f"{', '.join(codes[:3])} and {len(codes) - 3} more"


# ── devices ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@devices.command("list")
def list_devices(
    kind: Annotated[str, typer.Option(help="Only terminal, camera, sensor or vessel")] = "",
) -> None:
    """List the devices with their last place and the age of their last message."""
    found = [d for d in _with_database(_devices_and_states) if kind in ("", d[0].kind)]
    table = Table("code", "kind", "name", "area", "unit", "place (lon, lat)", "place is from", "last message", box=None)
    for device, state in found:
        cells = (
            device.code,
            device.role or device.kind,
            f"{device.name} {device.name_en}",
            device.area,
            device.unit or "-",
        )
        ages = (_place(state), _age(state.fixed_at), _age(state.heard))
        table.add_row(*map(Text, cells + ages), style="" if device.active else "dim strike")
    out.print(table)
    silent = sum(device.active and state.heard is None for device, state in found)
    out.print(f"{len(found)} devices, {silent} never heard in 30 days", highlight=False)


@devices.command()
def show(code: Code) -> None:
    """Show one device: what is registered, where it is, when it was heard, and the topics it sends to."""
    found = [pair for pair in _with_database(_devices_and_states) if pair[0].code == code]
    if not found:
        _fail(f"there is no device {code!r} in the site: `patrolgrid devices list` shows them")
    ((device, state),) = found
    table = Table(show_header=False, box=None)
    lines = {
        "code": device.code,
        "name": f"{device.name} {device.name_en}",
        "kind": f"{device.kind} {device.role}",
        "area": device.area,
        "unit": device.unit or "-",
        "active": "yes" if device.active else "no: what it sends is refused",
        "interval": f"{device.interval:g} s" if device.interval else "no promise",
        "place (lon, lat)": _place(state),
        "place is from": _age(state.fixed_at),
        "battery": "-" if state.battery is None or math.isnan(state.battery) else f"{state.battery:.0f} %",
        "last message": _age(state.heard),
        "topics": f"pg/v1/{device.share}/{device.code}/…",
        "aliases": " ".join(device.aliases) or "-",
        "properties": str(dict(device.properties)) if device.properties else "-",
    }
    for name, value in lines.items():
        table.add_row(Text(name, "dim"), Text(value))
    out.print(table)


@devices.command()
def add(
    code: Code,
    name: Annotated[str, typer.Option(help="Name in Chinese")],
    name_en: Annotated[str, typer.Option(help="Name in English")],
    area: Annotated[str, typer.Option(help="Code of the area it belongs to")],
    kind: Annotated[str, typer.Option(help="terminal, camera, sensor or vessel")] = "terminal",
    role: Annotated[str, typer.Option(help="Of a terminal: patrol, police or boat")] = "",
    share: Annotated[str, typer.Option(help="Area segment of its topics; empty: the one that all others have")] = "",
    unit: Annotated[str, typer.Option(help="Code of the unit it belongs to")] = "",
    interval: Annotated[float, typer.Option(help="Seconds between its messages; 0: no promise")] = 0.0,
    lon: Annotated[float, typer.Option(help="Longitude of a fixed device, degrees WGS-84")] = math.nan,
    lat: Annotated[float, typer.Option(help="Latitude of a fixed device, degrees WGS-84")] = math.nan,
    alias: Annotated[list[str] | None, typer.Option(help="Other address, e.g. owntracks/a/b")] = None,
) -> None:
    """Add one device to the site at once. Add it to your folder too, or the next load takes it out again."""

    async def work(conn: AsyncConnection) -> Device:
        common = share or await _common_share(conn)
        device = Device(
            code, cast("Kind", kind), name, name_en, area, common, unit, role, interval, lon, lat, tuple(alias or ())
        )
        await add_device(conn, device)
        return device

    device = _with_database(work)
    out.print(f"added; it sends to pg/v1/{device.share}/{device.code}/…", style="green", highlight=False)


@devices.command()
def deactivate(code: Code) -> None:
    """From now on, refuse what a device sends (lost, stolen, sold). Its history stays."""
    _with_database(lambda conn: deactivate_device(conn, code))
    out.print(f"{code} is inactive; what it sends goes to the rejects", style="green", highlight=False)


async def _common_share(conn: AsyncConnection) -> str:
    shares = {device.share for device in (await read_site(conn)).devices}
    if len(shares) != 1:
        _fail(f"give --share: the devices of the site have {', '.join(sorted(shares)) or 'none yet'}")
    return shares.pop()


async def _devices_and_states(conn: AsyncConnection) -> list[tuple[Device, DeviceState]]:
    states = {state.code: state for state in await device_states(conn)}
    return [(device, states[device.code]) for device in (await read_site(conn)).devices if device.code in states]


def _place(state: DeviceState) -> str:
    return f"{state.lon:.5f}, {state.lat:.5f}" if state.placed else "-"


def _age(at: datetime | None) -> str:
    if at is None:
        return "-"
    seconds = (datetime.now(UTC) - at).total_seconds()
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {name} ago"
    return f"{seconds:.0f} s ago"


# ── Both ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _with_database(work: Callable[[AsyncConnection[Any]], Awaitable[Result]]) -> Result:
    """Do it on a connection to the database of the settings; what is wrong is said, with exit code 1."""
    url = addresses(read_settings()).database_url

    async def run() -> Result:
        if missing := await pending(url):
            _fail(f"the database lacks {', '.join(missing)}: run `patrolgrid migrate` first")
        async with open_pool(url, max_size=1) as pool, pool.connection() as conn:
            return await work(conn)

    try:
        return asyncio.run(run())
    except SiteErrors as errors:
        _fail_site(errors)
    except UnknownDevice as error:
        _fail(f"{error}: `patrolgrid devices list` shows them")


def _fail_site(errors: SiteErrors) -> NoReturn:
    for error in errors.errors:
        where = f", {error.where}" if error.where else ""
        err.print(Text.assemble((f"{error.file}{where}: ", "bold red"), error.problem))
    err.print(f"{len(errors.errors)} to mend", style="red", highlight=False)
    raise typer.Exit(1)


def _fail(problem: str) -> NoReturn:
    err.print(Text(problem, "red"))
    raise typer.Exit(1)
