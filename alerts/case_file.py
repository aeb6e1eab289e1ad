"""What is known of one case, gathered to be given out: its JSON, the stretches in which it sent terminals. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from alerts.alert import Alert
from alerts.case import Case, Entry, recorded
from alerts.categories import Categories
from alerts.evidence import BROKEN_WORDS, Line, first_broken, ledger_hash, plain, row_differences
from alerts.notice import Notice
from alerts.transitions import FINAL
from detectors.base import Sentence
from devices.site import Site, moment

LONGEST_TRACK: Final = timedelta(days=7)
_OVER: Final = {*FINAL, "fed_back", "verified"}
_PHOTO: Final = {"sha256", "type", "bytes", "width", "height"}


class Span(NamedTuple):
    """A stretch of time in which a terminal was sent for a case."""

    terminal: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Track:
    """Where a terminal was while it was sent for the case. Arrays of shape (n,), in order of ``at`` (UTC µs)."""

    span: Span
    name: str
    name_en: str
    at: NDArray[np.int64]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """A line of the ledger: the hash before it, that of the entry, and what the two make."""

    position: int
    seq: int
    prev: bytes
    entry_hash: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Photo:
    """A picture that an entry shows. ``sha256`` of its content in hex; ``type`` as image/jpeg; sides in pixels."""

    sha256: str
    type: str
    bytes: int
    width: int
    height: int
    seq: int

    @property
    def member(self) -> str:
        """Its name in the export."""
        return f"attachments/{self.sha256}.{self.type.partition('/')[2].replace('jpeg', 'jpg')}"


@dataclass(frozen=True, slots=True)
class CaseFile:
    """A case with all that belongs to it, at one moment. ``left_out`` says what the exporter may not see, and why."""

    case: Case
    entries: Sequence[Entry]
    ledger: Sequence[LedgerLine]
    alerts: Sequence[Alert]
    notices: Sequence[Notice]
    tracks: Sequence[Track]
    photos: Sequence[Photo]
    site: Site
    categories: Categories
    exported_at: datetime
    exported_by: str
    left_out: Sequence[tuple[str, str]] = field(default_factory=tuple)
    rules: Mapping[str, Sentence] = field(default_factory=dict)  # what they are called, by code


def spans_of(entries: Iterable[Entry], now: datetime) -> list[Span]:
    """When which terminal was sent: from its order until another's, until the case is fed back or ends, or until now.

    Never longer than :data:`LONGEST_TRACK` for one order.
    """
    spans: list[Span] = []
    terminal, since = None, now
    for entry in entries:
        changed: Mapping[str, Any] = entry.data.get("set") or {}
        over = changed.get("status") in _OVER
        if terminal and ("terminal" in changed or over):
            spans.append(_span(terminal, since, entry.at))
            terminal = None
        if changed.get("terminal") and not over:
            terminal, since = str(changed["terminal"]), entry.at
    if terminal:
        spans.append(_span(terminal, since, now))
    return spans


def _span(terminal: str, since: datetime, until: datetime) -> Span:
    return Span(terminal, since, min(until, since + LONGEST_TRACK))


def photos_of(entries: Iterable[Entry]) -> list[Photo]:
    """The pictures that the entries show, each where it is shown first."""
    found: dict[str, Photo] = {}
    for entry in entries:
        listed = entry.data.get("attachments")
        for each in listed if isinstance(listed, list) else ():
            if isinstance(each, dict) and set(each) == _PHOTO:  # anything else was never written by us
                found.setdefault(str(each["sha256"]), Photo(**each, seq=entry.seq))
    return list(found.values())


def case_json(file: CaseFile) -> dict[str, Any]:
    """Everything as plain JSON, times as RFC 3339 in UTC."""
    content: dict[str, Any] = {
        "case": {"id": file.case.id, **recorded(file.case)},
        "entries": [_entry(entry) for entry in file.entries],
        "ledger": [_ledger(line) for line in file.ledger],
        "alerts": [_alert(alert) for alert in file.alerts],
        "notices": [_notice(notice) for notice in file.notices],
        "tracks": {"type": "FeatureCollection", "features": [_feature(track) for track in file.tracks]},
        "attachments": [
            {"sha256": p.sha256, "type": p.type, "bytes": p.bytes, "entry": p.seq, "file": p.member}
            for p in file.photos
        ],
        "left_out": [{"zh": zh, "en": en} for zh, en in file.left_out],
        "site": {"zh": file.site.name, "en": file.site.name_en},
        "exported_at": _time(file.exported_at),
        "exported_by": file.exported_by,
    }
    return dict(plain(content))


class Problem(NamedTuple):
    """What is wrong with a case's JSON; ``seq`` the entry, 0: the case as a whole."""

    seq: int
    zh: str
    en: str


