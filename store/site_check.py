"""Whether a site can be saved: its contents, and whether its rules can run."""

from __future__ import annotations

from collections.abc import Iterator

from alerts.categories import ANY, WrongCategory, category_from
from alerts.duty import Duty
from alerts.duty_change import DutyBook
from alerts.rules import Rule, RuleError, build_detector, check_together, rule_from
from alerts.supervisors import supervisor_from, supervisor_problems
from devices.site_checks import problems
from devices.site_contents import CATEGORIES, DUTY, RULES, SUPERVISORS, SiteError, SiteErrors, SiteFolder
from devices.site_text import shown, text_problem


def site_problems(folder: SiteFolder) -> list[SiteError]:
    """Everything that is wrong with a site as far as it can be said without a database; of a rule, its first fault."""
    found = problems(folder)
    places = {(error.file, error.where) for error in found}
    more = [*_category_problems(folder), *_supervisor_problems(folder), *_rule_problems(folder)]
    return found + [error for error in more if (error.file, error.where) not in places]


def check_site(folder: SiteFolder) -> None:
    """Raise SiteErrors when :func:`site_problems` finds any."""
    if found := site_problems(folder):
        raise SiteErrors(found)


def book_of(folder: SiteFolder) -> DutyBook:
    """The duty matrix of a site that is in order, with its kinds and supervisors."""
    return DutyBook(
        tuple(Duty(**row) for row in folder.duties),
        tuple(category_from(row) for row in folder.categories),
        tuple(supervisor_from(row) for row in folder.supervisors),
    )


def _category_problems(folder: SiteFolder) -> Iterator[SiteError]:
    known: dict[str, int] = {}
    for index, row in enumerate(folder.categories):
        code = row["code"]
        try:
            category_from(row)
        except WrongCategory as error:
            where = folder.where(CATEGORIES, index, code, error.column)
            yield SiteError(CATEGORIES, where, f"{shown(error.value)}: {error.en}")
        for column in ("code", "name", "name_en"):
            if row[column] and (problem := text_problem(row[column])):
                yield SiteError(CATEGORIES, folder.where(CATEGORIES, index, code, column), problem)
        if known.setdefault(code, index) != index:
            problem = f"{shown(code)} is already used at {folder.where(CATEGORIES, known[code])}: make it unique"
            yield SiteError(CATEGORIES, folder.where(CATEGORIES, index, code, "code"), problem)
    for index, row in enumerate(folder.duties if known else ()):
        if row["category"] not in known and row["category"] != ANY:
            where = folder.where(DUTY, index, f"{row['category']} {row['area']}", "category")
            problem = f"{shown(row['category'])} is not in {CATEGORIES}: add it there or correct it here"
            yield SiteError(DUTY, where, problem)


def _supervisor_problems(folder: SiteFolder) -> Iterator[SiteError]:
    areas, units = {area.code for area in folder.areas}, {unit.code for unit in folder.units}
    for index, row in enumerate(folder.supervisors):
        for column, _, en in supervisor_problems(supervisor_from(row), areas, units):
            yield SiteError(SUPERVISORS, folder.where(SUPERVISORS, index, row["name"], column), en)
        for column, text in row.items():
            if text and (problem := text_problem(text)):
                yield SiteError(SUPERVISORS, folder.where(SUPERVISORS, index, row["name"], column), problem)


def _rule_problems(folder: SiteFolder) -> Iterator[SiteError]:
    rules: list[Rule] = []
    for index, row in enumerate(folder.rules):
        try:
            rule = rule_from(row)
            build_detector(rule)
            rules.append(rule)
        except RuleError as error:
            yield _site_error(folder, index, error)
    if len(rules) == len(folder.rules):  # what they say of each other is judged when each is right by itself
        try:
            check_together(rules)
        except RuleError as error:
            yield _site_error(folder, [rule.code for rule in rules].index(error.rule), error)


def _site_error(folder: SiteFolder, index: int, error: RuleError) -> SiteError:
    value = "" if error.value is None else f"{shown(error.value)}: "
    where = folder.where(RULES, index, str(folder.rules[index].get("code", "")), error.field)
    return SiteError(RULES, where, f"{value}{error.problem}")
