"""Boats whose own fixes say that they fish where they must not: one glimpse for each boat and slot of event time.

A glimpse without a label says that the boat was there, but not fishing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np

from detectors.eyes import Eyes
from detectors.geo import Ids
from detectors.movement import STEP, Track, features, model
from detectors.own_people import PLACED, OwnPeople, other_boats, placed
from detectors.presence import Glimpse
from detectors.waiting import Waiting
from devices.readings import SECOND, Rows, joined_rows, rows

MOVEMENT: Final = "movement"
"""The label of such a glimpse, beside those that cameras give."""


class FishingBoats:
    """The last hour (``history`` s) of other people's boats, and what it shows in each slot of ``slot`` µs.

    A boat is judged once in a slot, at its newest fix in it, by what lies before that fix (see
    :mod:`detectors.movement`), if the fix lies in a zone whose season is on. One that has not moved farther than
    ``still`` m for half of its history lies at its berth.
    """

    def __init__(self, roles: tuple[str, ...], slot: int, history: float, still: float, eyes: Eyes) -> None:
        self._roles, self._slot, self._still = roles, slot, still
        self._history = max(int(history) // STEP, 1) * STEP
        self._slack = self._history * SECOND // 10  # so long the past may be too long, to be cut less often
        self._waiting = Waiting(rows(PLACED))
        self._past = rows(PLACED)  # of each boat in order of time
        self.move(eyes)

    def move(self, eyes: Eyes) -> None:
        """Take a changed site."""
        self._eyes, self._boats = eyes, other_boats(eyes.site, self._roles)

    def add(self, fixes: Rows) -> None:
        """Take fixes; those of others than boats cost one look-up."""
        device = fixes["device"]
        which = np.flatnonzero(self._boats[np.minimum(device, len(self._boats) - 1)] & (device < len(self._boats)))
        if len(which):
            which = which[np.isfinite(fixes["lon"][which]) & np.isfinite(fixes["lat"][which])]
            self._waiting.add(placed(fixes, which))

    def judged(self, frontier: int, own: OwnPeople) -> list[tuple[int, Glimpse]]:
        """The glimpses of all slots that are complete before ``frontier`` (UTC µs) and were not, with the end of their
        slot, in order."""
        complete = frontier // self._slot * self._slot
        due = self._waiting.take(complete)
        if not len(due):
            return []
        oldest = int(due["at"].min()) - self._history * SECOND
        if len(self._past) and int(self._past["at"][0]) < oldest - self._slack:
            self._past = self._past.compress(self._past["at"] >= oldest)
        self._past = joined_rows(due.dtype, [self._past, due]) if len(self._past) else due
        row, zone = self._offside(due, self._last_in_slot(due), own)
        return list(self._glimpses(due[row], zone)) if len(row) else []

    def _last_in_slot(self, due: Rows) -> Ids:
        """Of each boat and slot the newest fix, by slot and boat."""
        slot = due["at"] // self._slot
        order = np.lexsort((due["at"], due["device"], slot))
        last = np.append((np.diff(slot[order]) != 0) | (np.diff(due["device"][order]) != 0), True)
        return np.asarray(order[last])

    def _offside(self, due: Rows, which: Ids, own: OwnPeople) -> tuple[Ids, Ids]:
        """Of some fixes those in a zone whose season is on, without a permit and without our own beside them; and the
        zone, where zones overlap the first by code."""
        fix, zone = self._eyes.in_season(due["at"][which], *self._eyes.holding(due["lon"][which], due["lat"][which]))
        banned = ~own.free(due["device"][which[fix]], zone)
        fix, first = np.unique(fix[banned], return_index=True)
        row, zone = which[fix], zone[banned][first]
        alone = ~own.near(due["at"][row], due["lon"][row], due["lat"][row], zone)
        return row[alone], zone[alone]

    def _glimpses(self, fixes: Rows, zone: Ids) -> Iterator[tuple[int, Glimpse]]:
        past = self._past
        which = np.flatnonzero(np.isin(past["device"], fixes["device"]))
        device = past["device"][which].astype(np.int64)
        order = np.argsort(device, kind="stable")
        which = which[order]
        track = Track(device[order], past["at"][which], past["lon"][which], past["lat"][which]).once()
        found = features(track, track.find(fixes["device"], fixes["at"]), history=self._history)
        odds = model().log_odds(found)
        for i in np.flatnonzero(found["roamed"] > self._still).tolist():
            _, at, lon, lat = fixes[i].tolist()
            labels = (MOVEMENT,) if odds[i] > 0 else ()
            code, sure = self._eyes.zones[zone[i]].code, 1 / (1 + math.exp(-odds[i]))
            glimpse = Glimpse(code, int(fixes["device"][i]), "", True, lon, lat, at, at, labels, 1, sure, by_fix=True)
            yield (at // self._slot + 1) * self._slot, glimpse
