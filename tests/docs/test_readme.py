"""README.md does what it says: its commands are taken from its code blocks and run as they stand.

The services are given by address, so nothing here is the demo's; the commands are the same there.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import pytest
from psycopg_pool import AsyncConnectionPool

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
GENEROUS = 20.0  # seconds until the map may know; two are promised, and printed, but a busy machine is no defect


def blocks(heading: str) -> list[str]:
    """The shell blocks below a heading of the README."""
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)
    assert section is not None, heading
    return re.findall(r"^```sh\n(.*?)^```$", section[1], re.MULTILINE | re.DOTALL)


class Shell:
    """A shell in which somebody types."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def type(self, text: str) -> str:
        """Type lines and wait for their end; what they said. Fails if the last one failed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f'{text.rstrip()}\necho "=ended $?"\n'.encode())
        said = (await asyncio.wait_for(self.process.stdout.readuntil(b"=ended "), 120)).decode()
        code = (await self.process.stdout.readline()).decode().strip()
        assert code == "0", f"{text}\nended with {code} and said:\n{said}"
        return said.removesuffix("=ended ")


@pytest.fixture(scope="module")
def database_url(empty_database_url: str) -> str:
    """Without any table: `patrolgrid migrate` is one of the commands."""
    return empty_database_url


@pytest.fixture
async def shell(worker_process: Any, tmp_path: Path) -> AsyncIterator[Shell]:
    """A shell in a folder that looks like a checkout after `make`, with addresses as a second shell would find them."""
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    process = await asyncio.create_subprocess_exec(
        *("bash", "--noprofile", "--norc"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=tmp_path,
        env=worker_process.env,
    )
    yield Shell(process)
    assert process.stdin is not None
    process.stdin.close()
    await asyncio.wait_for(process.wait(), 10)


async def published(pool: AsyncConnectionPool, what: str, typed: Awaitable[str], query: str) -> tuple[Any, ...]:
    """The row that is there after a command was typed; prints how long it took."""
    begin = time.monotonic()
    await typed
    sent = time.monotonic()
    async with pool.connection() as conn, asyncio.timeout(GENEROUS):
        while (row := await (await conn.execute(query)).fetchone()) is None:
            await asyncio.sleep(0.01)  # it happens in another process
    print(f"{what}: {sent - begin:.2f} s to publish, stored at most {time.monotonic() - sent:.2f} s later")
    return row


PLACE = """
    SELECT p.lon, p.lat, extract(epoch FROM now() - p.at)::float FROM last_positions p
    JOIN devices d ON d.id = p.device WHERE d.code = '{}'"""


async def test_a_site_is_set_up_and_a_terminal_connected_as_typed(
    shell: Shell, worker_process: Any, pool: AsyncConnectionPool
) -> None:
    (own_site,) = blocks("Your own site")
    steps = own_site.replace("FOLDER", "examples/shijiu").splitlines()
    assert any(" migrate" in step for step in steps)
    for step in steps:
        if not step.endswith(" --help") and " serve" not in step:  # of what serve runs, the worker is started below
            said = await shell.type(step)
            assert "in order" in said or " site check" not in step
            assert re.search(r"\w{4}-\w{4}-\w{4}-\w{4}", said) or " accounts add" not in step
    await worker_process.start()

    find_broker, fix, phone, garbage = blocks("Connect a real terminal")
    await shell.type(find_broker)
    assert "mosquitto_pub" in await shell.type("command -v mosquitto_pub")

    row = await published(pool, "fix", shell.type(fix), PLACE.format("T001"))
    assert row[:2] == tuple(map(float, re.findall(r'\\"l(?:on|at)\\": ([\d.]+)', fix)))
    assert -1 < row[2] < GENEROUS, "it is of now"

    # The phone takes the part of the terminal that has its alias.
    row = await published(pool, "phone", shell.type(phone), PLACE.format("T035"))
    assert (row[1], row[0]) == tuple(map(float, re.findall(r'\\"l(?:at|on)\\": ([\d.]+)', phone)))

    row = await published(pool, "garbage", shell.type(garbage), "SELECT reason, topic, payload FROM rejects")
    assert row == ("not_json", "pg/v1/990101001000/T001/fix", b"not json")
