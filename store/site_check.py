"""Whether a site can be saved: its contents, and whether its rules can run."""

from __future__ import annotations

from collections.abc import Iterator

from alerts.rules import RuleError, build_detector, rule_from
from devices.site_checks import problems
from devices.site_contents import RULES, SiteError, SiteErrors, SiteFolder
from devices.site_text import shown


def site_problems(folder: SiteFolder) -> list[SiteError]:
    """Everything that is wrong with a site as far as it can be said without a database; of a rule, its first fault."""
    found = problems(folder)
    places = {(error.file, error.where) for error in found}
    return found + [error for error in _rule_problems(folder) if (error.file, error.where) not in places]


def check_site(folder: SiteFolder) -> None:
    """Raise SiteErrors when :func:`site_problems` finds any."""
    if found := site_problems(folder):
        raise SiteErrors(found)


def _rule_problems(folder: SiteFolder) -> Iterator[SiteError]:
    for index, row in enumerate(folder.rules):
        try:
            build_detector(rule_from(row))
        except RuleError as error:
            value = "" if error.value is None else f"{shown(error.value)}: "
            where = folder.where(RULES, index, str(row.get("code", "")), error.field)
            yield SiteError(RULES, where, f"{value}{error.problem}")
