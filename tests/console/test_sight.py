"""Who may see what: the limits themselves, then every list and every single thing through REST."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from alerts.rules import Rule
from console.sight import Sight, sight_of
from devices.registry import Device, Registry
from devices.site import Area, Site

Clients = Callable[[str | None], httpx.AsyncClient]
Pool = AsyncConnectionPool[AsyncConnection]
Find = Callable[..., Awaitable[Any]]
Move = Callable[..., Awaitable[None]]

TREE = Site(
    [
        Area("d", "", "", "district"),
        Area("s", "", "", "street", "d"),
        Area("v", "", "", "community", "s"),
        Area("t", "", "", "street", "d"),
    ],
    [],
    [],
    Registry([]),
)
ROLES = st.sampled_from(["viewer", "operator", "unit", "supervisor", "admin"])
AREAS = st.sampled_from([None, "d", "s", "v", "t", "gone"])
UNITS = st.sampled_from([None, "a", "b"])


def terminal(area: str, unit: str) -> Device:
    return Device("T", "terminal", "", "", area, area, unit)


def test_an_area_is_seen_with_all_below_it() -> None:
    assert sight_of("operator", None, "s", TREE).areas == {"s", "v"}
    assert sight_of("operator", None, None, TREE).areas is None
    assert sight_of("operator", None, "gone", TREE).areas == frozenset(), "an unknown area shows nothing"


@given(role=ROLES, unit=UNITS, area=AREAS, where=st.sampled_from("dsvt"), its=st.sampled_from(["", "a", "b"]))
def test_nobody_sees_more_of_officers_than_the_rules_say(
    role: str, unit: str | None, area: str | None, where: str, its: str
) -> None:
    sight = sight_of(role, unit, area, TREE)
    inside = area is None or area in TREE.lineage(where)
    expected = {
        "viewer": False,
        "unit": (unit is not None and its == unit) or (area is not None and inside),
    }.get(role, inside)
    assert sight.device(terminal(where, its)) is expected
    camera = Device("C", "camera", "", "", where, where)
    assert sight.device(camera) is inside


@given(role=ROLES, unit=UNITS, area=AREAS, where=st.sampled_from(["d", "s", "v", "t", None]), its=UNITS)
def test_cases_and_alerts(role: str, unit: str | None, area: str | None, where: str | None, its: str | None) -> None:
    sight = sight_of(role, unit, area, TREE)
    inside = area is None or (where is not None and area in TREE.lineage(where))
    if role == "unit":
        assert sight.case(where, its) is (unit is not None and its == unit)
        assert sight.alert(where, its) is ((unit is not None and its == unit) or (area is not None and inside))
    else:
        assert sight.case(where, its) is sight.alert(where, its) is inside


@given(unit=UNITS, area=AREAS, where=st.sampled_from(["d", "s", "v", "t", None]), its=UNITS)
def test_a_grid_worker_sees_nothing(unit: str | None, area: str | None, where: str | None, its: str | None) -> None:
    sight = sight_of("grid", unit, area, TREE)
    camera = Device("C", "camera", "", "", where or "d", "d")
    assert not sight.device(terminal(where or "d", its or "")) and not sight.device(camera)
    assert not (sight.area(where) or sight.case(where, its) or sight.alert(where, its) or sight.rejects())


def test_rejects_are_for_the_desk_without_a_limit() -> None:
    assert [r for r in ("viewer", "operator", "unit", "supervisor", "admin") if Sight(r, "a", None).rejects()] == [
        *("operator", "supervisor", "admin")
    ]
    assert not Sight("admin", None, frozenset({"s"})).rejects()


async def items(client: httpx.AsyncClient, path: str, **params: Any) -> list[dict[str, Any]]:
    answer = await client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


CROWD = Rule("crowd", "聚集", "Crowd", "crowd", "medium", "crowd", live_within=1e9)
SOS = Rule("sos", "求助", "SOS", "sos", "high", "sos", open_case=False, live_within=1e9)

ROUTE = Rule("route", "巡线", "Round", "route", "medium", "patrol", open_case=False, live_within=1e9)


@pytest.mark.usefixtures("no_cases")
async def test_lists_and_single_things(client: Clients, find: Find) -> None:
    lake = await find()
    town = await find(rule=CROWD, zone="market", subject="market")
    seen = {
        "viewer": {lake.id, town.id},
        "admin": {lake.id, town.id},
        "unit": {lake.id},
        "town_operator": {town.id},
        "lake_viewer": {lake.id},
        "lake_police": {lake.id, town.id},  # the lake is its area, the market's case its own
    }
    for name, expected in seen.items():
        assert {a["id"] for a in await items(client(name), "/api/v1/alerts")} == expected, name
        for alert in (lake, town):
            answer = await client(name).get(f"/api/v1/alerts/{alert.id}")
            assert answer.status_code == (200 if alert.id in expected else 404), name
    cases = {**seen, "lake_police": {town.id}}
    for name, expected in cases.items():
        numbers = {lake.case_id: lake.id, town.case_id: town.id}
        assert {numbers[c["id"]] for c in await items(client(name), "/api/v1/cases")} == expected, name
        for alert in (lake, town):
            answer = await client(name).get(f"/api/v1/cases/{alert.case_id}")
            assert answer.status_code == (200 if alert.id in expected else 404), name


@pytest.mark.usefixtures("no_cases")
async def test_what_is_not_seen_cannot_be_acted_on(client: Clients, find: Find) -> None:
    town = await find(rule=CROWD, zone="market", subject="market")
    orders = {
        f"/api/v1/alerts/{town.id}/acknowledge": {},
        f"/api/v1/cases/{town.case_id}/actions": {"action": "note", "version": 1, "note": "hello"},
    }
    for path, body in orders.items():
        answer = await client("unit").post(path, json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found"), path
    lake = await find()
    for path in (f"/api/v1/alerts/{lake.id}/void", f"/api/v1/alerts/{lake.id}/acknowledge"):
        assert (await client("town_operator").post(path, json={"note": "not mine"})).status_code == 404


async def test_a_unit_cannot_ask_for_anothers_cases(client: Clients, find: Find) -> None:
    await find(rule=CROWD, zone="market", subject="asked")
    assert await items(client("unit"), "/api/v1/cases", unit="police") == []
    assert await items(client("unit"), "/api/v1/cases", unit="-") == []
    assert all(c["unit"] == "fishery" for c in await items(client("unit"), "/api/v1/cases", unit="fishery"))
    assert await items(client("admin"), "/api/v1/cases", unit="police")


async def test_devices_and_positions(client: Clients, move: Move) -> None:
    for code in ("T1", "T2", "T3"):
        await move(code, 118.88, 31.47)
    devices = {
        "viewer": {"C1", "W1"},
        "operator": {"T1", "T2", "T3", "C1", "W1"},
        "unit": {"T1", "C1", "W1"},
        "town_operator": {"T2", "W1"},
        "lake_viewer": {"C1"},
        "lake_police": {"T1", "T2", "T3", "C1"},
    }
    for name, expected in devices.items():
        listed = (await client(name).get("/api/v1/devices")).json()
        assert {d["code"] for d in listed} == expected, name
        placed = (await client(name).get("/api/v1/positions")).json()
        assert {p["device"] for p in placed} == {code for code in expected if code.startswith("T")}, name


async def test_a_track_is_for_those_who_need_it_and_each_look_is_recorded(
    client: Clients, move: Move, pool: Pool
) -> None:
    async with pool.connection() as conn:
        await conn.execute("DELETE FROM fixes")
    await move("T2", 118.95, 31.40, ago=30, speed=1.25)
    await move("T2", 118.951, 31.401, speed=float("nan"))
    allowed = {"operator", "town_operator", "lake_police", "supervisor", "admin"}
    for name in ("viewer", "lake_viewer", "unit", *sorted(allowed)):
        async with pool.connection() as conn:
            await conn.execute("DELETE FROM looks")
        answer = await client(name).get("/api/v1/devices/T2/track")
        async with pool.connection() as conn:
            cursor = await conn.execute(
                "SELECT a.name, d.code, l.until - l.since FROM looks l JOIN accounts a ON a.id = l.account"
                " JOIN devices d ON d.id = l.device"
            )
            looks = await cursor.fetchall()
        if name in allowed:
            points = answer.json()["points"]
            assert [point[:2] for point in points] == [[118.95, 31.4], [118.951, 31.401]]
            assert [point[3] for point in points] == [1.25, None]
            assert points[1][2] - points[0][2] == pytest.approx(30, abs=5)
            assert looks == [(name, "T2", timedelta(hours=1))]
        else:
            assert answer.status_code == (403 if "viewer" in name else 404), name
            assert looks == []


async def test_a_tracks_stretch(client: Clients, move: Move, pool: Pool) -> None:
    now = datetime.now(UTC)
    await move("T3", 118.88, 31.47, ago=7200)

    async def ask(**params: str) -> httpx.Response:
        return await client("operator").get("/api/v1/devices/T3/track", params=params)

    found = await ask(since=(now - timedelta(hours=3)).isoformat(), until=(now - timedelta(hours=1)).isoformat())
    assert len(found.json()["points"]) == 1
    found = await ask(until=(now - timedelta(hours=2.5)).isoformat())
    assert found.json() == {"device": "T3", "points": [], "suspect": []}
    async with pool.connection() as conn:
        await conn.execute(
            "UPDATE fixes SET flags = flags | 64 WHERE device = (SELECT id FROM devices WHERE code = 'T3')"
        )
    found = await ask(since=(now - timedelta(hours=3)).isoformat(), until=(now - timedelta(hours=1)).isoformat())
    assert found.json()["suspect"] == [0], "what a detector doubts is marked, and not left out"
    too_long = await ask(since=(now - timedelta(days=8)).isoformat())
    assert "7" in too_long.json()["error"]["en"]
    backwards = await ask(since=now.isoformat(), until=(now - timedelta(hours=1)).isoformat())
    naive = await ask(since="2026-11-22T00:00:00")
    assert [too_long.status_code, backwards.status_code, naive.status_code] == [422, 422, 422]
    assert (await client("operator").get("/api/v1/devices/vendor%2Fc1/track")).status_code == 404, "a code, no alias"


@pytest.mark.usefixtures("no_cases")
async def test_evidence_that_shows_an_officer_is_left_out(client: Clients, find: Find) -> None:
    officer = await find(rule=SOS, subject="T1", zone="")
    for name, shown in {"viewer": False, "lake_viewer": False, "unit": None, "operator": True}.items():
        answer = await client(name).get(f"/api/v1/alerts/{officer.id}")
        if shown is None:
            assert answer.status_code == 404, "no case of the unit, and it has no area"
        else:
            assert (answer.json()["evidence"] is not None) is shown, name
    camera = await find()
    assert (await client("viewer").get(f"/api/v1/alerts/{camera.id}")).json()["evidence"]["numbers"] == {"people": 3}


@pytest.mark.usefixtures("no_cases")
async def test_evidence_of_several_officers_is_for_who_may_see_them_all(client: Clients, find: Find) -> None:
    """Its subject is no device: two terminals, a plan's window, a feed."""

    async def shown(features: list[dict[str, Any]], subject: str, zone: str) -> set[str]:
        drawn = [{"type": "Feature", "geometry": None, "properties": told} for told in features]
        alert = await find(rule=ROUTE, subject=subject, zone=zone, features=drawn)
        who = ("viewer", "operator", "admin", "town_operator", "lake_viewer", "lake_police")
        answers = {name: await client(name).get(f"/api/v1/alerts/{alert.id}") for name in who}
        return {name for name, answer in answers.items() if answer.json().get("evidence") is not None}

    desk = {"operator", "admin"}
    assert await shown([{"devices": "T1, T3"}], "T1+T3", "ban") == {*desk, "lake_police"}
    assert await shown([{"device": "T2"}], "R 2026-11-22 08:00", "market") == {*desk, "town_operator"}
    assert await shown([{"device": "T1"}, {"device": "T2"}], "feed:s", "market") == desk, "one of them is of the lake"
    assert await shown([{"part": "planned"}, {"part": "walked"}], "R 2026-11-22 09:00", "ban") == desk, "whose?"
    everybody = {*desk, "viewer", "lake_viewer", "lake_police"}
    assert await shown([{"part": "planned"}], "R 2026-11-22 10:00", "ban") == everybody, "nobody was there"


