"""Settings: where they come from, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.settings import SETTINGS_FILE, Settings, WrongSetting, read_settings


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder without a settings file, and none of the caller's environment."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"PATROLGRID_{name.upper()}", raising=False)
    return tmp_path


def test_the_environment_beats_the_file_and_the_file_the_default(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own_folder / SETTINGS_FILE).write_text('http_port = 9000\nworker = "lake-1"\n')
    monkeypatch.setenv("PATROLGRID_HTTP_PORT", "9001")
    settings = read_settings()
    assert (settings.http_port, settings.worker, settings.fix_days) == (9001, "lake-1", 90)


def test_an_argument_beats_both(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATROLGRID_HTTP_PORT", "9001")
    assert read_settings(http_port=9002).http_port == 9002


def test_an_empty_variable_counts_as_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATROLGRID_HTTP_PORT", "")
    assert read_settings().http_port == 8080


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("HTTP_PORT", "eighty", "integer"),
        ("HTTP_PORT", "70000", "65535"),
        ("BATCH_SIZE", "0", "greater than or equal to 1"),
        ("DATABASE_URL", "mysql://localhost/pg", "postgresql://"),
        ("MQTT_URL", "localhost:1883", "mqtt://"),
        ("WORKER", "Lake 1", "a-z0-9-"),
        ("LOG_LEVEL", "loud", "debug|info"),
        ("FUTURE_LIMIT", "-5", "greater than 0"),
        ("SECURE_COOKIE", "perhaps", "boolean"),
        ("DEBIAN_MIRROR", "mirror.example.org", "http://"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(f"PATROLGRID_{name}", value)
    with pytest.raises(WrongSetting) as refused:
        read_settings()
    message = str(refused.value)
    assert f"PATROLGRID_{name}" in message
    assert value in message
    assert expected in message


def test_all_wrong_settings_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATROLGRID_HTTP_PORT", "eighty")
    monkeypatch.setenv("PATROLGRID_FIX_DAYS", "0")
    with pytest.raises(WrongSetting, match=r"(?s)HTTP_PORT.*FIX_DAYS"):
        read_settings()


def test_an_unknown_setting_in_the_file_is_named_without_its_value(own_folder: Path) -> None:
    (own_folder / SETTINGS_FILE).write_text('htpp_port = 9000\ndatabase_pasword = "s3cret"\n')
    with pytest.raises(WrongSetting) as refused:
        read_settings()
    message = str(refused.value)
    assert "PATROLGRID_HTPP_PORT" in message
    assert "s3cret" not in message


def test_a_file_that_is_no_toml_is_named(own_folder: Path) -> None:
    (own_folder / SETTINGS_FILE).write_text("http_port 9000\n")
    with pytest.raises(WrongSetting, match=SETTINGS_FILE):
        read_settings()


def test_a_refused_address_does_not_show_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATROLGRID_DATABASE_URL", "mysql://grid:s3cret@db/pg")
    with pytest.raises(WrongSetting) as refused:
        read_settings()
    assert "s3cret" not in str(refused.value)


def test_settings_cannot_be_changed_after_reading() -> None:
    with pytest.raises(ValueError, match="frozen"):
        read_settings().http_port = 1  # type: ignore[misc]
