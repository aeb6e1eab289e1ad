"""A storm of alerts: how long until each of a thousand has its case, and how long officers wait meanwhile.

    python -m benchmarks.storm [--alerts 1000]

The casebook's own functions on a database of their own, in this process: findings of as many places at once, by a rule
that opens a case, tells a unit with two contacts and, the second time, sends the nearest of 1,000 terminals. Beside it
somebody writes a note into another case four times a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import uvloop
from psycopg_pool import AsyncConnectionPool
from rich.console import Console
from rich.table import Table

from alerts.case import Actor
from alerts.rules import Rule
from benchmarks.ground import generated
from detectors.base import Finding, Sentence
from devices.site import micros
from server.services import Services
from store.casebook import act, record_findings, report_case
from store.database import migrate, open_pool
from store.registry import load_duty, load_site, save_site

TERMINALS: Final = 1_000
DESK: Final = Actor("desk", "operator")
_SEEN: Final = Sentence("全部终端同时失联", "all terminals fell silent at once")
RULES: Final = {
    "opened": Rule("storm", "风暴", "Storm", "silence", "high", "illegal_fishing"),
    "sent": Rule("storm_sent", "风暴派遣", "Storm, sent", "sos", "high", "illegal_fishing", dispatch="nearest"),
}


async def storm(url: str, alerts: int) -> dict[str, Any]:
    """Seconds and ms per case by kind of rule, this process' CPU, and what a note took beside it in ms."""
    figures: dict[str, Any] = {"alerts": alerts, "load_average": os.getloadavg()[0]}
    async with open_pool(url) as pool:
        await _prepare(pool)
        for name, rule in RULES.items():
            waits: list[float] = []
            async with _officer(pool, waits):
                cpu, began = time.process_time(), time.perf_counter()
                await _record(pool, rule, alerts)
                took = time.perf_counter() - began
            figures |= {
                f"{name}_s": took,
                f"{name}_ms_per_case": took / alerts * 1e3,
                f"{name}_cpu_ms_per_case": (time.process_time() - cpu) / alerts * 1e3,
                f"{name}_note_p50_ms": float(np.percentile(waits, 50)),
                f"{name}_note_max_ms": max(waits),
            }
        async with pool.connection() as conn:
            cursor = await conn.execute("SELECT count(*) FROM alerts WHERE case_id IS NOT NULL")
            figures["with_case"] = (await cursor.fetchone() or (0,))[0]
    return figures


async def _record(pool: AsyncConnectionPool, rule: Rule, alerts: int) -> None:
    now = datetime.now(UTC)
    at = micros(now)
    async with pool.connection() as conn:
        site, duty = await load_site(conn), await load_duty(conn)
        await conn.commit()
        zones = sorted(site.zones)
        found = [(rule, _finding(rule, n, zones[n % len(zones)], at)) for n in range(alerts)]
        await record_findings(conn, found, site=site, duty=duty, now=now)


def _finding(rule: Rule, n: int, zone: str, at: int) -> Finding:
    return Finding(rule.detector, f"S{n}", zone, at - 10**6, at, 118.7 + n * 1e-4, 31.4, 1.0, _SEEN, {})


async def _prepare(pool: AsyncConnectionPool) -> None:
    site = generated(TERMINALS)
    units = tuple(replace(u, contacts=("json://127.0.0.1:9/a", "json://127.0.0.1:9/b")) for u in site.units)
    async with pool.connection() as conn:
        await save_site(conn, replace(site, units=units))
        await conn.execute(
            "INSERT INTO last_positions (device, at, received, lon, lat, speed, heading, accuracy, battery, flags)"
            " SELECT id, now(), now(), 118.7 + random() * 0.2, 31.4 + random() * 0.2, 1, 0, 5, 80, 0 FROM devices"
            " WHERE kind = 'terminal'"
        )


@asynccontextmanager
async def _officer(pool: AsyncConnectionPool, waits: list[float]) -> AsyncIterator[None]:
    """Somebody who writes notes as long as this lasts; ms that each took."""
    async with pool.connection() as conn:
        site, duty, now = await load_site(conn), await load_duty(conn), datetime.now(UTC)
        case = await report_case(
            conn, actor=DESK, category="crowd", title="x", severity="low", site=site, duty=duty, now=now
        )

    async def write() -> None:
        while True:
            began = time.perf_counter()
            async with pool.connection() as conn:
                await act(conn, case.id, "note", DESK, note="正在核实")
            waits.append((time.perf_counter() - began) * 1e3)
            await asyncio.sleep(0.25)

    task = asyncio.create_task(write())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def main() -> None:
    """Measure, show, and print one JSON line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--alerts", type=int, default=1_000)
    given = parser.parse_args()
    services = Services(Path(".patrolgrid/bench"), mqtt_url="mqtt://unused")
    port = int(services.up().database_url.rpartition(":")[2].partition("/")[0])
    database, name = services.postgres(), f"storm_{time.time_ns()}"
    url = database.create_database(port, name)
    try:
        uvloop.run(migrate(url))
        figures = uvloop.run(storm(url, given.alerts))
    finally:
        database.drop_database(port, name)
        services.down()
    table = Table("figure", "value")
    for key, value in figures.items():
        table.add_row(key, f"{value:,.2f}" if isinstance(value, float) else str(value))
    Console(stderr=True).print(table)
    print(json.dumps({key: round(v, 2) if isinstance(v, float) else v for key, v in figures.items()}))


if __name__ == "__main__":
    main()
