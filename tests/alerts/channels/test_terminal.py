"""Commands to a terminal through the real broker."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from urllib.parse import urlsplit

import aiomqtt
import pytest

from alerts.channels.terminal import TerminalChannel
from alerts.notice import Notice, Permanent, Temporary

BODY = {"do": "goto", "lon": 118.88, "lat": 31.47, "case": "PG-1", "zh": "请前往现场", "en": "Go to the scene"}
NOTICE = Notice(42, 3, "terminal", "T1", "why", BODY, address="320118100000/T1")


async def test_the_command_reaches_the_terminal_as_the_contract_says(mqtt_url: str) -> None:
    url = urlsplit(mqtt_url)
    where = {"hostname": url.hostname or "", "port": url.port or 0}
    async with aiomqtt.Client(**where, identifier="terminal") as terminal, aiomqtt.Client(**where) as server:  # type: ignore[arg-type]
        await terminal.subscribe("pg/v1/320118100000/T1/command", qos=1)

        async def publish(topic: str, payload: bytes) -> None:
            await server.publish(topic, payload, qos=1)

        await TerminalChannel(publish).send(NOTICE)
        message = await asyncio.wait_for(anext(aiter(terminal.messages)), 10)
    assert message.qos == 1 and str(message.topic) == "pg/v1/320118100000/T1/command"
    assert isinstance(message.payload, bytes)
    assert json.loads(message.payload) == {"id": "42", **BODY}
    assert "请前往现场".encode() in message.payload, "not escaped: a terminal's radio link is narrow"


@pytest.mark.parametrize("error", [ConnectionRefusedError("no broker"), TimeoutError()])
async def test_a_broker_that_is_away_is_temporary(error: OSError) -> None:
    async def publish(topic: str, payload: bytes) -> None:
        raise error

    with pytest.raises(Temporary, match=r"no broker|TimeoutError"):
        await TerminalChannel(publish).send(NOTICE)


async def test_a_terminal_that_is_gone_is_permanent() -> None:
    async def publish(topic: str, payload: bytes) -> None:
        raise AssertionError("nothing may be sent")

    with pytest.raises(Permanent, match="T1"):
        await TerminalChannel(publish).send(replace(NOTICE, address=""))
