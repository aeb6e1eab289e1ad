"""Apprise against a real HTTP receiver on loopback, one that fails, and none at all."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from alerts.channels.apprise_channel import AppriseChannel
from alerts.notice import Notice, Permanent, Temporary

NOTICE = Notice(
    7,
    3,
    "apprise",
    "fishery",
    "why",
    {
        "title": {"zh": "PG-20261120-0001 禁渔区垂钓", "en": "PG-20261120-0001 Fishing"},
        "text": {"zh": "看到三人垂钓", "en": "three people angling"},
    },
)


class Receiver:
    """An HTTP server that answers what it is told to and keeps what it got."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.status, self.delay = 200, 0.0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                time.sleep(outer.delay)
                outer.got.append(json.loads(body))
                self.send_response(outer.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    @property
    def address(self) -> str:
        return f"json://127.0.0.1:{self.server.server_port}/hook/s3cret"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


async def test_it_arrives_in_both_languages(receiver: Receiver) -> None:
    await AppriseChannel().send(replace(NOTICE, address=receiver.address))
    (got,) = receiver.got
    assert "禁渔区垂钓" in got["title"] and "Fishing" in got["title"]
    assert "看到三人垂钓" in got["message"] and "three people angling" in got["message"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(500, Temporary), (503, Temporary), (429, Temporary), (404, Temporary), (401, Permanent), (410, Permanent)],
)
async def test_a_refusing_service_is_temporary_or_permanent_by_its_answer(
    receiver: Receiver, status: int, kind: type[Exception]
) -> None:
    receiver.status = status
    with pytest.raises(kind) as failure:
        await AppriseChannel().send(replace(NOTICE, address=receiver.address))
    assert str(status) in str(failure.value), "the reason is kept"
    assert "s3cret" not in str(failure.value)
    assert len(receiver.got) == 1, "a channel never tries twice by itself"


async def test_nobody_listening_is_temporary(receiver: Receiver) -> None:
    address = receiver.address
    receiver.close()
    with pytest.raises(Temporary) as failure:
        await AppriseChannel().send(replace(NOTICE, address=address))
    assert str(failure.value) and "s3cret" not in str(failure.value)


async def test_a_slow_service_is_given_up_in_time_and_holds_nobody_else(receiver: Receiver) -> None:
    receiver.delay = 1.5
    began = time.perf_counter()
    sending = asyncio.create_task(AppriseChannel(timeout=0.4).send(replace(NOTICE, address=receiver.address)))
    ticks = 0
    while not sending.done():
        await asyncio.sleep(0.01)
        ticks += 1
    with pytest.raises(Temporary):
        await sending
    assert ticks > 10 and time.perf_counter() - began < 1.4
    await asyncio.sleep(1.5)  # the receiver ends its answer before it is closed


@pytest.mark.parametrize("address", ["", "nonsense", "nosuchscheme://host/secret"])
async def test_what_is_no_address_never_can_be(address: str) -> None:
    with pytest.raises(Permanent) as failure:
        await AppriseChannel().send(replace(NOTICE, address=address))
    assert "fishery" in str(failure.value) and "secret" not in str(failure.value)


def test_a_time_limit_must_be_one() -> None:
    with pytest.raises(ValueError, match="-1"):
        AppriseChannel(timeout=-1)
