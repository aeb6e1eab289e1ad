"""``patrolgrid site`` and ``patrolgrid devices`` on the real database, as typed."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner, Result

from devices.readings import FIX, SAMPLE, SECOND, SIGHTING, rows
from devices.site_contents import FILES
from server import site_commands
from store.database import open_pool
from store.readings import write_batch
from store.registry import load_site

EXAMPLE = Path(__file__).parents[2] / "examples" / "shijiu"


@pytest.fixture(autouse=True)
def settings(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Settings that name the test's database, in an empty folder, on a wide terminal."""
    monkeypatch.setenv("PATROLGRID_DATABASE_URL", database_url)
    monkeypatch.setenv("PATROLGRID_MQTT_URL", "mqtt://127.0.0.1:1")  # nothing here needs a broker
    monkeypatch.chdir(tmp_path)
    for console in (site_commands.out, site_commands.err):
        monkeypatch.setattr(console, "_width", 220)


@pytest.fixture
def loaded() -> None:
    """The example, loaded."""
    assert run(site_commands.site, "load", str(EXAMPLE)).exit_code == 0


def run(app: Typer, *words: str) -> Result:
    return CliRunner().invoke(app, words)


def line(output: str, word: str) -> str:
    return next(row for row in output.splitlines() if word in row)


def test_the_example_is_in_order() -> None:
    result = run(site_commands.site, "check", str(EXAMPLE))
    assert result.exit_code == 0
    assert line(result.output, "devices.csv").split() == ["devices.csv", "52"]
    assert "note:" not in result.output
    assert "in order" in result.output


def test_a_category_without_a_unit_is_noted(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "site")
    duty = tmp_path / "site" / "duty.csv"
    text = duty.read_text("utf-8")
    duty.write_text(
        "\n".join(row for row in text.splitlines() if not row.startswith(("sos,990101000000", "*"))), "utf-8"
    )
    result = run(site_commands.site, "check", str(tmp_path / "site"))
    assert result.exit_code == 0
    assert "note: category 'sos' has no unit in Binhu Example District (990101000000)" in result.output


def test_a_broken_folder_is_explained_and_changes_nothing(loaded: None, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "site")
    rules, places = tmp_path / "site" / "rules.toml", tmp_path / "site" / "devices.csv"
    rules.write_text(rules.read_text("utf-8").replace("sustain", "sustian"), "utf-8")
    places.write_text(places.read_text("utf-8").replace("T001,", "T002,"), "utf-8")
    for command in ("check", "load"):
        result = run(site_commands.site, command, str(tmp_path / "site"))
        assert result.exit_code == 1
        assert "devices.csv, line 15 (T002), code: 'T002' is already used at line 14: make it unique" in result.output
        assert "rules.toml, line 18 (crowd), settings.sustian: 60.0: no such field" in result.output
        assert "2 to mend" in result.output
    assert run(site_commands.devices, "show", "T001").exit_code == 0


def test_load_says_what_is_new_and_what_left(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "site")
    run(site_commands.site, "load", str(EXAMPLE))
    table = tmp_path / "site" / "devices.csv"
    table.write_text(table.read_text("utf-8").replace("T040,", "T041,"), "utf-8")
    result = run(site_commands.site, "load", str(tmp_path / "site"))
    assert result.exit_code == 0
    assert line(result.output, "devices.csv").split() == ["devices.csv", "52", "T041", "T040"]
    assert line(result.output, "zones.geojson").split() == ["zones.geojson", "61"]
    assert line(result.output, "plans.toml").split() == ["plans.toml", "31"]


def test_what_is_exported_is_what_was_loaded(loaded: None, tmp_path: Path) -> None:
    result = run(site_commands.site, "export", str(tmp_path / "out"))
    assert result.exit_code == 0
    assert all((tmp_path / "out" / file).read_bytes() == (EXAMPLE / file).read_bytes() for file in FILES)
    again = run(site_commands.site, "export", str(tmp_path / "out"))
    assert again.exit_code == 1
    assert "already has site.toml" in again.output
    assert run(site_commands.site, "export", "--replace", str(tmp_path / "out")).exit_code == 0


def test_devices_are_listed_with_place_and_age(loaded: None, database_url: str) -> None:
    now = time.time_ns() // 1000

    async def write() -> None:
        async with open_pool(database_url, max_size=1) as pool, pool.connection() as conn:
            registry = (await load_site(conn)).registry
            ids = {device.code: device.id for device in registry.devices}
            fix = (ids["T001"], now - 300 * SECOND, now - 290 * SECOND, 118.77, 31.42, 1.2, 90.0, 5.0, 77.0, 0)
            seen = (ids["C01"], now - 7300 * SECOND, now - 7300 * SECOND, "person", 1, 0.9, "", 118.9, 31.4, "")
            level = (ids["WL01"], now - 30 * SECOND, now - 30 * SECOND, "water_level", 7.9)
            online = (ids["T002"], now - 30 * SECOND, now - 30 * SECOND, "online", 1.0)
            await write_batch(conn, rows(FIX, [fix]), rows(SIGHTING, [seen]), rows(SAMPLE, [level, online]), [])

    asyncio.run(write())
    result = run(site_commands.devices, "list")
    assert result.exit_code == 0
    assert "118.77000, 31.42000" in line(result.output, "T001")
    assert line(result.output, "T001").split()[-6:] == ["5", "min", "ago", "4", "min", "ago"]
    assert line(result.output, "C01").split()[-4:] == ["-", "2", "h", "ago"]
    for code in ("WL01", "T002"):
        assert line(result.output, code).split()[-2:] == ["s", "ago"]
    assert line(result.output, "T003").split()[-3:] == ["-", "-", "-"]
    assert "52 devices, 48 never heard in 30 days" in result.output
    shown = run(site_commands.devices, "show", "T001").output
    assert line(shown, "battery").split() == ["battery", "77", "%"]
    assert "pg/v1/990101001000/T001/…" in shown
    assert "10 devices, 9 never heard" in run(site_commands.devices, "list", "--kind", "camera").output


def test_a_device_is_added_and_deactivated(loaded: None) -> None:
    words = ["T077", "--name", "新", "--name-en", "New", "--area", "990101104203", "--role", "patrol"]
    result = run(site_commands.devices, "add", *words)
    assert result.exit_code == 0
    assert "pg/v1/990101001000/T077/…" in result.output
    again = run(site_commands.devices, "add", *words)
    assert again.exit_code == 1
    assert "'T077' is already used" in again.output
    lost = run(site_commands.devices, "add", "T078", *words[1:5], "--area", "990101104999")
    assert lost.exit_code == 1
    assert "'990101104999' is not in areas.csv" in lost.output
    assert run(site_commands.devices, "deactivate", "T077").exit_code == 0
    assert "no: what it sends is refused" in run(site_commands.devices, "show", "T077").output


@pytest.mark.parametrize("words", [["show", "T404"], ["deactivate", "T404"]])
def test_an_unknown_device_is_named(loaded: None, words: list[str]) -> None:
    result = run(site_commands.devices, *words)
    assert result.exit_code == 1
    assert "there is no device 'T404' in the site" in result.output


def test_without_a_schema_or_a_site_the_next_step_is_named(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATROLGRID_DATABASE_URL", empty_database_url)
    result = run(site_commands.site, "load", str(EXAMPLE))
    assert result.exit_code == 1
    assert "run `patrolgrid migrate` first" in result.output
