"""Verifying the whole casebook: an untouched one holds, and whatever somebody with all rights does to it is named."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import AsyncConnection

from alerts.case import Actor
from alerts.duty import DutyMatrix
from devices.site import Site
from store.casebook import act, report_case
from store.entries import append, lock_book
from store.evidence import Anchor, Report, verify_all

NOW = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)
OPERATOR = Actor("zhang", "operator")


@pytest.fixture
async def book(conn: AsyncConnection, site: Site, duty: DutyMatrix) -> Any:
    """Three cases of three entries each, and a hand that gets past the triggers."""
    for n in range(3):
        case = await report_case(
            conn,
            actor=OPERATOR,
            category="fishing",
            title=f"事件{n}",
            severity="low",
            lon=118.88,
            lat=31.47,
            site=site,
            duty=duty,
            now=NOW,
        )
        await act(conn, case.id, "open", OPERATOR, now=NOW)
        await act(conn, case.id, "note", OPERATOR, note="现场有人", now=NOW)

    async def tamper(statement: str) -> Report:
        async with conn.transaction():
            await conn.execute("SET LOCAL session_replication_role = replica")  # as a superuser can
            cursor = await conn.execute(statement)
            assert cursor.rowcount >= 1, statement
        return await verify_all(conn)

    return tamper


async def test_an_untouched_book_holds(conn: AsyncConnection, book: Any) -> None:
    report = await verify_all(conn)
    assert report.good
    assert (report.cases, report.entries, report.head.position) == (3, 9, 9)
    assert (await verify_all(conn, Anchor.parse(str(report.head)))).good


async def test_an_empty_book_holds(conn: AsyncConnection, site: Site) -> None:
    report = await verify_all(conn)
    assert report.good and str(report.head) == f"0:{bytes(32).hex()}"
    assert (await verify_all(conn, report.head)).good


@pytest.mark.parametrize(
    ("statement", "kind", "seq"),
    [
        ("UPDATE entries SET note = '现场无人' WHERE case_id = 2 AND seq = 3", "changed", 3),
        ("UPDATE entries SET at = at + interval '1 microsecond' WHERE case_id = 2 AND seq = 1", "changed", 1),
        ("UPDATE entries SET actor = 'li' WHERE case_id = 2 AND seq = 2", "changed", 2),
        ("UPDATE entries SET data = data || '{\"x\": 1}' WHERE case_id = 2 AND seq = 2", "changed", 2),
        ("DELETE FROM entries WHERE case_id = 2 AND seq = 2", "missing", 2),
        ("DELETE FROM entries WHERE case_id = 2 AND seq = 3", "missing", 3),
        ("UPDATE entries SET hash = sha256('x') WHERE case_id = 2 AND seq = 3", "changed", 3),
        ("DELETE FROM ledger WHERE case_id = 2 AND seq = 3", "unlisted", 3),
        ("UPDATE ledger SET entry_hash = sha256('x') WHERE case_id = 2 AND seq = 3", "rewritten", 3),
        ("UPDATE entries SET seq = 4 WHERE case_id = 2 AND seq = 3", "missing", 3),
        ("UPDATE cases SET due_at = due_at + interval '1 day' WHERE id = 2", "row", 0),
        ("UPDATE cases SET status = 'closed' WHERE id = 2", "row", 0),
        ("UPDATE cases SET title = '别的' WHERE id = 2", "row", 0),
    ],
)
async def test_whatever_is_changed_the_case_and_the_entry_are_named(
    book: Any, statement: str, kind: str, seq: int
) -> None:
    report = await book(statement)
    fault = report.faults[0]
    assert (fault.kind, fault.number, fault.seq) == (kind, "PG-20261120-0002", seq)
    assert fault.number in fault.zh and fault.number in fault.en
    assert {f.number for f in report.faults} <= {"PG-20261120-0002", ""}, "the other cases are not accused"


async def test_a_case_taken_out_whole(book: Any) -> None:
    report = await book("WITH a AS (DELETE FROM entries WHERE case_id = 2) DELETE FROM cases WHERE id = 2")
    assert [(f.kind, f.case_id) for f in report.faults] == [("no_case", 2)]
    report = await book("DELETE FROM ledger WHERE case_id = 2")
    assert {f.kind for f in report.faults} == {"ledger"}, "and from the ledger too: the ledger has a hole"


async def test_the_last_of_everything_needs_an_anchor(conn: AsyncConnection, book: Any) -> None:
    """The one thing that the database alone cannot prove: that its newest part was not cut off or written anew."""
    anchor = (await verify_all(conn)).head
    await book("WITH a AS (DELETE FROM entries WHERE case_id = 3) DELETE FROM ledger WHERE case_id = 3")
    report = await book("DELETE FROM cases WHERE id = 3")
    assert report.good, "cut off at the end without a trace"
    report = await verify_all(conn, anchor)
    assert [f.kind for f in report.faults] == ["anchor"]


async def test_an_anchor_still_holds_after_more_was_written(conn: AsyncConnection, book: Any) -> None:
    anchor = (await verify_all(conn)).head
    await act(conn, 1, "note", OPERATOR, note="后来", now=NOW)
    report = await verify_all(conn, anchor)
    assert report.good and report.head.position == anchor.position + 1


@pytest.mark.parametrize("wrong", ["", "12", "x:" + "0" * 64, "1:00", "1:" + "z" * 64, "-1:" + "0" * 64])
def test_an_anchor_of_another_form_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"anchor|hexadecimal"):
        Anchor.parse(wrong)


text = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.dictionaries(text.filter(lambda key: key != "set"), anything, max_size=3), note=text)
async def test_whatever_an_entry_holds_the_database_gives_back_what_was_hashed(
    conn: AsyncConnection, book: Any, data: dict[str, Any], note: str
) -> None:
    async with conn.transaction():
        await lock_book(conn)
        await append(conn, 1, "note", "zhang", NOW, note=note, data=data)
    assert (await verify_all(conn)).good
