"""``patrolgrid accounts``: who may log in to the console."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, NoReturn, TypeVar, cast

import typer
from psycopg import AsyncConnection
from psycopg.errors import ForeignKeyViolation
from rich.console import Console
from rich.table import Table
from rich.text import Text

from alerts.case import Refused
from alerts.transitions import ROLE_NAMES, Role
from server.service_commands import addresses
from server.settings import read_settings
from store.accounts import Account, create_account, get_account, list_accounts, set_active, set_password
from store.database import open_pool, pending
from store.passwords import one_time_password

app = typer.Typer(no_args_is_help=True, help="Who may log in to the console, as what, and how much they see.")
out = Console()
err = Console(stderr=True)

Result = TypeVar("Result")
Name = Annotated[str, typer.Argument(help="The name to log in with")]
ROLES = [role for role in ROLE_NAMES if role != "system"]


@app.command()
def add(
    name: Name,
    role: Annotated[str, typer.Option(help=f"One of {', '.join(ROLES)}")],
    display: Annotated[str, typer.Option(help="How people are shown it, e.g. 张三; the name if left out")] = "",
    unit: Annotated[str, typer.Option(help="Code of the unit it belongs to; role unit needs one")] = "",
    area: Annotated[str, typer.Option(help="Code of the area beyond which it sees nothing; without: everything")] = "",
) -> None:
    """Add an account and print its one-time password, which must be changed at the first log-in."""
    password = one_time_password()

    async def work(conn: AsyncConnection[Any]) -> Account:
        return await create_account(
            conn,
            name=name,
            display=display or name,
            role=cast("Role", role),
            password=password,
            unit=unit or None,
            area=area or None,
            one_time=True,
        )

    with_database(work)
    _show_password(name, password)


@app.command()
def reset(name: Name) -> None:
    """Give an account a new one-time password, print it, and end the account's sessions."""
    password = one_time_password()

    async def work(conn: AsyncConnection[Any]) -> None:
        await set_password(conn, (await _known(conn, name)).id, password, one_time=True)

    with_database(work)
    _show_password(name, password)


@app.command("list")
def list_all() -> None:
    """List the accounts."""
    table = Table("name", "shown as", "role", "unit", "area", "state", box=None)
    for account in with_database(list_accounts):
        state = "deactivated" if not account.active else "one-time password" if account.one_time else "active"
        role = ROLE_NAMES[account.role]
        cells = (account.name, account.display, f"{account.role} {role.zh}", account.unit or "-", account.area or "all")
        table.add_row(*map(Text, (*cells, state)), style="" if account.active else "dim strike")
    out.print(table)


@app.command()
def deactivate(name: Name) -> None:
    """Shut an account out and end its sessions at once. What it did stays in the casebook under its name."""
    with_database(lambda conn: _set_active(conn, name, active=False))
    out.print(Text(f"{name} can no longer log in 已停用", "green"))


@app.command()
def activate(name: Name) -> None:
    """Let a deactivated account in again, with the password it had."""
    with_database(lambda conn: _set_active(conn, name, active=True))
    out.print(Text(f"{name} can log in 已启用", "green"))


def with_database(work: Callable[[AsyncConnection[Any]], Awaitable[Result]]) -> Result:
    """Do it on a connection to the database of the settings; what is refused is said, with exit code 1."""
    url = addresses(read_settings()).database_url

    async def run() -> Result:
        if missing := await pending(url):
            fail(f"the database lacks {', '.join(missing)}: run `patrolgrid migrate` first")
        async with open_pool(url, max_size=1) as pool, pool.connection() as conn:
            return await work(conn)

    try:
        return asyncio.run(run())
    except Refused as refusal:
        fail(f"{refusal.en} / {refusal.zh}")
    except ForeignKeyViolation as error:
        fail(f"{error.diag.message_detail or error}: no such unit or area in the loaded site / 站点中没有该单位或辖区")


def fail(problem: str) -> NoReturn:
    """Say what is wrong and end with exit code 1."""
    err.print(Text(problem, "red"))
    raise typer.Exit(1)


async def _known(conn: AsyncConnection[Any], name: str) -> Account:
    account = await get_account(conn, name)
    if account is None:
        raise Refused("not_found", f"没有账号“{name}”", f"there is no account {name!r}")
    return account


async def _set_active(conn: AsyncConnection[Any], name: str, *, active: bool) -> None:
    await set_active(conn, (await _known(conn, name)).id, active)


def _show_password(name: str, password: str) -> None:
    """The password alone on standard output, so that it can be piped; what to do with it beside it."""
    err.print(Text(f"{name}: one-time password, good for one log-in 一次性密码，仅可登录一次", "dim"))
    out.print(Text(password, "bold"))
