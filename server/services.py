"""The private services: a real TimescaleDB and a real broker in a folder of their own, without root or Docker.

They come from Debian's packages and run through their own loader (see docs/adr/0001). This is set-up code that
the command line runs before any event loop exists, hence synchronous: the one exception to "async only".
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

from server.debian import NoPackagesError, Say, fetch_suite, require_apt, wrap
from server.mosquitto import CONFIGURATION, Mosquitto
from server.nats import Nats
from server.postgres import Postgres
from server.private import ServicesError, cache_folder, locked, own, reachable
from server.private_broker import PrivateBroker

BINARIES = "usr/lib/postgresql/17/bin"
NOWHERE: Final = Path("/nonexistent")
"""For programs that are not needed, as to look at a server or to stop it."""
BrokerName = Literal["mosquitto", "nats"]


class Bundle(NamedTuple):
    """Packages that are unpacked together."""

    name: str
    what: str  # for people
    packages: tuple[str, ...]
    skip: re.Pattern[str]  # what a server does not need of all that they need, so that less is downloaded
    suite: str = "trixie"  # of Debian


BASE: Final = Bundle(
    "services",
    "The private TimescaleDB and Mosquitto",
    ("postgresql-17-timescaledb", "mosquitto", "mosquitto-clients"),
    # Base tools, Perl, and LLVM (jit is off).
    re.compile(
        r"^(?!(lib|zlib1g|postgresql-(client-)?17|mosquitto)).*|^lib(llvm|z3-|perl|pam-modules|c-bin|c-l10n|\S*-perl$)"
    ),
)
NATS: Final = Bundle(
    "nats",
    "The private NATS server",
    ("nats-server",),
    re.compile(r"^(?!(libc6|nats-server)$).*"),
    "forky",  # trixie's 2.10 forgets messages (docs/adr/0028)
)


class Addresses(NamedTuple):
    """Where the services answer."""

    database_url: str
    mqtt_url: str


@dataclass(frozen=True)
class ServiceState:
    """One service as ``status`` shows it. ``address`` holds no password; ``folder`` is empty for one that was given."""

    name: str
    running: bool
    pid: int | None
    address: str
    folder: str


@dataclass
class _Memory:
    """What is remembered from one start to the next, in ``services.json``."""

    password: str
    database_port: int = 0
    mqtt_port: int = 0
    broker: BrokerName = "mosquitto"


class Services:
    """The private services of one data folder.

    Args:
        data_dir: their data go to ``data_dir/services``; as root below a closed folder, that is a link to /var/lib.
        database_url: a database to use instead; no private one is started then.
        mqtt_url: a broker to use instead; no private one is started then.
        mirror: a Debian mirror; empty: the one in this host's apt sources.
        mqtt_port: the broker's port at the first start, if it is free; 0: any. Later starts keep the port they had.
        broker: which broker; none: that of the last start, at first Mosquitto. One runs at a time, on the same port;
            what the other has queued stays with it.
        say: called with one line before each step that takes time.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        database_url: str = "",
        mqtt_url: str = "",
        mirror: str = "",
        mqtt_port: int = 0,
        broker: BrokerName | None = None,
        say: Say = lambda line: None,
    ) -> None:
        self._data_dir = data_dir
        self._given = Addresses(database_url, mqtt_url)
        self._mirror = mirror
        self._mqtt_port = mqtt_port
        self._broker = broker
        self._say = say

    def up(self) -> Addresses:
        """Start what does not run yet (installing it first), and say where it answers.

        Raises:
            ServicesError: a service cannot be had or does not start.
        """
        if all(self._given):
            return self._given
        folder = self._folder()
        with locked(folder / "lock"):
            root = self.packages()
            memory = self._remember(folder)
            database = self._postgres(folder, root, memory)
            if not self._given.database_url:
                self._starting("TimescaleDB", database)
                memory.database_port = database.up(memory.database_port)
            if not self._given.mqtt_url:
                memory.broker = self._broker or memory.broker
                broker, other = _brokers(folder, memory.broker, self.packages)
                other.down()
                self._starting(broker.title, broker)
                memory.mqtt_port = broker.up(memory.mqtt_port or self._mqtt_port)
            _write_secret(folder / "services.json", json.dumps(asdict(memory), indent=1))
            return self._addresses(database, memory)

    def down(self) -> None:
        """Stop what runs; the data stay."""
        folder = (self._data_dir / "services").resolve()
        if (folder / "services.json").exists():
            with locked(folder / "lock"):
                self._say("Stopping the private services")
                for broker in _brokers(folder, "mosquitto"):
                    broker.down()
                self._postgres(folder, NOWHERE, _Memory("")).down()

    def status(self) -> list[ServiceState]:
        """Each service with its process and address. Starts, installs and writes nothing."""
        folder = (self._data_dir / "services").resolve()
        memory = self._memory(folder) or _Memory("")
        database, (broker, _) = self._postgres(folder, NOWHERE, memory), _brokers(folder, self._broker or memory.broker)
        return [
            _state("TimescaleDB", self._given.database_url, database, memory.database_port),
            _state(broker.title, self._given.mqtt_url, broker, memory.mqtt_port),
        ]

    def packages(self, bundle: Bundle = BASE) -> Path:
        """The folder of the unpacked packages; they are downloaded once for all data folders of this account."""
        root = self._root(bundle)
        if self.installed(bundle) is None:
            with locked(root.with_name("lock")):
                if self.installed(bundle) is None:
                    self._install(root, bundle)
        return root

    def installed(self, bundle: Bundle = BASE) -> Path | None:
        """That folder if it is there already; downloads nothing."""
        root = self._root(bundle)
        return root if (root / "complete").exists() else None

    def postgres(self) -> Postgres:
        """The private TimescaleDB, to make and drop further databases in. After :meth:`up`."""
        folder = self._folder()
        return self._postgres(folder, self.packages(), self._remember(folder))

    def extra_mosquitto(self, name: str, template: str = CONFIGURATION) -> Mosquitto:
        """A further broker, not started yet, with its own folder ``name`` beside the services'."""
        return Mosquitto(self.packages(), own(self._folder() / name), template)

    def extra_nats(self, name: str) -> Nats:
        """A further NATS server, not started yet, with its own folder ``name`` beside the services'."""
        return Nats(self.packages(NATS), own(self._folder() / name))

    def _root(self, bundle: Bundle) -> Path:
        return cache_folder(self._data_dir) / f"{bundle.name}-{bundle.suite}-{os.uname().machine}"

    def _install(self, root: Path, bundle: Bundle) -> None:
        partial = root.with_name(f"{root.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(root, ignore_errors=True)
        try:
            require_apt(bundle.what)
            fetch_suite(bundle.suite, bundle.packages, bundle.skip, partial, mirror=self._mirror, say=self._say)
        except NoPackagesError as error:
            raise ServicesError(str(error)) from error
        for place in (place for place in (BINARIES, "usr/bin", "usr/sbin") if (partial / place).exists()):
            for binary in sorted((partial / place).iterdir()):
                if binary.is_file() and not binary.is_symlink() and binary.read_bytes()[:4] == b"\x7fELF":
                    wrap(binary, partial, root)
        (partial / "complete").touch()
        partial.rename(root)

    def _starting(self, name: str, service: Postgres | PrivateBroker) -> None:
        if service.pid() is None:
            self._say(f"Starting the private {name}")

    def _folder(self) -> Path:
        return reachable(self._data_dir / "services", "/var/lib/patrolgrid")

    def _postgres(self, folder: Path, root: Path, memory: _Memory) -> Postgres:
        return Postgres(root / BINARIES, folder / "timescaledb", memory.password)

    def _memory(self, folder: Path) -> _Memory | None:
        file = folder / "services.json"
        return _Memory(**json.loads(file.read_text())) if file.exists() else None

    def _remember(self, folder: Path) -> _Memory:
        memory = self._memory(folder)
        if memory is None:
            memory = _Memory(secrets.token_urlsafe(24))
            _write_secret(folder / "services.json", json.dumps(asdict(memory), indent=1))
        return memory

    def _addresses(self, postgres: Postgres, memory: _Memory) -> Addresses:
        return Addresses(
            self._given.database_url or postgres.url(memory.database_port),
            self._given.mqtt_url or f"mqtt://127.0.0.1:{memory.mqtt_port}",
        )


def _brokers(
    folder: Path, wanted: BrokerName, packages: Callable[[Bundle], Path] = lambda bundle: NOWHERE
) -> tuple[PrivateBroker, PrivateBroker]:
    """The broker that is wanted, and the other one, which only needs to be stopped."""
    if wanted == "nats":
        return Nats(packages(NATS), folder / "nats"), Mosquitto(NOWHERE, folder / "mosquitto")
    return Mosquitto(packages(BASE), folder / "mosquitto"), Nats(NOWHERE, folder / "nats")


def _state(name: str, given: str, service: Postgres | PrivateBroker, port: int) -> ServiceState:
    if given:
        return ServiceState(name, True, None, re.sub(r"://[^@/]*@", "://", given), "")
    pid = service.pid()
    return ServiceState(name, pid is not None, pid, f"127.0.0.1:{port}" if port else "", str(service.folder))


def _write_secret(file: Path, text: str) -> None:
    partial = file.with_suffix(".partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
        handle.write(text)
    partial.rename(file)
