"""``patrolgrid rejects``: messages that could not be taken in."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from psycopg import AsyncConnection
from rich.console import Console
from rich.table import Table
from rich.text import Text

from alerts.case import Refused
from console.replay import publisher
from devices.site import CHINA
from server.account_commands import fail, with_database
from server.service_commands import addresses
from server.settings import read_settings
from store.rejects import PAYLOAD_KEPT, StoredReject, get_reject, list_rejects, mark_replayed

app = typer.Typer(no_args_is_help=True, help="Messages that could not be taken in, with their reasons.")
out = Console()

Id = Annotated[int, typer.Argument(help="The reject's id, as `list` shows it", min=1)]


@app.command("list")
def list_newest(
    reason: Annotated[str, typer.Option(help="Only those with this reason, e.g. unknown_device")] = "",
    limit: Annotated[int, typer.Option(help="Most lines", min=1, max=1000)] = 50,
) -> None:
    """List the rejects, the last seen first."""
    newest = with_database(lambda conn: list_rejects(conn, 1000 if reason else limit))
    found = [reject for reject in newest if reason in ("", reject.reason)]
    table = Table("id", "last seen", "times", "reason", "topic", "payload", box=None)
    for reject in found[:limit]:
        cells = (
            str(reject.id),
            _clock(reject),
            str(reject.times),
            reject.reason,
            _harmless(reject.topic),
            _beginning(reject),
        )
        table.add_row(*map(Text, cells), style="dim" if reject.replayed_at else "")
    out.print(table)
    out.print(f"{len(found[:limit])} rejects 条", highlight=False)


@app.command()
def show(number: Id) -> None:
    """Show one reject whole: its reason in detail, and its payload as text or hex."""
    reject = with_database(lambda conn: _known(conn, number))
    for name, value in (
        ("topic", _harmless(reject.topic)),
        ("reason", _harmless(f"{reject.reason}: {reject.detail}")),
        ("first seen", str(reject.received.astimezone(CHINA))),
        ("last seen", f"{reject.last_seen.astimezone(CHINA)}, {reject.times} times"),
        ("replayed", str(reject.replayed_at.astimezone(CHINA)) if reject.replayed_at else "no"),
        ("payload", f"{len(reject.payload)} bytes"),
    ):
        out.print(Text.assemble((f"{name:>10}  ", "dim"), value))
    out.print(Text(_text(reject.payload)))


@app.command()
def replay(numbers: Annotated[list[int], typer.Argument(help="Ids, as `list` shows them", min=1)]) -> None:
    """Publish rejects to the broker once more, after their cause was mended. What is still wrong comes back."""
    settings = read_settings()
    publish = publisher(addresses(settings).mqtt_url)

    async def work(conn: AsyncConnection[Any]) -> None:
        for number in numbers:
            reject = await _known(conn, number)
            if len(reject.payload) >= PAYLOAD_KEPT:
                raise Refused("truncated", "只保存了开头部分，不能重发", f"of {number} only the beginning was kept")
            async with conn.transaction():  # the mark first: ingest takes it away if it is rejected again
                await mark_replayed(conn, [number])
                await publish(reject.topic, reject.payload)
            await conn.commit()
            out.print(Text(f"{number} sent to {_harmless(reject.topic)} 已重发", "green"))

    try:
        with_database(work)
    except ConnectionError as error:
        fail(f"{error} / 消息服务器暂时连接不上，没有发出")


async def _known(conn: AsyncConnection[Any], number: int) -> StoredReject:
    reject = await get_reject(conn, number)
    if reject is None:
        raise Refused("not_found", f"没有编号为 {number} 的报文", f"there is no reject {number}")
    return reject


def _clock(reject: StoredReject) -> str:
    return f"{reject.last_seen.astimezone(CHINA):%m-%d %H:%M:%S}"


def _text(payload: bytes) -> str:
    try:
        return _harmless(payload.decode())
    except UnicodeDecodeError:
        return payload.hex(" ")


def _harmless(text: str) -> str:
    """Control characters written out: what anybody may send must not steer an operator's terminal."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def _beginning(reject: StoredReject) -> str:
    text = " ".join(_text(reject.payload[:200]).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
