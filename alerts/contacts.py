"""Contacts: who hears of what, when they want quiet, and when many notices become one. As data, one line each. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from typing import Final, cast

from alerts.notice import contact_key
from alerts.rules import SEVERITIES, Severity
from devices.site import CHINA

COLUMNS: Final = ("to", "address", "name", "severity", "kinds", "quiet", "digest")
DESK: Final = "@desk"
"""The centre's own desk, which is told of contacts that do not work."""
PERSON: Final = "@"
_QUIET: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)\.\.([01]\d|2[0-3]):([0-5]\d)")
_PACE: Final = re.compile(r"([1-9]\d{0,2})/([1-9]\d{0,3})([smh])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}


class WrongContact(ValueError):
    """A cell of a contact's line that means nothing: ``column``, its ``value``, and why in Chinese and English."""

    def __init__(self, column: str, value: str, zh: str, en: str) -> None:
        super().__init__(f"{column} {value!r}: {en}")
        self.column, self.value, self.zh, self.en = column, value, zh, en


@dataclass(frozen=True, slots=True)
class Quiet:
    """Hours of every day, site time, in which nothing but the urgent is sent; over midnight when they end before.

    >>> night = Quiet(time(22), time(7))
    >>> night.until(datetime(2026, 6, 1, 23, 30, tzinfo=CHINA)).isoformat()
    '2026-06-02T07:00:00+08:00'
    >>> night.until(datetime(2026, 6, 1, 7, 0, tzinfo=CHINA)) is None
    True
    """

    begins: time
    ends: time

    def until(self, now: datetime) -> datetime | None:
        """When the quiet in which ``now`` lies ends; None when it lies in none."""
        local = now.astimezone(CHINA)
        for day in (local.date() - timedelta(days=1), local.date()):
            begin = datetime.combine(day, self.begins, CHINA)
            end = datetime.combine(day, self.ends, CHINA)
            end += timedelta(days=self.ends <= self.begins)
            if begin <= local < end:
                return end
        return None


@dataclass(frozen=True, slots=True)
class Pace:
    """How many messages a contact gets in how long, at the most; what is more becomes one."""

    most: int = 10
    within: timedelta = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Contact:
    """One address. ``to`` is the code of a unit, ``@`` and the name of a person, or :data:`DESK`.

    It hears of cases of at least ``severity`` and of ``kinds`` (empty: of all). ``quiet`` and ``pace`` None: none.
    """

    to: str
    address: str
    name: str = ""
    severity: Severity = "low"
    kinds: tuple[str, ...] = ()
    quiet: Quiet | None = None
    pace: Pace | None = Pace()

    @property
    def key(self) -> str:
        """What the outbox keeps of the address."""
        return contact_key(self.address)

    @property
    def label(self) -> str:
        """What people may see of it: its name, or the service without anything secret."""
        return self.name or self.address.partition("://")[0].lower()

    def hears(self, severity: str, category: str) -> bool:
        """Whether it is told; "" is what concerns no case, which all hear."""
        if severity and SEVERITIES.index(cast("Severity", severity)) < SEVERITIES.index(self.severity):
            return False
        return not category or not self.kinds or category in self.kinds

    def quiet_until(self, severity: str, now: datetime) -> datetime | None:
        """Until when a notice has to wait; None: it may go. High severity breaks through."""
        return None if self.quiet is None or severity == "high" else self.quiet.until(now)


def contact_from(cells: Mapping[str, str]) -> Contact:
    """The contact in one line of a table.

    Raises:
        WrongContact: a cell means nothing.
    """
    row = {column: cells.get(column, "").strip() for column in COLUMNS}
    if row["severity"] and row["severity"] not in SEVERITIES:
        raise WrongContact("severity", row["severity"], "应为 low、medium 或 high", "expected low, medium or high")
    return Contact(
        to=row["to"],
        address=row["address"],
        name=row["name"],
        severity=row["severity"] or "low",
        kinds=tuple(row["kinds"].split()),
        quiet=_quiet(row["quiet"]),
        pace=_pace(row["digest"]),
    )


def contacts_of(to: str, addresses: Sequence[str], lines: Iterable[Contact]) -> list[Contact]:
    """All contacts of a unit or person: those with a line of their own, then the other ``addresses`` of the unit.

    A line without an address says what holds for the latter.
    """
    own: dict[str, Contact] = {}
    usual = Contact(to, "")
    for line in lines:
        if line.address:
            own.setdefault(line.address, line)
        else:
            usual = line
    return [*own.values(), *(replace(usual, address=url) for url in dict.fromkeys(addresses) if url not in own)]


def contact_problems(contact: Contact, units: Iterable[str], kinds: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """What is wrong with a line beside its cells: the column, and why in Chinese and English.

    ``kinds`` are those of the site; empty: any word is one.
    """
    if not contact.to:
        yield "to", "不能为空", f"is empty: give a unit's code, @ and a person's name, or {DESK}"
    elif contact.to.startswith(PERSON):
        if not contact.to.removeprefix(PERSON):
            yield "to", "@ 后应为姓名或账号", "needs a name or an account after the @"
        if not contact.address:
            zh, en = "个人联系方式须填写地址", "is empty: only a unit's line may be, for its contacts in units.csv"
            yield "address", zh, en
    elif contact.to not in units:
        yield "to", f"单位 {contact.to} 不存在", f"there is no unit {contact.to!r}; a person is written @name"
    known = set(kinds)
    for kind in contact.kinds:
        if known and kind not in known:
            yield "kinds", f"事项 {kind} 不存在", f"there is no kind {kind!r} in categories.csv"


def _quiet(text: str) -> Quiet | None:
    if not text:
        return None
    match = _QUIET.fullmatch(text)
    if match is None or match[1] + match[2] == match[3] + match[4]:
        raise WrongContact(
            "quiet", text, "应为 22:00..07:00 的形式，起止不能相同", "expected two different times like 22:00..07:00"
        )
    hours, minutes, until_hours, until_minutes = map(int, match.groups())
    return Quiet(time(hours, minutes), time(until_hours, until_minutes))


def _pace(text: str) -> Pace | None:
    if not text:
        return Pace()
    if text == "-":
        return None
    match = _PACE.fullmatch(text)
    within = timedelta(seconds=int(match[2]) * _SECONDS[match[3]]) if match else timedelta(days=9)
    if match is None or within > timedelta(days=1):
        raise WrongContact(
            "digest",
            text,
            "应为 10/10m（10 分钟内最多 10 条，最长 24h），或 - 表示不合并",
            "expected how many in how long, like 10/10m (24h at most), or - for never",
        )
    return Pace(int(match[1]), within)
