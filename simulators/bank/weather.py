"""The weather of one world: what it does to receivers, cameras, the network and the water."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final, Literal

Sky = Literal["clear", "fog", "rain", "wind"]
SKIES: Final[tuple[Sky, ...]] = ("clear", "clear", "fog", "rain", "wind")


@dataclass(frozen=True, slots=True)
class Weather:
    """Factors and rates; 1 and 0 on a clear day."""

    sky: Sky = "clear"
    noise: float = 1.0  # of the receivers' position error
    haze: float = 0.0  # extinction over a camera's range: of what is as far as that, exp(-haze) is still made out
    shake: float = 1.0  # of the error of the places that cameras give
    waves: float = 1.0  # of the noise in what a gauge on the lake measures
    drops: float = 0.0  # per hour: short breaks of one terminal's network


def weather(draw: random.Random) -> Weather:
    """One day's weather by lot."""
    sky = draw.choice(SKIES)
    drops = draw.uniform(0.0, 0.6)
    if sky == "fog":
        return Weather(sky, noise=draw.uniform(1.0, 1.2), haze=draw.uniform(0.5, 2.0), drops=drops)
    if sky == "rain":
        return Weather(
            sky,
            noise=draw.uniform(1.2, 1.8),
            haze=draw.uniform(0.2, 0.8),
            waves=draw.uniform(1.0, 2.0),
            drops=2 * drops,
        )
    if sky == "wind":
        return Weather(sky, shake=draw.uniform(1.3, 2.0), waves=draw.uniform(1.5, 3.5), drops=drops)
    return Weather(drops=drops)
