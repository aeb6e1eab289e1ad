"""Taking a report in: a new case, or one more reporter of a case that goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from psycopg import AsyncConnection

from alerts.case import Case, Origin, Refused, check_note
from alerts.duplicates import Happening, Nearness, likeness
from alerts.duty import DutyMatrix
from alerts.opening import MOST_TITLE
from alerts.rules import Severity
from detectors.base import Sentence
from devices.site import Site
from store.accounts import Account
from store.cases import act, get_case, report_case
from store.database import announce
from store.entries import append, lock_book
from store.merging import goes_on_in
from store.photos import Attachment, recorded_photos, show_photos
from store.reporters import Caller, add_reporter

SOLVED: Final = "当场解决 / solved on the spot"
AHEAD: Final = timedelta(minutes=5)  # by which a phone's clock may be ahead
UNSET: Final = datetime(2000, 1, 1, tzinfo=UTC)  # a clock that is before it was never set
_WORDS: Final = 40  # characters of a note that make a title


@dataclass(frozen=True, slots=True)
class Report:
    """What somebody saw. ``seen`` is when, by the reporter's clock; ``accuracy`` of the place in metres.

    An empty ``title`` is made of the kind and the note; a ``severity`` of None is the usual one of the kind.
    ``same_as`` is the id of a case that it is one more report of.
    """

    category: str
    lon: float
    lat: float
    note: str = ""
    title: str = ""
    severity: Severity | None = None
    accuracy: float | None = None
    seen: datetime | None = None
    origin: Origin = "api"
    caller: Caller = field(default_factory=Caller)
    on_spot: bool = False
    same_as: int | None = None
    photos: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a report: the case as it is now; ``joined``: it went on already, and has a reporter more."""

    case: Case
    joined: bool


async def take_report(
    conn: AsyncConnection,
    report: Report,
    account: Account,
    *,
    site: Site,
    duty: DutyMatrix,
    limits: Nearness,
    sees: Callable[[Case], bool] = lambda case: False,
    now: datetime | None = None,
) -> Taken:
    """Take a report in, in one transaction. ``sees`` says which cases the account may know of beside those near by.

    One that is the same as a case which was merged goes to the case that goes on; one that is the same as a case which
    has ended in the meantime becomes a case of its own: nothing that is reported is lost.

    Raises:
        Refused: the role may not report, a value is missing or wrong, or ``same_as`` is nothing that is near or seen.
    """
    now = now or datetime.now(UTC)
    if account.role == "viewer":
        raise Refused("role", "观察员不能上报事件", "the role viewer may not report cases")
    if report.on_spot and account.role != "grid":
        raise Refused("role", "只有网格员可以当场解决", "only a grid worker solves what is reported on the spot")
    check_note(report.note, needed=False)
    for text in (report.caller.name, report.caller.contact):
        check_note(text, needed=False)
    async with conn.transaction():
        await lock_book(conn)
        same, ended = await _the_same(conn, report, limits, sees)
        if same is not None:
            return Taken(await _join(conn, same, report, account, now), joined=True)
        return Taken(await _open(conn, report, account, site, duty, now, ended), joined=False)


async def _the_same(
    conn: AsyncConnection, report: Report, limits: Nearness, sees: Callable[[Case], bool]
) -> tuple[Case | None, int | None]:
    """The open case that is meant by ``same_as``; or the id of the one that has ended."""
    if report.same_as is None:
        return None, None
    meant = await get_case(conn, report.same_as)
    if meant is None or not (sees(meant) or _near(meant, report, limits)):
        raise Refused("not_found", f"附近没有编号为 {report.same_as} 的事件", f"there is no case {report.same_as} near")
    case = await get_case(conn, await goes_on_in(conn, meant.id))
    assert case is not None  # a case is never deleted
    return (None, case.id) if case.ended else (case, None)


def _near(case: Case, report: Report, limits: Nearness) -> bool:
    """Of this kind and in reach, whenever it was: what was offered some hours ago is still meant."""
    if case.lon is None or case.lat is None or case.category != report.category:
        return False
    here = Happening(report.category, report.lon, report.lat, case.opened_at, report.accuracy or 0.0)
    return likeness(here, Happening(case.category, case.lon, case.lat, case.opened_at), limits) > 0


async def _join(conn: AsyncConnection, case: Case, report: Report, account: Account, now: datetime) -> Case:
    seen = believed(report.seen, now)
    data: dict[str, Any] = {"seen": seen.isoformat(), "place": [report.lon, report.lat], **_more(report)}
    entry = await append(
        *(conn, case.id, "reported_again", account.name, now),
        note=report.note,
        data={**data, **recorded_photos(report.photos)},
    )
    await show_photos(conn, case.id, entry.seq, report.photos)
    await add_reporter(
        *(conn, case.id, entry.seq),
        account=account.id,
        origin=report.origin,
        at=seen,
        received=now,
        lon=report.lon,
        lat=report.lat,
        accuracy=report.accuracy,
        caller=report.caller,
    )
    await announce(conn, kind="case", id=case.id)
    return case


async def _open(
    conn: AsyncConnection,
    report: Report,
    account: Account,
    site: Site,
    duty: DutyMatrix,
    now: datetime,
    ended: int | None,
) -> Case:
    kind = duty.categories.kinds.get(report.category)
    seen = believed(report.seen, now)
    case = await report_case(
        conn,
        actor=account.actor,
        category=report.category,
        title=_title(report, duty),
        severity=report.severity or (kind.severity if kind else "medium"),
        site=site,
        duty=duty,
        note=report.note,
        lon=report.lon,
        lat=report.lat,
        owner=account.id,
        origin=report.origin,
        home=account.area,
        seen=seen,
        accuracy=report.accuracy,
        caller=report.caller,
        photos=report.photos,
        more={"seen": seen.isoformat(), **_more(report), **({"same_as_ended": ended} if ended else {})},
        now=now,
    )
    if report.on_spot:
        note = report.note.strip() or SOLVED
        case = await act(conn, case.id, "feedback", account.actor, note=note, now=now)
    return case


def _title(report: Report, duty: DutyMatrix) -> str | Sentence:
    if report.title.strip():
        return report.title
    name, words = duty.categories.name(report.category), " ".join(report.note.split())
    short = words if len(words) <= _WORDS else f"{words[:_WORDS]}…"
    zh, en = (f"{name.zh}：{short}", f"{name.en}: {short}") if short else (name.zh, name.en)
    return Sentence(zh[:MOST_TITLE], en[:MOST_TITLE])


def believed(seen: datetime | None, now: datetime) -> datetime:
    """When something was seen; a clock that is ahead, or was never set, is not believed."""
    return seen if seen is not None and UNSET <= seen <= now + AHEAD else now


def _more(report: Report) -> dict[str, Any]:
    accuracy = {} if report.accuracy is None else {"accuracy": report.accuracy}
    return {**accuracy, "via": report.origin, **({"on_spot": True} if report.on_spot else {})}
