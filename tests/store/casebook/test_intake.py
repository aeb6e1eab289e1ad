"""Reports become cases or reporters, what comes twice is answered once, merged cases keep all and give it back."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from PIL import Image
from psycopg import AsyncConnection

from alerts.case import Actor, Case, Refused
from alerts.categories import Categories, category_from
from alerts.duplicates import Happening, Nearness, gathered, goes_on_as
from alerts.duty import DutyMatrix
from alerts.rules import Rule
from detectors.base import Finding
from devices.site import Site
from store.accounts import Account
from store.answers import answer_once, forget_answers, request_digest
from store.attachments import claim, clear_unused, keep, shown_in
from store.casebook import act, case_alerts, case_entries, get_case, record_findings, void_alert
from store.database import open_pool
from store.evidence import verify_all
from store.intake import Report, Taken, take_report
from store.media import Media
from store.merging import gathered_in, goes_on_in
from store.photos import Attachment
from store.pictures import clean_picture
from store.places import place_history, similar_cases
from store.reporters import Caller, case_reporters, forget_callers, own_report, own_reports

LAKE = "320118100000"
NOW = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)  # a Friday, 10:30 at the site
OPERATOR, SUPERVISOR = Actor("zhang", "operator"), Actor("wang", "supervisor")
FISHING = Rule("fishing_ban", "禁渔区垂钓", "Fishing in the ban zone", "fishing_ban", "high", "fishing", deadline="2wd")
COVER = Report("fishing", 118.88, 31.47, note="两人下网", origin="phone", seen=NOW - timedelta(minutes=3))
KINDS = Categories(
    [category_from({"code": "fishing", "name": "非法捕捞", "name_en": "Illegal fishing", "severity": "high"})]
)
TakeIn = Callable[..., Any]


@pytest.fixture
def duty() -> DutyMatrix:
    return DutyMatrix([("fishing", LAKE, "fishery")], KINDS)


@pytest.fixture
async def people(conn: AsyncConnection, site: Site) -> dict[str, Account]:
    """Two grid workers and an operator."""
    await conn.execute("DELETE FROM accounts")
    made = {}
    for name, role in (("li", "grid"), ("zhao", "grid"), ("zhang", "operator"), ("guest", "viewer")):
        cursor = await conn.execute(
            "INSERT INTO accounts (name, display, password_hash, role, area) VALUES (%s, %s, 'x', %s, %s) RETURNING id",
            (name, name.title(), role, LAKE if role == "grid" else None),
        )
        number = (await cursor.fetchone() or (0,))[0]
        area = LAKE if role == "grid" else None
        made[name] = Account(number, name, name.title(), role, None, area, False, True)  # type: ignore[arg-type]
    return made


@pytest.fixture
def take(conn: AsyncConnection, site: Site, duty: DutyMatrix, people: dict[str, Account]) -> TakeIn:
    """``take(report, "li", now=…)``."""

    async def taken(report: Report = COVER, who: str = "li", now: datetime = NOW, **more: Any) -> Taken:
        return await take_report(conn, report, people[who], site=site, duty=duty, limits=Nearness(), now=now, **more)

    return taken


@pytest.fixture
def media(tmp_path: Path) -> Media:
    return Media(tmp_path / "media")


@pytest.fixture
def photo(conn: AsyncConnection, media: Media) -> Callable[..., Any]:
    """``photo(account, colour)``: a picture of one colour, sent by an account."""

    async def sent(account: Account, colour: int = 0, now: datetime = NOW) -> Attachment:
        file = io.BytesIO()
        Image.new("RGB", (40, 30), (colour * 60 % 256, 80, 160)).save(file, "JPEG")
        picture = clean_picture(file.getvalue(), most_bytes=10**6, most_pixels=10**6)
        return await keep(conn, media, picture, account.id, now)

    return sent


def here(report: Report = COVER, at: datetime = NOW) -> Happening:
    return Happening(report.category, report.lon, report.lat, at)


async def actions(conn: AsyncConnection, case: Case) -> list[str]:
    return [entry.action for entry in await case_entries(conn, case.id)]


# ── Reports ─────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_report_from_a_phone_becomes_a_case(conn: AsyncConnection, take: TakeIn) -> None:
    taken = await take(replace(COVER, accuracy=12.5))
    case = await get_case(conn, taken.case.id)
    assert case == taken.case and not taken.joined
    assert (case.status, case.origin, case.severity, case.unit, case.area) == (
        *("reported", "phone", "high", "fishery", LAKE),
    )
    assert (case.title.zh, case.title.en) == ("非法捕捞：两人下网", "Illegal fishing: 两人下网")
    (reporter,) = await case_reporters(conn, case.id)
    assert (reporter.by, reporter.home, reporter.seq, reporter.accuracy) == ("li", case.id, 1, 12.5)
    assert (reporter.at, reporter.received) == (NOW - timedelta(minutes=3), NOW)
    (entry,) = await case_entries(conn, case.id)
    assert entry.data["via"] == "phone" and entry.data["accuracy"] == 12.5
    assert (await verify_all(conn)).good


async def test_outside_all_zones_it_is_in_the_area_of_the_grid_worker(take: TakeIn) -> None:
    assert (await take(replace(COVER, lon=118.5))).case.area == LAKE
    assert (await take(replace(COVER, lon=118.5), "zhang")).case.area is None


@pytest.mark.parametrize(
    "clock", ["0001-01-01T00:00:00+14:00", "1970-01-01T08:00:00+08:00", "9999-12-31T23:59:59-14:00"]
)
async def test_a_clock_that_was_never_set_is_not_believed(conn: AsyncConnection, take: TakeIn, clock: str) -> None:
    taken = await take(replace(COVER, seen=datetime.fromisoformat(clock)))
    (reporter,) = await case_reporters(conn, taken.case.id)
    assert reporter.at == NOW


async def test_a_clock_that_is_ahead_is_not_believed(conn: AsyncConnection, take: TakeIn) -> None:
    taken = await take(replace(COVER, seen=NOW + timedelta(hours=1)))
    (reporter,) = await case_reporters(conn, taken.case.id)
    assert reporter.at == NOW


async def test_solved_on_the_spot_it_still_has_to_be_verified(conn: AsyncConnection, take: TakeIn) -> None:
    taken = await take(replace(COVER, on_spot=True))
    assert (taken.case.status, taken.case.resolution) == ("fed_back", "on_spot")
    assert await actions(conn, taken.case) == ["report", "feedback"]
    with pytest.raises(Refused, match="state"):
        await act(conn, taken.case.id, "close", OPERATOR, data={"outcome": "劝离"}, now=NOW)
    verified = await act(conn, taken.case.id, "verify", OPERATOR, note="照片属实", now=NOW)
    closed = await act(conn, verified.id, "close", OPERATOR, data={"outcome": "劝离"}, now=NOW)
    assert closed.resolution == "on_spot"
    assert (await verify_all(conn)).good
    with pytest.raises(Refused, match="role"):
        await take(replace(COVER, on_spot=True), "zhang")


async def test_a_grid_worker_feeds_back_only_the_own_report_and_only_before_others_handle_it(
    conn: AsyncConnection, take: TakeIn
) -> None:
    case = (await take()).case
    li, zhao = Actor("li", "grid"), Actor("zhao", "grid")
    for action in ("note", "feedback"):
        with pytest.raises(Refused, match="not_found"):
            await act(conn, case.id, action, zhao, note="x", now=NOW)
    await act(conn, case.id, "note", li, note="还在", now=NOW)
    with pytest.raises(Refused, match="state"):
        await act(conn, case.id, "feedback", SUPERVISOR, note="x", now=NOW)
    await act(conn, case.id, "open", OPERATOR, now=NOW)
    with pytest.raises(Refused, match="state"):
        await act(conn, case.id, "feedback", li, note="x", now=NOW)
    await act(conn, case.id, "dispatch", OPERATOR, now=NOW)
    await act(conn, case.id, "accept", Actor("f", "unit", "fishery"), now=NOW)
    with pytest.raises(Refused, match="others handle it"):
        await act(conn, case.id, "feedback", li, note="x", now=NOW)
    for action in ("open", "close", "void", "merge"):
        with pytest.raises(Refused, match="role"):
            await act(conn, case.id, action, li, note="x", now=NOW)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"category": " "}, "missing"),
        ({"note": "a\x00"}, "wrong_text"),
        ({"note": "长" * 5000}, "too_long"),
        ({"lat": 91.0}, "wrong_value"),
        ({"severity": "dreadful"}, "wrong_value"),
        ({"caller": Caller("\ud800")}, "wrong_text"),
        ({"same_as": 4711}, "not_found"),
    ],
)
async def test_what_is_refused_leaves_nothing(
    conn: AsyncConnection, take: TakeIn, wrong: dict[str, Any], code: str
) -> None:
    with pytest.raises(Refused) as refused:
        await take(replace(COVER, **wrong))
    assert refused.value.code == code
    cursor = await conn.execute("SELECT (SELECT count(*) FROM cases), (SELECT count(*) FROM entries)")
    assert await cursor.fetchone() == (0, 0)


async def test_a_viewer_reports_nothing(take: TakeIn) -> None:
    with pytest.raises(Refused, match="role"):
        await take(COVER, "guest")


# ── The same again ──────────────────────────────────────────────────────────────────────────────────────────────────
async def test_eleven_identical_complaints_are_one_case_with_eleven_reporters(
    conn: AsyncConnection, take: TakeIn
) -> None:
    first = (await take(replace(COVER, caller=Caller("王女士", "138 0000 0000")))).case
    for n in range(1, 11):
        at = NOW + timedelta(hours=n)
        again = replace(COVER, lat=COVER.lat + n * 5e-5, note=f"第{n}次", seen=at)
        (offered,) = await similar_cases(conn, here(again, at), Nearness())
        assert (offered.case.id, offered.reporters) == (first.id, n)
        assert offered.distance == pytest.approx(n * 5.56, abs=0.1)
        taken = await take(replace(again, same_as=offered.case.id), "zhao" if n % 2 else "li", at)
        assert taken == Taken(first, joined=True)
    reporters = await case_reporters(conn, first.id)
    assert len(reporters) == 11
    assert [r.note for r in reporters] == ["两人下网", *(f"第{n}次" for n in range(1, 11))]
    assert {r.by for r in reporters} == {"li", "zhao"}
    assert (reporters[0].name, reporters[0].contact) == ("王女士", "138 0000 0000")
    cursor = await conn.execute("SELECT count(*) FROM cases")
    assert await cursor.fetchone() == (1,)
    assert await actions(conn, first) == ["report", *["reported_again"] * 10]
    entries = await case_entries(conn, first.id)
    assert not any("138 0000" in f"{entry.note}{entry.data}" for entry in entries), (
        "who called is not in the chain, where nothing is deleted"
    )
    assert (await verify_all(conn)).good


async def test_a_case_is_as_fresh_as_its_last_report(conn: AsyncConnection, take: TakeIn) -> None:
    case = (await take()).case
    later = NOW + timedelta(hours=47)
    await take(replace(COVER, same_as=case.id, seen=later), now=later)
    much_later = NOW + timedelta(hours=90)
    (found,) = await similar_cases(conn, here(at=much_later), Nearness())
    assert found.last == later
    assert await similar_cases(conn, here(at=NOW + timedelta(hours=96)), Nearness()) == []


async def test_what_is_far_of_another_kind_or_ended_is_not_offered(conn: AsyncConnection, take: TakeIn) -> None:
    case = (await take()).case
    await take(replace(COVER, lat=COVER.lat + 0.002))
    await take(replace(COVER, category="noise"))
    nearer = (await take(replace(COVER, lat=COVER.lat + 0.0005))).case
    assert [s.case.id for s in await similar_cases(conn, here(), Nearness())] == [case.id, nearer.id]
    assert [s.case.id for s in await similar_cases(conn, here(), Nearness(), but=case.id)] == [nearer.id]
    assert [s.case.id for s in await similar_cases(conn, here(), Nearness(metres=40))] == [case.id]
    await act(conn, case.id, "void", OPERATOR, note="误报", now=NOW)
    assert [s.case.id for s in await similar_cases(conn, here(), Nearness())] == [nearer.id]


async def test_the_same_as_something_far_is_for_those_who_may_see_it(conn: AsyncConnection, take: TakeIn) -> None:
    case = (await take()).case
    far = replace(COVER, lat=COVER.lat + 0.01, same_as=case.id)
    with pytest.raises(Refused, match="not_found"):
        await take(far)
    assert (await take(far, "zhang", sees=lambda known: known.id == case.id)).joined
    other_kind = replace(COVER, category="noise", same_as=case.id)
    with pytest.raises(Refused, match="not_found"):
        await take(other_kind)


async def test_the_same_as_what_was_merged_goes_on_and_as_what_ended_begins_anew(
    conn: AsyncConnection, take: TakeIn
) -> None:
    one, other = (await take()).case, (await take()).case
    await act(conn, other.id, "merge", OPERATOR, note="同一件", data={"into": one.id}, now=NOW)
    taken = await take(replace(COVER, same_as=other.id))
    assert (taken.case.id, taken.joined) == (one.id, True)
    await act(conn, one.id, "void", OPERATOR, note="误报", now=NOW)
    anew = await take(replace(COVER, same_as=other.id))
    assert not anew.joined and anew.case.id not in (one.id, other.id)
    (entry,) = await case_entries(conn, anew.case.id)
    assert entry.data["same_as_ended"] == one.id


# ── Merging and splitting ───────────────────────────────────────────────────────────────────────────────────────────
async def _belongings(conn: AsyncConnection, case: Case) -> tuple[list[int], list[int]]:
    reporters = [r.id for r in await case_reporters(conn, case.id)]
    return reporters, [alert.id for alert in await case_alerts(conn, case.id)]


async def test_reporters_and_alerts_follow_and_come_back(
    conn: AsyncConnection, take: TakeIn, site: Site, duty: DutyMatrix, finding: Callable[..., Finding]
) -> None:
    (alert,) = await record_findings(conn, [(FISHING, finding())], site=site, duty=duty, now=NOW)
    raised = await get_case(conn, alert.case_id or 0)
    reported = (await take()).case
    assert raised is not None
    await take(replace(COVER, same_as=raised.id), "zhao")
    before = await _belongings(conn, raised), await _belongings(conn, reported)
    assert [len(part) for both in before for part in both] == [1, 1, 1, 0]
    merged = await act(conn, raised.id, "merge", OPERATOR, note="同一件", data={"into": reported.id}, now=NOW)
    assert (merged.status, merged.merged_into) == ("merged", reported.id)
    assert await _belongings(conn, raised) == ([], [])
    assert [len(part) for part in await _belongings(conn, reported)] == [2, 1]
    assert (await actions(conn, raised))[-1] == "merge" and (await actions(conn, reported))[-1] == "case_joined"
    joined = (await case_entries(conn, reported.id))[-1]
    assert joined.data["alerts"] == [alert.id] and raised.number in joined.data["zh"] and "同一件" in joined.data["en"]
    await void_alert(conn, alert.id, OPERATOR, "浮标", NOW)  # what happens now is told where the work goes on
    assert (await actions(conn, reported))[-1] == "alert_void"
    await take(replace(COVER, same_as=reported.id), "zhang")
    split = await act(conn, raised.id, "split", OPERATOR, note="两处", now=NOW)
    assert replace(split, version=0) == replace(raised, version=0)
    after = await _belongings(conn, raised), await _belongings(conn, reported)
    assert after[0] == before[0]
    assert after[1] == (before[1][0] + after[1][0][1:], []) and len(after[1][0]) == 2, "who came later stays"
    assert (await actions(conn, reported))[-1] == "case_left"
    cursor = await conn.execute("SELECT count(*) FROM alerts WHERE case_home IS NOT NULL")
    assert await cursor.fetchone() == (0,)
    assert (await verify_all(conn)).good


@pytest.mark.parametrize("seed", range(4))
async def test_any_mergers_and_splits_keep_all_together_as_the_pure_part_says(
    conn: AsyncConnection, take: TakeIn, site: Site, duty: DutyMatrix, finding: Callable[..., Finding], seed: int
) -> None:
    rng, into = Random(seed), dict[int, int]()
    cases = [(await take()).case.id for _ in range(3)]
    for n in range(3):
        (alert,) = await record_findings(
            conn, [(FISHING, finding(subject=f"S{n}"))], site=site, duty=duty, now=NOW + timedelta(seconds=n)
        )
        cases.append(alert.case_id or 0)
    homes = {r: c for c in cases for r in [reporter.id for reporter in await case_reporters(conn, c)]}
    alerts = {a.id: c for c in cases for a in await case_alerts(conn, c)}
    for _ in range(25):
        case, other = rng.sample(cases, 2)
        action, data = ("split", {}) if case in into else ("merge", {"into": other})
        try:
            await act(conn, case, action, OPERATOR, note="x", data=data, now=NOW)
        except Refused as refused:
            assert refused.code == "ended" and other in into
            continue
        if action == "split":
            del into[case]
        else:
            into[case] = other
        for each in cases:
            assert await goes_on_in(conn, each) == goes_on_as(each, into)
            assert await gathered_in(conn, each) == sorted(gathered(each, into))
            expected = [r for r, home in sorted(homes.items()) if goes_on_as(home, into) == each]
            assert [r.id for r in await case_reporters(conn, each)] == expected
            expected = [a for a, home in sorted(alerts.items()) if goes_on_as(home, into) == each]
            assert [a.id for a in await case_alerts(conn, each)] == expected
    assert (await verify_all(conn)).good


async def test_merging_while_findings_come_in_leaves_nobody_waiting_in_a_circle(
    conn: AsyncConnection,
    take: TakeIn,
    site: Site,
    duty: DutyMatrix,
    finding: Callable[..., Finding],
    database_url: str,
) -> None:
    (alert,) = await record_findings(conn, [(FISHING, finding())], site=site, duty=duty, now=NOW)
    case, into = alert.case_id or 0, (await take()).case.id

    async def watch(pool: Any) -> None:
        for n in range(20):
            async with pool.connection() as own:
                await own.set_autocommit(True)
                await record_findings(
                    own, [(FISHING, finding(until=n))], site=site, duty=duty, now=NOW + timedelta(seconds=n)
                )
                await void_or_not(own, n)
                await own.set_autocommit(False)

    async def void_or_not(own: AsyncConnection, n: int) -> None:
        if n == 10:
            await void_alert(own, alert.id, OPERATOR, "浮标", NOW)

    async def desk(pool: Any) -> None:
        for n in range(20):
            action, data = ("merge", {"into": into}) if n % 2 == 0 else ("split", {})
            async with pool.connection() as own:
                await own.set_autocommit(True)
                await act(own, case, action, OPERATOR, note="x", data=data, now=NOW)
                await own.set_autocommit(False)

    async with open_pool(database_url, max_size=2) as pool:
        await asyncio.wait_for(asyncio.gather(watch(pool), desk(pool)), 60)
    assert [a.id for a in await case_alerts(conn, case)] == [alert.id], "the last step was a split"
    assert (await verify_all(conn)).good


# ── What happened here ──────────────────────────────────────────────────────────────────────────────────────────────
async def test_the_history_of_a_place_counts_by_kind_what_is_near_and_not_too_old(
    conn: AsyncConnection, take: TakeIn
) -> None:
    old = (await take(now=NOW - timedelta(days=366))).case
    ended = (await take(now=NOW - timedelta(days=300))).case
    await act(conn, ended.id, "void", OPERATOR, note="误报", now=NOW)
    here_now = (await take()).case
    noise = (await take(replace(COVER, category="noise", lat=COVER.lat + 0.0008))).case
    await take(replace(COVER, lat=COVER.lat + 0.001))  # 111 m away
    merged = (await take()).case
    await act(conn, merged.id, "merge", OPERATOR, note="同一件", data={"into": here_now.id}, now=NOW)
    found = await place_history(conn, COVER.lon, COVER.lat, NOW)
    assert [(k.category, k.total, k.open) for k in found.kinds] == [("fishing", 2, 1), ("noise", 1, 1)]
    assert [case.id for case, _ in found.cases] == [noise.id, here_now.id, ended.id]
    assert [round(far) for _, far in found.cases] == [89, 0, 0]
    assert old.id not in {case.id for case, _ in found.cases}


# ── Once ────────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_request_that_comes_fifty_times_is_done_once(
    conn: AsyncConnection, people: dict[str, Account], site: Site, duty: DutyMatrix, database_url: str
) -> None:
    request = request_digest("reports", {"note": "两人下网"})

    async def ask(pool: Any) -> tuple[Any, bool]:
        async with pool.connection() as own:

            async def work() -> Any:
                taken = await take_report(own, COVER, people["li"], site=site, duty=duty, limits=Nearness(), now=NOW)
                return {"case": taken.case.number}

            return tuple(await answer_once(own, people["li"].id, "a-key-of-a-phone", request, work, NOW))

    async with open_pool(database_url, max_size=8) as pool:
        answers = await asyncio.gather(*(ask(pool) for _ in range(50)))
    assert {content["case"] for content, _ in answers} == {"PG-20261120-0001"}
    assert sorted(again for _, again in answers) == [False, *[True] * 49]
    cursor = await conn.execute("SELECT (SELECT count(*) FROM cases), (SELECT count(*) FROM reporters)")
    assert await cursor.fetchone() == (1, 1)


async def test_a_key_is_one_accounts_for_one_request_and_free_after_a_refusal(
    conn: AsyncConnection, people: dict[str, Account]
) -> None:
    async def ask(content: int, who: str = "li", key: str = "12345678", fail: bool = False) -> Any:
        async def work() -> int:
            if fail:
                raise Refused("wrong_value", "不行", "no")
            return content

        digest = request_digest("reports", {"content": content})
        return (await answer_once(conn, people[who].id, key, digest, work, NOW)).content

    with pytest.raises(Refused, match="wrong_value"):
        await ask(1, fail=True)
    assert await ask(1) == 1
    assert await ask(1, fail=True) == 1, "it is not done again"
    with pytest.raises(Refused, match="key_reused"):
        await ask(2)
    assert await ask(2, "zhao") == 2
    assert await forget_answers(conn, NOW + timedelta(days=30), timedelta(days=31)) == 0
    assert await forget_answers(conn, NOW + timedelta(days=32), timedelta(days=31)) == 2
    assert await ask(2) == 2


async def test_own_reports_are_own_reports(conn: AsyncConnection, take: TakeIn, people: dict[str, Account]) -> None:
    mine = [(await take(replace(COVER, note=str(n)))).case.id for n in range(5)]
    await take(COVER, "zhao")
    first, more = await own_reports(conn, people["li"].id, 3, None)
    rest, end = await own_reports(conn, people["li"].id, 3, more)
    assert [r.case_id for r in first + rest] == mine[::-1] and end is None
    assert await own_report(conn, people["li"].id, first[0].id) == first[0]
    assert await own_report(conn, people["zhao"].id, first[0].id) is None


async def test_callers_are_forgotten_some_time_after_the_end(conn: AsyncConnection, take: TakeIn) -> None:
    case = (await take(replace(COVER, caller=Caller("王女士", "138")))).case
    later = NOW + timedelta(days=400)
    assert await forget_callers(conn, later, timedelta(days=180)) == 0, "it still goes on"
    await act(conn, case.id, "void", OPERATOR, note="误报", now=NOW)
    assert await forget_callers(conn, NOW + timedelta(days=179), timedelta(days=180)) == 0
    assert await forget_callers(conn, later, timedelta(days=180)) == 1
    (reporter,) = await case_reporters(conn, case.id)
    assert (reporter.name, reporter.contact, reporter.by) == ("", "", "li")


# ── Pictures ────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_an_entry_shows_its_pictures_and_its_hash_covers_them(
    conn: AsyncConnection, take: TakeIn, people: dict[str, Account], photo: Any, media: Media
) -> None:
    sent = [await photo(people["li"], n) for n in range(3)]
    claimed = await claim(conn, media, [sent[1].sha256, sent[0].sha256, sent[1].sha256], people["li"].id)
    assert claimed == (sent[1], sent[0])
    case = (await take(replace(COVER, photos=claimed))).case
    await act(conn, case.id, "note", OPERATOR, note="复核", photos=[sent[2]], now=NOW)
    entries = await case_entries(conn, case.id)
    assert entries[0].data["attachments"] == [
        {"sha256": p.sha256, "type": "image/jpeg", "bytes": p.bytes, "width": 40, "height": 30} for p in claimed
    ]
    assert (await case_reporters(conn, case.id))[0].photos == claimed
    shown = await shown_in(conn, sent[2].sha256, people["li"].id)
    assert shown is not None and shown.own and [c.id for c in shown.cases] == [case.id]
    assert await shown_in(conn, "0" * 64, people["li"].id) is None
    assert (await verify_all(conn, media=media)).good
    media.path(sent[0].sha256).write_bytes(b"other")
    media.path(sent[2].sha256).unlink()
    faults = (await verify_all(conn, media=media)).faults
    assert [(f.kind, f.number, f.seq) for f in faults] == [("changed", case.number, 1), ("missing", case.number, 2)]
    assert (await verify_all(conn)).good


async def test_one_may_only_attach_what_one_has_sent(
    conn: AsyncConnection, people: dict[str, Account], photo: Any, media: Media
) -> None:
    sent = await photo(people["li"])
    for names, who in (([sent.sha256], "zhao"), (["0" * 64], "li"), ([sent.sha256, "1" * 64], "li")):
        with pytest.raises(Refused, match="no_picture"):
            await claim(conn, media, names, people[who].id)
    assert await photo(people["zhao"]) == sent, "the same bytes are kept once"
    assert len(await claim(conn, media, [sent.sha256], people["zhao"].id)) == 1
    media.remove(sent.sha256)
    with pytest.raises(Refused, match="no_picture"):
        await claim(conn, media, [sent.sha256], people["li"].id)
    await photo(people["li"])
    assert len(await claim(conn, media, [sent.sha256], people["li"].id)) == 1, "sent again it is there again"
    with pytest.raises(Refused, match="too_long"):
        await claim(conn, media, [f"{n:064x}" for n in range(10)], people["li"].id)


async def test_pictures_of_reports_that_were_never_sent_are_cleared_away(
    conn: AsyncConnection, take: TakeIn, people: dict[str, Account], photo: Any, media: Media
) -> None:
    shown, idle, fresh = [await photo(people["li"], n) for n in range(3)]
    await take(replace(COVER, photos=(shown,)))
    later = NOW + timedelta(days=3)
    await photo(people["zhao"], 2, later - timedelta(hours=1))
    assert await clear_unused(conn, media, later) == 1
    assert [media.has(p.sha256) for p in (shown, idle, fresh)] == [True, False, True]
    assert await shown_in(conn, idle.sha256, people["li"].id) is None
    assert await clear_unused(conn, media, later) == 0


async def test_clearing_and_sending_at_once_never_lose_a_picture(
    people: dict[str, Account], photo: Any, media: Media, database_url: str, conn: AsyncConnection
) -> None:
    old = await photo(people["li"], 4)
    content = media.read(old.sha256)
    picture = clean_picture(content, most_bytes=10**6, most_pixels=10**6)
    later = NOW + timedelta(days=3)

    async def send(pool: Any, at: datetime) -> None:
        async with pool.connection() as own:
            await keep(own, media, picture, people["li"].id, at)

    async def clear(pool: Any, at: datetime) -> None:
        async with pool.connection() as own:
            await own.set_autocommit(True)
            await clear_unused(own, media, at)
            await own.set_autocommit(False)

    async with open_pool(database_url, max_size=6) as pool:
        for n in range(10):
            at = later + timedelta(days=3 * n)
            await asyncio.gather(clear(pool, at), send(pool, at), clear(pool, at), send(pool, at))
            assert media.has(picture.sha256)
            assert len(await claim(conn, media, [picture.sha256], people["li"].id)) == 1
