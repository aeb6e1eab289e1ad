"""A real worker takes a changed duty matrix, and reminds and supervises by itself."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiomqtt
from psycopg_pool import AsyncConnectionPool

from alerts.case import Actor
from devices.site_folder import read_folder
from store.cases import act, get_case, report_case
from store.duties import put_duty
from store.entries import case_entries
from store.registry import load_duty, load_site, save_site

if TYPE_CHECKING:
    from tests.conftest import WorkerProcess

EXAMPLE = Path(__file__).parents[2] / "examples" / "shijiu"
DISTRICT, SHARE = "990101000000", "990101001000"
GENEROUS = 30.0
CHIEF = Actor("chief", "supervisor")


async def row(pool: AsyncConnectionPool, query: str) -> tuple[Any, ...]:
    """The first row of the answer, as soon as there is one."""
    async with asyncio.timeout(GENEROUS):
        while True:
            async with pool.connection() as conn:
                found = await (await conn.execute(query.encode())).fetchone()
            if found is not None:
                return tuple(found)
            await asyncio.sleep(0.1)


async def test_it_takes_the_new_matrix_and_supervises(
    pool: AsyncConnectionPool, worker_process: WorkerProcess, mqtt_url: str
) -> None:
    async with pool.connection() as conn:
        await save_site(conn, read_folder(EXAMPLE))
        site, duty = await load_site(conn), await load_duty(conn)
        late = await report_case(
            conn,
            actor=CHIEF,
            category="fire",
            title="冒烟",
            severity="high",
            site=site,
            duty=duty,
            now=datetime.now(UTC) - timedelta(hours=1),
        )
        assert late.unit is None, "a report without a place is nobody's"
        await act(conn, late.id, "assign", CHIEF, data={"unit": "emergency"})
    await worker_process.start()
    await row(pool, f"SELECT 1 FROM entries WHERE case_id = {late.id} AND action = 'urge'")
    async with pool.connection() as conn:
        entries = await case_entries(conn, late.id)
        after = await get_case(conn, late.id)
        assert [e.action for e in entries] == ["report", "assign", "remind", "overdue", "urge"]
        assert [p["name"] for p in entries[-1].data["named"]] == ["示例区督查室王某"]
        assert after is not None
        assert after.supervision == 1
        targets = await row(pool, "SELECT array_agg(target) FROM notices")
        assert targets == (None,), "no unit of the example has a contact"
        await put_duty(conn, "sos", DISTRICT, "fishery", actor="chief")
    url = urlsplit(mqtt_url)
    async with aiomqtt.Client(url.hostname or "", url.port or 1883) as client:
        log = worker_process.log
        async with asyncio.timeout(GENEROUS):
            while "site_reloaded" not in log.read_text():
                await asyncio.sleep(0.1)
        sos = {"t": time.time(), "lon": 118.95, "lat": 31.48}
        await client.publish(f"pg/v1/{SHARE}/T028/sos", json.dumps(sos), qos=1)
        unit, data = await row(
            pool,
            "SELECT c.unit, e.data FROM cases c JOIN entries e ON e.case_id = c.id AND e.seq = 1"
            " WHERE c.category = 'sos'",
        )
    assert unit == "fishery", "the row that was changed while the worker ran"
    assert (data["deadline"], data["deadline_by"]) == ("30m", "rule")
    assert data["duty"] == ["sos", DISTRICT, "fishery"]
