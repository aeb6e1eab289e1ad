"""The demo as a newcomer starts it: everything comes up by one command, patrols move, and it ends in order."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from psycopg_pool import AsyncConnectionPool

from devices.site_folder import read_folder, write_folder
from store.registry import save_site

TOP = Path(__file__).parents[2]


async def start(database_url: str, mqtt_url: str, log: Path, *arguments: str) -> asyncio.subprocess.Process:
    """``patrolgrid demo`` on the given services and any free port."""
    env = os.environ | {
        "PATROLGRID_DATABASE_URL": database_url,
        "PATROLGRID_MQTT_URL": mqtt_url,
        "PATROLGRID_HTTP_PORT": "0",
        "COLUMNS": "200",
    }
    with log.open("wb") as out:
        return await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("patrolgrid"), "demo", *arguments, cwd=TOP, stdout=out, stderr=out, env=env
        )


async def said(process: asyncio.subprocess.Process, log: Path, pattern: str) -> str:
    """What the demo printed where the pattern has its group."""
    async with asyncio.timeout(90):
        while (found := re.search(pattern, log.read_text())) is None:
            assert process.returncode is None, log.read_text()[-4000:]
            await asyncio.sleep(0.1)
    return found[1]


async def test_one_command_shows_patrols_that_move(database_url: str, mqtt_url: str, tmp_path: Path) -> None:
    log = tmp_path / "demo.log"
    process = await start(database_url, mqtt_url, log)
    try:
        address = await said(process, log, r"Open\s+(http://\S+)")
        password = await said(process, log, r"One-time password\s+(\S+)")
        async with httpx.AsyncClient(base_url=address, timeout=30) as browser:
            answer = await browser.post("/api/v1/session", json={"name": "demo", "password": password})
            assert answer.status_code == 200, answer.text
            own = {"old": password, "new": "a password of my own"}
            assert (await browser.post("/api/v1/me/password", json=own)).is_success
            seen: dict[str, set[tuple[float, float]]] = {}
            async with asyncio.timeout(60):
                while sum(len(places) > 2 for places in seen.values()) < 30:
                    for position in (await browser.get("/api/v1/positions")).json():
                        seen.setdefault(position["device"], set()).add((position["lon"], position["lat"]))
                    await asyncio.sleep(0.5)
            assert (await browser.get("/readyz")).status_code == 200
            again = await browser.post("/api/v1/session", json={"name": "demo", "password": password})
            assert again.status_code == 401, "a one-time password was good twice"
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 30) == 0, log.read_text()[-4000:]
        assert "Traceback" not in log.read_text()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_second_start_takes_no_patrol_for_a_forger(
    pool: AsyncConnectionPool, database_url: str, mqtt_url: str, tmp_path: Path
) -> None:
    """The lake begins anew: what it sent in the last run would put every patrol in two places."""
    for run in (1, 2):
        log, began = tmp_path / f"{run}.log", datetime.now(UTC)
        process = await start(database_url, mqtt_url, log)
        await said(process, log, r"Open\s+(http://\S+)")
        moving = "SELECT FROM fixes WHERE received > %s GROUP BY device HAVING count(*) > 125"  # 120 are the history
        async with asyncio.timeout(150), pool.connection() as conn:
            while len(await (await conn.execute(moving, (began,))).fetchall()) < 30:
                await conn.commit()
                await asyncio.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 30) == 0, log.read_text()[-4000:]
    async with pool.connection() as conn:
        forged = await (await conn.execute("SELECT subject FROM alerts WHERE kind = 'spoofed_track'")).fetchall()
    assert forged == []


@pytest.fixture
async def another_site(pool: AsyncConnectionPool, tmp_path: Path) -> None:
    """The database holds a site that is somebody's own."""
    folder = tmp_path / "own"
    write_folder(read_folder(TOP / "examples" / "shijiu"), folder)
    facts = folder / "site.toml"
    facts.write_text(facts.read_text().replace("石臼湖", "某某湖"))
    async with pool.connection() as conn:
        await save_site(conn, read_folder(folder))


@pytest.mark.usefixtures("another_site")
async def test_invented_data_never_come_into_a_site_of_ones_own(
    database_url: str, mqtt_url: str, tmp_path: Path
) -> None:
    log = tmp_path / "demo.log"
    process = await start(database_url, mqtt_url, log)
    assert await asyncio.wait_for(process.wait(), 60) == 1
    assert "invented data" in log.read_text()
    assert "Traceback" not in log.read_text()
