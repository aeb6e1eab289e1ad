"""A bank of compact, labelled worlds, each a pure function of a site, a chapter and a seed.

The lake world (:class:`simulators.world.World`) is one lively place in which orders are obeyed. Here everything is told
beforehand instead, as journeys and what befalls them, so that hours and days cost little and every happening is
labelled exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from devices.site_folder import SiteFolder
from simulators.bank.fence import fence
from simulators.bank.forgery import forgery, yesterday
from simulators.bank.gauges import flood, gauges
from simulators.bank.help import help_called
from simulators.bank.radio import radio
from simulators.bank.rhythm import rhythm
from simulators.bank.rounds import rounds_day
from simulators.bank.shore import shore
from simulators.bank.square import square, weeks
from simulators.bank.stage import Played
from simulators.bank.water import water

CHAPTERS: Final[Mapping[str, Callable[[SiteFolder, int], Played]]] = {
    "fence": fence,
    "flood": flood,
    "forgery": forgery,
    "gauges": gauges,
    "help": help_called,
    "radio": radio,
    "rhythm": rhythm,
    "rounds": rounds_day,
    "shore": shore,
    "square": square,
    "water": water,
    "weeks": weeks,
    "yesterday": yesterday,
}


class UnknownChapter(ValueError):
    """There is no chapter of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"unknown chapter {name!r}: expected one of {', '.join(sorted(CHAPTERS))}")


def bank_world(folder: SiteFolder, chapter: str, seed: int) -> Played:
    """One world of the bank.

    Raises:
        UnknownChapter: no chapter of this name.
    """
    if chapter not in CHAPTERS:
        raise UnknownChapter(chapter)
    return CHAPTERS[chapter](folder, seed)
