"""Whom to send: the nearest fit terminal by its last position. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from detectors.geo import distance
from devices.readings import SECOND, Flag, Rows
from devices.site import micros

FRESH: Final = 600.0  # seconds: where a terminal was longer ago says little about where it is
ARRIVED: Final = 60.0  # metres: so near counts as on the spot; a handset in the open errs by 5-20 m


@dataclass(frozen=True, slots=True)
class Choice:
    """A terminal that could be sent: how far away (metres), and how old its position is (seconds)."""

    device: int
    distance: float
    age: float


def ranked(
    positions: Rows,
    lon: float,
    lat: float,
    now: datetime,
    *,
    fit: Collection[int] | None = None,
    exclude: Collection[int] = (),
    fresh: float = FRESH,
) -> list[Choice]:
    """All that could be sent, the nearest first; of equally near ones the one with the newer position.

    ``positions`` are last fixes (dtype FIX, one a device). Left out: devices not in ``fit`` (where given) or in
    ``exclude``, those without a place, older than ``fresh`` seconds, and any that calls for help itself.
    """
    age = (micros(now) - positions["at"]) / SECOND
    usable = np.isfinite(positions["lon"]) & np.isfinite(positions["lat"]) & (age <= fresh)
    usable &= (positions["flags"] & int(Flag.SOS | Flag.NO_POSITION | Flag.MAN_DOWN)) == 0
    usable &= ~np.isin(positions["device"], np.fromiter(exclude, np.int64))
    if fit is not None:
        usable &= np.isin(positions["device"], np.fromiter(fit, np.int64))
    chosen, age = positions[usable], age[usable]
    away = distance(chosen["lon"], chosen["lat"], lon, lat)
    order = np.lexsort((chosen["device"], age, away))
    return [Choice(int(chosen["device"][n]), float(away[n]), max(0.0, float(age[n]))) for n in order]


def nearest(
    positions: Rows,
    lon: float,
    lat: float,
    now: datetime,
    exclude: Collection[int] = (),
    *,
    fit: Collection[int] | None = None,
    fresh: float = FRESH,
) -> Choice | None:
    """The first of :func:`ranked`; None when nobody can be sent."""
    return next(iter(ranked(positions, lon, lat, now, fit=fit, exclude=exclude, fresh=fresh)), None)
