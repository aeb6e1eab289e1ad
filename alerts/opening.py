"""What a new case says: its title, its area, its unit and its deadline. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import shapely

from alerts.alert import Alert
from alerts.case import Case, Origin, Refused, check_note
from alerts.categories import Limit
from alerts.deadline import Due, reckon
from alerts.duty import DutyMatrix, Resolved
from alerts.rules import SEVERITIES, Rule, Severity
from detectors.base import Sentence
from devices.site import CHINA, Site, Zone

MOST_TITLE: Final = 200  # characters


@dataclass(frozen=True, slots=True)
class Grounds:
    """Why a new case is due when it is, and belongs to whom it does."""

    due: Due
    limit: Limit
    resolved: Resolved | None  # None: ownership unclear

    def recorded(self) -> dict[str, Any]:
        """What the case's first entry says of it, for good: the matrix may change later."""
        duty = None if self.resolved is None else list(self.resolved.duty)
        return {
            "deadline": self.limit.deadline,
            "deadline_by": self.limit.by,
            "guessed_years": list(self.due.guessed_years),
            "duty": duty,
            "duty_by": self.resolved.how if self.resolved else "nobody",
        }


def area_of(site: Site, zone: str, subject: str) -> str | None:
    """The zone's area, else that of the device the subject names; None when neither is known."""
    if zone in site.zones:
        area = site.zones[zone].area
    else:
        device = site.registry.resolve(subject)
        area = device.area if device else ""
    return area if area in site.areas else None


def area_at(site: Site, lon: float | None, lat: float | None) -> str | None:
    """The finest area of the zones that hold the place; None outside all zones: areas themselves have no outline."""
    if lon is None or lat is None:
        return None
    point = shapely.Point(lon, lat)
    holding = [zone.area for zone in site.zones.values() if zone.geometry.intersects(point) and zone.area in site.areas]
    return max(sorted(holding), key=lambda area: len(site.lineage(area)), default=None)


def case_from(
    alert: Alert, rule: Rule, *, site: Site, duty: DutyMatrix, number: str, now: datetime
) -> tuple[Case, Grounds]:
    """The case that a rule opens for an alert, and why it is due then and whose it is."""
    limit = duty.categories.limit(rule.category, alert.severity, rule.deadline)
    resolved = duty.resolve(rule.category, alert.area, site)
    due = reckon(now, limit.deadline)
    placed = math.isfinite(alert.lon) and math.isfinite(alert.lat)
    case = Case(
        number=number,
        category=rule.category,
        title=title_of(alert, rule, site),
        severity=alert.severity,
        status="opened",
        area=alert.area,
        unit=resolved.duty.unit if resolved else None,
        opened_at=now,
        due_at=due.at,
        lon=alert.lon if placed else None,
        lat=alert.lat if placed else None,
        origin="alert",
    )
    return case, Grounds(due, limit, resolved)


def case_reported(
    *,
    number: str,
    category: str,
    title: str | Sentence,
    severity: Severity,
    place: tuple[float, float] | None,
    site: Site,
    duty: DutyMatrix,
    owner: int | None,
    now: datetime,
    origin: Origin = "desk",
    home: str | None = None,
) -> tuple[Case, Grounds]:
    """The case of a person's report. A title in the reporter's own words stands in both languages.

    ``home`` is the reporter's own area, where the case is when no zone holds its place.

    Raises:
        Refused: the category or title is missing or too long, the severity unknown, or the place not on earth.
    """
    words = title if isinstance(title, Sentence) else Sentence(title, title)
    for text in (words.zh, words.en):
        _check_report(category, text, severity, place)
    limit = duty.categories.limit(category, severity)
    due = reckon(now, limit.deadline)
    lon, lat = place or (None, None)
    area = area_at(site, lon, lat) or (home if home in site.areas else None)
    resolved = duty.resolve(category, area, site)
    case = Case(
        number=number,
        category=category,
        title=words,
        severity=severity,
        status="reported",
        area=area,
        unit=resolved.duty.unit if resolved else None,
        opened_at=now,
        due_at=due.at,
        owner=owner,
        lon=lon,
        lat=lat,
        origin=origin,
    )
    return case, Grounds(due, limit, resolved)


def _check_report(category: str, title: str, severity: str, place: tuple[float, float] | None) -> None:
    for text, zh, en in ((category, "事项类别", "category"), (title, "标题", "title")):
        check_note(text, needed=False)
        if not text.strip():
            raise Refused("missing", f"请填写{zh}", f"a {en} is needed")
        if len(text) > MOST_TITLE:
            raise Refused("too_long", f"{zh}最多 {MOST_TITLE} 字", f"the {en} may have at most {MOST_TITLE} characters")
    if severity not in SEVERITIES:
        raise Refused(
            "wrong_value", f"风险等级“{severity}”不存在", f"severity {severity!r}: expected low, medium or high"
        )
    if place is not None and not (-180 <= place[0] <= 180 and -90 <= place[1] <= 90):
        raise Refused(
            "wrong_value", f"位置 {place} 不正确", f"place {place}: expected degrees of longitude and latitude"
        )


def title_of(alert: Alert, rule: Rule, site: Site) -> Sentence:
    """The rule's name and where: the zone's name, else the device's, else the subject as it is."""
    zone: Zone | None = site.zones.get(alert.zone)
    device = site.registry.resolve(alert.subject)
    if zone is not None:
        return Sentence(f"{rule.name}：{zone.name}", f"{rule.name_en}: {zone.name_en}")
    if device is not None:
        return Sentence(f"{rule.name}：{device.name}", f"{rule.name_en}: {device.name_en}")
    return Sentence(f"{rule.name}：{alert.subject}", f"{rule.name_en}: {alert.subject}")


def case_number(day: datetime, counted: int) -> str:
    """PG-YYYYMMDD-NNNN, the day in site time.

    >>> from datetime import UTC
    >>> case_number(datetime(2026, 11, 22, 16, 30, tzinfo=UTC), 7)
    'PG-20261123-0007'
    """
    return f"PG-{day.astimezone(CHINA):%Y%m%d}-{counted:04d}"
