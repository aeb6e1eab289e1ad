"""Whether a site can be saved: its contents, and whether its rules can run."""

from __future__ import annotations

from collections.abc import Iterator

from alerts.categories import ANY, WrongCategory, category_from
from alerts.channels.apprise_channel import address_problem
from alerts.contacts import DESK, PERSON, WrongContact, contact_from, contact_problems
from alerts.duty import Duty
from alerts.duty_change import DutyBook
from alerts.rules import Rule, RuleError, build_detector, check_together, rule_from
from alerts.supervisors import supervisor_from, supervisor_problems
from devices.site_checks import problems
from devices.site_contents import (
    CATEGORIES,
    CONTACTS,
    DUTY,
    RULES,
    SUPERVISORS,
    UNITS,
    SiteError,
    SiteErrors,
    SiteFolder,
)
from devices.site_text import shown, text_problem


def site_problems(folder: SiteFolder) -> list[SiteError]:
    """Everything that is wrong with a site as far as it can be said without a database; of a rule, its first fault."""
    found = problems(folder)
    places = {(error.file, error.where) for error in found}
    more = [
        *_category_problems(folder),
        *_supervisor_problems(folder),
        *_contact_problems(folder),
        *_address_problems(folder),
        *_rule_problems(folder),
    ]
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


def _contact_problems(folder: SiteFolder) -> Iterator[SiteError]:
    units, kinds = {unit.code for unit in folder.units}, {row["code"] for row in folder.categories}
    known: dict[tuple[str, str], int] = {}
    for index, row in enumerate(folder.contacts):
        for column, problem in _contact_line(row, units, kinds):
            yield SiteError(CONTACTS, folder.where(CONTACTS, index, row["to"], column), problem)
        first = known.setdefault((row["to"], row["address"]), index)
        if first != index:
            problem = f"{row['to']} has it already at {folder.where(CONTACTS, first)}: keep one line"
            yield SiteError(CONTACTS, folder.where(CONTACTS, index, row["to"], "address"), problem)


def _contact_line(row: dict[str, str], units: set[str], kinds: set[str]) -> Iterator[tuple[str, str]]:
    try:
        yield from ((column, en) for column, _, en in contact_problems(contact_from(row), units, kinds))
    except WrongContact as error:
        yield error.column, f"{shown(error.value)}: {error.en}"
    for column, text in row.items():
        if text and (problem := text_problem(text)):
            yield column, "holds what no address can" if column == "address" else problem
    if row["address"] and (problem := address_problem(row["address"])):
        yield "address", problem


def _address_problems(folder: SiteFolder) -> Iterator[SiteError]:
    """Addresses of units that Apprise cannot make anything of; of each no more than its service is said."""
    for index, unit in enumerate(folder.units):
        for address in unit.contacts:
            if problem := address_problem(address):
                yield SiteError(UNITS, folder.where(UNITS, index, unit.code, "contacts"), problem)


def unknown_people(folder: SiteFolder) -> list[str]:
    """The people in contacts.csv who are not in supervisors.csv, and so must be accounts: they may be misspelt."""
    named = {row[column] for row in folder.supervisors for column in ("name", "account")}
    people = (row["to"].removeprefix(PERSON) for row in folder.contacts if row["to"].startswith(PERSON))
    return [name for name in dict.fromkeys(people) if name not in named and name != DESK.removeprefix(PERSON)]


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
