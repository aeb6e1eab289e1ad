"""Who is told of a step of a case, and in what words. The notices go into the outbox with the step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from psycopg import AsyncConnection

from alerts.case import Case, Entry, actor_words
from alerts.notice import command, message
from alerts.transitions import ACTION_NAMES
from detectors.base import Sentence
from store.letters import tell_supervisors
from store.notices import enqueue, enqueue_to_unit

_UNIT_HEARS_OF: Final = frozenset(
    {
        *("open", "assign", "decide_owner", "dispatch", "transfer", "nobody_near", "part_done", "withdraw_part"),
        *("return", "reopen", "grant_extension", "refuse_extension", "urge", "letter", "second_letter", "split"),
    }
)


async def tell(conn: AsyncConnection, case: Case, after: Case, entry: Entry, ordered: str | None) -> None:
    """Notices of the step from ``case`` to ``after`` that ``entry`` records: to a terminal, to the units concerned.

    ``ordered`` is the device code of a terminal that is sent by it.
    """
    name = ACTION_NAMES[entry.action]
    by = actor_words(entry.actor)
    reason = f"{after.number}：{by.zh} {name.zh} / {by.en}: {name.en}"
    if ordered:
        await enqueue(
            conn,
            channel="terminal",
            target=ordered,
            reason=reason,
            body=command(after),
            dedupe=f"case {case.id}|{entry.seq}|terminal",
            case_id=case.id,
        )
    for unit, what, mark in _told(case, after, entry):
        await enqueue_to_unit(
            conn,
            unit,
            reason=reason,
            body=message(after, what),
            dedupe=f"case {case.id}|{entry.seq}|{mark}",
            case_id=case.id,
        )
    await tell_supervisors(conn, after, entry, _words(name, entry))


def _told(case: Case, after: Case, entry: Entry) -> Iterator[tuple[str, Sentence, str]]:
    """The units that are told, what, and what marks this notice among those of the step."""
    name = ACTION_NAMES[entry.action]
    if after.unit and entry.action in _UNIT_HEARS_OF:
        yield after.unit, _words(name, entry), "unit"
    for part in after.parts:
        before = case.part(part.unit)
        if part == before:
            continue
        if part.called_at != (before.called_at if before else None):
            yield part.unit, Sentence(f"{name.zh}：{part.task}", f"{name.en}: {part.task}"), f"part {part.unit}"
        elif part.withdrawn:
            yield part.unit, _words(name, entry), f"part {part.unit}"


def _words(name: Sentence, entry: Entry) -> Sentence:
    """The step's name, and what the system or somebody said to it."""
    zh, en = (entry.data.get(language, entry.note) for language in ("zh", "en"))
    return Sentence(name.zh + (f"：{zh}" if zh else ""), name.en + (f": {en}" if en else ""))
