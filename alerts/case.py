"""A case, its parts and its timeline as rows, and what an entry records of them. Pure.

Who may do what with it is in :mod:`alerts.transitions`; how it moves on in :mod:`alerts.chain`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args

from alerts.rules import Severity
from alerts.transitions import FINAL, Role, Status
from detectors.base import Sentence

Origin = Literal["alert", "desk", "phone", "api"]
Resolution = Literal["", "on_spot", "followed_up"]

ORIGINS: Final[tuple[Origin, ...]] = get_args(Origin)
RESOLUTION_NAMES: Final[dict[str, Sentence]] = {
    "on_spot": Sentence("当场解决", "solved on the spot"),
    "followed_up": Sentence("跟进解决", "followed up"),
}
SUPERVISION_NAMES: Final[tuple[Sentence, ...]] = (
    Sentence("未督办", "not supervised"),
    Sentence("已催办", "urged"),
    Sentence("已发督办函", "letter sent"),
    Sentence("已发二次督办函", "second letter sent"),
)
"""By ``Case.supervision``."""
MOST_TEXT: Final = 4000  # characters of a note or outcome


class Refused(ValueError):
    """Something a person asked for is not allowed. ``code`` is stable; ``zh`` and ``en`` say why in words."""

    def __init__(self, code: str, zh: str, en: str) -> None:
        super().__init__(f"{code}: {en}")
        self.code, self.zh, self.en = code, zh, en


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts. ``unit`` is the code of the unit an account of role "unit" belongs to."""

    name: str
    role: Role
    unit: str | None = None


SYSTEM: Final = Actor("system", "system")
TERMINAL: Final = "terminal:"
"""With this before its code a terminal is the actor of its answers."""


def actor_words(actor: str) -> Sentence:
    """Who an entry's ``actor`` is, in words: an account goes by its name, in both languages.

    >>> actor_words("terminal:T004").zh, actor_words("system").zh, actor_words("zhang").zh
    ('终端 T004', '系统', 'zhang')
    """
    if actor == SYSTEM.name:
        return Sentence("系统", "system")
    if actor.startswith(TERMINAL):
        code = actor.removeprefix(TERMINAL)
        return Sentence(f"终端 {code}", f"terminal {code}")
    return Sentence(actor, actor)


@dataclass(frozen=True, slots=True)
class Part:
    """What one unit was called to a case for (吹哨). A unit has at most one part; called again, it begins anew."""

    unit: str
    task: str
    called_at: datetime
    called_by: str
    checked_in_at: datetime | None = None
    done_at: datetime | None = None
    done_note: str = ""  # what was done, or why the part was withdrawn
    withdrawn: bool = False  # by the desk; ``done_at`` says when

    @property
    def undone(self) -> bool:
        """Whether the case still waits for it."""
        return self.done_at is None


@dataclass(frozen=True, slots=True)
class Case:
    """One row of ``cases`` with its parts. ``id`` is 0 before it is stored; ``terminal`` is a device code.

    A place of None is unknown. ``parts`` are sorted by unit.
    """

    number: str
    category: str
    title: Sentence
    severity: Severity
    status: Status
    area: str | None
    unit: str | None  # None: ownership unclear, a queue of its own
    opened_at: datetime
    due_at: datetime
    owner: int | None = None  # the account that opened or reported it
    terminal: str | None = None
    lon: float | None = None
    lat: float | None = None
    closed_at: datetime | None = None
    outcome: str = ""
    origin: Origin = "desk"
    resolution: Resolution = ""  # said with the feedback
    supervision: int = 0  # 0 none, 1 urged, 2 letter, 3 second letter
    overdue_reason: str = ""  # of the present deadline; a new deadline takes it away
    extension_asked: datetime | None = None  # the deadline that was asked for and not yet decided on
    reopened: int = 0  # times
    merged_into: int | None = None  # the id of the case that goes on for it
    status_before: Status | None = None  # the status that a merged case had, and gets back by a split
    parts: tuple[Part, ...] = ()
    version: int = 1  # grows with every change of what is recorded here
    id: int = 0

    def overdue(self, now: datetime) -> bool:
        """Whether it is past its deadline, or was when it ended."""
        return (self.closed_at or now) > self.due_at

    @property
    def ended(self) -> bool:
        """Whether it is closed, void or merged into another."""
        return self.status in FINAL

    def part(self, unit: str | None) -> Part | None:
        """The part of a unit; None when it was not called."""
        return next((part for part in self.parts if part.unit == unit), None)

    @property
    def called(self) -> frozenset[str]:
        """The units that have a part, done or not: they may see the case. Not those whose part was withdrawn."""
        return frozenset(part.unit for part in self.parts if not part.withdrawn)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a timeline. ``data["set"]`` is what the step changed; ``hash`` covers all the rest."""

    case_id: int
    seq: int
    at: datetime
    actor: str
    action: str
    note: str
    data: dict[str, Any] = field(default_factory=dict)
    prev_hash: bytes = b""
    hash: bytes = b""


@dataclass(frozen=True, slots=True)
class Wish:
    """What goes with an action. ``unit`` and ``units`` are unit codes, ``terminal`` a device code.

    ``tasks`` are by unit what it is called for; a unit without one is called for what the note says. ``until`` is a
    deadline as in a rule ("4h", "2wd", counted from the present one or from now, whichever is later) or a moment in
    RFC 3339. ``into`` is the id of the case that goes on. ``participants`` are those who decided together, in words.
    """

    note: str = ""
    unit: str | None = None
    terminal: str | None = None
    outcome: str = ""
    units: tuple[str, ...] = ()
    tasks: Mapping[str, str] = field(default_factory=dict)
    until: str = ""
    into: int | None = None
    resolution: str = ""
    participants: tuple[str, ...] = ()


def recorded(case: Case) -> dict[str, Any]:
    """What entries record of a case: plain JSON, times as RFC 3339 in UTC. The timeline's ``set`` add up to this."""
    return {item.name: _plain(getattr(case, item.name)) for item in fields(case) if item.name != "id"}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, Sentence):
        return {"zh": value.zh, "en": value.en}
    if isinstance(value, Part):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


LATER: Final[dict[str, Any]] = {
    item.name: _plain(item.default)
    for item in fields(Case)
    if item.name
    in (
        *("origin", "resolution", "supervision", "overdue_reason", "extension_asked", "reopened", "merged_into"),
        *("status_before", "parts"),
    )
}
"""What a timeline that was begun before there were these fields has said of them: nothing, so they are as here."""


def difference(before: Case, after: Case) -> dict[str, Any]:
    """What a step changed, as it is recorded."""
    old = recorded(before)
    return {name: value for name, value in recorded(after).items() if old[name] != value}


def stored(case: Case, case_id: int) -> Case:
    """The case with the id that the database gave it."""
    return replace(case, id=case_id)


def check_note(note: str, *, needed: bool) -> None:
    """Refuse a text that is missing, too long, or holds what no database text can."""
    if needed and not note.strip():
        raise Refused("missing", "请填写说明", "a note is needed")
    if len(note) > MOST_TEXT:
        raise Refused(
            "too_long", f"说明共 {len(note)} 字，最多 {MOST_TEXT} 字", f"{len(note)} characters, at most {MOST_TEXT}"
        )
    if "\x00" in note or any("\ud800" <= letter <= "\udfff" for letter in note):
        raise Refused("wrong_text", "说明含有无法保存的字符", "the text holds characters that cannot be stored")
