"""The limits of one sensor: its own, in the properties of the device, else those of the rule."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from devices.registry import Device

NAMES: Final = ("normal", "warn", "alarm", "low_warn", "low_alarm", "rise")
"""What a device's properties may give, in the unit of its quantity (``rise``: per hour)."""
MARGIN: Final = 0.01  # of a limit: how far below it a value must be to be over, where nothing usual is known


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on one quantity of one device is wrong; NaN where there is no such limit. ``rise`` is per hour."""

    normal: float = math.nan
    warn: float = math.nan
    alarm: float = math.nan
    low_warn: float = math.nan
    low_alarm: float = math.nan
    rise: float = math.nan

    def margin(self, limit: float, share: float) -> float:
        """How far a value must have come back from a limit: a share of what lies between it and the usual level."""
        return share * abs(limit - self.normal) if math.isfinite(self.normal) else MARGIN * abs(limit)

    @property
    def matters(self) -> float:
        """The least deviation that anybody would look at: a twentieth of the way to the warning; 0: unknown."""
        return 0.05 * abs(self.warn - self.normal) if math.isfinite(self.warn + self.normal) else 0.0


def limits_of(device: Device, quantity: str, rule: Mapping[str, float], over: tuple[float, float]) -> Limits:
    """A device's limits for a quantity.

    Its properties come first: ``limits`` (by quantity), then the plain ones, which are for its ``quantity`` if it has
    one. ``rule`` holds the rule's (of :data:`NAMES`; 0 is none); ``over`` are warning and alarm above the usual level,
    for devices that have one and no limit of their own. What is no number is no limit.
    """
    table, measured = device.properties.get("limits"), device.properties.get("quantity", quantity)
    own = table.get(quantity) if isinstance(table, Mapping) else None
    given: Mapping[str, Any] = own if isinstance(own, Mapping) else device.properties if measured == quantity else {}
    found = {name: _number(given.get(name)) for name in NAMES}
    if math.isfinite(found["normal"]) and not math.isfinite(found["warn"]):
        for name, above in zip(("warn", "alarm"), over, strict=True):
            if above > 0 and not math.isfinite(found[name]):
                found[name] = found["normal"] + above
    for name in NAMES:
        if not math.isfinite(found[name]) and rule.get(name, 0.0) != 0.0:
            found[name] = rule[name]
    return Limits(**found)


def _number(value: object) -> float:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if plain else math.nan  # type: ignore[arg-type]  # just looked
