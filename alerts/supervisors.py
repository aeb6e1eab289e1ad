"""Who supervises the handling of cases, by area and unit: named people, and where what concerns them is sent. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from devices.site import Site

COLUMNS: Final = ("area", "unit", "name", "name_en", "account", "office")


@dataclass(frozen=True, slots=True)
class Supervisor:
    """A named person who supervises cases in an area and below, of all units or of one.

    ``office`` is the unit whose contacts get what is sent to this person, "" for none; ``account`` may be "" too.
    """

    area: str
    unit: str
    name: str
    name_en: str
    account: str = ""
    office: str = ""


def supervisors_of(
    listed: Sequence[Supervisor], area: str | None, unit: str | None, site: Site, *, levels: int = 1
) -> list[Supervisor]:
    """Those named for a case: of its unit before those of all units, of the finest area first.

    With ``levels`` 2 also those of the next step up, to whom a second letter goes as well. A case without an area is
    supervised at the top. Empty when nobody is named.
    """
    lineage = site.lineage(area or "") or [code for code, each in site.areas.items() if not each.parent]
    steps = [
        [each for each in listed if each.area == place and each.unit == wanted]
        for wanted in ([unit, ""] if unit else [""])
        for place in lineage
    ]
    found: list[Supervisor] = []
    for step in [step for step in steps if step][:levels]:
        found += [each for each in step if each not in found]
    return found


def supervisor_from(cells: Mapping[str, str]) -> Supervisor:
    """The person in one line of a table; what is wrong with it is said by :func:`supervisor_problems`."""
    return Supervisor(**{column: cells.get(column, "").strip() for column in COLUMNS})


def supervisor_to(person: Supervisor) -> dict[str, str]:
    """The cells of a person."""
    return {column: getattr(person, column) for column in COLUMNS}


def supervisor_problems(person: Supervisor, areas: Iterable[str], units: Iterable[str]) -> list[tuple[str, str, str]]:
    """What is wrong with a person's line: the column, and why in Chinese and English."""
    found = []
    if person.area not in areas:
        found.append(("area", f"辖区 {person.area} 不存在", f"there is no area {person.area!r}"))
    for column in ("unit", "office"):
        code = getattr(person, column)
        if code and code not in units:
            found.append((column, f"单位 {code} 不存在", f"there is no unit {code!r}"))
    empty = [column for column in ("name", "name_en") if not getattr(person, column)]
    return found + [(column, "不能为空", "is empty") for column in empty]
