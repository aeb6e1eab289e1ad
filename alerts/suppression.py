"""What keeps an alert from being told: silences, maintenance windows, and other alerts that make it superfluous. Pure.

A suppressed alert is recorded like any other and carries what keeps it silent and why; it opens no case, sends nothing
and its severity does not rise. When nothing keeps it silent any more and it still goes on, it is told. A call for help
of high severity is told whatever anybody has arranged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal

from alerts.case import Actor, Refused, check_note
from alerts.rules import Inhibitor, Rule, Severity
from detectors.base import Sentence
from devices.site import CHINA, Site

Suppressor = Literal["silence", "maintenance", "inhibition"]
MOST_SILENT: Final = timedelta(days=30)
WEEK: Final = timedelta(days=7)
_MAY: Final = ("operator", "supervisor", "admin")


@dataclass(frozen=True, slots=True)
class About:
    """What of an alert decides whether it is told."""

    id: int
    rule: str
    kind: str
    subject: str
    zone: str
    area: str | None
    severity: Severity


@dataclass(frozen=True, slots=True)
class Suppression:
    """What keeps an alert silent: a silence, a window or an alert, by its id; and in words."""

    by: Suppressor
    id: int
    reason: Sentence


@dataclass(frozen=True, slots=True)
class Silence:
    """One row of ``silences``: alerts that fit everything it names are not told. ``id`` is 0 before it is stored."""

    created_by: str
    created_at: datetime
    reason: str
    starts: datetime
    ends: datetime
    rule: str | None = None
    kind: str | None = None
    subject: str | None = None
    zone: str | None = None
    area: str | None = None  # this area and everything in it
    ended_by: str | None = None  # who ended it early
    ended_at: datetime | None = None
    id: int = 0

    def on(self, now: datetime) -> bool:
        """Whether it holds at this moment."""
        return self.starts <= now < (self.ended_at or self.ends)

    def fits(self, about: About, site: Site) -> bool:
        """Whether it names this alert."""
        wanted = ((self.rule, about.rule), (self.kind, about.kind), (self.subject, about.subject))
        return (
            all(want is None or want == value for want, value in (*wanted, (self.zone, about.zone)))
            and (self.area is None or self.area in site.lineage(about.area or ""))
        )  # fmt: skip

    def suppression(self) -> Suppression:
        """What it says of an alert."""
        until = _clock(self.ends)
        reason = Sentence(
            f"{self.created_by} 设置静默至 {until}：{self.reason}",
            f"silenced by {self.created_by} until {until}: {self.reason}",
        )
        return Suppression("silence", self.id, reason)


@dataclass(frozen=True, slots=True)
class Window:
    """One row of ``maintenance``: planned work on devices, in zones or areas, once or in every week."""

    created_by: str
    created_at: datetime
    reason: str
    starts: datetime
    ends: datetime  # of the first time
    devices: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    areas: tuple[str, ...] = ()  # these and everything in them
    weekly: bool = False
    repeats_until: datetime | None = None  # None: until it is ended
    ended_by: str | None = None
    ended_at: datetime | None = None
    id: int = 0

    def on(self, now: datetime) -> bool:
        """Whether there is work at this moment."""
        return self.until(now) is not None

    def until(self, now: datetime) -> datetime | None:
        """When the work that is going on now ends; None when there is none. China knows no summer time."""
        if now < self.starts or (self.ended_at is not None and now >= self.ended_at):
            return None
        if not self.weekly:
            return self.ends if now < self.ends else None
        begun = self.starts + (now - self.starts) // WEEK * WEEK
        if self.repeats_until is not None and begun > self.repeats_until:
            return None
        end = begun + (self.ends - self.starts)
        return end if now < end else None

    def over(self, now: datetime) -> bool:
        """Whether it will never be on again."""
        if self.ended_at is not None:
            return now >= self.ended_at
        if not self.weekly:
            return now >= self.ends
        return self.repeats_until is not None and now > self.repeats_until and not self.on(now)

    def fits(self, about: About, site: Site) -> bool:
        """Whether the alert is about what is worked on."""
        if about.subject in self.devices or about.zone in self.zones:
            return True
        return bool(self.areas) and not set(self.areas).isdisjoint(site.lineage(about.area or ""))

    def suppression(self, now: datetime) -> Suppression:
        """What it says of an alert."""
        until = _clock(self.until(now) or self.ends)
        reason = Sentence(f"计划检修至 {until}：{self.reason}", f"planned maintenance until {until}: {self.reason}")
        return Suppression("maintenance", self.id, reason)


def silence_asked(silence: Silence, actor: Actor, rules: Iterable[Rule]) -> Silence:
    """The silence, if it may be made.

    Raises:
        Refused: the role may not; it names nothing, gives no reason, is over, longer than :data:`MOST_SILENT`, or is
            meant for calls for help of high severity.
    """
    _check_asked(silence.reason, silence.starts, silence.ends, silence.created_at, actor)
    if silence.ends - max(silence.starts, silence.created_at) > MOST_SILENT:
        days = MOST_SILENT.days
        raise Refused(
            "wrong_value", f"静默最长 {days} 天；长期情况请修改规则", f"at most {days} days; for longer change the rule"
        )
    if not any((silence.rule, silence.kind, silence.subject, silence.zone, silence.area)):
        raise Refused(
            "missing",
            "请指定规则、类型、对象、围栏或辖区",
            "name a rule, kind, subject, zone or area to be silent about",
        )
    for rule in rules:
        if rule.detector == "sos" and rule.severity == "high" and (silence.rule == rule.code or silence.kind == "sos"):
            raise Refused("sos", f"“{rule.name}”是高等级求救，不能静默", f"{rule.name_en!r} is a call for help of high"
                          " severity: it cannot be silenced")  # fmt: skip
    return silence


def window_asked(window: Window, actor: Actor) -> Window:
    """The window, if it may be made. Raises Refused as :func:`silence_asked` does."""
    _check_asked(window.reason, window.starts, window.ends, window.created_at, actor, planned=window.weekly)
    if not (window.devices or window.zones or window.areas):
        raise Refused("missing", "请指定设备、围栏或辖区", "name devices, zones or areas that are worked on")
    if window.weekly and window.ends - window.starts >= WEEK:
        raise Refused("wrong_value", "每周重复的检修须短于一周", "what repeats every week must be shorter than a week")
    if window.repeats_until is not None and not window.weekly:
        raise Refused("wrong_value", "只有每周重复的检修才有重复截止时间", "only what repeats has an end of repeating")
    if window.repeats_until is not None and window.repeats_until < window.starts:
        raise Refused("wrong_value", "重复截止时间早于开始时间", "it ends repeating before it begins")
    return window


def may_end(kind: Literal["silence", "maintenance"], ended: datetime | None, over: bool, actor: Actor) -> None:
    """Raise Refused when the role may not end it early, or it is over."""
    zh, en = ("静默", "silence") if kind == "silence" else ("检修计划", "maintenance window")
    if actor.role not in _MAY:
        raise Refused("role", f"您的角色（{actor.role}）不能结束{zh}", f"the role {actor.role!r} may not end a {en}")
    if ended is not None or over:
        raise Refused("state", f"该{zh}已结束", f"this {en} is over")


def _check_asked(
    reason: str, starts: datetime, ends: datetime, now: datetime, actor: Actor, *, planned: bool = False
) -> None:
    if actor.role not in _MAY:
        raise Refused(
            "role", f"您的角色（{actor.role}）不能设置静默", f"the role {actor.role!r} may not silence alerts"
        )
    check_note(reason, needed=True)
    if ends <= starts:
        raise Refused("wrong_value", "结束时间须晚于开始时间", "it must end after it begins")
    if ends <= now and not planned:
        raise Refused("wrong_value", "结束时间已过", "its end is past")


@dataclass
class Arrangements:
    """Everything that may keep alerts silent at one moment. ``live`` are the alerts that may inhibit others."""

    site: Site
    now: datetime
    silences: tuple[Silence, ...] = ()
    windows: tuple[Window, ...] = ()
    live: tuple[About, ...] = ()
    _reach: dict[Inhibitor, dict[str, list[About]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.silences = tuple(s for s in self.silences if s.on(self.now))
        self.windows = tuple(w for w in self.windows if w.on(self.now))

    @property
    def idle(self) -> bool:
        """Whether nothing can be kept silent by them."""
        return not (self.silences or self.windows or self.live)

    def verdict(self, about: About, rule: Rule | None) -> Suppression | None:
        """What keeps the alert silent, the first of silence, maintenance and inhibition; None: it is told."""
        if about.kind == "sos" and about.severity == "high":
            return None
        for silence in self.silences:
            if silence.fits(about, self.site):
                return silence.suppression()
        for window in self.windows:
            if window.fits(about, self.site):
                return window.suppression(self.now)
        for inhibitor in rule.inhibited_by if rule else ():
            source = self._inhibiting(inhibitor, about)
            if source is not None:
                return _inhibition(source)
        return None

    def _inhibiting(self, inhibitor: Inhibitor, about: About) -> About | None:
        reach = self._reach.get(inhibitor)
        if reach is None:
            reach = self._reach[inhibitor] = self._sources(inhibitor)
        for key in self._keys(inhibitor, about):
            for source in reach.get(key, ()):
                if (source.rule, source.subject, source.zone) != (about.rule, about.subject, about.zone):
                    return source
        return None

    def _sources(self, inhibitor: Inhibitor) -> dict[str, list[About]]:
        """The inhibiting alerts by what they reach; two of each do, as an alert only never inhibits itself."""
        found: dict[str, list[About]] = {}
        for about in self.live:
            if about.rule == inhibitor.rule and inhibitor.subject in ("", about.subject):
                key = self._key(inhibitor, about)
                if key is not None and len(same := found.setdefault(key, [])) < 2:
                    same.append(about)
        return found

    def _keys(self, inhibitor: Inhibitor, about: About) -> list[str]:
        if inhibitor.same == "area":
            return self.site.lineage(about.area or "")
        key = self._key(inhibitor, about)
        return [] if key is None else [key]

    def _key(self, inhibitor: Inhibitor, about: About) -> str | None:
        """What two alerts must have in common; None where this one has nothing of the kind."""
        device = self.site.registry.resolve(about.subject) if inhibitor.same == "share" else None
        keys: Mapping[str, str | None] = {
            "site": "",
            "subject": about.subject,
            "zone": about.zone or None,
            "area": about.area,
            "share": device.share if device else None,
        }
        return keys[inhibitor.same]


def _inhibition(source: About) -> Suppression:
    reason = Sentence(
        f"预警 {source.id}（{source.rule}，{source.subject}）持续期间不再告知",
        f"not told while alert {source.id} ({source.rule}, {source.subject}) goes on",
    )
    return Suppression("inhibition", source.id, reason)


def inhibiting(rules: Iterable[Rule]) -> dict[str, tuple[str, ...]]:
    """The rules whose alerts may inhibit, each with the subjects that may; none named: all."""
    found: dict[str, set[str]] = {}
    for rule in rules:
        for inhibitor in rule.inhibited_by:
            found.setdefault(inhibitor.rule, set()).add(inhibitor.subject)
    return {rule: () if "" in subjects else tuple(sorted(subjects)) for rule, subjects in found.items()}


def _clock(at: datetime) -> str:
    return f"{at.astimezone(CHINA):%Y-%m-%d %H:%M}"
