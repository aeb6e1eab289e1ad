"""``patrolgrid worker --end-session``: the broker gathers nothing any more for a worker that is not wanted."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import aiomqtt
import pytest
from typer.testing import CliRunner

from ingest.listener import Listener
from server.cli import app
from server.publisher import BrokerAway, end_sessions

TOPIC = "pg/v1/990101001000/T001/fix"


async def visit(url: str, client: str, wait: float = 0.0) -> list[bytes]:
    """Connect as this client; what waits for it, not acknowledged."""
    async with Listener(url, client) as listener:
        async with asyncio.timeout(10):
            while not listener.connected:
                await asyncio.sleep(0.02)
        await asyncio.sleep(wait)
        return [message.payload for message in await listener.take(9)] if listener.more else []


async def test_what_waited_for_an_ended_session_is_gone(
    mqtt_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    worker = f"test-{uuid.uuid4().hex[:8]}"
    client = f"patrolgrid-{worker}-3"
    await visit(mqtt_url, client)
    async with aiomqtt.Client("127.0.0.1", urlsplit(mqtt_url).port or 0) as terminal:
        await terminal.publish(TOPIC, b"kept", qos=1)
    assert await visit(mqtt_url, client, 0.5) == [b"kept"]

    monkeypatch.chdir(tmp_path)
    settings = {"MQTT_URL": mqtt_url, "DATABASE_URL": database_url, "WORKER": worker}
    for name, value in settings.items():
        monkeypatch.setenv(f"PATROLGRID_{name}", value)
    command = ["worker", "--shard", "3/4", "--end-session"]
    result = await asyncio.to_thread(CliRunner().invoke, app, command)
    assert result.exit_code == 0, result.output
    assert f"session {client} ended at 127.0.0.1:" in result.output
    assert await visit(mqtt_url, client, 0.5) == []
    await end_sessions(mqtt_url, client)


async def test_a_broker_that_is_away_is_named() -> None:
    with pytest.raises(BrokerAway, match=r"127\.0\.0\.1:1\b.*could not be ended"):
        await end_sessions("mqtt://127.0.0.1:1", "x")
