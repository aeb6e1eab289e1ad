"""Runs the backtests that were asked for in the console: in a process of its own, so that the console stays quick."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import structlog

from server.services import Addresses

log = structlog.get_logger()


class BacktestJobs:
    """One process at a time works off the queue in the database; it ends when nothing waits."""

    def __init__(self, addresses: Addresses) -> None:
        self._environment = os.environ | {
            "PATROLGRID_DATABASE_URL": addresses.database_url,
            "PATROLGRID_MQTT_URL": addresses.mqtt_url,
        }
        self._runner: asyncio.Task[None] | None = None
        self._again = False

    def start(self) -> None:
        """Something waits. Returns at once."""
        if self._runner is not None and not self._runner.done():
            self._again = True  # it may just have found the queue empty
        else:
            self._runner = asyncio.create_task(self._run(), name="backtests")

    async def close(self) -> None:
        """End what runs; it is taken up again when a backtest is next asked for, as failed."""
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.wait([self._runner])

    async def _run(self) -> None:
        while True:
            self._again = False
            command = (str(Path(sys.executable).with_name("patrolgrid")), "backtest", "--asked")
            process = await asyncio.create_subprocess_exec(
                *command, env=self._environment, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
            )
            try:
                _, said = await process.communicate()
            except asyncio.CancelledError:
                if process.returncode is None:
                    process.terminate()
                    await process.wait()
                raise
            if process.returncode:
                log.error("backtest_failed", code=process.returncode, said=said.decode(errors="replace")[-2000:])
            if not self._again:
                return
