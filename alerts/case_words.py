"""What the file of a case says in either language: its facts, what entries changed, what became of notices. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from alerts.case import RESOLUTION_NAMES, SUPERVISION_NAMES, TERMINAL, Entry, actor_words
from alerts.case_file import CaseFile
from alerts.letter import SEVERITY_NAMES, shown
from alerts.notice import Notice
from alerts.transitions import ACTION_NAMES, STATUS_NAMES
from detectors.base import Sentence

ORIGIN_NAMES: Final = {
    "alert": Sentence("系统预警", "an alert"),
    "desk": Sentence("值班台", "the desk"),
    "phone": Sentence("移动端上报", "a phone"),
    "api": Sentence("接口上报", "another system"),
}
_CHANGED: Final = {  # what an entry changed, where that is worth a word
    "status": Sentence("状态", "status"),
    "unit": Sentence("责任单位", "unit"),
    "terminal": Sentence("终端", "terminal"),
    "due_at": Sentence("办结时限", "due"),
    "severity": Sentence("风险等级", "severity"),
    "supervision": Sentence("督办", "supervision"),
    "outcome": Sentence("处理结果", "outcome"),
    "resolution": Sentence("解决方式", "solved"),
    "extension_asked": Sentence("申请延期至", "extension asked to"),
}


@dataclass(frozen=True, slots=True)
class Words:
    """One language's words for one case."""

    lang: Literal["zh", "en"]
    file: CaseFile

    def __call__(self, zh: str, en: str) -> str:
        return zh if self.lang == "zh" else en

    def both(self, sentence: Sentence) -> str:
        """Of a sentence the one that is wanted."""
        return self(sentence.zh, sentence.en)

    def join(self, parts: Iterable[str]) -> str:
        """A list in one line."""
        return self("，", ", ").join(parts)

    def heads(self, *columns: tuple[str, str]) -> list[str]:
        """The heads of a table."""
        return [self(zh, en) for zh, en in columns]

    def unit(self, code: str | None) -> str:
        """A unit's name; what is none stays as it is."""
        known = self.file.site.units.get(code or "")
        return self(known.name, known.name_en) if known else code or self("未定", "unclear")

    def actor(self, entry: Entry) -> str:
        """Who took a step."""
        if entry.actor.startswith(TERMINAL):
            return self.device(entry.actor.removeprefix(TERMINAL))
        return self.both(actor_words(entry.actor))

    def rule(self, code: str) -> str:
        """A rule's name; the code of one that is no more."""
        known = self.file.rules.get(code)
        return self.both(known) if known else code

    def device(self, code: str) -> str:
        """A device's name with its code."""
        known = self.file.site.registry.resolve(code)
        return f"{self(known.name, known.name_en)} ({code})" if known else code


def facts_of(words: Words) -> Iterator[tuple[str, str]]:
    """Labels and values, those that are empty left out."""
    file, case = words.file, words.file.case
    area = file.site.areas.get(case.area or "")
    place = None if case.lon is None or case.lat is None else f"{case.lon:.6f}, {case.lat:.6f}"
    facts: list[tuple[Sentence, str | None]] = [
        (Sentence("事件编号", "Number"), case.number),
        (Sentence("当前状态", "State"), words.both(STATUS_NAMES[case.status])),
        (Sentence("事项", "Kind"), words.both(file.categories.name(case.category))),
        (Sentence("风险等级", "Severity"), words.both(SEVERITY_NAMES[case.severity])),
        (Sentence("辖区", "Area"), words(area.name, area.name_en) if area else case.area),
        (Sentence("责任单位", "Unit"), words.unit(case.unit)),
        (Sentence("立案时间", "Opened"), shown(case.opened_at)),
        (Sentence("办结时限", "Due"), shown(case.due_at)),
        (Sentence("结案时间", "Closed"), shown(case.closed_at) if case.closed_at else None),
        (Sentence("是否逾期", "Overdue"), _overdue(words)),
        (Sentence("来源", "From"), words.both(ORIGIN_NAMES[case.origin])),
        (Sentence("督办", "Supervision"), words.both(SUPERVISION_NAMES[case.supervision])),
        (Sentence("解决方式", "Solved"), words.both(RESOLUTION_NAMES[case.resolution]) if case.resolution else None),
        (Sentence("重新立案", "Reopened"), str(case.reopened) if case.reopened else None),
        (Sentence("位置", "Place"), place),
        (Sentence("派遣终端", "Terminal"), words.device(case.terminal) if case.terminal else None),
        (Sentence("逾期原因", "Why overdue"), case.overdue_reason),
        (Sentence("处理结果", "Outcome"), case.outcome),
        (Sentence("协同单位", "Called"), _parts(words)),
    ]
    return ((words.both(label), value) for label, value in facts if value)


def _overdue(words: Words) -> str:
    if words.file.case.overdue(words.file.exported_at):
        return words("是", "yes")
    return words("否", "no")


def _parts(words: Words) -> str:
    lines = []
    for part in words.file.case.parts:
        state = words("已撤回", "withdrawn") if part.withdrawn else words("已办结", "done")
        if part.undone:
            state = words("办理中", "not done yet")
        lines.append(f"{words.unit(part.unit)}{words('：', ': ')}{part.task} ({state})")
    return "\n".join(lines)


def line_of(words: Words, entry: Entry) -> str:
    """What a step is called."""
    name = ACTION_NAMES.get(entry.action)
    return words.both(name) if name else entry.action


def said_of(words: Words, entry: Entry) -> str:
    """What was said to a step, and what it changed."""
    said = entry.data.get(words.lang)
    lines = [said if isinstance(said, str) else entry.note]
    changed = entry.data.get("set") if entry.seq > 1 else None
    told = [
        f"{words.both(_CHANGED[name])} → {_value(words, name, value)}"
        for name, value in (changed.items() if isinstance(changed, dict) else ())
        if name in _CHANGED
    ]
    return "\n".join(line for line in [*lines, words.join(told)] if line)


def _value(words: Words, name: str, value: Any) -> str:
    if value in (None, ""):
        return words("无", "none")
    if name == "unit":
        return words.unit(str(value))
    if name == "terminal":
        return words.device(str(value))
    if name in ("due_at", "extension_asked"):
        return shown(datetime.fromisoformat(str(value)))
    named: dict[str, dict[Any, Sentence]] = {
        "status": dict(STATUS_NAMES),
        "severity": dict(SEVERITY_NAMES),
        "supervision": dict(enumerate(SUPERVISION_NAMES)),
        "resolution": dict(RESOLUTION_NAMES),
    }
    known = named.get(name, {}).get(value)
    return words.both(known) if known else str(value)


def notice_state(words: Words, notice: Notice) -> str:
    """What became of a notice."""
    if notice.failed_at is not None:
        return words("未送达：", "given up: ") + notice.error
    if notice.sent_at is None:
        return words("待发送", "waiting")
    sent = words(f"{shown(notice.sent_at)} 送达", f"sent {shown(notice.sent_at)}")
    if notice.digest is not None:
        sent += words("（合并发送）", " (in a digest)")
    if notice.acked_at is not None:
        answer = words("接受", "accepted") if notice.accepted else words("拒绝", "refused")
        sent += words(f"，终端{answer}", f", {answer} by the terminal")
    return sent
