"""The chain through REST: several units on one case, extensions, merging, the list, whom to send, many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from alerts.rules import Rule
from console.app import ConsoleServer

Clients = Callable[[str | None], httpx.AsyncClient]
Pool = AsyncConnectionPool[AsyncConnection]
REPORT = {"category": "fishing", "title": "两人在北岸垂钓", "note": "电话举报", "lon": 118.88, "lat": 31.47}
pytestmark = pytest.mark.usefixtures("no_cases")


async def report(client: httpx.AsyncClient, **other: Any) -> dict[str, Any]:
    answer = await client.post("/api/v1/cases", json={**REPORT, **other})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def take(client: httpx.AsyncClient, case: dict[str, Any], action: str, **given: Any) -> dict[str, Any]:
    """The case after the action, on the version that the client sees now."""
    path = f"/api/v1/cases/{case['id']}"
    version = (await client.get(path)).json()["case"]["version"]
    answer = await client.post(f"{path}/actions", json={"action": action, "version": version, **given})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def refused(client: httpx.AsyncClient, case: dict[str, Any], action: str, **given: Any) -> tuple[int, str]:
    answer = await client.post(
        f"/api/v1/cases/{case['id']}/actions", json={"action": action, "version": case["version"], **given}
    )
    error = answer.json()["error"]
    assert error["zh"] and error["en"]
    return answer.status_code, error["code"]


async def handling(client: Clients) -> dict[str, Any]:
    case = await report(client("operator"))
    await take(client("operator"), case, "open")
    await take(client("operator"), case, "dispatch", terminal="T1")
    found: dict[str, Any] = (await take(client("unit"), case, "accept"))["case"]
    return found


async def test_a_unit_that_is_whistled_for_sees_the_case_and_does_its_part(client: Clients) -> None:
    case = await handling(client)
    path, police = f"/api/v1/cases/{case['id']}", client("lake_police")
    assert (await police.get(path)).status_code == 404
    called = await take(
        client("operator"), case, "whistle", note="联合处置", units=["police"], tasks={"police": "封控路口"}
    )
    (part,) = called["case"]["parts"]
    assert (part["unit"], part["task"], part["called_by"], part["checked_in_at"]) == (
        *("police", "封控路口", "operator", None),
    )
    seen = (await police.get(path)).json()
    assert [offer["action"] for offer in seen["actions"]] == ["check_in", "note"]
    assert [c["id"] for c in (await police.get("/api/v1/cases")).json()["items"]] == [case["id"]]
    assert [c["id"] for c in (await police.get("/api/v1/cases?unit=police")).json()["items"]] == []
    assert await refused(police, called["case"], "feedback", note="x") == (403, "other_unit")
    assert await refused(client("unit"), called["case"], "feedback", note="x") == (409, "parts_undone")
    await take(police, case, "check_in")
    done = await take(police, case, "part_done", note="路口已封控")
    assert done["case"]["parts"][0]["done_note"] == "路口已封控"
    assert done["entries"][-1]["actor"] == "lake_police"
    after = await take(client("unit"), case, "feedback", note="劝离两人", resolution="on_spot")
    assert (after["case"]["status"], after["case"]["resolution"]) == ("fed_back", "on_spot")


async def test_a_part_that_is_withdrawn_is_out_of_sight(client: Clients) -> None:
    case = await handling(client)
    await take(client("operator"), case, "whistle", note="联合处置", units=["police"])
    await take(client("operator"), case, "withdraw_part", note="不需要", unit="police")
    assert (await client("lake_police").get(f"/api/v1/cases/{case['id']}")).status_code == 404
    assert (await client("lake_police").get("/api/v1/cases")).json()["items"] == []


async def test_a_unit_with_a_part_has_the_cases_alerts_until_it_is_withdrawn(
    client: Clients, find: Callable[..., Awaitable[Any]]
) -> None:
    crowd = Rule("crowd", "聚集", "Crowd", "crowd", "medium", "crowd", live_within=1e9)
    town = await find(rule=crowd, zone="market", subject="market")
    case, fishery = {"id": town.case_id}, client("unit")

    async def listed() -> list[int]:
        return [alert["id"] for alert in (await fishery.get("/api/v1/alerts")).json()["items"]]

    await take(client("operator"), case, "dispatch", terminal="T2")
    await take(client("operator"), case, "whistle", note="联合处置", units=["fishery"])
    assert await listed() == [town.id]
    taken = (await fishery.post("/api/v1/alerts/acknowledge", json={"ids": [town.id]})).json()
    assert [alert["acked_by"] for alert in taken["done"]] == ["unit"]
    await take(client("operator"), case, "withdraw_part", note="不需要", unit="fishery")
    assert await listed() == []
    taken = (await fishery.post("/api/v1/alerts/acknowledge", json={"ids": [town.id]})).json()
    assert (taken["done"], [one["id"] for one in taken["refused"]]) == ([], [town.id])


async def test_an_extension_and_a_decline(client: Clients) -> None:
    case = await handling(client)
    asked = await take(client("unit"), case, "ask_extension", note="等设备", until="2wd")
    assert asked["case"]["extension_asked"] > asked["case"]["due_at"]
    assert asked["entries"][-1]["data"]["until"] == "2wd"
    granted = await take(client("supervisor"), case, "grant_extension")
    assert granted["case"]["due_at"] == asked["case"]["extension_asked"]
    declined = await take(client("unit"), case, "decline", note="不属本单位")
    assert (declined["case"]["status"], declined["case"]["unit"]) == ("opened", None)
    assert (await client("unit").get(f"/api/v1/cases/{case['id']}")).status_code == 404
    unclear = (await client("operator").get("/api/v1/cases?unit=-")).json()["items"]
    assert [c["id"] for c in unclear] == [case["id"]]


@pytest.mark.parametrize(
    ("action", "given", "status", "code"),
    [
        ("whistle", {"note": "x", "units": ["nobody"]}, 422, "wrong_value"),
        ("whistle", {"note": "x"}, 422, "missing"),
        ("whistle", {"note": "x", "units": ["u"] * 21}, 422, "wrong_value"),
        ("ask_extension", {"note": "x", "until": "soon"}, 422, "wrong_value"),
        ("merge", {"note": "x", "into": 4711}, 404, "not_found"),
        ("merge", {"note": "x", "into": 0}, 422, "wrong_value"),
        ("assign", {"unit": "a\x00"}, 422, "wrong_value"),
        ("dispatch", {"terminal": "a\x00"}, 422, "wrong_value"),
        ("feedback", {"note": "x", "resolution": "magic"}, 422, "wrong_value"),
        ("explain_overdue", {"note": "x"}, 409, "not_overdue"),
        ("reoffer", {"terminal": "T1"}, 403, "role"),
        ("grant_extension", {}, 403, "role"),
    ],
)
async def test_what_is_refused(client: Clients, action: str, given: Any, status: int, code: str) -> None:
    case = await handling(client)
    assert await refused(client("operator"), case, action, **given) == (status, code) or action == "feedback"
    if action == "feedback":
        assert await refused(client("supervisor"), case, action, **given) == (status, code)


async def test_merging_needs_both_cases_in_sight_and_one_that_goes_on(client: Clients) -> None:
    first, second = await handling(client), await report(client("operator"))
    town = await report(client("operator"), lon=118.95, lat=31.40, category="crowd")
    assert await refused(client("town_operator"), town, "merge", note="x", into=first["id"]) == (404, "not_found")
    merged = await take(client("operator"), second, "merge", note="同一件事", into=first["id"])
    assert (merged["case"]["status"], merged["case"]["merged_into"]) == ("merged", first["id"])
    assert await refused(client("operator"), first, "merge", note="x", into=second["id"]) == (409, "ended")
    split = await take(client("operator"), second, "split", note="不是一件事")
    assert (split["case"]["status"], split["case"]["merged_into"]) == ("reported", None)


async def test_the_list_by_every_filter(client: Clients) -> None:
    desk = client("operator")
    fishing = await handling(client)
    crowd = await report(desk, category="crowd", title="集市聚集", lon=118.95, lat=31.40, severity="low")
    urged = await report(desk, title="Fire at the pier", severity="high")
    await take(client("supervisor"), urged, "urge", note="快")

    async def ids(query: str, who: str = "operator") -> list[int]:
        answer = await client(who).get(f"/api/v1/cases?{query}")
        assert answer.status_code == 200, answer.text
        return [case["id"] for case in answer.json()["items"]]

    everything = [urged["id"], crowd["id"], fishing["id"]]
    assert await ids("") == everything
    assert await ids("status=handling,reported") == await ids("status=handling&status=reported") == everything
    assert await ids("status=handling") == [fishing["id"]]
    assert await ids("status=closed,void") == []
    assert await ids("category=fishing") == [urged["id"], fishing["id"]]
    assert await ids("category=fishing,crowd&severity=low") == [crowd["id"]]
    assert await ids("area=320118100000") == [urged["id"], fishing["id"]]
    assert await ids("area=320118000000") == everything
    assert await ids("area=320118100000", "town_operator") == []
    assert await ids("supervision=1") == [urged["id"]] and await ids("supervision=2") == []
    assert await ids("supervision=0") == everything
    assert await ids("overdue=true") == [] and await ids("overdue=false") == everything
    assert await ids("q=垂钓") == [fishing["id"]] and await ids("q=FIRE") == [urged["id"]]
    assert await ids("q=钓垂") == [], "the same letters are not the same word"
    number = fishing["number"]
    for q in (number, number[3:], number.lower(), number[-4:], number[:11]):
        assert fishing["id"] in await ids(f"q={q}")
    assert await ids(f"q={number}") == [fishing["id"]]
    assert await ids("q=%25%25") == [] and await ids("q=__") == []
    assert (await desk.get("/api/v1/cases?limit=2")).json()["next"] == crowd["id"]
    assert await ids(f"limit=2&before={crowd['id']}") == [fishing["id"]]
    assert await ids("before=999999") == []


@pytest.mark.parametrize(
    "query",
    [
        "status=lost",
        "severity=huge",
        "supervision=4",
        "q=x",
        "colour=red",
        "limit=0",
        "q=a%00",
        "unit=%00",
        "area=%00",
        "category=%00",
    ],
)
async def test_a_filter_that_is_none(client: Clients, query: str) -> None:
    answer = await client("operator").get(f"/api/v1/cases?{query}")
    assert answer.status_code == 422
    assert answer.json()["error"]["zh"] and answer.json()["error"]["code"] == "wrong_value"


async def test_whom_to_send(client: Clients, move: Callable[..., Awaitable[None]]) -> None:
    case = await report(client("operator"))
    for code, lon in (("T1", 118.881), ("T2", 118.885), ("T3", 118.890)):
        await move(code, lon, 31.47)
    other = await report(client("operator"), title="另一件")
    await take(client("operator"), other, "open")
    await take(client("operator"), other, "dispatch", terminal="T1")
    path = f"/api/v1/cases/{case['id']}/candidates"
    items = (await client("operator").get(path)).json()["items"]
    assert [(i["terminal"], i["fit"], i["busy"]) for i in items] == [
        ("T2", True, None),
        ("T3", True, None),
        ("T1", False, other["number"]),
    ]
    assert items[2]["unfit"] == [{"code": "busy", "zh": "正在处理其他事件", "en": "it is on another case"}]
    assert items[0]["distance"] == pytest.approx(474, abs=1)
    assert items[0]["battery"] == 80 and 0 <= items[0]["age"] < 60
    assert [i["terminal"] for i in (await client("operator").get(f"{path}?limit=1")).json()["items"]] == ["T2"]
    assert (await client("town_operator").get(path)).status_code == 404
    assert (await client("unit").get(path)).status_code == 403
    assert (await client("operator").get("/api/v1/cases/999/candidates")).status_code == 404


async def test_the_kinds_of_event(client: Clients) -> None:
    kinds = (await client("viewer").get("/api/v1/categories")).json()
    assert [kind["code"] for kind in kinds] == ["crowd", "fishing", "sos"]
    assert all(kind["name"]["zh"] and kind["name"]["en"] for kind in kinds)


async def test_of_fifty_who_decide_at_once_one_is_heard_and_the_others_are_told(
    client: Clients, server: ConsoleServer, tokens: dict[str, str]
) -> None:
    """Over real sockets, all on the version they saw; the others are told who was faster."""
    case = await report(client("operator"))
    opened = (await take(client("operator"), case, "open"))["case"]
    base = f"http://127.0.0.1:{server.port}"
    ways: list[tuple[str, dict[str, Any]]] = [
        ("operator", {"action": "dispatch", "terminal": "T1"}),
        ("supervisor", {"action": "void", "note": "误报"}),
        ("operator", {"action": "assign", "unit": "police"}),
        ("admin", {"action": "whistle", "note": "联合", "units": ["police"]}),
        ("supervisor", {"action": "urge", "note": "快"}),
    ]

    async def decide(n: int) -> tuple[str, str, httpx.Response]:
        who, order = ways[n % len(ways)]
        async with httpx.AsyncClient(base_url=base, cookies={"patrolgrid_session": tokens[who]}, timeout=60) as own:
            answer = await own.post(f"/api/v1/cases/{case['id']}/actions", json={**order, "version": opened["version"]})
        return who, order["action"], answer

    answers = await asyncio.gather(*(decide(n) for n in range(50)))
    won = [(who, action) for who, action, answer in answers if answer.status_code == 200]
    lost = [answer.json()["error"] for _, _, answer in answers if answer.status_code == 409]
    assert (len(won), len(lost)) == (1, 49), [answer.text for *_, answer in answers if answer.status_code > 409]
    ((who, action),) = won
    assert {error["code"] for error in lost} == {"stale"}
    assert all(who in error["zh"] and who in error["en"] for error in lost)
    detail = (await client("admin").get(f"/api/v1/cases/{case['id']}")).json()
    assert [e["action"] for e in detail["entries"]] == ["report", "open", action]
    assert detail["case"]["version"] == opened["version"] + 1


async def test_fifty_notes_at_once_are_all_written(
    client: Clients, server: ConsoleServer, tokens: dict[str, str]
) -> None:
    case = await report(client("operator"))
    limits = httpx.Limits(max_connections=50)
    cookies = {"patrolgrid_session": tokens["operator"]}
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{server.port}", cookies=cookies, timeout=60, limits=limits
    ) as own:
        path = f"/api/v1/cases/{case['id']}"
        orders = [{"action": "note", "version": 1, "note": str(n)} for n in range(50)]
        answers = await asyncio.gather(*(own.post(f"{path}/actions", json=order) for order in orders))
        entries = (await own.get(path)).json()["entries"]
    assert {answer.status_code for answer in answers} == {200}
    assert [entry["seq"] for entry in entries] == list(range(1, 52))
    assert {entry["note"] for entry in entries[1:]} == {str(n) for n in range(50)}
