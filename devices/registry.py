"""The devices a site knows, and how an address in a message finds one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["terminal", "camera", "sensor", "vessel"]


@dataclass(frozen=True, slots=True)
class Device:
    """One registered device. ``id`` is dense and given by the database (0 while it comes from a file)."""

    code: str  # unique; the device segment of the own MQTT contract
    kind: Kind
    name: str
    name_en: str
    area: str  # its own (fine) area
    share: str  # the area segment of its topics: by it work is shared out among workers
    unit: str = ""
    role: str = ""  # terminals: patrol, police, boat
    interval: float = 0.0  # seconds between messages it promises; 0 = no promise
    lon: float = float("nan")  # where a fixed device stands
    lat: float = float("nan")
    aliases: tuple[str, ...] = ()  # addresses in other wire formats, e.g. "owntracks/zhang/phone"
    active: bool = True
    properties: Mapping[str, Any] = field(default_factory=dict)
    id: int = 0


class Registry:
    """Look-up by code, alias and id; and the columns that detectors index by device id. Immutable."""

    def __init__(self, devices: Iterable[Device]) -> None:
        self.devices: tuple[Device, ...] = tuple(devices)
        self._by_id = {d.id: d for d in self.devices}
        self._by_address: dict[str, Device] = {}
        for d in self.devices:
            for address in (d.code, *d.aliases):
                other = self._by_address.setdefault(address, d)
                if other is not d:
                    raise ValueError(f"address {address!r} belongs to both {other.code} and {d.code}: make it unique")
        self.size = max(self._by_id, default=0) + 1
        self.interval: NDArray[np.float64] = np.zeros(self.size)
        self.lon: NDArray[np.float64] = np.full(self.size, np.nan)
        self.lat: NDArray[np.float64] = np.full(self.size, np.nan)
        for d in self.devices:
            self.interval[d.id], self.lon[d.id], self.lat[d.id] = d.interval, d.lon, d.lat

    def resolve(self, address: str) -> Device | None:
        """The device with this code or alias; None when unknown."""
        return self._by_address.get(address)

    def by_id(self, device: int) -> Device:
        """The device with this id. Raises KeyError when there is none."""
        return self._by_id[int(device)]
