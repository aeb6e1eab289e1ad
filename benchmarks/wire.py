"""A wire between two parts: a TCP proxy on 127.0.0.1 that can be cut, held, and mended."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit


class Wire:
    """In front of the service at ``url``; there is none before the first :meth:`mend`."""

    def __init__(self, url: str) -> None:
        self._far = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()
        self._carrying: set[asyncio.Task[None]] = set()
        self._passing = asyncio.Event()
        self._passing.set()
        self.port = 0

    @property
    def url(self) -> str:
        """The service's address through the wire."""
        user = self._far.netloc.rpartition("@")[0]
        return self._far._replace(netloc=f"{user}@127.0.0.1:{self.port}" if user else f"127.0.0.1:{self.port}").geturl()

    async def mend(self) -> None:
        """Take connections (again), on the port that it had."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Reset every connection and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for end in list(self._ends):
            end.transport.abort()
        for carrying in self._carrying:
            carrying.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    def hold(self) -> None:
        """Let nothing through, and tell nobody: connections stay, new ones are never answered."""
        self._passing.clear()

    def release(self) -> None:
        """Let through again, also what was sent meanwhile: TCP repeats it until the network is back."""
        self._passing.set()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._carrying.add(task)
        ends = [writer]
        self._ends.add(writer)
        try:
            await self._passing.wait()
            far_reader, far_writer = await asyncio.open_connection(self._far.hostname, self._far.port)
            ends.append(far_writer)
            self._ends.add(far_writer)
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(reader, far_writer))
                pumps.create_task(self._pump(far_reader, writer))
        except (OSError, asyncio.CancelledError):
            pass  # the far end does not answer, or the wire was cut
        finally:
            for end in ends:
                end.close()
                self._ends.discard(end)
            self._carrying.discard(task)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                await self._passing.wait()
                if sink.is_closing():  # by the other pump; uvloop's raises no OSError then
                    break
                sink.write(data)
                await sink.drain()
        except OSError:
            pass  # cut, or one of the two is gone: the other must hear of it
        finally:
            sink.close()
