"""A case through REST, from a call to its close, and everything that is refused on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

Clients = Callable[[str | None], httpx.AsyncClient]
Pool = AsyncConnectionPool[AsyncConnection]
REPORT = {"category": "fishing", "title": "两人在北岸垂钓", "note": "电话举报", "lon": 118.88, "lat": 31.47}


async def report(client: httpx.AsyncClient, **other: Any) -> dict[str, Any]:
    answer = await client.post("/api/v1/cases", json={**REPORT, **other})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def take(client: httpx.AsyncClient, case: int, action: str, version: int, **given: Any) -> httpx.Response:
    return await client.post(f"/api/v1/cases/{case}/actions", json={"action": action, "version": version, **given})


def code(answer: httpx.Response) -> tuple[int, str]:
    error = answer.json()["error"]
    assert error["zh"]
    assert error["en"]
    return answer.status_code, error["code"]


async def test_from_a_call_to_the_close(client: Clients) -> None:
    case = await report(client("operator"))
    assert (case["status"], case["unit"], case["owner"], case["area"]) == (
        *("reported", "fishery", "operator", "320118100000"),
    )
    steps: list[tuple[str, str, dict[str, Any], str]] = [
        ("operator", "open", {}, "opened"),
        ("operator", "dispatch", {"terminal": "T1"}, "dispatched"),
        ("unit", "accept", {}, "handling"),
        ("unit", "feedback", {"note": "劝离两人"}, "fed_back"),
        ("supervisor", "return", {"note": "请补充照片"}, "handling"),
        ("unit", "feedback", {"note": "照片已补充"}, "fed_back"),
        ("operator", "verify", {"note": "回访满意"}, "verified"),
        ("operator", "close", {"outcome": "教育劝离"}, "closed"),
        ("supervisor", "reopen", {"note": "又来了"}, "opened"),
    ]
    for who, action, given, status in steps:
        before = (await client(who).get(f"/api/v1/cases/{case['id']}")).json()
        assert action in {offer["action"] for offer in before["actions"]}, f"{who} is offered {action}"
        answer = await take(client(who), case["id"], action, before["case"]["version"], **given)
        assert answer.status_code == 200, answer.text
        after = answer.json()
        assert after["case"]["status"] == status
        assert after["entries"][-1]["action"] == action
        assert after["entries"][-1]["actor"] == who
        assert after["entries"][-1]["note"] == given.get("note", "")
        assert [e["seq"] for e in after["entries"]] == list(range(1, len(after["entries"]) + 1))
        if action == "dispatch":
            assert after["case"]["terminal"] == "T1"
            command = next(n for n in after["notices"] if n["channel"] == "terminal")
            assert (command["target"], command["sent_at"]) == ("T1", None)
        if action == "close":
            assert after["case"]["outcome"] == "教育劝离"
            assert after["case"]["closed_at"]
        assert "secret" not in answer.text, "a unit's contacts are nobody's business"


async def test_the_offers_of_each_role(client: Clients) -> None:
    case = await report(client("operator"))
    offered = {}
    for who in ("viewer", "operator", "unit", "supervisor", "admin"):
        answer = await client(who).get(f"/api/v1/cases/{case['id']}")
        offers = answer.json()["actions"]
        assert all(offer["zh"] and offer["en"] for offer in offers)
        offered[who] = {offer["action"]: offer["needs"] for offer in offers}
    desk = {
        "open": [],
        "assign": ["unit"],
        "ask_extension": ["until", "note"],
        "merge": ["into", "note"],
        "void": ["note"],
        "note": ["note"],
    }
    chief = desk | {"urge": ["note"]}
    assert offered == {
        "viewer": {},
        "operator": desk,
        "unit": {"ask_extension": ["until", "note"], "note": ["note"]},
        "supervisor": chief,
        "admin": chief,
    }


async def test_refusals_say_why(client: Clients) -> None:
    case = await report(client("operator"))
    number, version = case["id"], case["version"]
    operator = client("operator")
    assert code(await take(operator, number, "close", version, outcome="x")) == (409, "state")
    assert code(await take(operator, number, "reopen", version, note="x")) == (403, "role")
    assert code(await take(operator, number, "void", version)) == (422, "missing")
    assert code(await take(operator, number, "fly", version)) == (422, "no_such_action")
    assert code(await take(operator, number, "assign", version, unit="nobody")) == (422, "wrong_value")
    assert code(await take(operator, number, "dispatch", version, terminal="C9")) == (422, "wrong_value")
    assert code(await take(operator, number, "dispatch", version, terminal="vendor/c1")) == (422, "wrong_value")
    assert code(await take(operator, number, "note", version, note="x" * 2001)) == (422, "wrong_value")
    assert code(await take(operator, 10**9, "open", 1)) == (404, "not_found")
    assert (await take(operator, number, "open", version)).status_code == 200
    stale = await take(client("supervisor"), number, "void", version, note="late")
    assert code(stale) == (409, "stale")
    assert "operator" in stale.json()["error"]["en"], "it says who was faster"
    entries = (await operator.get(f"/api/v1/cases/{number}")).json()["entries"]
    assert [e["action"] for e in entries] == ["report", "open"], "nothing that was refused is in the timeline"


async def test_two_at_once_one_wins(client: Clients) -> None:
    case = await report(client("operator"))
    people = ("operator", "supervisor", "admin")
    answers = await asyncio.gather(*(take(client(who), case["id"], "open", case["version"]) for who in people))
    assert sorted(a.status_code for a in answers) == [200, 409, 409]


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"lon": 181}, "lon"),
        ({"lat": "north"}, "lat"),
        ({"title": ""}, "title"),
        ({"title": "   "}, "title"),
        ({"severity": "dreadful"}, "severity"),
        ({"category": None}, "category"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_report_that_cannot_be(client: Clients, wrong: dict[str, Any], name: str) -> None:
    answer = await client("operator").post("/api/v1/cases", json={**REPORT, **wrong})
    assert code(answer) == (422, "wrong_value")
    assert name in answer.json()["error"]["en"]
    assert name in answer.json()["error"]["zh"]


@pytest.mark.parametrize("text", [r"\u0000", r"\ud800"])
async def test_texts_that_no_database_takes(client: Clients, text: str) -> None:
    for field in ("title", "note", "category"):
        body = b'{"category":"fishing","title":"x","lon":118.88,"lat":31.47,"note":"x"}'
        body = body.replace(f'"{field}":"'.encode(), f'"{field}":"{text}'.encode())
        answer = await client("operator").post(
            "/api/v1/cases", content=body, headers={"Content-Type": "application/json"}
        )
        assert code(answer)[0] == 422, field


@pytest.mark.usefixtures("no_cases")
async def test_an_alert_is_taken_over_and_voided(client: Clients, find: Callable[..., Awaitable[Any]]) -> None:
    alert = await find()
    answer = await client("unit").post(f"/api/v1/alerts/{alert.id}/acknowledge")
    assert (answer.json()["state"], answer.json()["acked_by"]) == ("acknowledged", "unit")
    assert answer.json()["acked_at"]
    assert code(await client("operator").post(f"/api/v1/alerts/{alert.id}/acknowledge")) == (409, "state")
    assert code(await client("operator").post(f"/api/v1/alerts/{alert.id}/void", json={})) == (422, "wrong_value")
    voided = await client("operator").post(f"/api/v1/alerts/{alert.id}/void", json={"note": "浮标"})
    assert voided.json()["state"] == "void"
    story = (await client("operator").get(f"/api/v1/cases/{alert.case_id}")).json()
    assert [e["action"] for e in story["entries"]] == ["raise", "alert_acknowledged", "alert_void"]
    assert [a["id"] for a in story["alerts"]] == [alert.id]
