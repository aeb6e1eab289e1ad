"""What is said of crowds: one sentence for each thing that a place is too full by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from detectors.base import Sentence
from detectors.wording import clock, span
from devices.readings import SECOND
from devices.site import Zone


class Told(NamedTuple):
    """One finding about one zone: against what, since when and as of when (UTC µs), for how long at least."""

    against: str
    since: int
    until: int
    at_least: bool
    limit_s: float  # seconds it had to last
    by: Sentence  # the cameras
    numbers: Mapping[str, float]


def sentence(zone: Zone, told: Told) -> Sentence:
    """What an officer reads."""
    lasted, most, begun = span((told.until - told.since) / SECOND), span(told.limit_s), clock(told.since)
    said = _SENTENCES[told.against](zone, told.numbers)
    return Sentence(
        f"{zone.name}：{said.zh}，{begun.zh}起已持续{'至少' if told.at_least else ''}{lasted.zh}"
        f"（阈值{most.zh}），由{told.by.zh}统计。",
        f"{zone.name_en}: {said.en} for {'at least ' if told.at_least else ''}{lasted.en} since {begun.en}"
        f" (limit {most.en}), counted by {told.by.en}.",
    )


def ended(zone: Zone, told: Told) -> Sentence:
    """What an officer reads when it is over."""
    n, lasted, begun = told.numbers, span((told.until - told.since) / SECOND), clock(told.since)
    least = Sentence("至少" if told.at_least else "", "at least " if told.at_least else "")
    return Sentence(
        f"{zone.name}：人群已回落到约{n['people']:.0f}人，{begun.zh}起的聚集结束，历时{least.zh}{lasted.zh}，"
        f"由{told.by.zh}统计。",
        f"{zone.name_en}: down to about {n['people']:.0f} people, the crowd since {begun.en} is over after"
        f" {least.en}{lasted.en}, counted by {told.by.en}.",
    )


def _reached(is_now: bool) -> Sentence:
    """How the limit stands to a place that is too full until enough people have left."""
    return Sentence("达到", "") if is_now else Sentence("尚未散去，曾达到", "still ")


def _capacity(zone: Zone, n: Mapping[str, float]) -> Sentence:
    most = n["limit_load"] * zone.capacity
    reached = _reached(n["people"] >= most)
    return Sentence(
        f"约{n['people']:.0f}人，{reached.zh}上限{most:.0f}人（容量{zone.capacity}人）",
        f"{reached.en}about {n['people']:.0f} people (limit {most:.0f}, capacity {zone.capacity})",
    )


def _density(zone: Zone, n: Mapping[str, float]) -> Sentence:
    density, limit = f"{n['density_per_m2']:.2g}", f"{n['limit_density']:g}"
    reached = _reached(n["density_per_m2"] >= n["limit_density"])
    return Sentence(
        f"约{n['people']:.0f}人，平均每平方米{density}人，{reached.zh}阈值每平方米{limit}人，有拥挤踩踏危险",
        f"{reached.en}about {n['people']:.0f} people, {density} per square metre on average"
        f" (limit {limit}: danger of a crush),",
    )


def _growth(zone: Zone, n: Mapping[str, float]) -> Sentence:
    before, within = n["people"] - n["grown_by"], span(n["grown_within_s"])
    limit = f"{n['limit_grown_by']:.0f}"
    return Sentence(
        f"人员快速涌入，{within.zh}内由约{before:.0f}人增至约{n['people']:.0f}人（阈值增加{limit}人）",
        f"people pour in, from about {before:.0f} to about {n['people']:.0f} within {within.en} (limit {limit} more)",
    )


def _usual(zone: Zone, n: Mapping[str, float]) -> Sentence:
    return Sentence(
        f"约{n['people']:.0f}人，每周此时通常约{n['usual_people']:.0f}人，偏离{n['sigmas']:.0f}倍标准差"
        f"（阈值{n['limit_sigmas']:g}倍）",
        f"about {n['people']:.0f} people, {n['sigmas']:.0f} spreads above the {n['usual_people']:.0f} usual at this"
        f" hour of the week (limit {n['limit_sigmas']:g}),",
    )


_SENTENCES: Final = {"capacity": _capacity, "density": _density, "growth": _growth, "usual": _usual}