def case_problems(content: Mapping[str, Any], pictures: Iterable[str]) -> Iterator[Problem]:
    """What is wrong with :func:`case_json` read again: the chain, the ledger, the case, the pictures at hand.

    Raises:
        KeyError, TypeError, ValueError: it has not the form.
    """
    case_id, there = int(content["case"]["id"]), set(pictures)
    listed = {line["seq"]: line for line in content["ledger"]}
    entries = [_read_entry(case_id, each) for each in content["entries"]]
    lines = [Line(e.seq, e, _hash(listed[e.seq], "entry_hash") if e.seq in listed else None) for e in entries]
    if (broken := first_broken(lines)) is not None:
        kind, seq = broken
        zh, en = BROKEN_WORDS[kind]
        yield Problem(seq, f"第 {seq} 条：{zh}", f"entry {seq}: {en}")
    before = 0
    for seq, line in sorted(listed.items()):
        right = ledger_hash(_hash(line, "prev"), _hash(line, "entry_hash")) == _hash(line, "hash")
        if not right or line["position"] <= before or not any(entry.seq == seq for entry in entries):
            yield Problem(seq, f"第 {seq} 条的总账行不成立", f"the ledger's line of entry {seq} does not hold")
        before = line["position"]
    row = {name: value for name, value in content["case"].items() if name != "id"}
    for zh, en in row_differences(row, lines):
        yield Problem(0, zh, en)
    shown = {photo.sha256: photo.seq for photo in photos_of(entries)}
    for sha256, seq in shown.items():
        if sha256 not in there:
            yield Problem(seq, f"第 {seq} 条的图片 {sha256} 缺失", f"entry {seq}: its picture {sha256} is missing")
    for sha256 in sorted(there - set(shown)):
        yield Problem(0, f"没有记录引用图片 {sha256}", f"no entry shows the picture {sha256}")


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "seq": entry.seq,
        "at": _time(entry.at),
        "actor": entry.actor,
        "action": entry.action,
        "note": entry.note,
        "data": entry.data,
        "prev_hash": entry.prev_hash.hex(),
        "hash": entry.hash.hex(),
    }


def _read_entry(case_id: int, told: Mapping[str, Any]) -> Entry:
    rest = {name: told[name] for name in ("seq", "actor", "action", "note", "data")}
    at, hashes = datetime.fromisoformat(told["at"]), (_hash(told, "prev_hash"), _hash(told, "hash"))
    return Entry(case_id=case_id, at=at, prev_hash=hashes[0], hash=hashes[1], **rest)


def _ledger(line: LedgerLine) -> dict[str, Any]:
    hashes = {name: getattr(line, name).hex() for name in ("prev", "entry_hash", "hash")}
    return {"position": line.position, "seq": line.seq, **hashes}


def _alert(alert: Alert) -> dict[str, Any]:
    plain_fields = ("id", "rule", "kind", "subject", "zone", "severity", "state", "count", "historical", "area")
    numbers, times = ("lon", "lat", "score"), ("raised_at", "first_seen", "last_seen", "acked_at")
    return {
        **{name: getattr(alert, name) for name in (*plain_fields, "acked_by")},
        **{name: value if isfinite(value := getattr(alert, name)) else None for name in numbers},
        **{name: _time(getattr(alert, name)) for name in times},
        "sentence": {"zh": alert.sentence.zh, "en": alert.sentence.en},
        "evidence": dict(alert.evidence),
    }


def _notice(notice: Notice) -> dict[str, Any]:
    plain_fields = ("id", "channel", "target", "via", "reason", "body", "severity", "attempts", "accepted", "error")
    times = ("created", "held_until", "sent_at", "failed_at", "acked_at")
    return {
        **{name: getattr(notice, name) for name in (*plain_fields, "digest")},
        **{name: _time(getattr(notice, name)) for name in times},
    }


def _feature(track: Track) -> dict[str, Any]:
    """A LineString, or what fewer than two points make, with the time of each point."""
    places = [list(place) for place in zip(track.lon.round(7).tolist(), track.lat.round(7).tolist(), strict=True)]
    geometry = None
    if places:
        several = {"type": "LineString", "coordinates": places}
        geometry = several if len(places) > 1 else {"type": "Point", "coordinates": places[0]}
    return {
        "type": "Feature",
        "geometry": geometry,
        "properties": {
            "device": track.span.terminal,
            "name": track.name,
            "name_en": track.name_en,
            "since": _time(track.span.since),
            "until": _time(track.span.until),
            "times": [_time(moment(at)) for at in track.at.tolist()],
        },
    }


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat(timespec="microseconds")


def _hash(told: Mapping[str, Any], name: str) -> bytes:
    return bytes.fromhex(told[name])
