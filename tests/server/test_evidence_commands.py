"""``patrolgrid evidence`` as typed: verify with pictures, export, check without any database, the key."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
from PIL import Image
from psycopg import AsyncConnection
from typer.testing import CliRunner, Result

from alerts.container import read_members
from devices.site_folder import read_folder
from server import evidence_commands
from store.accounts import create_account, get_account, set_active
from store.attachments import keep
from store.cases import act, report_case
from store.database import open_pool
from store.media import Media
from store.pictures import Picture
from store.registry import load_duty, load_site, save_site

EXAMPLE = Path(__file__).parents[2] / "examples" / "shijiu"
T = TypeVar("T")


@pytest.fixture(autouse=True)
def settings(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATROLGRID_DATABASE_URL", database_url)
    monkeypatch.setenv("PATROLGRID_MQTT_URL", "mqtt://127.0.0.1:1")  # nothing here needs a broker
    monkeypatch.chdir(tmp_path)
    for console in (evidence_commands.out, evidence_commands.err):
        monkeypatch.setattr(console, "_width", 250)


def run(*words: str) -> Result:
    return CliRunner().invoke(evidence_commands.app, words)


def with_database(url: str, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    async def go() -> T:
        async with open_pool(url, max_size=1) as pool, pool.connection() as conn:
            return await work(conn)

    return asyncio.run(go())


@pytest.fixture
def number(database_url: str, tmp_path: Path) -> str:
    """The number of a case with a picture in its second entry; the account wang."""
    written = io.BytesIO()
    Image.new("RGB", (64, 48), (1, 2, 3)).save(written, "JPEG")
    content = written.getvalue()

    async def make(conn: AsyncConnection) -> str:
        await save_site(conn, read_folder(EXAMPLE))
        wang = await get_account(conn, "wang") or await create_account(
            conn, name="wang", display="王", role="operator", password="a long enough phrase"
        )
        await set_active(conn, wang.id, True)
        media = Media(tmp_path / ".patrolgrid" / "media")
        now = datetime.now(UTC)
        photo = await keep(conn, media, Picture(content, "image/jpeg", 64, 48), wang.id, now)
        site, duty = await load_site(conn), await load_duty(conn)
        case = await report_case(
            conn,
            actor=wang.actor,
            category="illegal_fishing",
            title="两人垂钓",
            severity="low",
            lon=118.88,
            lat=31.47,
            site=site,
            duty=duty,
        )
        await act(conn, case.id, "note", wang.actor, note="照片", photos=[photo])
        return case.number

    return with_database(database_url, make)


def test_a_case_is_exported_and_checked_without_a_database(
    number: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run("export", number, "--by", "wang", "--out", str(tmp_path))
    assert result.exit_code == 0, result.output
    (file,) = tmp_path.glob(f"{number}-*.zip")
    assert "3 entries, 0 tracks, 1 pictures" in result.output
    key = run("key").output.splitlines()[0]
    assert re.fullmatch("[0-9a-f]{64}", key)
    assert (tmp_path / ".patrolgrid" / "signing_key.pem").stat().st_mode & 0o777 == 0o600
    (tmp_path / "centre.pem").write_text(run("key").stdout.split("\n", 1)[1])

    monkeypatch.setenv("PATROLGRID_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setenv("PATROLGRID_DATA_DIR", str(tmp_path / "elsewhere"))
    for given in ((), ("--key", key), ("--key", "centre.pem")):
        good = run("check", str(file), *given)
        assert good.exit_code == 0, good.output
        assert f"{number}: 8 files, 3 entries: unchanged" in good.output and key in good.output
        assert ("as given" in good.output) == bool(given)
    assert not (tmp_path / "elsewhere").exists()
    other = run("check", str(file), "--key", "00" * 32)
    assert other.exit_code == 1 and "another key than the one that was given" in other.output


def test_a_changed_byte_is_named(number: str, tmp_path: Path) -> None:
    file = tmp_path / "case.zip"
    assert run("export", number, "--by", "wang", "--out", str(file), "--lang", "zh").exit_code == 0
    raw = file.read_bytes()
    members = {name: content for name, content, _ in read_members(io.BytesIO(raw))}
    assert "case.en.pdf" not in members
    spot = raw.index("两人垂钓".encode())
    file.write_bytes(raw[:spot] + "三".encode() + raw[spot + 3 :])
    result = run("check", str(file))
    assert result.exit_code == 1
    assert "case.json: its content was changed" in result.output
    assert "case.json: title is" in result.output or "case.json: entry 1: its content was changed" in result.output


def test_an_export_does_not_replace_a_file_and_needs_an_account_and_a_case(
    number: str, tmp_path: Path, database_url: str
) -> None:
    file = tmp_path / "case.zip"
    file.write_text("mine")
    assert "is there already" in run("export", number, "--by", "wang", "--out", str(file)).output
    assert file.read_text() == "mine"
    assert "no active account 'nobody'" in run("export", number, "--by", "nobody").output
    assert "there is no case 'PG-1'" in run("export", "PG-1", "--by", "wang").output
    assert "expected zh or en" in run("export", number, "--by", "wang", "--lang", "fr").output

    async def shut_out(conn: AsyncConnection) -> None:
        wang = await get_account(conn, "wang")
        assert wang is not None
        await set_active(conn, wang.id, False)

    with_database(database_url, shut_out)
    assert run("export", number, "--by", "wang").exit_code == 1
    assert list(tmp_path.glob("PG-*")) == []


def test_verify_hashes_the_pictures_again(number: str, tmp_path: Path) -> None:
    good = run("verify")
    assert good.exit_code == 0 and re.search(r"\d+ entries 条, \d+ pictures 张: unchanged", good.output)
    pictures = [path for path in (tmp_path / ".patrolgrid" / "media").rglob("*") if path.is_file()]
    (file,) = pictures
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    name = hashlib.sha256(content).hexdigest()
    bad = run("verify")
    assert bad.exit_code == 1
    assert f"{number}, entry 2: picture {name} was changed" in bad.output
    refused = run("export", number, "--by", "wang", "--out", str(tmp_path))
    assert refused.exit_code == 1 and f"picture {name} was changed" in refused.output
    assert list(tmp_path.glob("PG-*")) == [], "no half of a file is left"
    file.unlink()
    assert f"picture {name} is gone" in run("verify").output


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", json.dumps({}).encode()])
def test_what_is_no_export_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.zip").write_bytes(content)
    result = run("check", "x.zip")
    assert result.exit_code == 1 and "manifest.json: it is missing" in result.output
    assert run("check", "missing.zip").exit_code == 1
    assert "expected 64 hex digits" in run("check", "x.zip", "--key", "nonsense").output


def test_a_key_that_others_may_read_is_not_used(number: str, tmp_path: Path) -> None:
    run("key")
    (tmp_path / ".patrolgrid" / "signing_key.pem").chmod(0o644)
    assert run("key").exit_code == 1
    refused: Any = run("export", number, "--by", "wang", "--out", str(tmp_path / "a.zip"))
    assert refused.exit_code == 1 and "chmod 600" in refused.output
    assert not (tmp_path / "a.zip").exists()
