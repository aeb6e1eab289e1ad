"""The private services for real: started, killed, started again, started twice at once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import aiomqtt
import psycopg
import pytest

from server.private import ServicesError, free_port, go_first, process, wait_until
from server.services import Addresses, Services

QUEUED = 3000


@pytest.fixture(scope="module")
def data_dir(pytestconfig: pytest.Config) -> Iterator[Path]:
    """A data folder of this module's own, with a space and Chinese in its name as people's folders have."""
    folder = pytestconfig.rootpath / ".patrolgrid" / f"数据 {uuid.uuid4().hex[:8]}"
    yield folder
    Services(folder).down()
    real = (folder / "services").resolve()
    shutil.rmtree(folder)
    shutil.rmtree(real, ignore_errors=True)


def test_a_broker_goes_first_where_sessions_share_the_processor() -> None:
    sleeping = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        group = Path(f"/proc/{sleeping.pid}/autogroup")
        go_first(sleeping.pid)  # says nothing where it may not
        if os.geteuid() or not group.exists():
            pytest.skip("root and a kernel with autogroups only")
        assert group.read_text().endswith("nice -5\n")
    finally:
        sleeping.kill()
        sleeping.wait()


@pytest.fixture
def running(data_dir: Path) -> Addresses:
    """The services of that folder, up."""
    return Services(data_dir).up()


async def _rows(url: str) -> list[tuple[object, ...]]:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        return list(await (await connection.execute("SELECT n FROM kept ORDER BY n")).fetchall())


async def _write(url: str, *numbers: int) -> None:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
        for number in numbers:
            await connection.execute("INSERT INTO kept VALUES (%s)", [number])


def _session(url: str, name: str) -> aiomqtt.Client:
    port = urlsplit(url).port
    assert port is not None
    return aiomqtt.Client("127.0.0.1", port, identifier=name, clean_session=False)


async def _queue(url: str, name: str) -> None:
    """Leave ``QUEUED`` acknowledged messages for an absent subscriber."""
    async with _session(url, name) as client:
        await client.subscribe(f"kept/{name}", qos=1)
    async with _session(url, f"{name}-sender") as client:
        for first in range(0, QUEUED, 100):
            numbers = range(first, first + 100)
            await asyncio.gather(*(client.publish(f"kept/{name}", str(number), qos=1) for number in numbers))


async def _collect(url: str, name: str, least: int) -> set[bytes]:
    """What the subscriber gets when it comes back: ``least`` messages, or fewer within 30 s."""
    got: set[bytes] = set()
    with contextlib.suppress(TimeoutError):  # the caller counts what came
        async with _session(url, name) as client, asyncio.timeout(30):
            async for message in client.messages:
                got.add(bytes(message.payload))
                if len(got) >= least:
                    break
    return got


async def test_it_is_timescaledb_on_postgresql_17_and_asks_for_the_password(running: Addresses) -> None:
    async with await psycopg.AsyncConnection.connect(running.database_url) as connection:
        assert connection.info.server_version // 10000 == 17
        await connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
        license_row = await (await connection.execute("SHOW timescaledb.license")).fetchone()
        assert license_row == ("apache",)
        for setting, value in {"jit": "off", "timescaledb.telemetry_level": "off", "TimeZone": "UTC"}.items():
            assert await (await connection.execute(f"SHOW {setting}")).fetchone() == (value,)
    password = urlsplit(running.database_url).password
    assert password is not None
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        await psycopg.AsyncConnection.connect(running.database_url.replace(password, "guessed"))


def test_a_second_up_changes_nothing_and_is_quick(data_dir: Path, running: Addresses) -> None:
    before = [state.pid for state in Services(data_dir).status()]
    started = time.monotonic()
    again = Services(data_dir).up()
    assert time.monotonic() - started < 1
    assert again == running
    assert [state.pid for state in Services(data_dir).status()] == before


def test_status_names_process_and_address_but_no_password(data_dir: Path, running: Addresses) -> None:
    password = urlsplit(running.database_url).password
    states = Services(data_dir).status()
    assert [(state.name, state.running) for state in states] == [("TimescaleDB", True), ("Mosquitto", True)]
    assert [state.address for state in states] == [
        f"127.0.0.1:{urlsplit(running.database_url).port}",
        f"127.0.0.1:{urlsplit(running.mqtt_url).port}",
    ]
    assert password is not None
    assert password not in repr(states)


def test_secrets_are_readable_by_their_owner_alone(data_dir: Path, running: Addresses) -> None:
    folder = (data_dir / "services").resolve()
    assert (folder / "services.json").stat().st_mode & 0o077 == 0
    assert (folder / "timescaledb" / "data").stat().st_mode & 0o077 == 0
    assert (folder / "mosquitto").stat().st_mode & 0o077 == 0


def test_neither_server_runs_as_root(data_dir: Path, running: Addresses) -> None:
    for state in Services(data_dir).status():
        assert Path(f"/proc/{state.pid}").stat().st_uid != 0


def test_the_database_gives_way_to_the_broker(data_dir: Path, running: Addresses) -> None:
    database, broker = [state.pid for state in Services(data_dir).status()]
    assert database is not None
    assert broker is not None
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpriority(os.PRIO_PROCESS, broker) == ours
    assert os.getpriority(os.PRIO_PROCESS, database) == min(19, ours + 5)


async def test_data_survive_a_restart(data_dir: Path, running: Addresses) -> None:
    await _write(running.database_url, 1)
    await _queue(running.mqtt_url, "restart")
    Services(data_dir).down()
    assert [state.running for state in Services(data_dir).status()] == [False, False]
    with pytest.raises(psycopg.OperationalError):
        await _rows(running.database_url)
    again = Services(data_dir).up()
    assert again == running, "the ports are remembered"
    assert (1,) in await _rows(again.database_url)
    assert len(await _collect(again.mqtt_url, "restart", QUEUED)) == QUEUED


async def test_data_survive_a_kill_of_timescaledb(data_dir: Path, running: Addresses) -> None:
    await _write(running.database_url, 2, 3)
    services = Services(data_dir)
    killed = services.postgres().pid()
    services.postgres().kill()
    again = services.up()
    assert {(2,), (3,)} <= set(await _rows(again.database_url))
    assert services.postgres().pid() not in (None, killed)


async def test_a_stranger_with_the_dead_server_s_number_is_left_alone(data_dir: Path, running: Addresses) -> None:
    """After a reboot the number in the pid file may be somebody else's process, of the very same account."""
    services = Services(data_dir)
    broker = services.extra_mosquitto("mosquitto")
    services.postgres().kill()
    broker.kill()
    assert wait_until(lambda: not any(state.running for state in services.status()), 5)
    for file in (services.postgres().data / "postmaster.pid", broker.folder / "mosquitto.pid"):
        _, *rest = file.read_text().split("\n")
        file.write_text("\n".join([str(os.getpid()), *rest]))
    assert not any(state.running for state in services.status())
    services.down()  # would end this very test run if it believed the file
    again = services.up()
    await _write(again.database_url, 4)


