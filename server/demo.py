"""``patrolgrid demo``: everything on this machine, with a simulated lake."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from devices.site_folder import SiteFolder, read_folder
from server.service_commands import private
from server.services import Addresses
from server.settings import Settings
from server.wiring import NotReady, run, upgrade
from simulators import UnknownScenario, simulate
from simulators.scenarios import SCENARIOS
from store.accounts import create_account, get_account, set_password
from store.database import open_pool
from store.passwords import one_time_password
from store.registry import load_site, save_site
from store.retention import clear_readings

NAME = "demo"
LEAD = 600.0  # seconds of history that the demo begins with, so that tracks and dwell exist at once
err = Console(stderr=True)


async def run_demo(settings: Settings, site: Path, *, scenario: str, seed: int, minutes: float) -> None:
    """Bring up services, schema, site and an account, then run worker, console and simulator until stopped.

    Services that did not run before are stopped again at the end; their data stay.

    Raises:
        UnknownScenario: there is no such scenario.
        NotReady: the database holds another site, into which no invented data must come.
    """
    if scenario not in SCENARIOS:
        raise UnknownScenario(scenario)
    folder, services = read_folder(site), private(settings)
    ran_before = all(state.running for state in services.status())
    addresses = await asyncio.to_thread(services.up)
    try:
        await _run(settings, addresses, folder, scenario, seed, minutes)
    finally:
        if not ran_before:
            await asyncio.to_thread(services.down)


async def _run(
    settings: Settings, addresses: Addresses, folder: SiteFolder, scenario: str, seed: int, minutes: float
) -> None:
    await upgrade(addresses)
    password = await _prepare(addresses, folder)
    settings = settings.model_copy(update={"http_port": _free_port(settings)})
    ready, stop = asyncio.Event(), asyncio.Event()

    def say(address: str) -> None:
        err.print(_welcome(address, password))
        ready.set()

    async def live() -> None:
        await ready.wait()
        await simulate(folder, addresses.mqtt_url, scenario=scenario, seed=seed, lead=LEAD)

    async with asyncio.TaskGroup() as tasks:
        world = tasks.create_task(live(), name="simulator")
        if minutes:
            asyncio.get_running_loop().call_later(minutes * 60, stop.set)
        await run(settings, addresses, worker=True, console=True, ready=say, stop=stop)
        world.cancel()


async def _prepare(addresses: Addresses, folder: SiteFolder) -> str:
    """Load the site into an empty database and give the demo's account a new one-time password, which is returned."""
    async with open_pool(addresses.database_url, max_size=2) as pool, pool.connection() as conn:
        present = await load_site(conn)
        if not present.areas:
            await save_site(conn, folder)
        elif present.name != folder.name:
            raise NotReady(
                f"the database holds the site {present.name!r}: the demo would write invented data into it."
                " Unset PATROLGRID_DATABASE_URL, or give the demo its own folder: PATROLGRID_DATA_DIR=.patrolgrid/demo"
            )
        password = one_time_password()
        account = await get_account(conn, NAME)
        if account is None:
            await create_account(conn, name=NAME, display="演示 Demo", role="admin", password=password, one_time=True)
        else:
            await set_password(conn, account.id, password, one_time=True)
            # The lake begins anew. Beside what it sent before, every patrol would be in two places, or play its own
            # track again, and be told as forged.
            await clear_readings(conn)
            err.print(
                "  上次的定位和识别已清除，预警和事件保留。The last run's readings were removed; alerts and cases stay."
            )
    return password


def _free_port(settings: Settings) -> int:
    """The console's port, or any free one while another program has it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.http_host, settings.http_port))
        except OSError:
            err.print(f"  port {settings.http_port} is taken, using a free one", highlight=False)
            return 0
    return settings.http_port


def _welcome(address: str, password: str) -> Panel:
    text = Text.assemble(
        ("巡格 PatrolGrid\n\n", "bold"),
        "打开 Open        ",
        (address, "bold underline"),
        "\n",
        "账号 Name        ",
        (NAME, "bold"),
        "\n",
        "一次性密码 One-time password  ",
        (password, "bold"),
        "\n\n",
        "两分钟内：湖边钓鱼、集市聚集、一次求救，各成一案。\n",
        "Within two minutes: fishing at the lake, a crowd at the market, an SOS; each becomes a case.\n",
        ("Ctrl-C 结束 stops. 事件保留 Cases stay in .patrolgrid", "dim"),
    )
    return Panel(text, expand=False, border_style="green")
