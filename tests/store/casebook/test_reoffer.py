"""Whom the store would send, and what follows when a terminal does not take its order."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection

from alerts.case import Actor, Case
from alerts.duty import DutyMatrix
from devices.readings import CommandAck, Flag
from devices.site import Site, micros
from store.casebook import (
    act,
    candidates,
    case_entries,
    case_notices,
    get_case,
    record_arrivals,
    record_command_ack,
    reoffer,
    report_case,
)
from store.database import open_pool
from store.evidence import verify_all
from store.outbox import due_notices, mark_sent

NOW = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)  # as the fixtures have it
OPERATOR, FISHERY = Actor("zhang", "operator"), Actor("yu", "unit", "fishery")


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.fixture
async def around(conn: AsyncConnection, site: Site, place: Any) -> None:
    """T1, T2 and T3 with growing distance, T4 nearest of all but calling for help, T5 too far."""
    await conn.execute("DELETE FROM samples")
    await place("T1", 118.881, 31.47)
    await place("T2", 118.885, 31.47)
    await place("T3", 118.890, 31.47)
    await place("T4", 118.8801, 31.47, flags=int(Flag.SOS))
    await place("T5", 119.20, 31.47)


async def send(conn: AsyncConnection, site: Site, duty: DutyMatrix, terminal: str = "T1", **changed: Any) -> Case:
    """A case for which somebody has sent a terminal at NOW."""
    given: dict[str, Any] = {"category": "fishing", "title": "下网", "severity": "high", "lon": 118.88, "lat": 31.47}
    case = await report_case(conn, actor=OPERATOR, site=site, duty=duty, now=NOW, **{**given, **changed})
    case = await act(conn, case.id, "open", OPERATOR, now=NOW)
    return await act(conn, case.id, "dispatch", OPERATOR, data={"terminal": terminal}, now=NOW)


async def answer(conn: AsyncConnection, case: Case, device: str, accepted: bool, at: datetime = NOW) -> None:
    newest = [n for n in await case_notices(conn, case.id) if n.channel == "terminal" and n.target == device][-1]
    ack = CommandAck(device, micros(at), micros(at), str(newest.id), accepted, "" if accepted else "在忙")
    assert await record_command_ack(conn, ack, at) is not None


async def orders(case_id: int, conn: AsyncConnection) -> list[str]:
    return [n.target for n in await case_notices(conn, case_id) if n.body.get("do") == "goto"]


@pytest.mark.usefixtures("around")
async def test_candidates_with_what_speaks_against_each(
    conn: AsyncConnection, site: Site, duty: DutyMatrix, place: Any
) -> None:
    found = await candidates(conn, 118.88, 31.47, NOW)
    assert [(c.standing.code, c.unfit) for c in found] == [("T1", ()), ("T2", ()), ("T3", ()), ("T4", ("help",))]
    assert [round(c.distance) for c in found] == [95, 474, 948, 9]
    assert {c.age for c in found} == {10.0}
    case = await send(conn, site, duty, "T1")
    ids = {device.code: device.id for device in site.registry.devices}
    await conn.execute("UPDATE last_positions SET battery = 9 WHERE device = %s", (ids["T2"],))
    gone = "INSERT INTO samples (device, at, received, quantity, value) VALUES (%s, %s, %s, 'online', %s)"
    await conn.execute(gone, (ids["T3"], later(-5), later(-5), 0.0))
    await conn.execute(gone, (ids["T2"], later(-5), later(-5), 1.0))
    reasons = {c.standing.code: c.unfit for c in await candidates(conn, 118.88, 31.47, NOW)}
    assert reasons == {"T1": ("busy",), "T2": ("battery",), "T3": ("offline",), "T4": ("help",)}
    reasons = {c.standing.code: c.unfit for c in await candidates(conn, 118.88, 31.47, NOW, case_id=case.id)}
    assert reasons["T1"] == (), "the case itself makes nobody busy"
    await place("T3", 118.890, 31.47, age=1)
    found = await candidates(conn, 118.88, 31.47, NOW)
    assert found[0].standing.code == "T3" and found[0].fit, "heard again after it had said goodbye"


@pytest.mark.usefixtures("around")
async def test_a_doubtful_track_is_not_sent(conn: AsyncConnection) -> None:
    insert = (
        "INSERT INTO alerts (rule, kind, subject, zone, fingerprint, episode, severity, state, raised_at, first_seen,"
        " last_seen, lon, lat, score, sentence_zh, sentence_en, evidence) VALUES ('spoof', 'spoofed_track', %s, '', %s,"
        " now(), 'low', %s, now(), now(), now(), 0, 0, 1, '', '', '{}')"
    )
    await conn.execute(insert, ("T1", "a", "acknowledged"))
    await conn.execute(insert, ("T2", "b", "cleared"))
    reasons = {c.standing.code: c.unfit for c in await candidates(conn, 118.88, 31.47, NOW)}
    assert (reasons["T1"], reasons["T2"]) == (("suspect",), ())


@pytest.mark.usefixtures("around")
async def test_an_order_that_nobody_takes_goes_from_one_to_the_next_and_back_to_the_desk(
    conn: AsyncConnection, site: Site, duty: DutyMatrix, place: Any
) -> None:
    case = await send(conn, site, duty)
    assert await reoffer(conn, later(119)) == []
    (second,) = await reoffer(conn, later(121))
    assert (second.status, second.terminal) == ("dispatched", "T2")
    assert await reoffer(conn, later(122)) == [], "T2 has its time too"
    (third,) = await reoffer(conn, later(242))
    assert third.terminal == "T3"
    (nobody,) = await reoffer(conn, later(363))
    assert (nobody.status, nobody.terminal, nobody.unit) == ("dispatched", None, "fishery"), "the unit still has it"
    assert await reoffer(conn, later(9999)) == []
    assert await orders(case.id, conn) == ["T1", "T2", "T3"]
    told = [e for e in await case_entries(conn, case.id) if e.action in ("reoffer", "nobody_near")]
    assert [(e.action, e.data["from"], e.data["why"]) for e in told] == [
        ("reoffer", "T1", "silent"),
        ("reoffer", "T2", "silent"),
        ("nobody_near", "T3", "silent"),
    ]
    assert "逾时未应答" in told[0].data["zh"] and "474 m away" in told[0].data["en"]
    assert told[-1].data["asked"] == ["T1", "T2", "T3"]
    assert [n.target for n in await case_notices(conn, case.id) if "无可派终端" in n.reason] == ["fishery"] * 2
    assert (await verify_all(conn)).good


@pytest.mark.usefixtures("around")
async def test_without_a_unit_the_case_is_opened_again(conn: AsyncConnection, site: Site, duty: DutyMatrix) -> None:
    case = await send(conn, site, duty, "T3", category="nobody's")
    assert case.unit is None
    for seconds, terminal in ((121, "T1"), (242, "T2"), (363, None)):
        (case,) = await reoffer(conn, later(seconds))
        assert case.terminal == terminal
    assert case.status == "opened"
    assert await get_case(conn, case.id) == case


@pytest.mark.usefixtures("around")
async def test_a_refusal_is_passed_on_at_once(conn: AsyncConnection, site: Site, duty: DutyMatrix) -> None:
    case = await send(conn, site, duty)
    await answer(conn, case, "T1", accepted=False)
    (second,) = await reoffer(conn, later(1))
    assert second.terminal == "T2"
    await answer(conn, case, "T2", accepted=True, at=later(20))
    assert await reoffer(conn, later(999)) == [], "it was taken"
    now = await get_case(conn, case.id)
    assert now is not None and (now.status, now.terminal) == ("handling", "T2")
    actions = [e.action for e in await case_entries(conn, case.id)][-4:]
    assert actions == ["command_refused", "reoffer", "command_accepted", "accept"]


@pytest.mark.usefixtures("around")
async def test_an_order_that_could_not_be_sent_is_passed_on(
    conn: AsyncConnection, site: Site, duty: DutyMatrix
) -> None:
    case = await send(conn, site, duty)
    await conn.execute("UPDATE notices SET failed_at = now() WHERE case_id = %s AND channel = 'terminal'", (case.id,))
    (second,) = await reoffer(conn, later(1))
    assert second.terminal == "T2"
    assert (await case_entries(conn, case.id))[-1].data["why"] == "not_sent"


@pytest.mark.usefixtures("around")
async def test_who_takes_the_case_another_way_keeps_it(conn: AsyncConnection, site: Site, duty: DutyMatrix) -> None:
    by_unit, arrived = await send(conn, site, duty), await send(conn, site, duty, "T2")
    await act(conn, by_unit.id, "accept", FISHERY, now=NOW)
    await conn.execute("UPDATE last_positions SET at = %s, lon = 118.88 WHERE lon = 118.885", (later(60),))
    (there,) = await record_arrivals(conn, later(61))
    assert there.id == arrived.id
    assert await reoffer(conn, later(999)) == []


async def recalls(conn: AsyncConnection, case_id: int) -> list[tuple[str, dict[str, Any]]]:
    return [
        (n.target, dict(n.body))
        for n in await case_notices(conn, case_id)
        if n.channel == "terminal" and n.body["do"] == "recall"
    ]


async def sent_out(conn: AsyncConnection) -> list[tuple[str, str]]:
    """Send what is due to terminals; whom, and to do what."""
    due = await due_notices(conn, commands=True)
    for notice in due:
        await mark_sent(conn, notice)
    return [(notice.target, notice.body["do"]) for notice in due]


@pytest.mark.usefixtures("around")
async def test_who_is_passed_over_is_called_back(conn: AsyncConnection, site: Site, duty: DutyMatrix) -> None:
    case = await send(conn, site, duty)
    (order,) = [n for n in await case_notices(conn, case.id) if n.channel == "terminal"]
    assert await sent_out(conn) == [("T1", "goto")]
    await reoffer(conn, later(121))
    ((target, body),) = await recalls(conn, case.id)
    assert (target, body["order"], body["case"]) == ("T1", str(order.id), case.number)
    assert "请勿前往" in body["zh"] and "Do not go" in body["en"]
    assert sorted(await sent_out(conn)) == [("T1", "recall"), ("T2", "goto")]
    entries = await case_entries(conn, case.id)
    assert [e.action for e in entries][-2:] == ["reoffer", "recall"]
    assert entries[-1].data["terminal"] == "T1" and entries[-1].data["order"] == order.id
    await answer(conn, case, "T1", accepted=True, at=later(130))
    last = (await case_entries(conn, case.id))[-1]
    assert (last.action, last.actor) == ("command_accepted", "terminal:T1")
    assert last.data["en"] == "in answer to being called back"
    now = await get_case(conn, case.id)
    assert now is not None and (now.status, now.terminal) == ("dispatched", "T2"), "it has not taken the case"
    assert (await verify_all(conn)).good


@pytest.mark.usefixtures("around")
async def test_who_refused_or_never_got_the_order_is_not_called_back(
    conn: AsyncConnection, site: Site, duty: DutyMatrix
) -> None:
    case = await send(conn, site, duty)
    await reoffer(conn, later(121))  # T1's order is still in the outbox, and goes no more
    assert await sent_out(conn) == [("T2", "goto")]
    await answer(conn, case, "T2", accepted=False, at=later(125))
    (third,) = await reoffer(conn, later(126))
    assert third.terminal == "T3"
    assert await recalls(conn, case.id) == []


@pytest.mark.usefixtures("around")
@pytest.mark.parametrize(
    ("action", "actor", "data"),
    [
        ("decline", FISHERY, {}),
        ("transfer", FISHERY, {"unit": "police"}),
        ("dispatch", OPERATOR, {"terminal": "T2"}),
        ("void", OPERATOR, {}),
    ],
)
async def test_a_step_that_takes_the_terminal_off_the_case_calls_it_back(
    conn: AsyncConnection, site: Site, duty: DutyMatrix, action: str, actor: Actor, data: dict[str, Any]
) -> None:
    case = await send(conn, site, duty)
    await sent_out(conn)
    await act(conn, case.id, action, actor, note="不用去了", data=data, now=later(5))
    assert [target for target, _ in await recalls(conn, case.id)] == ["T1"]
    assert ("T1", "recall") in await sent_out(conn)


@pytest.mark.usefixtures("around")
async def test_who_is_sent_again_is_not_called_back_by_what_came_before(
    conn: AsyncConnection, site: Site, duty: DutyMatrix
) -> None:
    case = await send(conn, site, duty)
    await sent_out(conn)
    for terminal in ("T2", "T1"):
        await act(conn, case.id, "dispatch", OPERATOR, data={"terminal": terminal}, now=later(5))
    assert await sent_out(conn) == [("T1", "goto")]
    (recall,) = [n for n in await case_notices(conn, case.id) if n.body.get("do") == "recall"]
    assert recall.failed_at is not None and "on the case again" in recall.error
    await act(conn, case.id, "accept", FISHERY, now=later(6))
    await act(conn, case.id, "feedback", FISHERY, note="已处理", now=later(7))
    assert len(await recalls(conn, case.id)) == 1, "who has done it is not called back"


@pytest.mark.usefixtures("around")
async def test_after_the_case_was_handed_on_everybody_may_be_asked_again(
    conn: AsyncConnection, site: Site, duty: DutyMatrix
) -> None:
    case = await send(conn, site, duty)
    await act(conn, case.id, "transfer", FISHERY, note="属治安", data={"unit": "police"}, now=later(5))
    assert await reoffer(conn, later(999)) == [], "no terminal is on its way for the new unit"
    await act(conn, case.id, "dispatch", OPERATOR, data={"terminal": "T2"}, now=later(10))
    (again,) = await reoffer(conn, later(131))
    assert again.terminal == "T1"


@pytest.mark.usefixtures("around")
async def test_arrival_of_the_one_that_came_second_is_noticed(
    conn: AsyncConnection, site: Site, duty: DutyMatrix, place: Any
) -> None:
    case = await send(conn, site, duty)
    await reoffer(conn, later(121))
    await place("T2", 118.8801, 31.47, age=-150)
    (there,) = await record_arrivals(conn, later(151))
    assert (there.id, there.status, there.terminal) == (case.id, "handling", "T2")
    assert await record_arrivals(conn, later(152)) == []


@pytest.mark.usefixtures("around")
async def test_several_workers_offer_it_once(
    database_url: str, conn: AsyncConnection, site: Site, duty: DutyMatrix
) -> None:
    cases = [await send(conn, site, duty) for _ in range(2)]
    async with open_pool(database_url, min_size=4, max_size=4) as pool:

        async def look() -> list[Case]:
            async with pool.connection() as own:
                return await reoffer(own, later(121))

        told = [case for cases in await asyncio.gather(*(look() for _ in range(4))) for case in cases]
    assert sorted((case.id, case.terminal) for case in told) == [(cases[0].id, "T2"), (cases[1].id, "T3")]


@pytest.mark.usefixtures("around")
async def test_an_answer_at_the_same_moment_is_not_lost(
    database_url: str, conn: AsyncConnection, site: Site, duty: DutyMatrix
) -> None:
    """Whoever gets the book first decides: it goes on to the next, or the terminal has it; never both."""
    for n in range(6):
        case = await send(conn, site, duty, "T1")
        async with open_pool(database_url, min_size=2, max_size=2) as pool:

            async def pass_on() -> None:
                async with pool.connection() as own:
                    await reoffer(own, later(121))

            async def take(case: Case = case) -> None:
                async with pool.connection() as own:
                    await answer(own, case, "T1", accepted=True, at=later(121))

            await asyncio.gather(*((pass_on(), take()) if n % 2 else (take(), pass_on())))
        now = await get_case(conn, case.id)
        assert now is not None and (now.status, now.terminal) in {("handling", "T1"), ("dispatched", "T2")}
        assert len(await orders(case.id, conn)) == (1 if now.terminal == "T1" else 2)
        await act(conn, case.id, "void", OPERATOR, note="完", now=NOW)
