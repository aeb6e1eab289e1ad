"""The production broker's own configuration, ACL and password script, run for real: no device speaks for another."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import pytest

from server.mosquitto import Mosquitto
from server.private import own, service_account
from server.services import Services

TOP = Path(__file__).parents[2]
DEVICES = "# the lake\nT-001:first-one's\r\n\nT-002:密码,2#+/$!\nzhang:third\n"
PASSWORDS = {"T-001": "first-one's", "T-002": "密码,2#+/$!", "zhang": "third", "patrolgrid": "servers"}
AREA = "320118102000"


def make_users(services: Services, devices: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the password script with the real mosquitto_passwd."""
    environment = {
        "PATH": f"{services.packages()}/usr/bin:{os.environ['PATH']}",
        "PATROLGRID_MQTT_PASSWORD": "servers",
    }
    account = service_account()
    if account is not None:
        environment["OWNER"] = account.pw_name
    script = [str(TOP / "deploy/mosquitto-users.sh"), str(devices), str(folder)]
    return subprocess.run(["sh", *script], env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def broker(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """Mosquitto with the production files; only ports and folders are this machine's."""
    devices = tmp_path_factory.mktemp("secrets") / "devices"
    devices.write_text(DEVICES)
    name = f"mosquitto-{uuid.uuid4().hex[:12]}"
    text = (TOP / "deploy/mosquitto.conf").read_text()
    for production, here in {
        "listener 1883": "listener {port} 127.0.0.1\npid_file {folder}/mosquitto.pid",
        "/mosquitto/users/passwords": "{folder}/passwords",
        "/mosquitto/config/mosquitto.acl": "{folder}/mosquitto.acl",
        "/mosquitto/data/": "{folder}/",
        "log_dest stdout": "log_dest file {folder}/mosquitto.log",
    }.items():
        assert production in text
        text = text.replace(production, here)
    started = services.extra_mosquitto(name, text)
    result = make_users(services, devices, started.folder)
    assert result.returncode == 0, result.stderr
    acl = started.folder / "mosquitto.acl"
    shutil.copyfile(TOP / "deploy/mosquitto.acl", acl)
    acl.chmod(0o600)
    account = service_account()
    if account is not None:
        os.chown(acl, account.pw_uid, account.pw_gid)
    started.up(0)
    yield started
    started.remove()


def client(broker: Mosquitto, name: str, password: str | None = None) -> aiomqtt.Client:
    """A connection as ``name``."""
    given = PASSWORDS[name] if password is None else password
    return aiomqtt.Client("127.0.0.1", broker.port(), username=name, password=given, identifier=f"{name}-test")


async def heard(listening: aiomqtt.Client, last: str) -> list[str]:
    """Topics that arrive until ``last`` does."""
    topics = []
    async with asyncio.timeout(10):
        async for message in listening.messages:
            topics.append(str(message.topic))
            if topics[-1] == last:
                break
    return topics


async def test_a_device_writes_its_own_readings_and_nobody_else_s(broker: Mosquitto) -> None:
    own_topics = [
        f"pg/v1/{AREA}/T-001/{kind}" for kind in ("fix", "sighting", "sample", "status", "sos", "command/ack")
    ]
    refused = [topic.replace("T-001", "T-002") for topic in own_topics]
    refused += [f"pg/v1/{AREA}/T-001/command", f"pg/v1/{AREA}/T-001/other", "owntracks/zhang/phone", "anything"]
    async with client(broker, "patrolgrid") as server, client(broker, "T-001") as device:
        await server.subscribe([("pg/v1/#", 1), ("owntracks/#", 1)])
        for topic in refused + own_topics:
            await device.publish(topic, b"{}", qos=1)
        assert await heard(server, own_topics[-1]) == own_topics


async def test_a_device_reads_its_own_commands_and_nothing_else(broker: Mosquitto) -> None:
    mine, last = f"pg/v1/{AREA}/T-001/command", f"pg/v1/{AREA}/T-001/command"
    async with (
        client(broker, "patrolgrid") as server,
        client(broker, "T-002") as other,
        client(broker, "T-001") as device,
    ):
        await device.subscribe([("#", 1), ("pg/v1/#", 1), (f"pg/v1/{AREA}/T-002/command", 1), ("$SYS/#", 0)])
        await other.publish(f"pg/v1/{AREA}/T-002/fix", b"{}", qos=1)
        await server.publish(f"pg/v1/{AREA}/T-002/command", b"{}", qos=1)
        await server.publish(mine, b"{}", qos=1)
        assert set(await heard(device, last)) == {mine}


async def test_owntracks_writes_under_its_own_user_and_does_not_see_where_others_are(broker: Mosquitto) -> None:
    async with client(broker, "patrolgrid") as server, client(broker, "zhang") as phone:
        await server.subscribe("owntracks/#", qos=1)
        await phone.subscribe("owntracks/#", qos=1)
        for topic in ("owntracks/li/phone", "owntracks/zhang/phone/cmd", "owntracks/zhang/phone/event"):
            await phone.publish(topic, b"{}", qos=1)
        await phone.publish("owntracks/zhang/phone", b"{}", qos=1)
        assert await heard(server, "owntracks/zhang/phone") == ["owntracks/zhang/phone/event", "owntracks/zhang/phone"]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await anext(aiter(phone.messages))


@pytest.mark.parametrize(("name", "password"), [("T-001", "wrong"), ("T-001", ""), ("T-999", "x"), ("patrolgrid", "")])
async def test_a_wrong_password_and_an_unknown_name_are_refused(broker: Mosquitto, name: str, password: str) -> None:
    with pytest.raises(aiomqtt.MqttError, match=r"[Nn]ot authori[sz]ed"):
        async with client(broker, name, password):
            pass


async def test_nobody_comes_in_without_a_name(broker: Mosquitto) -> None:
    with pytest.raises(aiomqtt.MqttError, match=r"[Nn]ot authori[sz]ed"):
        async with aiomqtt.Client("127.0.0.1", broker.port()):
            pass


def test_the_password_file_holds_hashes_for_its_owner_alone(broker: Mosquitto) -> None:
    file = broker.folder / "passwords"
    text = file.read_text()
    assert [line.split(":")[0] for line in text.splitlines()] == ["patrolgrid", "T-001", "T-002", "zhang"]
    assert all(line.split(":", 1)[1].startswith("$7$") for line in text.splitlines())
    assert not any(password in text for password in PASSWORDS.values())
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("T-001:ok\nT/1:secret\n", "line: 2"),
        ("+:secret\n", "line: 1"),
        ("justasecret\n", "line: 1"),
        ("T-001:\n", "line: 1"),
        ("T-001:secret:secret\n", "line: 1"),
        ("T-001:secret secret\n", "line: 1"),
        ("patrolgrid:secret\n", "the server's own name"),
        ("T-001:one\nT-002:x\nT-001:secret\n", "more than one password for: T-001"),
    ],
)
def test_a_bad_line_is_named_without_its_secret(services: Services, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "devices").write_text(text)
    result = make_users(services, tmp_path / "devices", own(tmp_path / "users"))
    assert result.returncode == 1
    assert said in result.stderr
    assert "secret" not in result.stderr
    assert not (tmp_path / "users" / "passwords").exists()


@pytest.mark.parametrize("password", [None, "", "colon:secret"])
def test_without_a_fit_password_of_the_server_nothing_is_made(tmp_path: Path, password: str | None) -> None:
    given = {} if password is None else {"PATROLGRID_MQTT_PASSWORD": password}
    (tmp_path / "devices").write_text("")
    script = ["sh", str(TOP / "deploy/mosquitto-users.sh"), str(tmp_path / "devices"), str(tmp_path)]
    environment = {"PATH": os.environ["PATH"], **given}
    result = subprocess.run(script, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "secret" not in result.stderr
    assert "PATROLGRID_MQTT_PASSWORD" in result.stderr


def test_the_acl_lets_a_device_reach_nothing_but_topics_with_its_own_name() -> None:
    lines = [
        line.split() for line in (TOP / "deploy/mosquitto.acl").read_text().splitlines() if line[:1] not in ("", "#")
    ]
    patterns = [line for line in lines if line[0] == "pattern"]
    assert patterns
    assert all("%u" in line[2].split("/") for line in patterns)
    assert [line for line in lines if line[0] == "user"] == [["user", "patrolgrid"]]
