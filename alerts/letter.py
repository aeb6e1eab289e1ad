"""The letter of a step of supervision (催办单、督办函、二次督办函) in both languages, from the case's entries. Pure.

It says what the entries up to its own said, and so never changes once it was sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from alerts.case import Entry, actor_words
from alerts.categories import Categories
from alerts.deadline import DeadlineError, words
from alerts.supervision import LEVELS
from alerts.transitions import ACTION_NAMES, STATUS_NAMES
from detectors.base import Sentence
from devices.site import CHINA, Site

TITLES: Final = {
    "urge": Sentence("催办单", "Reminder to handle a case"),
    "letter": Sentence("督办函", "Letter of supervision"),
    "second_letter": Sentence("二次督办函", "Second letter of supervision"),
}
SEVERITY_NAMES: Final = {
    "low": Sentence("低", "low"),
    "medium": Sentence("中", "medium"),
    "high": Sentence("高", "high"),
}


class NoLetter(LookupError):
    """This entry is no step of supervision."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter. ``facts`` are pairs of a label and a value; ``history`` what was done before, a line each."""

    number: str
    sent: datetime
    title: Sentence
    to: Sentence
    copies: tuple[Sentence, ...]
    facts: tuple[tuple[Sentence, Sentence], ...]
    demand: Sentence
    history: tuple[Sentence, ...]
    sender: Sentence


def letter_of(entries: Sequence[Entry], seq: int, site: Site, categories: Categories) -> Letter:
    """The letter that the entry ``seq`` of a case is.

    Raises:
        NoLetter: it is none.
    """
    known = [entry for entry in entries if entry.seq <= seq]
    step = known[-1] if known and known[-1].seq == seq else None
    if step is None or step.action not in LEVELS:
        raise NoLetter(f"entry {seq} is no step of supervision")
    case = case_at(known)
    unit = site.units.get(case.get("unit") or "")
    nobody = Sentence("（责任单位未定）", "(no unit yet)")
    return Letter(
        number=str(step.data.get("letter", f"{case['number']}-{seq}")),
        sent=step.at,
        title=TITLES[step.action],
        to=Sentence(unit.name, unit.name_en) if unit else _named(case.get("unit"), nobody),
        copies=tuple(Sentence(person["name"], person["name_en"]) for person in step.data.get("named", ())),
        facts=tuple(_facts(case, known, step, site, categories)),
        demand=_demand(step, datetime.fromisoformat(case["due_at"])),
        history=tuple(_line(entry) for entry in known[:-1]),
        sender=Sentence(site.name or "综治中心", site.name_en or "Governance centre"),
    )


def case_at(entries: Iterable[Entry]) -> dict[str, Any]:
    """What the entries add up to: the case as it was after the last of them, as it was recorded."""
    told: dict[str, Any] = {}
    for entry in entries:
        told |= entry.data.get("set") or {}
    return told


def as_text(letter: Letter, language: str) -> str:
    """The letter as plain text. ``language`` is "zh" or "en"."""

    def say(sentence: Sentence) -> str:
        return sentence.zh if language == "zh" else sentence.en

    colon = "：" if language == "zh" else ": "
    head = [say(letter.title), say(Sentence(f"编号：{letter.number}", f"Number: {letter.number}")), ""]
    body = [say(letter.to) + colon.rstrip(), ""]
    body += [f"  {say(label)}{colon}{say(value)}" for label, value in letter.facts]
    body += ["", say(letter.demand), "", say(Sentence("此前办理情况：", "What was done so far:"))]
    body += [f"  {say(line)}" for line in letter.history]
    copies = [say(person) for person in letter.copies]
    tail = (
        [say(Sentence("督办人：", "Supervised by: ")) + ("、" if language == "zh" else ", ").join(copies)]
        if copies
        else []
    )
    return "\n".join([*head, *body, "", *tail, say(letter.sender), shown(letter.sent)]) + "\n"


