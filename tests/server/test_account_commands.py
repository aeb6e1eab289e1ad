"""``patrolgrid accounts`` and ``patrolgrid rejects`` on the real database and broker, as typed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
import pytest
from psycopg import AsyncConnection
from typer import Typer
from typer.testing import CliRunner, Result

from devices.site import Area, Unit
from devices.site_contents import SiteFolder
from server import account_commands, reject_commands
from store.accounts import LogInRefused, account_of, log_in
from store.rejects import PAYLOAD_KEPT, Reject, write_rejects
from store.site_saving import save_site

AREA = "320118000000"
T = TypeVar("T")


def on(database_url: str, work: Callable[[AsyncConnection[Any]], Awaitable[T]]) -> T:
    async def run() -> T:
        async with await AsyncConnection.connect(database_url, autocommit=True) as conn:
            return await work(conn)

    return asyncio.run(run())


@pytest.fixture(autouse=True)
def settings(database_url: str, mqtt_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Settings that name the test's database and broker, an empty folder, a wide terminal, and a site with one unit."""
    monkeypatch.setenv("PATROLGRID_DATABASE_URL", database_url)
    monkeypatch.setenv("PATROLGRID_MQTT_URL", mqtt_url)
    monkeypatch.chdir(tmp_path)
    for console in (account_commands.out, account_commands.err, reject_commands.out):
        monkeypatch.setattr(console, "_width", 220)
    site = SiteFolder(
        name="县",
        name_en="County",
        areas=(Area(AREA, "示范区", "District", "district"),),
        units=(Unit("fishery", "渔政队", "Fishery", AREA),),
    )
    on(database_url, lambda conn: save_site(conn, site))


def run(app: Typer, *words: str) -> Result:
    return CliRunner().invoke(app, words)


def accounts(*words: str) -> Result:
    return run(account_commands.app, *words)


def line(output: str, word: str) -> list[str]:
    """The words of the row that begins with this one."""
    return next(words for row in output.splitlines() if (words := row.split())[:1] == [word])


def test_add_and_log_in(database_url: str) -> None:
    added = accounts("add", "li", "--role", "unit", "--unit", "fishery", "--area", AREA, "--display", "李四")
    assert added.exit_code == 0, added.output
    password = added.stdout.strip()
    assert "\n" not in password, "standard output is the password alone"

    async def enter(conn: AsyncConnection[Any]) -> Any:
        return await account_of(conn, await log_in(conn, "li", password))

    account = on(database_url, enter)
    assert (account.role, account.unit, account.area, account.one_time) == ("unit", "fishery", AREA, True)
    assert line(accounts("list").output, "li") == [
        *("li", "李四", "unit", "处置单位", "fishery", AREA, "one-time", "password")
    ]


def test_reset_and_deactivate(database_url: str) -> None:
    first = accounts("add", "wang", "--role", "operator").stdout.strip()
    second = accounts("reset", "wang").stdout.strip()
    assert first != second

    def enter(password: str) -> Any:
        return on(database_url, lambda conn: log_in(conn, "wang", password))

    with pytest.raises(LogInRefused):
        enter(first)
    token = enter(second)
    assert accounts("deactivate", "wang").exit_code == 0
    assert on(database_url, lambda conn: account_of(conn, token)) is None
    assert line(accounts("list").output, "wang")[-1] == "deactivated"
    assert accounts("activate", "wang").exit_code == 0
    assert line(accounts("list").output, "wang")[-2:] == ["one-time", "password"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("add", "zhao", "--role", "king"), "no role"),
        (("add", "zhao", "--role", "system"), "no role"),
        (("add", "zhao", "--role", "unit"), "needs a unit"),
        (("add", "zhao", "--role", "unit", "--unit", "nobody"), "nobody"),
        (("add", "zhao", "--role", "viewer", "--area", "999999999999"), "999999999999"),
        (("add", "zhao wei", "--role", "viewer"), "no blanks"),
        (("reset", "nobody"), "no account 'nobody'"),
        (("deactivate", "nobody"), "没有账号"),
    ],
)
def test_what_cannot_be_is_said(words: tuple[str, ...], told: str) -> None:
    result = accounts(*words)
    assert result.exit_code == 1
    assert told in result.output
    assert "Traceback" not in result.output
    assert "zhao" not in accounts("list").output


