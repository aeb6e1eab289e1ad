"""A broker that asks for a password over TLS."""

from __future__ import annotations

import asyncio
import gc
import shutil
import ssl
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiomqtt
import pytest
import uvloop

from ingest.listener import Listener
from server.mosquitto import CONFIGURATION
from server.services import Services

PASSWORD = "p@ss/wörd:1"

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the broker's certificate")


@pytest.fixture(scope="module")
def secure(services: Services) -> Iterator[tuple[int, Path]]:
    """A broker with TLS and one user; its port and the certificate to trust."""
    folder_name = f"mosquitto-{uuid.uuid4().hex[:12]}"
    template = CONFIGURATION.replace("allow_anonymous true", "allow_anonymous false") + (
        "certfile {folder}/cert.pem\nkeyfile {folder}/key.pem\npassword_file {folder}/passwords\n"
    )
    broker = services.extra_mosquitto(folder_name, template)
    certificate, key, passwords = (broker.folder / name for name in ("cert.pem", "key.pem", "passwords"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    tool = broker.root / "usr/bin/mosquitto_passwd"
    subprocess.run([tool, "-b", "-c", passwords, "worker", PASSWORD], check=True, capture_output=True)
    owner = broker.folder.stat()
    for file in (certificate, key, passwords):
        shutil.chown(file, owner.st_uid, owner.st_gid)
    yield broker.up(0), certificate
    broker.remove()


async def test_password_and_tls(secure: tuple[int, Path], monkeypatch: pytest.MonkeyPatch, until: Any) -> None:
    port, certificate = secure
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    url = f"mqtts://worker:{quote(PASSWORD, safe='')}@127.0.0.1:{port}"
    async with Listener(url, "secure") as listener:
        await until(lambda: listener.connected)


def test_password_and_tls_on_uvloop(secure: tuple[int, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    port, certificate = secure
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    url = f"mqtts://worker:{quote(PASSWORD, safe='')}@127.0.0.1:{port}"

    async def talk() -> list[bytes]:
        async with Listener(url, "secure-uvloop", ["a/#"]) as listener:
            while not listener.connected:
                await asyncio.sleep(0.02)
            parts = {"username": "worker", "password": PASSWORD, "tls_context": ssl.create_default_context()}
            async with aiomqtt.Client("127.0.0.1", port, **parts) as terminal:
                for size in (1, 100_000, 400_000):
                    await terminal.publish("a/b", b"x" * size, qos=1)
            taken: list[bytes] = []
            while len(taken) < 3:
                messages = await listener.take(3)
                await listener.ack(messages)
                taken += [m.payload for m in messages]
            return taken

    assert [len(p) for p in uvloop.run(asyncio.wait_for(talk(), 20))] == [1, 100_000, 400_000]


@pytest.mark.parametrize("trusted", [True, False])
async def test_a_wrong_password_or_an_unknown_certificate(
    secure: tuple[int, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], trusted: bool
) -> None:
    port, certificate = secure
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    password = "wrong" if trusted else quote(PASSWORD, safe="")
    async with Listener(f"mqtts://worker:{password}@127.0.0.1:{port}", "secure") as listener:
        await asyncio.sleep(0.5)
        assert not listener.connected
    del listener
    gc.collect()
    assert ("mqtt_refused" if trusted else "mqtt_unreachable") in capsys.readouterr().out
