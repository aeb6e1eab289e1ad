"""One whole case, made by hand: a site, a chain of entries, an alert, notices, a track, pictures."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import shapely
from PIL import Image

from alerts.alert import Alert
from alerts.case import Case, Entry, difference, recorded
from alerts.case_file import CaseFile, LedgerLine, Span, Track, photos_of
from alerts.categories import Categories
from alerts.evidence import START, entry_hash, ledger_hash, plain
from alerts.notice import Notice, both
from detectors.base import Sentence
from devices.registry import Device, Registry
from devices.site import Area, Site, Unit, Zone, micros

LAKE = "320118100000"
OPENED = datetime(2026, 6, 6, 11, 42, 11, 250_000, tzinfo=UTC)


def after(minutes: float) -> datetime:
    return OPENED + timedelta(minutes=minutes)


def picture(colour: tuple[int, int, int], size: tuple[int, int], kind: str = "JPEG") -> bytes:
    written = io.BytesIO()
    Image.new("RGBA" if kind == "PNG" else "RGB", size, colour).save(written, kind)
    return written.getvalue()


PICTURES = {
    hashlib.sha256(content).hexdigest(): (content, kind, size)
    for content, kind, size in (
        (picture((90, 130, 150), (320, 240)), "image/jpeg", (320, 240)),
        (picture((10, 200, 10), (60, 200), "PNG"), "image/png", (60, 200)),
    )
}


class Writing:
    """A case as it is written, entry by entry."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.entries: list[Entry] = []
        self.ledger: list[LedgerLine] = []
        self._prev, self._head = START, hashlib.sha256(b"the line before").digest()

    def add(self, minute: float, actor: str, action: str, note: str = "", **data: Any) -> None:
        content, seq = plain(data), len(self.entries) + 1
        hashed = entry_hash(
            prev_hash=self._prev,
            case_id=self.case.id,
            seq=seq,
            at=after(minute),
            actor=actor,
            action=action,
            note=note,
            data=content,
        )
        self.entries.append(Entry(self.case.id, seq, after(minute), actor, action, note, content, self._prev, hashed))
        line = ledger_hash(self._head, hashed)
        self.ledger.append(LedgerLine(40 + 3 * seq, seq, self._head, hashed, line))
        self._prev, self._head = hashed, hashlib.sha256(line).digest()  # other cases have lines between

    def step(self, minute: float, actor: str, action: str, note: str = "", more: Any = None, **changes: Any) -> None:
        changed = replace(self.case, version=self.case.version + 1, **changes)
        self.add(minute, actor, action, note, set=difference(self.case, changed), **(more or {}))
        self.case = changed


def written() -> Writing:
    case = Case(
        number="PG-20260606-0007",
        category="fishing",
        title=Sentence("禁渔区垂钓：北岸", "Fishing in a ban zone: north shore"),
        severity="medium",
        status="opened",
        area=LAKE,
        unit="fishery",
        opened_at=OPENED,
        due_at=after(120),
        lon=118.88,
        lat=31.47,
        origin="alert",
        id=7,
    )
    book = Writing(case)
    told = {"zh": "看到 2 人垂钓", "en": "2 people angling"}
    book.add(0, "system", "raise", "看到 2 人垂钓 / 2 people angling", set=recorded(case), alert=31, **told)
    book.step(1, "system", "dispatch", more={"zh": "派遣 T1", "en": "sent T1"}, status="dispatched", terminal="T1")
    book.step(14, "system", "arrive", more={"zh": "到达现场", "en": "arrived"}, status="handling")
    shots = [
        {"sha256": name, "type": kind, "bytes": len(content), "width": size[0], "height": size[1]}
        for name, (content, kind, size) in PICTURES.items()
    ]
    book.add(20, "wang", "note", "两名垂钓人员，已劝离。船主李㛃，证号😀", attachments=shots)
    book.step(95, "fishery01", "feedback", "人已撤离", status="fed_back", resolution="followed_up")
    book.step(130, "zhang", "verify", "电话回访", status="verified")
    book.step(131, "zhang", "close", status="closed", outcome="劝离并登记", closed_at=after(131))
    book.add(200, "wang", "exported", "导出事件卷宗 / exported the case file", tracks=[])
    return book


@pytest.fixture(scope="session")
def case_file() -> CaseFile:
    """The whole of it."""
    book = written()
    device = Device("T1", "terminal", "巡护1号", "Patrol 1", LAKE, LAKE, role="patrol", id=1)
    zones = [
        Zone("ban", "no_fishing", "北岸禁渔区", "North shore", LAKE, shapely.box(118.86, 31.46, 118.90, 31.48)),
        Zone("way", "patrol", "巡护线", "Way", LAKE, shapely.LineString([(118.87, 31.46), (118.89, 31.475)])),
    ]
    site = Site(
        [Area(LAKE, "湖滨街道", "Lakeside", "street")],
        zones,
        [Unit("fishery", "渔政队", "Fishery", LAKE)],
        Registry([device]),
        "测试县",
        "Test county",
    )
    at = np.array([micros(after(1 + n)) for n in range(90) if not 30 < n < 40], np.int64)
    track = Track(
        Span("T1", after(1), after(95)),
        "巡护1号",
        "Patrol 1",
        at,
        np.linspace(118.889, 118.8801, len(at)),
        np.linspace(31.464, 31.4701, len(at)),
    )
    seen, sentence = after(-6), Sentence("看到 2 人垂钓", "2 people angling")
    alert = Alert(
        rule="fishing_ban",
        kind="fishing_ban",
        subject="C1",
        zone="ban",
        severity="medium",
        state="cleared",
        historical=False,
        episode=seen,
        raised_at=OPENED,
        first_seen=seen,
        last_seen=after(12),
        count=9,
        lon=118.8808,
        lat=31.4703,
        score=float("nan"),
        sentence=sentence,
        evidence={"numbers": {"people": 2}},
        id=31,
        case_id=7,
    )
    body = both(("题", "文"), ("t", "x"))
    notices = [
        Notice(
            1, 7, "terminal", "T1", "派遣 / dispatch", {}, 1, "", after(1), after(1), acked_at=after(2), accepted=True
        ),
        Notice(2, 7, "apprise", "fishery", "立案 / opened", body, 1, "", OPENED, after(1), via="值班群", digest=9),
        Notice(3, 7, "apprise", "@wang", "督办 / supervised", body, 12, "", OPENED, None, after(9), error="410"),
    ]
    entries = book.entries
    return CaseFile(
        case=book.case,
        entries=entries,
        ledger=book.ledger,
        alerts=[alert],
        notices=notices,
        tracks=[track],
        photos=photos_of(entries),
        site=site,
        categories=Categories([]),
        exported_at=after(200),
        exported_by="wang",
        rules={"fishing_ban": Sentence("禁渔区违规垂钓", "Angling in a ban zone")},
        left_out=(("终端 T9 的轨迹", "the track of terminal T9"),),
    )


@pytest.fixture(scope="session")
def read_picture() -> Callable[[Any], bytes]:
    return lambda photo: PICTURES[photo.sha256][0]


@pytest.fixture
def writing() -> Callable[[], Writing]:
    """The same case anew, to be written otherwise."""
    return written
