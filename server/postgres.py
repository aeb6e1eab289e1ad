"""One private PostgreSQL server with TimescaleDB: its data folder, its start, its end."""

from __future__ import annotations

import os
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from server.private import (
    ServicesError,
    free_port,
    give_way,
    own,
    process,
    run,
    service_account,
    wait_until,
    working_in,
)

USER = "patrolgrid"


@dataclass(frozen=True)
class Postgres:
    """The server below ``folder`` (its data in ``folder/data``), with programs of ``binaries``.

    Attributes:
        binaries: folder of ``postgres``, ``initdb``, ``pg_ctl``, ``createdb``, ``dropdb``.
        password: of the account ``patrolgrid``, the superuser; it is asked for on loopback too.
    """

    binaries: Path
    folder: Path
    password: str

    @property
    def data(self) -> Path:
        """The database cluster."""
        return self.folder / "data"

    def pid(self) -> int | None:
        """The running server's process id, verified against the process itself; None when it does not run."""
        return process(self._pid_in_file(), "-D", str(self.data))

    def up(self, port: int) -> int:
        """Start it (once made) unless it runs, and return its port: ``port`` if that is free.

        Raises:
            ServicesError: it does not start; the message ends with its log.
        """
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        # One that was killed this moment still looks alive: believe it only when it answers.
        if not wait_until(lambda: self.pid() is None or self._answers(), 60):
            raise ServicesError(f"the private TimescaleDB (process {self.pid()}) runs but does not answer")
        if self.pid() is None:
            self._clear_after_kill()
            port = free_port(port)
            self._start(port)
        else:
            port = self._port_in_file()
        if USER not in self.databases(port):
            self._client("createdb", USER, port=port)
        return port

    def down(self) -> None:
        """Stop it: connections are cut, what was committed stays."""
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGINT)  # PostgreSQL's "fast" shutdown
            if not wait_until(lambda: self.pid() is None, 60):
                raise ServicesError(f"the private TimescaleDB (process {pid}) does not end")

    def kill(self) -> None:
        """End it as a power cut would, with SIGKILL (for tests of what survives)."""
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)

    def url(self, port: int, database: str = USER) -> str:
        """The address of one of its databases."""
        return f"postgresql://{USER}:{quote(self.password)}@127.0.0.1:{port}/{database}"

    def databases(self, port: int) -> list[str]:
        """The names of its databases."""
        listed = self._client("psql", "-Atlqz", "postgres", port=port)
        return [line.split("\0")[0] for line in listed.splitlines()]

    def create_database(self, port: int, name: str) -> str:
        """Make an empty database and return its address."""
        self._client("createdb", name, port=port)
        return self.url(port, name)

    def drop_database(self, port: int, name: str) -> None:
        """Remove a database, if it exists, cutting its connections."""
        self._client("dropdb", "--force", "--if-exists", name, port=port)

    def _client(self, program: str, *arguments: str, port: int) -> str:
        connection = ["-h", "127.0.0.1", "-p", str(port), "-U", USER, "-w"]
        command: list[str | Path] = [self.binaries / program, *connection, *arguments]
        return run(command, cwd=self.folder, env={"PGPASSWORD": self.password, "PGCONNECT_TIMEOUT": "10"})

    def _pid_in_file(self) -> int | None:
        try:
            return int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None

    def _port_in_file(self) -> int:
        return int((self.data / "postmaster.pid").read_text().splitlines()[3])

    def _answers(self) -> bool:
        try:
            run([self.binaries / "pg_isready", "-h", "127.0.0.1", "-p", str(self._port_in_file())], cwd=self.folder)
        except (ServicesError, FileNotFoundError, IndexError):  # starting, stopping, or its pid file half written
            return False
        return True

    def _initialise(self) -> None:
        own(self.folder)
        unfinished = self.folder / "data.new"  # renamed when done: an interrupted initdb leaves no half cluster behind
        shutil.rmtree(unfinished, ignore_errors=True)
        secret = self.folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(self.password)
        account = service_account()
        if account is not None:
            os.chown(secret, account.pw_uid, account.pw_gid)
        command: list[str | Path] = [
            self.binaries / "initdb",
            "-D",
            unfinished,
            "-U",
            USER,
            "-E",
            "UTF8",
            "--pwfile",
            secret,
        ]
        command += ["--auth=scram-sha-256", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        try:
            run(command, cwd=self.folder)
        finally:
            secret.unlink()
        unfinished.rename(self.data)

    def _start(self, port: int) -> None:
        (self.data / "postgresql.auto.conf").write_text(_configuration(port))
        log = self.folder / "postgres.log"
        command: list[str | Path] = [self.binaries / "pg_ctl", "start", "-D", self.data, "-l", log, "-w", "-t", "90"]
        try:
            run(command, cwd=self.folder)
        except ServicesError as error:
            tail = log.read_text(errors="replace")[-1500:] if log.exists() else ""
            raise ServicesError(f"the private TimescaleDB does not start: {error}\n{tail}") from error
        if pid := self.pid():
            give_way(pid)

    def _clear_after_kill(self) -> None:
        """Make way after a kill -9: wait for the orphans to end, then remove the dead server's pid file.

        PostgreSQL takes a zombie, or a stranger who got the number, for a running server and would refuse to start. It
        is safe once no process works in the data folder any more: orphans are what the pid file guards against.
        """
        if self._pid_in_file() is None:
            return
        if not wait_until(lambda: not working_in(self.data), 20):
            raise ServicesError(f"processes {working_in(self.data)} of a killed TimescaleDB still work in {self.data}")
        stale = self.data / "postmaster.pid"
        stale.rename(self.folder / f"postmaster.pid.{int(time.time())}.stale")


def _configuration(port: int) -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return f"""# Written at every start of the private services; changes here do not last.
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
shared_preload_libraries = 'timescaledb'
timescaledb.telemetry_level = off
timescaledb.max_background_workers = 16
max_worker_processes = 27
max_connections = 100
max_locks_per_transaction = 256
shared_buffers = '{min(max(memory // 8, 64), 512)}MB'
# Pages of a bitmap scan that are asked for at once: a terminal's day lies in thousands of them.
effective_io_concurrency = 128
# When each transaction was committed: benchmarks and tests ask for it.
track_commit_timestamp = on
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
"""
