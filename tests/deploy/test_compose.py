"""docker-compose.yml and what it mounts: complete, without a single default secret, and fit for what it starts."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

TOP = Path(__file__).parents[2]
COMPOSE = TOP / "docker-compose.yml"
ONE_SHOT = {"migrate", "mosquitto-users"}
SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|DEVICES$")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The file as read, anchors resolved."""
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return loaded


def _variables(text: str) -> list[tuple[str, str]]:
    """Every ``${NAME…}`` as (NAME, what follows it)."""
    return re.findall(r"\$\{(\w+)([^}]*)\}", text)


def test_it_fits_the_compose_schema() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_check_would_notice_a_mistake(tmp_path: Path) -> None:
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text(COMPOSE.read_text().replace("healthcheck:", "healthchek:", 1))
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(wrong)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1


def test_its_services_are_those_of_the_design(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"timescaledb", "mosquitto-users", "mosquitto", "migrate", "worker", "console"}


def test_no_secret_has_a_default() -> None:
    found = [(name, rest) for name, rest in _variables(COMPOSE.read_text()) if SECRET.search(name)]
    assert {name for name, _ in found} == {
        "PATROLGRID_DB_PASSWORD",
        "PATROLGRID_MQTT_PASSWORD",
        "PATROLGRID_MQTT_DEVICES",
    }
    for name, rest in found:
        assert rest.startswith(":?"), f"{name} must be refused when it is empty, not {rest!r}"
        assert len(rest) > 5, f"{name} needs a message that says what to do"


def test_every_password_comes_from_a_variable(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for key, value in service.get("environment", {}).items():
            if "PASSWORD" in key:
                assert str(value).startswith("${"), f"{name}: {key}"
            assert not re.search(r"://\w*:(?!\$\{)[^/@]*@", str(value)), f"{name}: {key} holds a password"


def test_every_service_has_a_health_check_or_ends_by_itself(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        if name in ONE_SHOT:
            assert service["restart"] == "no", name
            assert "healthcheck" not in service, name
        else:
            assert service["restart"] == "unless-stopped", name
            assert service["healthcheck"]["test"], name


def test_each_waits_for_what_it_needs(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            expected = "service_completed_successfully" if needed in ONE_SHOT else "service_healthy"
            assert how == {"condition": expected}, f"{name} waits for {needed}"
            assert needed in services
    assert set(services["worker"]["depends_on"]) == {"timescaledb", "mosquitto", "migrate"}


def test_images_are_pinned_and_the_broker_is_the_tested_one(compose: dict[str, Any]) -> None:
    images = {name: service["image"] for name, service in compose["services"].items()}
    for name, image in images.items():
        assert re.search(r":\d+\.\d+\.\d+", image), f"{name}: {image}"
    assert images["mosquitto"] == images["mosquitto-users"] == "eclipse-mosquitto:2.0.21"
    assert images["timescaledb"].endswith("-pg17")


def test_only_the_broker_and_the_console_show_a_port_and_only_to_this_machine_unless_asked(
    compose: dict[str, Any],
) -> None:
    ports = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert set(ports) == {"mosquitto", "console"}
    for name, published in ports.items():
        assert all(re.match(r"\$\{\w+_BIND:-127\.0\.0\.1\}:", port) for port in published), name


def test_data_live_in_declared_volumes(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (TOP / source).is_file(), f"{name}: {source}"
                assert volume.endswith(":ro"), f"{name}: {volume}"
            else:
                assert source in compose["volumes"], f"{name}: {source}"
    assert "timescaledb:/var/lib/postgresql/data" in compose["services"]["timescaledb"]["volumes"]
    assert "mosquitto:/mosquitto/data" in compose["services"]["mosquitto"]["volumes"]


def test_the_example_file_names_every_variable_and_gives_none_a_value() -> None:
    lines = (TOP / ".env.example").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert set(given) == {name for name, _ in _variables(COMPOSE.read_text())}
    assert set(given.values()) == {""}


def test_settings_named_in_the_file_exist(compose: dict[str, Any]) -> None:
    from server.settings import Settings

    for name in compose["services"]["worker"]["environment"]:
        assert name.removeprefix("PATROLGRID_").lower() in Settings.model_fields, name
