"""The duty matrix, the queue of what is nobody's, and letters of supervision, over HTTP."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from openpyxl import load_workbook
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from console.guard import LARGER
from store.supervision import remind_and_supervise

Clients = Callable[[str | None], httpx.AsyncClient]
Pool = AsyncConnectionPool[AsyncConnection]
DISTRICT, LAKE, TOWN, VILLAGE = "320118000000", "320118100000", "320118101000", "320118100201"
OWN = [("fishing", LAKE, "fishery"), ("crowd", TOWN, "police")]


def code(answer: httpx.Response) -> tuple[int, str]:
    error = answer.json()["error"]
    assert error["zh"]
    assert error["en"]
    return answer.status_code, error["code"]


async def rows(client: httpx.AsyncClient, **query: Any) -> list[tuple[str, str, str]]:
    answer = await client.get("/api/v1/duties", params=query)
    assert answer.status_code == 200, answer.text
    return [(row["category"], row["area"], row["unit"]) for row in answer.json()["items"]]


@pytest.fixture(autouse=True)
async def as_it_was(client: Clients) -> None:
    """The matrix of the test's site, whatever a test before made of it."""
    text = "category,area,unit\n" + "".join(f"{','.join(row)}\n" for row in OWN)
    answer = await client("admin").post("/api/v1/duties/import", content=text.encode())
    assert answer.status_code == 200, answer.text


async def test_the_matrix_is_listed_filtered_and_paged(client: Clients) -> None:
    viewer = client("viewer")
    assert await rows(viewer) == OWN
    assert await rows(viewer, unit="police") == OWN[1:]
    assert await rows(viewer, category="fishing") == OWN[:1]
    assert await rows(viewer, area=LAKE) == OWN[:1]
    assert await rows(viewer, area=DISTRICT) == OWN, "an area and those below it"
    page = (await viewer.get("/api/v1/duties?limit=1")).json()
    assert page["items"][0]["unit_name"] == {"zh": "渔政队", "en": "Fishery"}
    assert await rows(viewer, limit=1, before=page["next"]) == OWN[1:]
    assert (await viewer.get(f"/api/v1/duties?limit=1&before={page['next']}")).json()["next"] is None


async def test_who_is_responsible(client: Clients) -> None:
    async def ask(category: str, area: str) -> dict[str, Any]:
        answer = await client("unit").get("/api/v1/duties/resolve", params={"category": category, "area": area})
        found: dict[str, Any] = answer.json()
        return found

    assert (await ask("fishing", VILLAGE))["how"] == "above"
    assert (await ask("fishing", LAKE))["unit"] == "fishery"
    nobody = await ask("crowd", LAKE)
    assert nobody == {"unit": None, "unit_name": None, "how": None, "why": None}


async def test_a_row_is_changed_with_a_preview_and_taken_at_once(client: Clients) -> None:
    chief = client("supervisor")
    order = {"category": "noise", "area": DISTRICT, "unit": "police"}
    preview = (await chief.put("/api/v1/duties", json={**order, "dry_run": True})).json()
    assert (preview["applied"], preview["added"]) == (False, 1)
    assert await rows(chief) == OWN
    assert (await chief.put("/api/v1/duties", json=order)).json()["applied"] is True
    case = {"category": "noise", "title": "广场噪声", "lon": 118.95, "lat": 31.40}
    reported = (await client("operator").post("/api/v1/cases", json=case)).json()
    assert reported["unit"] == "police", "the console takes the new row"
    assert (await chief.put("/api/v1/duties", json={**order, "unit": None})).json()["removed"] == 1
    assert code(await chief.put("/api/v1/duties", json={**order, "unit": None})) == (404, "not_found")
    for wrong in ({"unit": "nobody"}, {"area": "999999999999"}):
        assert code(await chief.put("/api/v1/duties", json={**order, **wrong})) == (422, "wrong_value")
    changes = (await chief.get("/api/v1/duties/changes")).json()["items"]
    assert [(c["actor"], c["how"], c["what"]) for c in changes[:2]] == [
        ("supervisor", "edit", "removed"),
        ("supervisor", "edit", "added"),
    ]


