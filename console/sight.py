"""What one account may see: its area with those below, its unit's cases, and no officer's place without need.

An officer's position or track is shown only where role and area need it (docs/DESIGN "People's rights"): to operators
and above inside their area, to a unit for its own people and those in its area, never to a viewer. A grid worker sees
nothing here: what is his own he is given by :mod:`console.api.reports`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from devices.registry import Device
from devices.site import Site


@dataclass(frozen=True, slots=True)
class Sight:
    """The limits of one account on one site."""

    role: str
    unit: str | None
    areas: frozenset[str] | None  # None: everywhere

    @property
    def own_unit(self) -> str | None:
        """The unit to whose cases this account is limited; None: no such limit. "" can match no unit."""
        return (self.unit or "") if self.role == "unit" else None

    def area(self, code: str | None) -> bool:
        """Whether something in this area may be seen. What belongs to no area is for those without a limit."""
        return self.role != "grid" and (self.areas is None or code in self.areas)

    def device(self, device: Device | None) -> bool:
        """Whether this device, its position and its track may be seen. One that nobody knows (None) may be anybody's,
        so it is for the desk without a limit."""
        if device is None:
            return self._whole_desk()
        if device.kind not in ("terminal", "vessel"):
            return self.area(device.area)
        if self.role == "viewer":
            return False
        if self.role == "unit":
            return (bool(self.unit) and device.unit == self.unit) or (self.areas is not None and self.area(device.area))
        return self.area(device.area)

    def case(self, area: str | None, unit: str | None, called: Collection[str] = ()) -> bool:
        """Whether a case in this area, of this unit, to which others are ``called`` with a part, may be seen."""
        if self.own_unit is not None:
            return unit == self.own_unit or self.own_unit in called
        return self.area(area)

    def alert(self, area: str | None, case_unit: str | None, called: Collection[str] = ()) -> bool:
        """Whether an alert in this area, whose case (if any) is with this unit and those ``called``, may be seen.

        A unit sees the alerts of the cases it works on, and those in its area if it is given one.
        """
        if self.own_unit is not None:
            worked_on = case_unit == self.own_unit or self.own_unit in called
            return worked_on or (self.areas is not None and self.area(area))
        return self.area(area)

    def rejects(self) -> bool:
        """Whether rejected messages may be seen: they belong to no certain area, so only without a limit."""
        return self._whole_desk()

    def _whole_desk(self) -> bool:
        return self.role in ("operator", "supervisor", "admin") and self.areas is None


def sight_of(role: str, unit: str | None, area: str | None, site: Site) -> Sight:
    """The limits of an account. An area that the site no longer knows shows nothing, rather than everything."""
    areas = None if area is None else frozenset(code for code in site.areas if area in site.lineage(code))
    return Sight(role, unit, areas)
