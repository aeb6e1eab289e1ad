"""The evidence chain: each entry's hash covers its whole content and the hash before it. Pure.

Two chains are kept: that of each case, and the ledger over the entries of all cases in the order in which they were
written. What they prove and what they cannot is in docs/adr/0008-evidence-chain.md.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from alerts.case import LATER, Case, Entry, recorded
from devices.site import micros

START: Final = bytes(32)
"""What the first entry of a case, and of the ledger, follows."""


class NotEvidence(ValueError):
    """Something that JSON in a database cannot give back as it was: names where and what."""


def entry_hash(
    *,
    prev_hash: bytes,
    case_id: int,
    seq: int,
    at: datetime,
    actor: str,
    action: str,
    note: str,
    data: Mapping[str, Any],
) -> bytes:
    """sha256 over the previous hash and the canonical JSON of everything else.

    Raises:
        NotEvidence: ``data`` holds what cannot be stored and read back unchanged.
    """
    content = {
        "case": case_id,
        "seq": seq,
        "at": micros(at),
        "actor": actor,
        "action": action,
        "note": note,
        "data": plain(data),
    }
    return hashlib.sha256(prev_hash + canonical(content)).digest()


def hash_of(entry: Entry) -> bytes:
    """What an entry's hash must be."""
    return entry_hash(
        prev_hash=entry.prev_hash,
        case_id=entry.case_id,
        seq=entry.seq,
        at=entry.at,
        actor=entry.actor,
        action=entry.action,
        note=entry.note,
        data=entry.data,
    )


def ledger_hash(prev_hash: bytes, entry: bytes) -> bytes:
    """The ledger's hash after one more entry's hash."""
    return hashlib.sha256(prev_hash + entry).digest()


def verify(entries: Iterable[Entry]) -> int | None:
    """The seq of the first entry of a case that is broken, missing or out of order; None when the chain holds.

    ``entries`` are those of one case in the order of seq. Missing ones at the end cannot be seen from here: the ledger
    knows of them.
    """
    expected, head = 1, START
    for entry in entries:
        if entry.seq != expected:
            return expected
        if entry.prev_hash != head or entry.hash != hash_of(entry):
            return entry.seq
        expected, head = expected + 1, entry.hash
    return None


def canonical(value: Any) -> bytes:
    """One and the same JSON for the same content: keys sorted, no blanks, UTF-8."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def plain(value: Any, where: str = "data") -> Any:
    """``value`` as jsonb gives it back: keys text, tuples lists, whole floats integers (jsonb keeps 1e22 as digits).

    Raises:
        NotEvidence: a value that jsonb cannot keep.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise NotEvidence(f"{where} is {value!r}, which JSON cannot keep")
        return int(value) if value.is_integer() else value
    if isinstance(value, str):
        if "\x00" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
            raise NotEvidence(f"{where} = {value!r} holds a character that the database cannot keep")
        return value
    if isinstance(value, Mapping):
        return {plain(key, where): plain(item, f"{where}.{key}") for key, item in _text_keys(value, where)}
    if isinstance(value, list | tuple):
        return [plain(item, f"{where}[{n}]") for n, item in enumerate(value)]
    raise NotEvidence(f"{where} = {value!r} is no JSON value")


def _text_keys(value: Mapping[Any, Any], where: str) -> Iterable[tuple[str, Any]]:
    for key, item in value.items():
        if not isinstance(key, str):
            raise NotEvidence(f"{where} has the key {key!r}, which is no text")
        yield key, item


FaultKind = Literal["changed", "unchained", "missing", "unlisted", "rewritten", "row", "no_case", "ledger", "anchor"]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is not as it was written. ``seq`` is the first broken entry (0: the case as a whole)."""

    kind: FaultKind
    case_id: int
    number: str
    seq: int
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Line:
    """One entry of a case (None: it is gone) and the hash that the ledger lists for it (None: it lists none)."""

    seq: int
    entry: Entry | None
    listed: bytes | None


def case_faults(case_id: int, case: Case | None, lines: Sequence[Line]) -> list[Fault]:
    """What is wrong with one case: its first broken entry, and what the case says that its entries do not.

    ``lines`` in the order of seq; ``case`` None when there are lines but no such case.
    """
    number = case.number if case else f"#{case_id}"
    if case is None:
        zh, en = f"{number}：有记录而没有事件", f"{number}: there are entries but no case"
        return [Fault("no_case", case_id, number, 0, zh, en)]
    faults = []
    broken = first_broken(lines)
    if broken is not None:
        kind, seq = broken
        zh, en = BROKEN_WORDS[kind]
        faults.append(Fault(kind, case_id, number, seq, f"{number} 第 {seq} 条：{zh}", f"{number}, entry {seq}: {en}"))
    for zh, en in row_differences(recorded(case), lines):
        faults.append(Fault("row", case_id, number, 0, f"{number}：{zh}", f"{number}: {en}"))
    return faults


def row_differences(row: Mapping[str, Any], lines: Sequence[Line]) -> Iterable[tuple[str, str]]:
    """What a case, as it is recorded, says otherwise than its entries do, in Chinese and English."""
    told: dict[str, Any] = dict(LATER)
    if lines and lines[0].entry is not None and lines[0].entry.action == "raise":
        told["origin"] = "alert"
    for line in lines:
        told |= (line.entry.data.get("set") or {}) if line.entry else {}
    for name, value in row.items():
        if name not in told or canonical(plain(told[name])) != canonical(plain(value)):
            said = told.get(name)
            yield f"{name} 现为 {value!r}，记录为 {said!r}", f"{name} is {value!r}, but its entries say {said!r}"


BROKEN_WORDS: Final[dict[FaultKind, tuple[str, str]]] = {
    "changed": ("内容被改动", "its content was changed"),
    "unchained": ("与前一条不相接", "it does not follow the entry before"),
    "missing": ("记录缺失", "it is missing"),
    "unlisted": ("总账中没有这一条", "the ledger does not list it"),
    "rewritten": ("与总账不符", "it is not the one that the ledger lists"),
}


def first_broken(lines: Sequence[Line]) -> tuple[FaultKind, int] | None:
    """The first entry of a case that does not hold, and in what way; None when all do."""
    expected, head = 1, START
    for line in lines:
        if line.seq != expected or line.entry is None:
            return "missing", min(expected, line.seq)
        if line.entry.hash != hash_of(line.entry):
            return "changed", line.seq
        if line.entry.prev_hash != head:
            return "unchained", line.seq
        if line.listed is None:
            return "unlisted", line.seq
        if line.listed != line.entry.hash:
            return "rewritten", line.seq
        expected, head = expected + 1, line.entry.hash
    return None if lines else ("missing", 1)
