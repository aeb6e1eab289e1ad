"""Visits corrected by late fixes: the stretch is folded again, and what is stored becomes what that shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from detectors.visits import State, Visit, Visits
from devices.readings import SECOND, Rows
from devices.site import Site


class Correction(NamedTuple):
    """``told``: the visits that are new or other than stored; ``struck``: those that never took place."""

    told: list[Visit]
    struck: list[Visit]


class Refolded(NamedTuple):
    """What late fixes change, in the store and for the live fold (see :meth:`Visits.adopt`)."""

    correction: Correction
    state: State  # after the stretch
    present: set[int]  # the devices (ids) that have sent nothing after it
    begun: list[Visit]  # of the others, what still lasts and was entered at another time than stored


def refold(
    visits: Visits,
    site: Site,
    stored: Sequence[Visit],
    before: Rows,
    fixes: Rows,
    newest: Mapping[int, int],
    stretch: tuple[int, int],
) -> Refolded:
    """Fold all fixes of some devices over a stretch (UTC µs) that holds late ones.

    It must begin :attr:`Visits.memory` before the first late fix and end twice that after the last: then the visits
    beyond it are what they would have been anyway. ``stored`` are the devices' visits that lie in it, in part at least;
    ``before`` (of dtype FIX) are their last fixes before it; ``fixes`` are in order of time, late ones and of each
    device the first after the stretch included; ``newest`` says of each device how far the live fold has come.
    """
    since, until = stretch
    fixes = fixes[fixes["at"] <= np.array([newest.get(int(device), 0) for device in fixes["device"]], np.int64)]
    last = {int(fix["device"]): int(fix["at"]) for fix in fixes}
    stored = [visit for visit in stored if visit.device in last]
    state = visits.start(site, stored, since, before)
    there = [v._replace(left=None) for v in stored if v.entered <= since and (v.left is None or v.left > since)]
    account = there + visits.step(state, fixes, site)
    gone_on = {device: at for device, at in last.items() if at < newest.get(device, at)}
    correction = compare(stored, account, gone_on, until - int(visits.memory * SECOND))
    begun = [visit for visit in correction.told if visit.left is None and visit.device in gone_on]
    return Refolded(correction, state, set(last) - set(gone_on), begun)


def compare(
    stored: Sequence[Visit], folded: Iterable[Visit], gone_on: Mapping[int, int], sure_until: int
) -> Correction:
    """What is stored against a fold's whole account of the same stretch.

    ``gone_on`` names the devices that sent more after the stretch, with their last fix (UTC µs) in it. From
    ``sure_until`` (UTC µs) on their visits are as stored. One that the fold leaves open ended as the stored one that
    lasted until then; without such, the pause that follows ended it.
    """
    known = {_key(visit): visit for visit in stored}
    account = {_key(visit): visit for visit in folded}  # of several accounts of one visit the last
    for key, visit in account.items():
        if visit.left is None and visit.device in gone_on:
            account[key] = visit._replace(left=_ending(stored, visit, gone_on[visit.device], sure_until))
    told = [visit for key, visit in sorted(account.items()) if known.get(key) != visit]
    struck = [visit for key, visit in sorted(known.items()) if key not in account]
    return Correction(told, [v for v in struck if v.device not in gone_on or v.entered <= sure_until])


def _ending(stored: Sequence[Visit], visit: Visit, last: int, sure_until: int) -> int | None:
    """When a visit ended that the fold leaves open: as the stored one that lasted into what cannot have changed."""
    for other in stored:
        lasted = other.entered <= last and (other.left is None or other.left > sure_until)
        if lasted and (other.device, other.zone) == (visit.device, visit.zone):
            return other.left
    return last


def _key(visit: Visit) -> tuple[int, str, int]:
    return visit.device, visit.zone, visit.entered
