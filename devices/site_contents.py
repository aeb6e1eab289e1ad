"""What a site folder holds, and how what is wrong with it is named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from devices.registry import Device
from devices.site import Area, Plan, Unit, Zone

SITE: Final = "site.toml"
AREAS: Final = "areas.csv"
UNITS: Final = "units.csv"
DEVICES: Final = "devices.csv"
DUTY: Final = "duty.csv"
CATEGORIES: Final = "categories.csv"
SUPERVISORS: Final = "supervisors.csv"
CONTACTS: Final = "contacts.csv"
ZONES: Final = "zones.geojson"
PLANS: Final = "plans.toml"
RULES: Final = "rules.toml"
FILES: Final = (SITE, AREAS, UNITS, DEVICES, CATEGORIES, DUTY, SUPERVISORS, CONTACTS, ZONES, PLANS, RULES)
OPTIONAL: Final = (CATEGORIES, SUPERVISORS, CONTACTS, PLANS)
"""Files that a folder may lack."""


class SiteError(ValueError):
    """One thing that is wrong with a site: ``file``, ``where`` in it ("" for the whole file) and the ``problem``.

    The problem carries the offending value and says what to do.
    """

    def __init__(self, file: str, where: str, problem: str) -> None:
        super().__init__(f"{file}, {where}: {problem}" if where else f"{file}: {problem}")
        self.file = file
        self.where = where
        self.problem = problem


class SiteErrors(ValueError):
    """All that is wrong with a site, at once: ``errors``, one or more, in the order of the files."""

    def __init__(self, errors: Iterable[SiteError]) -> None:
        self.errors = tuple(errors)
        count = "1 problem" if len(self.errors) == 1 else f"{len(self.errors)} problems"
        super().__init__(f"{count} in the site:\n  " + "\n  ".join(str(error) for error in self.errors))


@dataclass(frozen=True, slots=True)
class SiteFolder:
    """A site as its files give it, each table in the order of its file. Devices have id 0.

    ``rules``, ``duties``, ``categories``, ``supervisors`` and ``contacts`` are plain mappings: what they mean is known
    to ``alerts``, which cannot be imported here. A duty has ``category``, ``area`` and ``unit``. ``lines`` says on
    which line each record of a file stood; it is left out when folders are compared.
    """

    name: str
    name_en: str
    areas: tuple[Area, ...] = ()
    units: tuple[Unit, ...] = ()
    devices: tuple[Device, ...] = ()
    zones: tuple[Zone, ...] = ()
    plans: tuple[Plan, ...] = ()
    rules: tuple[dict[str, Any], ...] = ()
    duties: tuple[dict[str, str], ...] = ()
    categories: tuple[dict[str, str], ...] = ()
    supervisors: tuple[dict[str, str], ...] = ()
    contacts: tuple[dict[str, str], ...] = ()
    lines: Mapping[str, tuple[int, ...]] = field(default_factory=dict, compare=False, repr=False)

    def where(self, file: str, index: int, name: str = "", part: str = "") -> str:
        """The place of a file's record for a :class:`SiteError`, e.g. ``line 7 (T001), interval``."""
        lines = self.lines.get(file, ())
        if file == ZONES:
            spot = f"feature {index + 1}"
        else:
            spot = f"line {lines[index]}" if index < len(lines) else f"record {index + 1}"
        return place(spot, name, part)


def place(spot: str, name: str = "", part: str = "") -> str:
    """``line 7``, the record's name and the part of it, as far as they are known, in one phrase."""
    shown = f" ({name[:40]})" if name and name.isprintable() else ""
    return f"{spot}{shown}, {part}" if part else f"{spot}{shown}"
