"""The ground of a benchmark: own services, a fresh database with a generated site, a fresh broker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
from psycopg_pool import AsyncConnectionPool

from benchmarks.load import code
from devices.registry import Device
from devices.site_folder import SiteFolder, read_folder
from server.postgres import Postgres
from server.private_broker import PrivateBroker
from server.services import BrokerName, Services
from store.database import migrate, open_pool
from store.registry import save_site

EXAMPLE: Final = Path(__file__).parents[1] / "examples" / "shijiu"
SHARE: Final = "990101001000"


@dataclass(frozen=True)
class Ground:
    """Where everything is."""

    database_url: str
    mqtt_url: str
    database: Postgres
    broker: PrivateBroker
    folder: Path

    @property
    def database_pid(self) -> int:
        """The present server's process id; 0 while none runs."""
        return self.database.pid() or 0

    @property
    def broker_pid(self) -> int:
        """The present broker's process id; 0 while none runs."""
        return self.broker.pid() or 0

    def ask(self, query: str, *values: object) -> Any:
        """The first row of a query."""
        with psycopg.connect(self.database_url) as conn:
            return conn.execute(query, values).fetchone()


def generated(terminals: int) -> SiteFolder:
    """The example's areas, zones and rules with so many terminals of one share, each promising a fix in 30 s."""
    example = read_folder(EXAMPLE)
    fixed = [device for device in example.devices if device.kind != "terminal"]
    area = SHARE
    made = [
        Device(code(n), "terminal", f"终端{n}", f"Terminal {n}", area, SHARE, role="patrol", interval=30.0)
        for n in range(terminals)
    ]
    return replace(example, devices=(*fixed, *made), lines={})


@contextmanager
def prepared(
    data_dir: Path, terminals: int, mirror: str = "", broker_name: BrokerName = "mosquitto"
) -> Iterator[Ground]:
    """Bring everything up, and take the database and the broker away afterwards."""
    services = Services(data_dir, mqtt_url="mqtt://unused", mirror=mirror)  # the broker is one of our own
    port = urlsplit(services.up().database_url).port or 0
    extra = services.extra_nats if broker_name == "nats" else services.extra_mosquitto
    broker = extra(f"{broker_name}-bench-{time.time_ns()}")
    database = services.postgres()
    name = f"bench_{time.time_ns()}"
    try:
        url = database.create_database(port, name)
        asyncio.run(_fill(url, terminals))
        mqtt_url = f"mqtt://127.0.0.1:{broker.up(0)}"
        yield Ground(url, mqtt_url, database, broker, data_dir)
    finally:
        broker.remove()
        services.up()  # a benchmark may have left it ended
        database.drop_database(port, name)
        services.down()


async def _fill(url: str, terminals: int) -> None:
    await migrate(url)
    async with open_pool(url) as pool:
        await _save(pool, generated(terminals))


async def _save(pool: AsyncConnectionPool, site: SiteFolder) -> None:
    async with pool.connection() as conn:
        await save_site(conn, site)