async def test_a_file_is_previewed_refused_whole_and_imported(client: Clients) -> None:
    chief = client("supervisor")
    good = f"category,area,unit\nfishing,{DISTRICT},police\n*,{DISTRICT},fishery\n".encode()
    answer = await chief.post("/api/v1/duties/import?dry_run=true&name=new.csv", content=good)
    preview = answer.json()
    assert (preview["added"], preview["removed"], preview["applied"], preview["refused"]) == (2, 2, False, False)
    noted = [(p["kind"], p["category"]) for p in preview["problems"]]
    assert ("only_any", "crowd") in noted
    assert await rows(chief) == OWN
    bad = good + f"fishing,{DISTRICT},fishery\nfishing,999999999999,nobody\n".encode()
    preview = (await chief.post("/api/v1/duties/import?dry_run=true&name=new.csv", content=bad)).json()
    assert preview["refused"] is True
    found = [(p["kind"], p["file"], p["row"]) for p in preview["problems"] if not p["note"]]
    assert found == [("conflict", "new.csv", 4), ("unknown_area", "new.csv", 5), ("unknown_unit", "new.csv", 5)]
    refusal = await chief.post("/api/v1/duties/import?name=new.csv", content=bad)
    assert code(refusal) == (422, "wrong_file")
    assert "new.csv, row 4" in refusal.json()["error"]["en"]
    assert "new.csv 第 4 行" in refusal.json()["error"]["zh"]
    assert await rows(chief) == OWN, "nothing is half-imported"
    assert (await chief.post("/api/v1/duties/import", content=good)).json()["applied"] is True
    assert await rows(chief) == [("fishing", DISTRICT, "police"), ("*", DISTRICT, "fishery")]
    problems = (await chief.get("/api/v1/duties/check")).json()
    assert problems["errors"] == 0


async def test_a_workbook_goes_out_and_comes_in(client: Clients) -> None:
    admin = client("admin")
    answer = await admin.get("/api/v1/duties/export?format=xlsx")
    assert answer.headers["content-disposition"].endswith('.xlsx"')
    book = load_workbook(io.BytesIO(answer.content))
    sheet = book["职责清单"]
    assert [cell.value for cell in sheet[2]] == [*OWN[0]]
    sheet.append(["crowd", int(LAKE), "police"])  # Excel makes a number of a code
    kinds = book["事项"]
    for code_, name in (("fishing", "垂钓"), ("crowd", "聚集"), ("sos", "求助")):
        kinds.append([code_, name, name, "high", "2h"])
    changed = io.BytesIO()
    book.save(changed)
    taken = (await admin.post("/api/v1/duties/import", content=changed.getvalue())).json()
    assert (taken["added"], taken["refused"]) == (4, False)
    assert await rows(admin, area=LAKE) == [OWN[0], ("crowd", LAKE, "police")]
    first = (await admin.get("/api/v1/duties?limit=1")).json()["items"][0]
    assert first["category_name"]["zh"] == "垂钓"
    csv = (await admin.get("/api/v1/duties/export?table=categories")).content.decode("utf-8-sig")
    assert csv.splitlines()[1] == "fishing,垂钓,垂钓,high,2h,,,,,,"
    empty = b"code,name,name_en\n"
    assert (await admin.post("/api/v1/duties/import", content=empty)).status_code == 200


async def test_what_an_area_limits_and_what_is_too_large(client: Clients, pool: Pool) -> None:
    async with pool.connection() as conn:
        await conn.execute("UPDATE accounts SET role = 'supervisor' WHERE name = 'town_operator'")
    try:
        town = client("town_operator")
        assert code(await town.post("/api/v1/duties/import", content=b"x")) == (403, "area_limited")
        order = {"category": "noise", "area": LAKE, "unit": "police"}
        assert code(await town.put("/api/v1/duties", json=order)) == (403, "area_limited")
        assert (await town.put("/api/v1/duties", json={**order, "area": TOWN})).status_code == 200
    finally:
        async with pool.connection() as conn:
            await conn.execute("UPDATE accounts SET role = 'operator' WHERE name = 'town_operator'")
    most = LARGER["/api/v1/duties/import"]
    assert code(await client("admin").post("/api/v1/duties/import", content=b"x" * (most + 1))) == (413, "too_large")
    assert code(await client("admin").put("/api/v1/duties", content=b"x" * 70_000)) == (413, "too_large")


# ── Nobody's ────────────────────────────────────────────────────────────────────────────────────────────────────────
NOISE = {"category": "noise", "title": "夜间噪声", "lon": 118.88, "lat": 31.47, "severity": "low"}


