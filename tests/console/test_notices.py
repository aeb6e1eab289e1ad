"""The list of notices over HTTP: why each was sent, what became of it, and who may see which."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from alerts.contacts import contact_key
from alerts.notice import Permanent, both
from store.contacts import save_contacts
from store.notices import enqueue, enqueue_to_unit
from store.outbox import due_notices, mark_failed, mark_sent

Clients = Callable[[str | None], httpx.AsyncClient]
Pool = AsyncConnectionPool[AsyncConnection]
EMPTY = dict.fromkeys(("to", "address", "name", "severity", "kinds", "quiet", "digest"), "")
WANG, POLICE = "json://127.0.0.1:9/wang-secret", "json://127.0.0.1:9/police-secret"


@pytest.fixture
async def told(pool: Pool, no_cases: None, find: Callable[..., Awaitable[Any]]) -> Any:
    """Notices of a case of the fishery, to the police, to a person in a storm, and an order; the alert of the case."""
    async with pool.connection() as conn:
        await conn.execute("TRUNCATE contact_failures")
        lines = [
            {"to": "police", "address": POLICE, "name": "所里"},
            {"to": "@wang", "address": WANG, "digest": "1/10m", "quiet": "22:00..07:00", "severity": "medium"},
        ]
        await save_contacts(conn, [{**EMPTY, **line} for line in lines])
        await conn.commit()
        alert = await find()
        for to, mark in (("police", "甲"), ("@wang", "乙"), ("@wang", "丙")):
            body = both((mark, "文"), (mark, "x"))
            await enqueue_to_unit(conn, to, reason=f"因为{mark}", body=body, dedupe=mark, case_id=None)
        await enqueue(
            conn,
            channel="terminal",
            target="T1",
            reason="go",
            body={"do": "goto"},
            dedupe="order",
            case_id=alert.case_id,
        )
        await conn.execute("UPDATE contacts SET quiet = ''")
        await conn.commit()
        for notice in await due_notices(conn):
            if notice.target == "police":
                await mark_failed(conn, notice, Permanent("401 no"))
            elif notice.channel == "apprise":
                await mark_sent(conn, notice)
    return alert


async def listed(client: httpx.AsyncClient, query: str = "") -> list[dict[str, Any]]:
    answer = await client.get(f"/api/v1/notices{query}")
    assert answer.status_code == 200, answer.text
    assert "secret" not in answer.text and "127.0.0.1" not in answer.text
    return list(answer.json()["items"])


async def test_every_notice_says_why_and_what_became_of_it(client: Clients, told: Any) -> None:
    found = {(n["target"], n["state"]): n for n in await listed(client("operator"))}
    assert found["police", "failed"]["error"] == "401 no"
    assert found["police", "failed"]["reason"] == "因为甲" and found["police", "failed"]["via"] == "所里"
    fishery = found["fishery", "sent"]
    assert fishery["case_id"] == told.case_id and fishery["number"].startswith("PG-") and fishery["severity"] == "high"
    assert fishery["reason"].startswith(f"{fishery['number']}：规则“禁渔”立案")
    assert fishery["title"]["en"].endswith("Fishing ban: North shore")
    assert found["T1", "failed"]["title"] is None, "an order that its case does not need"
    gathered = [n for n in await listed(client("operator"), "?unit=@wang") if n["state"] == "gathered"]
    (digest,) = (n for n in await listed(client("operator"), "?unit=@wang") if n["gathers"])
    assert {n["digest"] for n in gathered} == {digest["id"]} and digest["gathered"] == len(gathered) == 2
    assert digest["state"] == "waiting" and digest["next_try"]


@pytest.mark.parametrize(
    ("query", "targets"),
    [
        ("?state=failed", ["T1", "police"]),
        ("?state=failed&channel=apprise", ["police"]),
        ("?state=sent&state=failed&channel=apprise", ["police", "fishery"]),
        ("?channel=terminal", ["T1"]),
        ("?unit=police", ["police"]),
        ("?case=1", ["T1", "fishery"]),
        ("?digest=6", ["@wang", "@wang"]),
        ("?case=999", []),
    ],
)
async def test_filters(client: Clients, told: Any, query: str, targets: list[str]) -> None:
    assert [n["target"] for n in await listed(client("admin"), query)] == targets


async def test_pages_show_each_once(client: Clients, told: Any) -> None:
    whole, found, before = await listed(client("admin")), list[dict[str, Any]](), ""
    while True:
        answer = (await client("admin").get(f"/api/v1/notices?limit=2{before}")).json()
        found += answer["items"]
        if answer["next"] is None:
            break
        before = f"&before={answer['next']}"
    assert found == whole and len(whole) == 6


@pytest.mark.parametrize(
    ("who", "targets"),
    [
        ("operator", {"fishery", "police", "@wang", "T1"}),
        ("unit", {"fishery", "T1"}),
        ("lake_police", {"police"}),
        ("town_operator", {"police"}),
    ],
)
async def test_who_sees_which(client: Clients, told: Any, who: str, targets: set[str]) -> None:
    assert {n["target"] for n in await listed(client(who))} == targets


async def test_contacts_are_shown_without_addresses_with_what_does_not_work(client: Clients, told: Any) -> None:
    answer = await client("operator").get("/api/v1/contacts")
    assert answer.status_code == 200
    assert "secret" not in answer.text and contact_key(WANG) not in answer.text
    found = {contact["to"]: contact for contact in answer.json()}
    assert list(found) == ["fishery", "police", "@wang"]
    assert found["police"]["via"] == "所里" and found["police"]["failure"]["error"] == "401 no"
    assert found["police"]["failure"]["times"] == 1
    assert found["fishery"] == {
        "to": "fishery",
        "via": "json",
        "severity": "low",
        "kinds": [],
        "quiet": "",
        "most": 10,
        "within": 600,
        "failure": None,
    }
    assert (found["@wang"]["severity"], found["@wang"]["most"]) == ("medium", 1)
    town = (await client("town_operator").get("/api/v1/contacts")).json()
    assert [contact["to"] for contact in town] == ["police"]
