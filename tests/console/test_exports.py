"""The signed export of a case over HTTP: whole, checked offline, recorded, and without what may not be seen."""

from __future__ import annotations

import io
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from PIL import Image
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from alerts.bundle_check import check_bundle
from alerts.container import read_members
from alerts.rules import Rule
from store.evidence import verify_all
from store.media import Media
from store.signing import KeyFile

Clients = Callable[[str | None], httpx.AsyncClient]
Pool = AsyncConnectionPool[AsyncConnection]


def jpeg(shade: int) -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (400, 300), (shade, 120, 90)).save(written, "JPEG")
    return written.getvalue()


async def fetch(pool: Pool, query: str) -> list[Any]:
    async with pool.connection() as conn:
        return await (await conn.execute(query.encode())).fetchall()


@pytest.fixture
async def case(
    pool: Pool,
    client: Clients,
    no_cases: None,
    find: Callable[..., Awaitable[Any]],
    move: Callable[..., Awaitable[None]],
) -> int:
    """A case for which T1 was sent and came, with a picture."""
    async with pool.connection() as conn:
        await conn.execute("DELETE FROM looks")
    alert = await find()
    desk = client("operator")
    address = f"/api/v1/cases/{alert.case_id}/actions"
    done = await desk.post(address, json={"action": "dispatch", "version": 1, "terminal": "T1"})
    assert done.status_code == 200, done.text
    for step in range(5):
        await move("T1", 118.87 + step / 1000, 31.47, ago=-step)
    sent = await desk.post("/api/v1/attachments", content=jpeg(80), headers={"Content-Type": "image/jpeg"})
    note = {"action": "note", "note": "现场照片", "version": 2, "attachments": [sent.json()["sha256"]]}
    done = await desk.post(address, json=note)
    assert done.status_code == 200, done.text
    return int(alert.case_id)


def opened(answer: httpx.Response) -> dict[str, bytes]:
    assert answer.status_code == 200, answer.text
    return {name: content for name, content, _ in read_members(io.BytesIO(answer.content))}


async def test_a_case_is_given_out_whole_and_checks_offline(
    client: Clients, pool: Pool, case: int, key: KeyFile
) -> None:
    answer = await client("operator").get(f"/api/v1/cases/{case}/export")
    assert answer.headers["content-type"] == "application/zip"
    content = opened(answer)
    checked = check_bundle(io.BytesIO(answer.content), key.key().public_key())
    assert checked.good, checked.flaws
    number, name = checked.number, answer.headers["content-disposition"]
    assert number.startswith("PG-") and f'filename="{number}-' in name
    assert {"case.json", "case.zh.pdf", "case.en.pdf", "manifest.json", "manifest.sig"} < set(content)
    told = json.loads(content["case.json"])
    assert [entry["action"] for entry in told["entries"]][-2:] == ["note", "exported"]
    assert told["exported_by"] == "operator" and told["left_out"] == []
    (track,) = told["tracks"]["features"]
    assert track["properties"]["device"] == "T1" and len(track["geometry"]["coordinates"]) >= 1
    (picture,) = told["attachments"]
    assert content[picture["file"]] and picture["entry"] == 3
    assert "127.0.0.1" not in answer.text and "secret" not in content["case.json"].decode(), "no contact's address"


async def test_the_export_and_each_look_in_it_are_recorded(client: Clients, pool: Pool, case: int) -> None:
    await client("supervisor").get(f"/api/v1/cases/{case}/export?lang=zh")
    looks = await fetch(
        pool,
        "SELECT a.name, d.code, l.case_id FROM looks l JOIN accounts a ON a.id = l.account"
        " JOIN devices d ON d.id = l.device",
    )
    assert looks == [("supervisor", "T1", case)]
    ((actor, data),) = await fetch(pool, "SELECT actor, data FROM entries WHERE action = 'exported'")
    assert actor == "supervisor" and [track["terminal"] for track in data["tracks"]] == ["T1"]
    async with pool.connection() as conn:
        await conn.set_autocommit(True)
        assert (await verify_all(conn)).good
        await conn.set_autocommit(False)


async def test_one_language_is_enough(client: Clients, case: int) -> None:
    answer = await client("operator").get(f"/api/v1/cases/{case}/export?lang=en")
    assert "case.en.pdf" in opened(answer) and "case.zh.pdf" not in opened(answer)
    assert (await client("operator").get(f"/api/v1/cases/{case}/export?lang=fr")).status_code == 422


async def test_what_the_account_may_not_see_is_left_out_and_the_file_says_so(
    client: Clients, pool: Pool, case: int, key: KeyFile
) -> None:
    """A case of the town, for which a terminal of the lake was sent."""
    async with pool.connection() as conn:
        await conn.execute("SET LOCAL session_replication_role = replica")
        await conn.execute("UPDATE cases SET area = '320118101000' WHERE id = %s", (case,))
    answer = await client("town_operator").get(f"/api/v1/cases/{case}/export?lang=en")
    told = json.loads(opened(answer)["case.json"])
    assert told["tracks"]["features"] == []
    assert told["left_out"][0]["en"] == "the track of terminal T1"
    assert await fetch(pool, "SELECT device FROM looks") == [], "nobody looked"
    checked = check_bundle(io.BytesIO(answer.content), key.key().public_key())
    assert all("area is" in flaw.en for flaw in checked.flaws), "only what this test did behind the entries' back"


async def test_evidence_that_shows_an_officer_of_another_area_is_left_out(
    client: Clients, no_cases: None, find: Callable[..., Awaitable[Any]]
) -> None:
    """A planned round of the town, walked by a terminal of the lake."""
    walked = {"type": "Feature", "geometry": None, "properties": {"part": "walked", "device": "T1"}}
    rule = Rule("crowd", "聚集", "Crowd", "crowd", "medium", "crowd", live_within=1e9)
    alert = await find(rule=rule, subject="R 2026-11-22 08:00", zone="market", features=[walked])
    for who, left_out in (("operator", []), ("town_operator", [f"the evidence of alert {alert.id}"])):
        told = json.loads(opened(await client(who).get(f"/api/v1/cases/{alert.case_id}/export?lang=en"))["case.json"])
        assert [one["en"] for one in told["left_out"]] == left_out
        assert bool(told["alerts"][0]["evidence"]) is not bool(left_out)


async def test_what_is_no_case_of_ones_own_is_none(client: Clients, case: int) -> None:
    for who, status in (("town_operator", 404), ("unit", 403), ("viewer", 403), (None, 401)):
        assert (await client(who).get(f"/api/v1/cases/{case}/export")).status_code == status
    assert (await client("admin").get("/api/v1/cases/999999/export")).status_code == 404


async def test_a_damaged_picture_is_told_instead_of_given_out(client: Clients, case: int, media: Media) -> None:
    (file,) = (path for path in media.folder.rglob("*") if path.is_file())
    file.write_bytes(jpeg(81))
    answer = await client("operator").get(f"/api/v1/cases/{case}/export")
    assert answer.status_code == 409 and answer.json()["error"]["code"] == "damaged_picture"


async def test_an_unusable_key_is_told(client: Clients, case: int, key: KeyFile) -> None:
    key.key()
    key.path.chmod(0o644)
    answer = await client("operator").get(f"/api/v1/cases/{case}/export")
    assert answer.status_code == 503 and answer.json()["error"]["code"] == "no_key"
    assert str(key.path) not in answer.text
