"""``patrolgrid services env``: shell lines for whoever wants to publish by hand, also to a given broker."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.services import Services

GIVEN = {
    "PATROLGRID_DATABASE_URL": "postgresql://grid:it's%20secret@127.0.0.1:1/pg",
    "PATROLGRID_MQTT_URL": "mqtt://127.0.0.1:1",
}
LINES = 'eval "$(patrolgrid services env)"; printf "%s\\n" "$PATROLGRID_DATABASE_URL" "$PATROLGRID_MQTT_URL"; '


def shell(folder: Path, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script with ``patrolgrid`` on the PATH and both services given, in a folder without a settings file."""
    ours = Path(sys.executable).parent
    path = {"PATH": f"{ours}:{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, **path, **GIVEN, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_given_services_are_named_and_the_clients_found(services: Services, tmp_path: Path) -> None:
    found = shell(tmp_path, LINES + "mosquitto_pub --version || test $? = 1")
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines()[:2] == list(GIVEN.values())
    assert "mosquitto_pub version 2.0" in found.stdout
    assert not (tmp_path / ".patrolgrid").exists(), "nothing is started or downloaded"


@pytest.fixture
def empty_cache(tmp_path: Path) -> Iterator[Path]:
    """A cache without the packages."""
    yield tmp_path / "cache"
    real = (tmp_path / "cache" / "patrolgrid").resolve()  # as root elsewhere, if others cannot reach it here
    shutil.rmtree(real, ignore_errors=True)


def test_without_any_client_it_says_where_one_is(empty_cache: Path, tmp_path: Path) -> None:
    command = f"{shutil.which('env')} PATH=/nonexistent {Path(sys.executable).with_name('patrolgrid')} services env"
    found = shell(tmp_path, command, XDG_CACHE_HOME=str(empty_cache))
    assert found.returncode == 0, found.stderr
    assert "PATH=" not in found.stdout
    assert len(found.stdout.splitlines()) == 2
    assert "mosquitto-clients" in found.stderr
