"""Silences, maintenance, filters and groups of alerts, and acknowledging many, over REST."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from alerts.alert import Alert
from alerts.rules import Rule
from console.answers import alert_out
from console.models import AlertOut, AlertPage
from devices.site import Site
from store.casebook import get_alert
from store.registry import load_rules
from store.upkeep import upkeep

Clients = Callable[[str | None], httpx.AsyncClient]
Find = Callable[..., Awaitable[Alert]]
Pool = AsyncConnectionPool[AsyncConnection]
LAKE, TOWN, VILLAGE = "320118100000", "320118101000", "320118100201"
CROWD = Rule("crowd", "聚集", "Crowd", "crowd", "medium", "crowd", live_within=1e9, group="district", group_case=True)
pytestmark = pytest.mark.usefixtures("no_cases")


def soon(**after: float) -> str:
    return (datetime.now(UTC) + timedelta(**after)).isoformat()


async def kept(pool: Pool, site: Site) -> Any:
    async with pool.connection() as conn:
        rules = await load_rules(conn)
        await conn.commit()
        return await upkeep(conn, rules, datetime.now(UTC), site=site)


async def test_a_silence_keeps_an_alert_from_being_told_until_it_is_ended(
    client: Clients, find: Find, pool: Pool, site: Site
) -> None:
    order = {"reason": "夜间演练", "ends": soon(hours=2), "zone": "ban"}
    made = await client("operator").post("/api/v1/silences", json=order)
    assert made.status_code == 201, made.text
    silence = made.json()
    assert (silence["created_by"], silence["reason"], silence["on"]) == ("operator", "夜间演练", True)
    alert = await find()
    shown = (await client("admin").get(f"/api/v1/alerts/{alert.id}")).json()
    assert (shown["state"], shown["case_id"]) == ("open", None)
    assert (shown["suppressed"]["by"], shown["suppressed"]["id"]) == ("silence", silence["id"])
    assert "夜间演练" in shown["suppressed"]["reason"]["zh"]
    ids = {}
    for suppressed in ("true", "false"):
        page = (await client("admin").get("/api/v1/alerts", params={"suppressed": suppressed})).json()
        ids[suppressed] = [item["id"] for item in page["items"]]
    assert ids == {"true": [alert.id], "false": []}

    ended = await client("supervisor").post(f"/api/v1/silences/{silence['id']}/end")
    assert ended.status_code == 200 and ended.json()["ended_by"] == "supervisor" and not ended.json()["on"]
    again = await client("operator").post(f"/api/v1/silences/{silence['id']}/end")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "state")
    await kept(pool, site)
    told = (await client("admin").get(f"/api/v1/alerts/{alert.id}")).json()
    assert told["suppressed"] is None and told["case_id"] is not None
    assert [event["what"] for event in told["events"]] == ["suppressed", "released"]
    listed = (await client("unit").get("/api/v1/silences", params={"current": "false"})).json()
    assert [item["id"] for item in listed["items"]] == [silence["id"]], "recorded for good"


@pytest.mark.parametrize(
    ("order", "status", "code"),
    [
        ({"rule": "sos"}, 409, "sos"),
        ({"kind": "sos"}, 409, "sos"),
        ({}, 422, "missing"),
        ({"rule": "nothing"}, 422, "wrong_value"),
        ({"zone": "nowhere"}, 422, "wrong_value"),
        ({"area": "999999999999"}, 422, "wrong_value"),
        ({"kind": "magic"}, 422, "wrong_value"),
        ({"zone": "ban", "reason": " "}, 422, "wrong_value"),
        ({"zone": "ban", "ends": "2020-01-01T00:00:00Z"}, 422, "wrong_value"),
        ({"zone": "ban", "ends": "2035-01-01T00:00:00Z"}, 422, "wrong_value"),
        ({"zone": "ban", "ends": "tomorrow"}, 422, "wrong_value"),
        ({"zone": "ban", "for": "ever"}, 422, "wrong_value"),
    ],
)
async def test_a_silence_that_may_not_be_is_refused_with_the_reason(
    client: Clients, order: dict[str, Any], status: int, code: str
) -> None:
    answer = await client("admin").post("/api/v1/silences", json={"reason": "x", "ends": soon(hours=1), **order})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    assert answer.json()["error"]["zh"] and answer.json()["error"]["en"]
    assert (await client("admin").get("/api/v1/silences")).json() == {"items": [], "next": None}


async def test_an_account_with_an_area_arranges_only_there(client: Clients) -> None:
    person = client("town_operator")
    for order in ({"zone": "ban"}, {"area": LAKE}, {"subject": "T1"}, {"rule": "crowd"}):
        answer = await person.post("/api/v1/silences", json={"reason": "x", "ends": soon(hours=1), **order})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "outside_area"), order
    own = await person.post(
        "/api/v1/silences", json={"reason": "x", "ends": soon(hours=1), "rule": "crowd", "area": TOWN}
    )
    assert own.status_code == 201
    work = {"reason": "x", "starts": soon(), "ends": soon(hours=1)}
    assert (await person.post("/api/v1/maintenance", json={**work, "zones": ["ban", "market"]})).status_code == 403
    assert (await person.post("/api/v1/maintenance", json={**work, "zones": ["market"]})).status_code == 201
    order = {"reason": "y", "ends": soon(hours=1)}
    lake = await client("operator").post("/api/v1/silences", json={**order, "zone": "ban"})
    whole = await client("operator").post("/api/v1/silences", json={**order, "rule": "crowd"})
    listed = (await person.get("/api/v1/silences")).json()["items"]
    assert [item["id"] for item in listed] == [whole.json()["id"], own.json()["id"]], "its own, and the whole site's"
    for silence, status in ((lake, 404), (whole, 404), (own, 200)):
        answer = await person.post(f"/api/v1/silences/{silence.json()['id']}/end")
        assert answer.status_code == status


async def test_maintenance_covers_devices_zones_and_areas_and_can_be_ended(client: Clients, find: Find) -> None:
    order = {
        "reason": "换杆",
        "starts": soon(minutes=-5),
        "ends": soon(hours=1),
        "devices": ["C1"],
        "weekly": True,
        "repeats_until": soon(days=30),
    }
    made = await client("operator").post("/api/v1/maintenance", json=order)
    assert made.status_code == 201, made.text
    assert (made.json()["on"], made.json()["devices"], made.json()["weekly"]) == (True, ["C1"], True)
    assert (await find()).suppressed is not None
    assert (await find(subject="C2", zone="market", rule=CROWD)).suppressed is None
    ended = await client("admin").post(f"/api/v1/maintenance/{made.json()['id']}/end")
    assert (ended.status_code, ended.json()["on"]) == (200, False)
    assert (await find(subject="C1", zone="market")).suppressed is None
    for wrong in ({"devices": ["X9"]}, {"devices": []}, {"ends": order["starts"]}):
        answer = await client("operator").post("/api/v1/maintenance", json={**order, **wrong})
        assert answer.status_code == 422, wrong
    pages = [(await client("viewer").get("/api/v1/maintenance")).status_code]
    pages += [len((await client("unit").get("/api/v1/maintenance", params={"limit": 1})).json()["items"])]
    assert pages == [403, 1]


async def test_alerts_by_several_states_rules_severities_place_and_subject(client: Clients, find: Find) -> None:
    lake = await find()
    village = await find(subject="T3", zone="")
    town = await find(rule=CROWD, subject="C2", zone="market")
    acknowledged = await client("operator").post(f"/api/v1/alerts/{village.id}/acknowledge")
    assert acknowledged.json()["acked_by"] == "operator"

    async def ids(who: str = "admin", **params: Any) -> set[int]:
        answer = await client(who).get("/api/v1/alerts", params=params)
        assert answer.status_code == 200, answer.text
        return {item["id"] for item in answer.json()["items"]}

    assert await ids(state=["open", "acknowledged"]) == {lake.id, village.id, town.id}
    assert await ids(state=["acknowledged", "void"]) == {village.id}
    assert await ids(rule=["crowd", "sos"]) == {town.id}
    assert await ids(severity=["medium"]) == {town.id}
    assert await ids(severity=["high", "low"], state="open") == {lake.id}
    assert await ids(area=LAKE) == {lake.id, village.id}
    assert await ids(area=VILLAGE) == {village.id}
    assert await ids(area="999999999999") == set()
    assert await ids(zone="market") == {town.id}
    assert await ids(subject="T3") == {village.id}
    assert await ids("town_operator", area=LAKE) == set()
    assert await ids("lake_viewer", state=["open"]) == {lake.id}
    for wrong in ({"state": "asleep"}, {"severity": "huge"}, {"suppressed": "maybe"}):
        assert (await client("admin").get("/api/v1/alerts", params=wrong)).status_code == 422


async def test_alerts_by_groups(client: Clients, find: Find) -> None:
    first = await find(rule=CROWD, subject="one", zone="market", ago=60)
    second = await find(rule=CROWD, subject="two", zone="ban", ago=30)
    alone = await find()
    assert first.group_id == second.group_id == first.id and second.case_id == first.case_id
    items = (await client("admin").get("/api/v1/alerts", params={"grouped": "true"})).json()["items"]
    assert [(item["id"], item["members"]) for item in items] == [(alone.id, 1), (second.id, 2)]
    plain = (await client("admin").get("/api/v1/alerts")).json()["items"]
    assert [(item["group_id"], item["members"]) for item in plain] == [(None, None), (first.id, None), (first.id, None)]
    seen = (await client("town_operator").get("/api/v1/alerts", params={"grouped": "true"})).json()["items"]
    assert [(item["id"], item["members"]) for item in seen] == [(first.id, 1)], "counted as far as it may be seen"


async def test_many_are_acknowledged_at_once_as_far_as_they_may_be_seen(client: Clients, find: Find) -> None:
    lake, town = await find(), await find(rule=CROWD, subject="C2", zone="market")
    other = await find(rule=replace(CROWD, code="other"), subject="C3", zone="market")
    await client("admin").post(f"/api/v1/alerts/{other.id}/void", json={"note": "树影"})
    order = {"ids": [lake.id, town.id, other.id, town.id, 10**9]}
    answer = await client("town_operator").post("/api/v1/alerts/acknowledge", json=order)
    assert answer.status_code == 200, answer.text
    assert [(item["id"], item["acked_by"]) for item in answer.json()["done"]] == [(town.id, "town_operator")]
    refused = {item["id"]: item["error"]["code"] for item in answer.json()["refused"]}
    assert refused == {lake.id: "not_found", other.id: "state", 10**9: "not_found"}
    assert (await client("admin").get(f"/api/v1/alerts/{lake.id}")).json()["state"] == "open"
    for wrong in ({"ids": []}, {"ids": list(range(1, 502))}, {"ids": [0]}, {}):
        assert (await client("admin").post("/api/v1/alerts/acknowledge", json=wrong)).status_code == 422


async def test_the_list_written_at_once_is_what_the_models_say(client: Clients, find: Find, pool: Pool) -> None:
    """Just what pydantic would write, with every field filled and with every field empty."""
    first = await find(rule=CROWD, subject="one", zone="market")
    other = await find(subject="二", zone="")
    async with pool.connection() as conn:
        await conn.execute(
            "UPDATE alerts SET acked_by = '张', acked_at = '2026-11-20 02:30:00.5+00', escalated_at = now(),"
            " ending_zh = '完', ending_en = 'over', suppressed_by = 'silence', suppressor = 7, suppressed_zh = '静',"
            " suppressed_en = 'drill', lon = 'NaN', merged_into = %s, score = 1 WHERE id = %s",
            (other.id, first.id),
        )
        stored = [await get_alert(conn, number) for number in (other.id, first.id)]
    answer = await client("admin").get("/api/v1/alerts", params={"merged": "true"})
    page = AlertPage(items=[alert_out(alert) for alert in stored if alert is not None], next=None)
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == json.loads(page.model_dump_json())
    assert list(answer.json()["items"][0]) != [] and set(answer.json()["items"][0]) == set(AlertOut.model_fields)


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "1999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00"])
async def test_no_moment_at_the_ends_of_time_comes_in(client: Clients, pool: Pool, site: Site, moment: str) -> None:
    """PostgreSQL keeps years that cannot be read back: one window of them would stop each worker for good."""
    window = {"reason": "x", "devices": ["C1"], "starts": moment, "ends": soon(hours=1), "weekly": True}
    silence = {"reason": "x", "zone": "ban", "starts": moment, "ends": soon(hours=1)}
    for path, order in (("maintenance", window), ("silences", silence)):
        answer = await client("operator").post(f"/api/v1/{path}", json=order)
        assert answer.status_code == 422, answer.text
        assert answer.json()["error"]["code"] == "wrong_value"
        assert (await client("operator").get(f"/api/v1/{path}")).status_code == 200
    track = await client("admin").get("/api/v1/devices/T1/track", params={"since": moment, "until": moment})
    assert track.status_code == 422
    assert await kept(pool, site) is not None
