"""Reports through REST: taken in once, with pictures, joined to what is the same, and seen by whom they are for."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import AsyncMock
from uuid import uuid4

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from PIL import Image
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from alerts.case import Actor
from console.intake import Intake, tidy, tidy_always
from store.attachments import claim
from store.cases import act
from store.media import Media

Clients = Callable[[str | None], httpx.AsyncClient]
Pool = AsyncConnectionPool[AsyncConnection]
LAKE = "320118100000"
SEEN = {"category": "fishing", "lon": 118.88, "lat": 31.47}
REPORT = {**SEEN, "note": "两人下网", "accuracy": 8.0}
pytestmark = pytest.mark.usefixtures("no_cases")


def key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid4())}


async def report(client: httpx.AsyncClient, **other: Any) -> dict[str, Any]:
    answer = await client.post("/api/v1/reports", json={**REPORT, **other}, headers=key())
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def refused(answer: httpx.Response) -> tuple[int, str]:
    error = answer.json()["error"]
    assert error["zh"] and error["en"]
    return answer.status_code, error["code"]


def jpeg(colour: int = 0, size: tuple[int, int] = (60, 40)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (colour, 90, 160)).save(file, "JPEG", exif=place_tags())
    return file.getvalue()


def place_tags() -> Image.Exif:
    tags = Image.Exif()
    tags[0x8825] = {1: "N", 2: (31.0, 28.0, 12.0)}
    return tags


async def send(client: httpx.AsyncClient, content: bytes) -> str:
    answer = await client.post("/api/v1/attachments", content=content)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["sha256"])


# ── Taken in once ───────────────────────────────────────────────────────────────────────────────────────────────────
async def test_the_same_key_and_body_give_the_same_answer_and_do_nothing(client: Clients, pool: Pool) -> None:
    grid, once = client("grid"), key()
    answers = await asyncio.gather(*(grid.post("/api/v1/reports", json=REPORT, headers=once) for _ in range(10)))
    assert {a.status_code for a in answers} == {201}
    assert len({a.text for a in answers}) == 1
    assert sorted(a.headers.get("idempotency-replayed", "") for a in answers) == ["", *["true"] * 9]
    later = await grid.post("/api/v1/reports", json=REPORT, headers=once)
    assert later.json() == answers[0].json()
    async with pool.connection() as conn:
        cursor = await conn.execute("SELECT (SELECT count(*) FROM cases), (SELECT count(*) FROM reporters)")
        assert await cursor.fetchone() == (1, 1)
    other = await grid.post("/api/v1/reports", json={**REPORT, "note": "三人"}, headers=once)
    assert refused(other) == (422, "key_reused")
    assert (await client("town_grid").post("/api/v1/reports", json=REPORT, headers=once)).status_code == 201


async def test_a_refusal_keeps_no_key(client: Clients) -> None:
    once = key()
    wrong = await client("grid").post("/api/v1/reports", json={**REPORT, "attachments": ["0" * 64]}, headers=once)
    assert refused(wrong) == (422, "no_picture")
    assert (await client("grid").post("/api/v1/reports", json=REPORT, headers=once)).status_code == 201


@pytest.mark.parametrize("given", [{}, {"Idempotency-Key": "short"}, {"Idempotency-Key": "with blanks in it"}])
async def test_without_a_good_key_nothing_is_taken_in(client: Clients, given: dict[str, str]) -> None:
    answer = await client("grid").post("/api/v1/reports", json=REPORT, headers=given)
    assert refused(answer) == (422, "wrong_value")
    assert "Idempotency-Key" in answer.json()["error"]["en"]


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"lat": 91}, (422, "wrong_value")),
        ({"category": ""}, (422, "wrong_value")),
        ({"note": "x" * 2001}, (422, "wrong_value")),
        ({"accuracy": -1}, (422, "wrong_value")),
        ({"seen": "yesterday"}, (422, "wrong_value")),
        ({"same_as": 4711}, (404, "not_found")),
        ({"attachments": ["../../etc/passwd"]}, (422, "wrong_value")),
        ({"attachments": [f"{n:064x}" for n in range(10)]}, (422, "wrong_value")),
        ({"colour": "red"}, (422, "wrong_value")),
    ],
)
async def test_a_report_that_cannot_be(client: Clients, wrong: dict[str, Any], expected: tuple[int, str]) -> None:
    answer = await client("grid").post("/api/v1/reports", json={**REPORT, **wrong}, headers=key())
    assert refused(answer) == expected


# ── A grid worker's own ─────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_grid_worker_follows_the_own_reports_and_adds_to_them(client: Clients) -> None:
    grid, desk = client("grid"), client("operator")
    taken = await report(grid, seen=(datetime.now(UTC) - timedelta(hours=1)).isoformat())
    own = taken["report"]
    assert (own["status"], own["number"][:3], own["reporters"], own["joined"]) == ("reported", "PG-", 1, False)
    assert taken["similar"] == []
    case = (await desk.get(f"/api/v1/cases/{own['case_id']}")).json()["case"]
    assert (case["origin"], case["owner"], case["area"], case["unit"]) == ("phone", "grid", LAKE, "fishery")
    photo = await send(grid, jpeg())
    once = key()
    body = {"note": "还在，照片如下", "attachments": [photo]}
    for _ in range(2):
        added = await grid.post(f"/api/v1/reports/{own['id']}/notes", json=body, headers=once)
        assert added.status_code == 201, added.text
    (note,) = added.json()["notes"]
    assert (note["note"], note["attachments"][0]["sha256"]) == ("还在，照片如下", photo)
    only_photo = await grid.post(f"/api/v1/reports/{own['id']}/notes", json={"attachments": [photo]}, headers=key())
    assert len(only_photo.json()["notes"]) == 2
    nothing = await grid.post(f"/api/v1/reports/{own['id']}/notes", json={}, headers=key())
    assert refused(nothing) == (422, "missing")
    entries = (await desk.get(f"/api/v1/cases/{own['case_id']}")).json()["entries"]
    assert [e["action"] for e in entries] == ["report", "note", "note"]
    assert entries[1]["data"]["attachments"][0]["sha256"] == photo
    assert (await grid.get(f"/api/v1/reports/{own['id']}")).json() == only_photo.json()


async def test_a_unit_adds_to_its_own_report_also_where_the_case_is_another_units(client: Clients) -> None:
    fishery, police = client("unit"), client("lake_police")
    own = (await report(fishery, category="crowd", lon=118.95, lat=31.40))["report"]
    assert (await client("operator").get(f"/api/v1/cases/{own['case_id']}")).json()["case"]["unit"] == "police"
    path = f"/api/v1/reports/{own['id']}/notes"
    added = await fishery.post(path, json={"note": "人更多了"}, headers=key())
    assert added.status_code == 201, added.text
    assert [note["note"] for note in added.json()["notes"]] == ["人更多了"]
    entry = (await police.get(f"/api/v1/cases/{own['case_id']}")).json()["entries"][-1]
    assert (entry["action"], entry["actor"]) == ("note", "unit")
    assert refused(await police.post(path, json={"note": "x"}, headers=key())) == (404, "not_found")
    action = {"action": "note", "version": 1, "note": "x"}
    elsewhere = await fishery.post(f"/api/v1/cases/{own['case_id']}/actions", json=action)
    assert refused(elsewhere) == (404, "not_found"), "the case itself stays the other unit's"


async def test_a_grid_worker_sees_nothing_else(client: Clients) -> None:
    grid, other = client("grid"), client("town_grid")
    own = (await report(grid))["report"]
    for path in ("", f"/{own['id']}"):
        answer = await other.get(f"/api/v1/reports{path}")
        assert answer.status_code == 200 and answer.json()["items"] == [] if not path else answer.status_code == 404
    added = await other.post(f"/api/v1/reports/{own['id']}/notes", json={"note": "x"}, headers=key())
    assert refused(added) == (404, "not_found")
    action = {"action": "note", "version": 1, "note": "x"}
    assert refused(await grid.post(f"/api/v1/cases/{own['case_id']}/actions", json=action)) == (403, "forbidden")
    home = await grid.get("/")
    assert (home.status_code, home.headers["location"]) == (303, "/report")
    form = (await grid.get("/api/v1/reports/form")).json()
    assert {kind["code"] for kind in form["kinds"]} >= {"fishing", "crowd", "other"}
    assert [shore["properties"]["kind"] for shore in form["shores"]["features"]] == ["no_fishing"]
    assert form["photos"] == {"most": 9, "bytes": 200_000}


async def test_the_list_of_own_reports_is_paged_and_tells_how_each_stands(client: Clients) -> None:
    grid = client("grid")
    numbers = [(await report(grid, note=str(n)))["report"]["number"] for n in range(5)]
    first = (await grid.get("/api/v1/reports?limit=3")).json()
    rest = (await grid.get(f"/api/v1/reports?limit=3&before={first['next']}")).json()
    assert [r["number"] for r in first["items"] + rest["items"]] == numbers[::-1] and rest["next"] is None
    newest = first["items"][0]["case_id"]
    await client("operator").post(
        f"/api/v1/cases/{newest}/actions", json={"action": "void", "version": 1, "note": "误报"}
    )
    assert (await grid.get("/api/v1/reports?limit=1")).json()["items"][0]["status"] == "void"


async def test_solved_on_the_spot(client: Clients) -> None:
    taken = await report(client("grid"), on_spot=True)
    assert (taken["report"]["status"], taken["report"]["on_spot"]) == ("fed_back", True)
    answer = await client("operator").post("/api/v1/reports", json={**REPORT, "on_spot": True}, headers=key())
    assert refused(answer) == (403, "role")


# ── The same ────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_the_same_is_offered_before_and_the_reporter_is_added(client: Clients) -> None:
    first = (await report(client("operator"), caller_name="王女士", caller_contact="138 0000 0000"))["report"]
    near = {**SEEN, "lat": 31.4705}
    known = (await client("grid").post("/api/v1/reports/similar", json=near)).json()
    (offered,) = known["similar"]
    assert (offered["case_id"], offered["reporters"], offered["title"]) == (first["case_id"], 1, None)
    assert 0.5 < offered["likeness"] < 0.7 and 50 < offered["distance"] < 60
    assert [(k["category"], k["total"], k["open"]) for k in known["kinds"]] == [("fishing", 1, 1)]
    seen = (await client("operator").post("/api/v1/reports/similar", json=near)).json()["similar"][0]
    assert seen["title"]["zh"] == "fishing：两人下网", "the desk may read it"
    joined = await report(client("grid"), lat=31.4705, same_as=first["case_id"], note="又来了")
    assert (joined["report"]["joined"], joined["report"]["reporters"], joined["similar"]) == (True, 2, [])
    assert joined["report"]["case_id"] == first["case_id"]
    story = (await client("operator").get(f"/api/v1/cases/{first['case_id']}")).json()
    assert [e["action"] for e in story["entries"]] == ["report", "reported_again"]
    assert story["case"]["version"] == 1, "nobody who decides on it at this moment is told that it has changed"


async def test_what_was_sent_without_asking_says_what_may_be_the_same(client: Clients) -> None:
    first = (await report(client("town_grid")))["report"]
    taken = await report(client("grid"))
    assert taken["report"]["case_id"] != first["case_id"]
    assert [s["case_id"] for s in taken["similar"]] == [first["case_id"]]


async def test_a_grid_worker_joins_nothing_that_is_not_near(client: Clients) -> None:
    first = (await report(client("grid")))["report"]
    far = {**REPORT, "lat": 31.48, "same_as": first["case_id"]}
    assert refused(await client("town_grid").post("/api/v1/reports", json=far, headers=key())) == (404, "not_found")
    assert (await client("operator").post("/api/v1/reports", json=far, headers=key())).status_code == 201


async def test_the_desk_sees_who_reported_what_is_the_same_and_what_happened_there(client: Clients) -> None:
    desk = client("operator")
    one = (await report(client("grid"), caller_name="王女士", caller_contact="138"))["report"]
    two = (await report(desk, lat=31.4704))["report"]
    noise = (await report(desk, category="noise"))["report"]
    path = f"/api/v1/cases/{one['case_id']}"
    similar = (await desk.get(f"{path}/similar")).json()["items"]
    assert [s["case"]["id"] for s in similar] == [two["case_id"]] and similar[0]["reporters"] == 1
    history = (await desk.get(f"{path}/history")).json()
    assert {(k["category"], k["total"]) for k in history["kinds"]} == {("fishing", 1), ("noise", 1)}
    assert {c["case"]["id"] for c in history["cases"]} == {two["case_id"], noise["case_id"]}
    second = (await desk.get(f"/api/v1/cases/{two['case_id']}")).json()["case"]
    merge = {"action": "merge", "version": second["version"], "into": one["case_id"], "note": "同一件"}
    assert (await desk.post(f"/api/v1/cases/{two['case_id']}/actions", json=merge)).status_code == 200
    together = (await desk.get(f"{path}/reporters")).json()
    assert [(r["by"], r["name"], r["home"]) for r in together["items"]] == [
        ("grid", "王女士", one["case_id"]),
        ("operator", "", two["case_id"]),
    ]
    assert together["merged"] == [{"id": two["case_id"], "number": two["number"], "into": one["case_id"]}]
    assert (await client("grid").get(f"/api/v1/reports/{one['id']}")).json()["report"]["reporters"] == 2
    split = {"action": "split", "version": second["version"] + 1, "note": "两处"}
    assert (await desk.post(f"/api/v1/cases/{two['case_id']}/actions", json=split)).status_code == 200
    assert len((await desk.get(f"{path}/reporters")).json()["items"]) == 1
    assert len((await desk.get(f"/api/v1/cases/{two['case_id']}/reporters")).json()["items"]) == 1


async def test_callers_are_for_the_desk_and_the_unit_alone(client: Clients) -> None:
    case = (await report(client("operator"), caller_name="王女士", caller_contact="138"))["report"]["case_id"]
    for who, shown in (("operator", True), ("supervisor", True), ("unit", True), ("viewer", False)):
        (reporter,) = (await client(who).get(f"/api/v1/cases/{case}/reporters")).json()["items"]
        assert bool(reporter["contact"]) is shown, who
    for part in ("reporters", "similar", "history"):
        assert refused(await client("town_operator").get(f"/api/v1/cases/{case}/{part}")) == (404, "not_found")


async def test_what_is_out_of_sight_is_counted_and_not_shown(client: Clients) -> None:
    mine = (await report(client("grid")))["report"]["case_id"]
    there = (await report(client("town_grid"), lon=118.9003, lat=31.47))["report"]["case_id"]  # beyond the zone
    here = (await report(client("grid"), lon=118.8999, lat=31.47))["report"]["case_id"]
    path = f"/api/v1/cases/{here}"
    everything = (await client("operator").get(f"{path}/history")).json()
    limited = (await client("lake_viewer").get(f"{path}/history")).json()
    assert [c["case"]["id"] for c in everything["cases"]] == [there] and limited["cases"] == []
    assert limited["kinds"] == everything["kinds"]
    assert (await client("lake_viewer").get(f"{path}/similar")).json()["items"] == []
    assert mine != here


# ── Pictures ────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_picture_is_seen_by_who_may_see_its_case(client: Clients, media: Media) -> None:
    grid = client("grid")
    photo = await send(grid, jpeg(1))
    path = f"/api/v1/attachments/{photo}"
    assert (await grid.get(path)).status_code == 200
    assert (await client("admin").get(path)).status_code == 404, "no case shows it yet"
    await report(grid, attachments=[photo])
    seen = {"operator", "viewer", "unit", "supervisor", "admin", "lake_viewer", "grid"}
    for who in (*seen, "town_operator", "lake_police", "town_grid"):
        answer = await client(who).get(path)
        assert answer.status_code == (200 if who in seen else 404), who
    assert refused(await client(None).get(path)) == (401, "not_logged_in")
    answer = await client("viewer").get(path)
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "private, max-age=3600"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["content-disposition"] == f'inline; filename="{photo[:12]}.jpg"'
    assert "content-encoding" not in answer.headers
    with Image.open(io.BytesIO(answer.content)) as shown:
        assert (shown.size, dict(shown.getexif())) == ((60, 40), {})
    again = await client("viewer").get(path, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert media.read(photo) == answer.content


async def test_a_picture_goes_with_its_report_into_another_units_case_and_back(client: Clients) -> None:
    photo = await send(client("grid"), jpeg(7))
    lake = (await report(client("grid"), attachments=[photo]))["report"]["case_id"]
    town = (await report(client("operator"), category="crowd", lon=118.95, lat=31.40))["report"]["case_id"]
    desk, path = client("admin"), f"/api/v1/attachments/{photo}"

    async def act(action: str, **more: Any) -> None:
        version = (await desk.get(f"/api/v1/cases/{lake}")).json()["case"]["version"]
        order = {"action": action, "version": version, "note": "同一件事", **more}
        answer = await desk.post(f"/api/v1/cases/{lake}/actions", json=order)
        assert answer.status_code == 200, answer.text

    for who in ("town_operator", "lake_police"):
        assert (await client(who).get(path)).status_code == 404, who
    await act("merge", into=town)
    for who in ("town_operator", "lake_police", "lake_viewer"):
        assert (await client(who).get(path)).status_code == 200, who
    reporters = (await client("lake_police").get(f"/api/v1/cases/{town}/reporters")).json()["items"]
    assert [picture["sha256"] for one in reporters for picture in one["attachments"]] == [photo]
    await act("split")
    for who in ("town_operator", "lake_police"):
        assert (await client(who).get(path)).status_code == 404, who


async def test_a_picture_that_was_changed_is_not_given_out(client: Clients, media: Media) -> None:
    photo = await send(client("grid"), jpeg(2))
    media.path(photo).write_bytes(jpeg(3))
    answer = await client("grid").get(f"/api/v1/attachments/{photo}")
    assert refused(answer) == (500, "damaged") and photo in answer.json()["error"]["en"]


async def test_pictures_that_are_not_taken(client: Clients, media: Media) -> None:
    grid = client("grid")
    large = await grid.post("/api/v1/attachments", content=b"x" * (media.most_bytes + 1))
    assert refused(large) == (413, "too_large")
    many = await grid.post("/api/v1/attachments", content=jpeg(0, (1001, 1000)))
    assert refused(many) == (413, "too_large_picture")
    named = await grid.post("/api/v1/attachments", content=b"<svg/>", headers={"Content-Type": "image/png"})
    assert refused(named) == (422, "wrong_picture")
    assert refused(await client(None).post("/api/v1/attachments", content=jpeg())) == (401, "not_logged_in")
    assert list(media.folder.rglob("*")) == []


async def test_one_attaches_only_ones_own(client: Clients) -> None:
    photo = await send(client("grid"), jpeg(4))
    order = {**REPORT, "attachments": [photo]}
    assert refused(await client("operator").post("/api/v1/reports", json=order, headers=key())) == (422, "no_picture")
    case = (await report(client("operator")))["report"]["case_id"]
    action = {"action": "note", "version": 1, "note": "现场", "attachments": [photo]}
    path = f"/api/v1/cases/{case}/actions"
    assert refused(await client("operator").post(path, json=action)) == (422, "no_picture")
    assert await send(client("operator"), jpeg(4)) == photo
    size = len((await client("grid").get(f"/api/v1/attachments/{photo}")).content)
    done = await client("operator").post(path, json=action)
    assert done.json()["entries"][-1]["data"]["attachments"] == [
        {"sha256": photo, "type": "image/jpeg", "bytes": size, "width": 60, "height": 40}
    ]


async def test_a_console_without_a_folder_says_so(app: FastAPI, client: Clients) -> None:
    app.state.desk.intake = Intake()
    assert refused(await client("grid").post("/api/v1/attachments", content=jpeg())) == (503, "no_pictures")
    assert (await client("grid").get("/api/v1/reports/form")).json()["photos"]["bytes"] == 0
    assert (await report(client("grid")))["report"]["id"]


async def test_what_is_no_longer_needed_is_cleared_away(client: Clients, pool: Pool, media: Media) -> None:
    kept, idle = await send(client("grid"), jpeg(5)), await send(client("grid"), jpeg(60))
    await report(client("grid"), attachments=[kept])
    found = await tidy(pool, Intake(media), datetime.now(UTC) + timedelta(days=31))
    assert found["answers"] >= 1 and found["pictures"] >= 1
    assert media.has(kept) and not media.has(idle)


async def test_a_picture_that_is_being_attached_is_not_cleared_away(client: Clients, pool: Pool, media: Media) -> None:
    photo = await send(client("operator"), jpeg(8))
    case = (await report(client("operator")))["report"]["case_id"]
    async with pool.connection() as conn:
        cursor = await conn.execute("SELECT id FROM accounts WHERE name = 'operator'")
        ((account,),) = await cursor.fetchall()
        photos = await claim(conn, media, [photo], account)
        await act(conn, case, "note", Actor("operator", "operator"), note="现场", photos=photos)
        tidying = asyncio.create_task(tidy(pool, Intake(media), datetime.now(UTC) + timedelta(days=3)))
        done, _ = await asyncio.wait([tidying], timeout=0.5)
        assert not done, "it waits for the one who attaches"
    await tidying
    assert media.has(photo) and (await client("operator").get(f"/api/v1/attachments/{photo}")).status_code == 200


async def test_tidying_goes_on_after_the_database_refused_once(
    pool: Pool, media: Media, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = asyncio.Event()

    async def refused_once(*_: object) -> dict[str, int]:
        if tidied.call_count > 1:
            rounds.set()
        raise psycopg.errors.ForeignKeyViolation

    tidied = AsyncMock(side_effect=refused_once)
    monkeypatch.setattr("console.intake.tidy", tidied)
    monkeypatch.setattr("console.intake.TIDY_EVERY", 0.01)
    tidying = asyncio.create_task(tidy_always(pool, Intake(media)))
    async with asyncio.timeout(5):
        await rounds.wait()
    tidying.cancel()


async def test_numbers_of_a_day_have_no_gap_after_refusals(client: Clients) -> None:
    first = (await report(client("grid")))["report"]["number"]
    await client("grid").post("/api/v1/reports", json={**REPORT, "attachments": ["0" * 64]}, headers=key())
    second = (await report(client("grid")))["report"]["number"]
    assert [int(re.sub(r".*-", "", n)) for n in (first, second)] == [int(first[-4:]), int(first[-4:]) + 1]