def shown(at: datetime) -> str:
    """A moment as people read it, in site time."""
    return f"{at.astimezone(CHINA):%Y-%m-%d %H:%M}"


def late_by(due: datetime, now: datetime) -> Sentence:
    """How long something is overdue, in days and hours."""
    minutes = max(0, int((now - due).total_seconds() // 60))
    if not minutes:
        return Sentence("不到 1 分钟", "less than a minute")
    days, hours, rest = minutes // 1440, minutes % 1440 // 60, minutes % 60
    parts = [(days, "天", "d"), (hours, "小时", "h")] if minutes >= 60 else [(rest, "分钟", "min")]
    told = [part for part in parts if part[0]] or parts[-1:]
    return Sentence(" ".join(f"{n} {zh}" for n, zh, _ in told), " ".join(f"{n} {en}" for n, _, en in told))


def _facts(
    case: dict[str, Any], known: Sequence[Entry], step: Entry, site: Site, categories: Categories
) -> Iterable[tuple[Sentence, Sentence]]:
    due = datetime.fromisoformat(case["due_at"])
    area = site.areas.get(case.get("area") or "")
    yield Sentence("事件编号", "Case"), Sentence(case["number"], case["number"])
    yield Sentence("事由", "Subject"), Sentence(case["title"]["zh"], case["title"]["en"])
    yield Sentence("事项", "Kind"), categories.name(case["category"])
    yield Sentence("风险等级", "Severity"), SEVERITY_NAMES[case["severity"]]
    if area:
        yield Sentence("辖区", "Area"), Sentence(area.name, area.name_en)
    yield Sentence("当前状态", "State"), STATUS_NAMES[case["status"]]
    opened = shown(datetime.fromisoformat(case["opened_at"]))
    yield Sentence("立案时间", "Opened"), Sentence(opened, opened)
    yield Sentence("办结时限", "Due"), _limit(known[0], due)
    if step.at > due:
        yield Sentence("已逾期", "Overdue by"), late_by(due, step.at)
    if case.get("overdue_reason"):
        yield Sentence("单位所述原因", "Reason given"), Sentence(case["overdue_reason"], case["overdue_reason"])
    if not step.data.get("zh") and step.note:
        yield Sentence("督办意见", "Said to it"), Sentence(step.note, step.note)


def _limit(first: Entry, due: datetime) -> Sentence:
    """The deadline, with its length as long as it is the first one."""
    try:
        zh, en = words(str(first.data.get("deadline")))
    except DeadlineError:
        return Sentence(shown(due), shown(due))
    if datetime.fromisoformat(case_at([first])["due_at"]) != due:
        return Sentence(shown(due), shown(due))
    return Sentence(f"{shown(due)}（{zh}）", f"{shown(due)} ({en})")


def _demand(step: Entry, due: datetime) -> Sentence:
    if step.at <= due:
        return Sentence("请抓紧办理，按时办结。", "Handle it without delay, and finish it in time.")
    by = step.data.get("answer_by")
    if by is None:
        return Sentence("请立即办理，并说明逾期原因。", "Handle it at once, and say why it is overdue.")
    until = shown(datetime.fromisoformat(by))
    return Sentence(
        f"请于 {until} 前办结并说明逾期原因；届时仍未办结的，将进入下一步督办。",
        f"Finish it by {until} and say why it is overdue; if it is not finished then, the next step follows.",
    )


def _line(entry: Entry) -> Sentence:
    name = ACTION_NAMES.get(entry.action, Sentence(entry.action, entry.action))
    zh, en = (str(entry.data.get(language, entry.note)) for language in ("zh", "en"))
    when, by = shown(entry.at), actor_words(entry.actor)
    return Sentence(
        f"{when} {by.zh} {name.zh}{f'：{zh}' if zh else ''}",
        f"{when} {by.en}: {name.en}{f': {en}' if en else ''}",
    )


def _named(code: str | None, otherwise: Sentence) -> Sentence:
    return Sentence(code, code) if code else otherwise
