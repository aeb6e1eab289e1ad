"""What is said of people and boats that stay in a ban zone."""

from __future__ import annotations

from typing import NamedTuple

from detectors.base import Sentence
from detectors.fishing_boats import MOVEMENT
from detectors.wording import clock, device_names, labelled, span
from devices.site import Site, Zone


class Seen(NamedTuple):
    """One presence: since when (UTC µs), for how long and against what limit (s), what of it was seen, and by whom."""

    since: int
    stayed: float
    limit: float
    at_least: bool
    labels: tuple[str, ...]
    bare: bool  # people without gear
    cameras: tuple[int, ...]  # ids, the one that saw most first
    vessel: int  # id of the boat whose own fixes are part of it, or -1


def sentence(site: Site, zone: Zone, seen: Seen) -> Sentence:
    """What an officer reads."""
    known = MOVEMENT in seen.labels  # then the boat is named already
    things = labelled(label for label in seen.labels if not (known and label == "boat"))
    since, stay, most = clock(seen.since), span(seen.stayed), span(seen.limit)
    by = [Sentence("", "")]
    if seen.cameras:
        names = device_names(site, seen.cameras)
        by.append(Sentence(f"，由{names.zh}看到", f", seen by {names.en}"))
    if seen.vessel >= 0:
        boat = device_names(site, [seen.vessel])
        by.append(Sentence(f"，据{boat.zh}的定位轨迹", f", by the track of {boat.en}"))
    return Sentence(
        f"{zone.name}：{since.zh}起发现{things.zh}{'，未见渔具' if seen.bare else ''}，"
        f"停留{'至少' if seen.at_least else ''}{stay.zh}（阈值{most.zh}）{''.join(b.zh for b in by)}。",
        f"{zone.name_en}: {things.en} since {since.en}{', no gear seen' if seen.bare else ''}, there for"
        f" {'at least ' if seen.at_least else ''}{stay.en} (limit {most.en}){''.join(b.en for b in by)}.",
    )
