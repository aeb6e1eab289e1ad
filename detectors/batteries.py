"""Batteries that will be empty soon, by their charge and by how fast it falls."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.listening import Listening
from devices.readings import SECOND

FALLEN: Final = 2.0  # percent since the beginning of the trend, from which there is one
RISEN: Final = 1.0  # percent above the lowest of the block: it is being charged
HALF: Final = 50.0  # percent, above which no trend alarms anybody


def emptying(
    state: Listening, beat: int, block: int, heard: int, low: float, within: float
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Who is to be told at a beat: heard of within the last ``heard`` µs, charged ``low`` percent or less or empty
    ``within`` s, and not rising. And for every device the seconds until it is empty, NaN where there is no trend.

    The trend is that since the end of the ``block`` (µs) before the last one: half an hour to a whole one.
    """
    devices = state.devices
    fresh = (devices["since"] > beat - 2 * block) & (devices["received"] > beat - heard) & ~devices["off"]
    rises = devices["battery"] > np.fmin(devices["lowest"], devices["block"]) + RISEN
    fallen = devices["earlier"] - devices["battery"]
    elapsed = (beat % block + block) / SECOND
    left = np.full(len(devices), np.nan)
    np.divide(devices["battery"] * elapsed, fallen, out=left, where=fallen >= FALLEN)
    soon = (left <= within) & (devices["battery"] <= HALF)
    return np.flatnonzero(fresh & ~rises & ((devices["battery"] <= low) | soon)), left
