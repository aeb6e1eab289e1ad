"""From what the store gives to the JSON that REST and the live stream share."""

from __future__ import annotations

import math
from codecs import getincrementaldecoder
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, SupportsFloat

import msgspec
import numpy as np

from alerts.alert import Alert
from alerts.case import Case
from alerts.notice import Notice
from console.models import AlertDetail, AlertEventOut, AlertOut, Position, RejectOut, Text
from console.models_cases import CaseOut, NoticeOut, PartOut
from devices.registry import Device
from devices.site import moment
from store.alert_events import AlertEvent
from store.rejects import PAYLOAD_LISTED, StoredReject


def number(value: SupportsFloat | None, digits: int) -> float | None:
    """Rounded; None for NaN and infinities, which JSON does not know."""
    return round(float(value), digits) if value is not None and math.isfinite(value) else None


def position(fix: np.void, device: Device) -> Position:
    """One row of dtype FIX. float4 columns are rounded to what they can mean."""
    return Position(
        device=device.code,
        at=moment(fix["at"]),
        received=moment(fix["received"]),
        lon=number(fix["lon"], 7),
        lat=number(fix["lat"], 7),
        speed=number(fix["speed"], 2),
        heading=number(fix["heading"], 1),
        accuracy=number(fix["accuracy"], 1),
        battery=number(fix["battery"], 1),
        flags=int(fix["flags"]),
    )


def alert_out(alert: Alert) -> AlertOut:
    """An alert without its evidence."""
    return AlertOut(**_alert_fields(alert))


def alert_page(alerts: Sequence[Alert], more: int | None, members: Mapping[int, int] | None = None) -> bytes:
    """The JSON of an :class:`AlertPage`, written at once: a page may have 500 alerts and is asked for all day.

    ``members`` are the sizes of groups in a list by groups; an alert of no group counts 1.
    """
    items = [
        {**_alert_fields(alert), "members": None if members is None else members.get(alert.group_id or 0, 1)}
        for alert in alerts
    ]
    return msgspec.json.encode({"items": items, "next": more})


def alert_detail(alert: Alert, events: Sequence[AlertEvent], *, with_evidence: bool) -> AlertDetail:
    """An alert with its events and evidence, or without the latter where that shows what may not be seen."""
    return AlertDetail(
        **_alert_fields(alert),
        events=[AlertEventOut.model_validate(event) for event in events],
        evidence=dict(alert.evidence) if with_evidence else None,
    )


_PLAIN = (
    *("id", "rule", "kind", "subject", "zone", "severity", "state", "historical", "raised_at", "first_seen"),
    *("last_seen", "count", "score", "area", "case_id", "acked_by", "acked_at", "armed_at", "escalated_at"),
    *("ending", "suppressed", "group_id", "merged_into"),
)


def _alert_fields(alert: Alert) -> dict[str, Any]:
    return {name: getattr(alert, name) for name in _PLAIN} | {
        "lon": number(alert.lon, 7),
        "lat": number(alert.lat, 7),
        "sentence": alert.sentence,
    }


def case_out(case: Case, owners: Mapping[int, str], now: datetime) -> CaseOut:
    """A case; ``owners`` are the names of accounts by id."""
    return CaseOut(
        id=case.id,
        number=case.number,
        category=case.category,
        title=Text(zh=case.title.zh, en=case.title.en),
        severity=case.severity,
        status=case.status,
        area=case.area,
        unit=case.unit,
        owner=owners.get(case.owner) if case.owner is not None else None,
        terminal=case.terminal,
        lon=number(case.lon, 7),
        lat=number(case.lat, 7),
        opened_at=case.opened_at,
        due_at=case.due_at,
        closed_at=case.closed_at,
        outcome=case.outcome,
        origin=case.origin,
        resolution=case.resolution,
        supervision=case.supervision,
        overdue_reason=case.overdue_reason,
        extension_asked=case.extension_asked,
        reopened=case.reopened,
        merged_into=case.merged_into,
        parts=[PartOut.model_validate(part) for part in case.parts],
        version=case.version,
        overdue=case.overdue(now),
    )


def notice_out(notice: Notice) -> NoticeOut:
    """A notice without body and address: those are the receiver's."""
    return NoticeOut.model_validate(notice)


def reject_out(reject: StoredReject) -> RejectOut:
    """A reject; what is no UTF-8 text is shown in hex. A payload cut for the list may end inside a character."""
    whole = len(reject.payload) != PAYLOAD_LISTED
    try:
        payload = getincrementaldecoder("utf-8")().decode(reject.payload, final=whole)
    except UnicodeDecodeError:
        payload = f"hex: {reject.payload.hex(' ')}"
    return RejectOut(**(reject._asdict() | {"payload": payload}))
