"""``patrolgrid simulate`` on a real broker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from server.simulate_command import simulate

EXAMPLE = Path(__file__).parents[2] / "examples" / "shijiu"


@pytest.fixture
def runner(mqtt_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CliRunner:
    monkeypatch.setenv("PATROLGRID_MQTT_URL", mqtt_url)
    monkeypatch.setenv("PATROLGRID_DATABASE_URL", "postgresql://127.0.0.1:1/none")  # or a private one is left
    monkeypatch.chdir(tmp_path)
    return CliRunner()


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.command()(simulate)
    return app


def test_a_back_fill_writes_the_truth_and_ends(runner: CliRunner, app: typer.Typer, tmp_path: Path) -> None:
    arguments = [str(EXAMPLE), "--scenario", "evening", "--speed", "100000", "--lead", "15", "--minutes", "15"]
    done = runner.invoke(app, [*arguments, "--truth", str(tmp_path / "truth.jsonl")])
    assert done.exit_code == 0, done.output
    kinds = {json.loads(line)["kind"] for line in (tmp_path / "truth.jsonl").read_text().splitlines()}
    assert kinds >= {"fishing", "walker"}
    assert "0 waiting" in done.output