async def test_after_a_kill_mosquitto_has_all_but_what_came_in_the_last_seconds(
    data_dir: Path, running: Addresses
) -> None:
    await _queue(running.mqtt_url, "killed")
    await asyncio.sleep(4)  # it saves every second or two
    services = Services(data_dir)
    broker = services.extra_mosquitto("mosquitto")
    broker.kill()
    assert wait_until(lambda: broker.pid() is None, 5)
    again = services.up()
    assert len(await _collect(again.mqtt_url, "killed", QUEUED)) == QUEUED


def test_two_starts_at_once_give_one_pair_of_servers(data_dir: Path, running: Addresses) -> None:
    Services(data_dir).down()
    program = "import sys, pathlib, server.services as s; print(s.Services(pathlib.Path(sys.argv[1])).up())"
    starts = [
        subprocess.Popen([sys.executable, "-c", program, data_dir], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    answers = [start.communicate(timeout=60)[0] for start in starts]
    assert [start.returncode for start in starts] == [0, 0]
    assert answers[0] == answers[1]


def test_a_port_that_was_taken_meanwhile_is_replaced(data_dir: Path, running: Addresses) -> None:
    Services(data_dir).down()
    with socket.socket() as taker:
        taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taker.bind(("127.0.0.1", urlsplit(running.mqtt_url).port or 0))
        taker.listen()
        again = Services(data_dir).up()
        assert again.mqtt_url != running.mqtt_url
        assert again.database_url == running.database_url


def test_given_addresses_are_used_and_nothing_is_started(tmp_path: Path) -> None:
    given = Services(tmp_path / "none", database_url="postgresql://grid:s3cret@db/pg", mqtt_url="mqtt://broker")
    assert given.up() == Addresses("postgresql://grid:s3cret@db/pg", "mqtt://broker")
    assert "s3cret" not in repr(given.status())
    given.down()
    assert not (tmp_path / "none").exists()


def test_status_and_down_before_the_first_start(tmp_path: Path) -> None:
    services = Services(tmp_path / "none")
    services.down()
    assert [state.running for state in services.status()] == [False, False]
    assert not (tmp_path / "none").exists()


@pytest.fixture
def empty_cache(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache without the packages, in a folder that the servers' account could reach."""
    folder = pytestconfig.rootpath / ".patrolgrid" / f"cache-{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    yield folder
    real = [(folder / inner).resolve() for inner in ("patrolgrid", "data/services")]
    shutil.rmtree(folder)
    for place in real:
        shutil.rmtree(place, ignore_errors=True)


def test_without_apt_the_error_names_docker_compose(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(empty_cache))
    with pytest.raises(ServicesError, match="`docker compose up`"):
        Services(empty_cache / "data").up()


def test_a_wrong_mirror_is_named_and_leaves_nothing_half_installed(empty_cache: Path) -> None:
    services = Services(empty_cache / "data", mirror="http://127.0.0.1:9/debian")
    with pytest.raises(ServicesError, match=r"(?s)`docker compose up`.*http://127\.0\.0\.1:9/debian"):
        services.up()
    assert not list(empty_cache.rglob("complete"))


def test_the_preferred_port_is_taken_only_if_it_is_free() -> None:
    with socket.socket() as taker:
        taker.bind(("127.0.0.1", 0))
        taker.listen()
        taken = taker.getsockname()[1]
        assert free_port(taken) != taken
    assert free_port(taken) == taken


def test_a_process_is_believed_only_by_its_command_line() -> None:
    words = Path("/proc/self/cmdline").read_bytes().decode().split("\0")
    assert process(os.getpid(), words[0]) == os.getpid()
    assert process(os.getpid(), "-D", "/nonexistent") is None
    gone = subprocess.Popen(["true"])
    assert wait_until(lambda: process(gone.pid, "true") is None, 5), "a zombie does not run"
    gone.wait()
