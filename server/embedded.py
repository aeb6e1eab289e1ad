"""An HTTP server that is one part of our process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socket import socket

import structlog
import uvicorn

log = structlog.get_logger()


class Embedded(uvicorn.Server):
    """Uvicorn as one part of our process: it says when it listens, and leaves the signals to us, as its own handlers
    would end the process before the worker has."""

    ready: Callable[[str], None] = staticmethod(lambda address: None)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Listen, then say where."""
        await super().startup(sockets)
        if self.started:
            port = self.servers[0].sockets[0].getsockname()[1]
            address = f"http://{self.config.host}:{port}"
            log.info("listening", address=address)
            self.ready(address)