async def test_the_site_is_cut_to_the_area(client: Clients) -> None:
    whole = (await client("operator").get("/api/v1/site")).json()
    assert {z["id"] for z in whole["zones"]["features"]} == {"ban", "market"}
    assert len(whole["areas"]) == 4
    assert whole["bounds"] == [118.86, 31.39, 118.96, 31.48]
    town = (await client("town_operator").get("/api/v1/site")).json()
    assert [z["id"] for z in town["zones"]["features"]] == ["market"]
    assert {a["code"] for a in town["areas"]} == {"320118000000", "320118101000"}, "its own, and what it belongs to"
    assert [u["code"] for u in town["units"]] == ["fishery", "police"], "any unit may be given a case"
    assert "contacts" not in str(town)
    assert town["bounds"] == [118.94, 31.39, 118.96, 31.41]


async def test_an_account_with_an_area_reports_inside_it(client: Clients) -> None:
    case = {"category": "fishing", "title": "x", "lon": 118.88, "lat": 31.47}
    outside = await client("town_operator").post("/api/v1/cases", json=case)
    assert (outside.status_code, outside.json()["error"]["code"]) == (422, "wrong_value")
    inside = await client("town_operator").post("/api/v1/cases", json={**case, "lon": 118.95, "lat": 31.40})
    assert inside.status_code == 201
    assert inside.json()["area"] == "320118101000"
    assert (await client("town_operator").get(f"/api/v1/cases/{inside.json()['id']}")).status_code == 200


async def test_rejects_are_not_for_an_account_with_an_area(client: Clients) -> None:
    answer = await client("town_operator").get("/api/v1/rejects")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "area_limited")