async def test_a_case_that_is_nobodys_is_decided_on(client: Clients) -> None:
    operator, chief = client("operator"), client("supervisor")
    case = (await operator.post("/api/v1/cases", json=NOISE)).json()
    assert case["unit"] is None
    for action, given in (("open", {}), ("assign", {"unit": "fishery"}), ("dispatch", {})):
        order = {"action": action, "version": case["version"], **given}
        case = (await operator.post(f"/api/v1/cases/{case['id']}/actions", json=order)).json()["case"]
    sent_back = {"action": "decline", "version": case["version"], "note": "不属渔政职责"}
    assert (await client("unit").post(f"/api/v1/cases/{case['id']}/actions", json=sent_back)).status_code == 200
    queue = (await operator.get("/api/v1/ownership")).json()["items"]
    (item,) = [each for each in queue if each["case"]["id"] == case["id"]]
    assert [(d["unit"], d["by"], d["why"]) for d in item["declined"]] == [("fishery", "unit", "不属渔政职责")]
    assert "fishery" not in [each["unit"] for each in item["suggestions"]]
    assert item["remember"] == [LAKE, DISTRICT]
    assert item["limit"] == "4wh"
    assert code(await client("unit").get("/api/v1/ownership")) == (403, "forbidden")
    assert (await client("town_operator").get("/api/v1/ownership")).json()["items"] == []
    assert code(await client("town_operator").get(f"/api/v1/ownership/{case['id']}")) == (404, "not_found")
    version = item["case"]["version"]
    order = {"unit": "police", "participants": ["police", "fishery"], "reason": "属治安", "version": version}
    address = f"/api/v1/ownership/{case['id']}"
    assert code(await operator.post(address, json=order)) == (403, "forbidden")
    assert code(await chief.post(address, json={**order, "participants": ["police"]})) == (422, "missing")
    assert code(await chief.post(address, json={**order, "remember": TOWN})) == (422, "wrong_value")
    assert code(await chief.post(address, json={**order, "version": version - 1})) == (409, "stale")
    decided = await chief.post(address, json={**order, "remember": LAKE})
    assert decided.status_code == 200, decided.text
    assert decided.json()["unit"] == "police"
    assert ("noise", LAKE, "police") in await rows(chief)
    again = (await operator.post("/api/v1/cases", json=NOISE)).json()
    assert again["unit"] == "police", "remembered"
    assert code(await chief.post(address, json={**order, "version": decided.json()["version"]})) == (409, "owner_known")
    assert code(await operator.get(address)) == (404, "not_found")


# ── Letters ─────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_letters_are_read_and_printed(client: Clients, pool: Pool, find: Callable[..., Awaitable[Any]]) -> None:
    case_id = (await find(subject="letters")).case_id
    async with pool.connection() as conn:
        await remind_and_supervise(conn, datetime.now(UTC) + timedelta(hours=30))
    address = f"/api/v1/cases/{case_id}/letters"
    (urged,) = (await client("unit").get(address)).json()
    assert (urged["step"], urged["by"], urged["to"]["zh"]) == ("urge", "system", "渔政队")
    assert urged["supervisors"] == [{"zh": "Supervisor", "en": "supervisor"}], "the account, as nobody is named"
    case = (await client("supervisor").get(f"/api/v1/cases/{case_id}")).json()["case"]
    assert case["supervision"] == 1
    order = {"action": "letter", "version": case["version"], "note": "<b>请抓紧</b>"}
    assert (await client("supervisor").post(f"/api/v1/cases/{case_id}/actions", json=order)).status_code == 200
    _, letter = (await client("operator").get(address)).json()
    detail = (await client("operator").get(f"{address}/{letter['seq']}")).json()
    assert "督办函" in detail["text"]["zh"]
    assert "Letter of supervision" in detail["text"]["en"]
    for lang, words in (("zh", "编号："), ("en", "Number: ")):
        page = await client("operator").get(f"{address}/{letter['seq']}/print?lang={lang}")
        assert page.headers["content-type"].startswith("text/html")
        assert words + letter["number"] in page.text
        assert "&lt;b&gt;请抓紧&lt;/b&gt;" in page.text
        assert "<script" not in page.text
    assert (await client(None).get("/static/letter.css")).status_code == 200
    assert code(await client("operator").get(f"{address}/1")) == (404, "not_found")
    assert code(await client("town_operator").get(address)) == (404, "not_found")
