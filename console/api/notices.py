"""What was sent to whom and why, what is held or gathered, and which contacts do not work."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from alerts.contacts import Contact
from console.api.paging import Before, Limit
from console.api.refusals import LOGGED_IN, refusals
from console.auth import Desks, Staff
from console.desk import TheDesk
from console.models_notices import ContactFailure, ContactOut, NoticeListed, NoticePage, NoticeState
from store.contacts import Failure, all_contacts, contact_failures
from store.notice_list import NoticesAsked, list_notices

notices = APIRouter(prefix="/api/v1", tags=["notices"], responses=refusals(*LOGGED_IN))


def _text(description: str) -> Any:
    return Query(max_length=200, pattern=r"^[^\x00]*$", description=description)


@notices.get("/notices", summary="The notices, newest first")
async def read_notices(
    caller: Staff,
    desk: TheDesk,
    unit: Annotated[str | None, _text("To this unit; or @ and a person's name; or @desk")] = None,
    channel: Annotated[str | None, _text("`apprise` or `terminal`")] = None,
    state: Annotated[list[NoticeState] | None, Query(description="Only those in one of these states")] = None,
    case: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="Only those because of this case")] = None,
    digest: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="Only those that go in this digest")] = None,
    limit: Limit = 50,
    before: Before = None,
) -> NoticePage:
    """Why each was sent, and what became of it.

    With an area: those of cases and to units there. The role *unit*: those to its unit, and of its cases.
    """
    if caller.sight.own_unit == "":
        return NoticePage(items=[], next=None)
    asked = NoticesAsked(
        target=unit,
        channel=channel,
        states=state or (),
        case_id=case,
        digest=digest,
        areas=caller.sight.areas if caller.sight.own_unit is None else None,
        own_unit=caller.sight.own_unit,
    )
    async with desk.pool.connection() as conn:
        found, more = await list_notices(conn, asked, limit, before)
    return NoticePage(items=[NoticeListed.model_validate(each) for each in found], next=more)


@notices.get("/contacts", summary="The contacts, and which of them do not work")
async def read_contacts(caller: Desks, desk: TheDesk) -> list[ContactOut]:
    """Who hears of what and when, without addresses. With an area: those of the units there."""
    site = (await desk.ground()).site
    async with desk.pool.connection() as conn:
        contacts, failures = await all_contacts(conn), await contact_failures(conn)
    areas = caller.sight.areas
    return [
        _contact(contact, failures.get(contact.key))
        for contact in contacts
        if areas is None or (contact.to in site.units and site.units[contact.to].area in areas)
    ]


def _contact(contact: Contact, failure: Failure | None) -> ContactOut:
    quiet, pace = contact.quiet, contact.pace
    return ContactOut(
        to=contact.to,
        via=contact.label,
        severity=contact.severity,
        kinds=list(contact.kinds),
        quiet=f"{quiet.begins:%H:%M}..{quiet.ends:%H:%M}" if quiet else "",
        most=pace.most if pace else None,
        within=int(pace.within.total_seconds()) if pace else None,
        failure=ContactFailure.model_validate(failure) if failure else None,
    )