def test_a_name_is_given_once() -> None:
    assert accounts("add", "sun", "--role", "viewer").exit_code == 0
    again = accounts("add", "sun", "--role", "admin")
    assert again.exit_code == 1
    assert "already" in again.output
    assert line(accounts("list").output, "sun")[2] == "viewer"


# ── rejects ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def keep(database_url: str, topic: str, payload: bytes, reason: str = "not_json") -> str:
    kept = Reject(topic, payload, int(time.time() * 1e6), reason, "line 1")

    async def work(conn: AsyncConnection[Any]) -> str:
        await write_rejects(conn, [kept])
        cursor = await conn.execute("SELECT id FROM rejects WHERE digest = %s", (kept.digest,))
        return str((await cursor.fetchone() or (0,))[0])

    return on(database_url, work)


def rejects(*words: str) -> Result:
    return run(reject_commands.app, *words)


def test_list_and_show(database_url: str) -> None:
    text = keep(database_url, "pg/v1/a/T1/fix", '{"t": "昨天"}'.encode(), "wrong_value")
    raw = keep(database_url, "other/\x1b[31mred", b"\xff\x00")
    escape = keep(database_url, "t", b"\x1b]0;owned\x07")
    listed = rejects("list").output
    assert line(listed, text)[3:] == ["1", "wrong_value", "pg/v1/a/T1/fix", '{"t":', '"昨天"}']
    assert line(listed, raw)[-2:] == ["ff", "00"]
    assert line(rejects("list", "--reason", "wrong_value").output, text)
    assert raw not in [row.split()[0] for row in rejects("list", "--reason", "wrong_value").output.splitlines() if row]
    shown = rejects("show", text).output
    assert "wrong_value: line 1" in shown
    assert '{"t": "昨天"}' in shown
    assert "\x1b]" not in rejects("show", escape).output + listed, "a message must not steer the terminal"
    assert "\\x1b]0;owned\\x07" in rejects("show", escape).output
    unknown = rejects("show", "999999")
    assert (unknown.exit_code, "no reject 999999" in unknown.output) == (1, True)


@pytest.fixture
def heard(mqtt_url: str) -> Iterator[list[tuple[str, bytes]]]:
    """What the broker passes on."""
    url = urlsplit(mqtt_url)
    messages: list[tuple[str, bytes]] = []
    subscribed: list[int] = []
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.on_message = lambda _c, _u, m: messages.append((m.topic, m.payload))
    client.on_subscribe = lambda _c, _u, mid, _r, _p: subscribed.append(mid)
    client.connect(url.hostname or "", url.port or 1883)
    client.subscribe("#", qos=1)
    client.loop_start()
    wait_for(subscribed)
    yield messages
    client.disconnect()
    client.loop_stop()


def wait_for(things: list[Any], count: int = 1) -> None:
    end = time.monotonic() + 5
    while len(things) < count and time.monotonic() < end:
        time.sleep(0.02)


def test_replay(database_url: str, heard: list[tuple[str, bytes]]) -> None:
    first = keep(database_url, "pg/v1/a/T1/fix", b"\xff\x01")
    second = keep(database_url, "pg/v1/a/T2/fix", b"{}")
    result = rejects("replay", first, second)
    assert result.exit_code == 0, result.output
    wait_for(heard, 2)
    assert heard == [("pg/v1/a/T1/fix", b"\xff\x01"), ("pg/v1/a/T2/fix", b"{}")]
    assert "  replayed  no" not in rejects("show", first).output


def test_what_cannot_be_sent(
    database_url: str, heard: list[tuple[str, bytes]], monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    cut = keep(database_url, "t", b"x" * (PAYLOAD_KEPT + 1))
    result = rejects("replay", cut)
    assert (result.exit_code, "only the beginning" in result.output) == (1, True)
    assert rejects("replay", "999999").exit_code == 1
    monkeypatch.setenv("PATROLGRID_MQTT_URL", f"mqtt://127.0.0.1:{unused_tcp_port}")
    number = keep(database_url, "t", b"away")
    result = rejects("replay", number)
    assert (result.exit_code, "was not acknowledged" in result.output) == (1, True)
    assert "  replayed  no" in rejects("show", number).output
    assert heard == []
