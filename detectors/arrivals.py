"""Readings of all kinds in the order of their arrival, as columns: who was heard when, and what it said of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from detectors.base import Batch
from detectors.holes import cells
from devices.readings import SECOND, Flag, Rows

STALE: Final = 120 * SECOND  # a farewell older than this is a last will that was written when the device connected

Ids = NDArray[np.intp]
Times = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(slots=True)
class Arrivals:
    """Columns of shape (n,); NaN where a reading does not say. ``stored``: sent later than it was measured; ``off``:
    the device says that it will be switched off."""

    device: NDArray[np.int32]
    received: Times
    at: Times
    lon: Floats
    lat: Floats
    speed: Floats
    battery: Floats
    stored: NDArray[np.bool_]
    off: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.device)

    def some(self, which: slice | Ids) -> Arrivals:
        """Those rows."""
        return Arrivals(*(getattr(self, name)[which] for name in self.__slots__))


def arrivals_in(batch: Batch) -> tuple[Arrivals, Rows]:
    """The signs of life of a batch in order, and its last wills: they are the broker's word and no sign of life."""
    samples = batch.samples
    gone = (samples["quantity"] == "online") & (samples["value"] == 0)
    will = gone & ((samples["at"] == samples["received"]) | (samples["at"] < samples["received"] - STALE))
    wills, samples, gone = samples[will], samples[~will], gone[~will]
    fixes, sightings = telling(batch.fixes), batch.sightings
    parts: list[Any] = [fixes] if len(batch.fixes) == len(batch) else [fixes, sightings, samples]
    size = sum(map(len, parts))
    found = Arrivals(
        *(np.concatenate([part[name] for part in parts]) for name in ("device", "received", "at")),
        *(np.full(size, np.nan) for _ in range(4)),
        *(np.zeros(size, bool) for _ in range(2)),
    )
    for name in ("lon", "lat", "speed", "battery"):
        getattr(found, name)[: len(fixes)] = fixes[name]
    found.stored[: len(fixes)] = (fixes["flags"] & Flag.BACKFILL) != 0
    if size > len(fixes):
        told = samples["quantity"] == "battery"
        found.battery[size - len(samples) :][told] = samples["value"][told]
        found.off[size - len(samples) :] = gone
    if (found.received[1:] < found.received[:-1]).any():
        found = found.some(np.argsort(found.received, kind="stable"))
    return found, wills[np.argsort(wills["received"], kind="stable")]


def telling(fixes: Rows) -> Rows:
    """Fixes without those inside an array that say no more than their neighbours: the one before waited in the same
    cell of :mod:`detectors.holes`, and the one after is newer and has a place, and no higher charge."""
    device, received = fixes["device"], fixes["received"]
    together = (device[1:] == device[:-1]) & (received[1:] == received[:-1])
    inner = np.flatnonzero(together[1:] & together[:-1]) + 1
    if not len(inner):
        return fixes
    at, flags, battery = fixes["at"], fixes["flags"], fixes["battery"]
    row, column = cells(fixes["lon"], fixes["lat"])
    covered = (row[1:] == row[:-1]) & (column[1:] == column[:-1]) & (flags[1:] == flags[:-1]) & (at[1:] >= at[:-1])
    renewed = (at[1:] > at[:-1]) & np.isfinite(fixes["lon"][1:])
    renewed &= ~(battery[:-1] > 0) | ((battery[1:] > 0) & (battery[1:] <= battery[:-1]))
    keep = np.ones(len(fixes), bool)
    keep[inner] = ~(covered[inner - 1] & renewed[inner])
    return fixes.compress(keep)


def once(device: NDArray[np.int32], scratch: Times) -> bool:
    """Whether no device occurs twice; ``scratch`` has room for every device."""
    index = np.arange(len(device))
    scratch[device] = index
    return bool((scratch[device] == index).all())


def latest(arrivals: Arrivals, value: Floats, known: Times, held: Floats, *, several: bool) -> Ids:
    """Of the rows with a ``value``, those newer (by the device's own clock) than what is ``known``, in such an order
    that the last of each device is its newest; of equal moments the smallest value. ``several``: devices may recur."""
    at, device = arrivals.at, arrivals.device
    before = known[device]
    newer = at > before
    equal = at == before
    if equal.any():
        newer |= equal & (value < held[device])
    newer &= value == value  # not NaN
    which = np.flatnonzero(newer)
    if several and not last_is_newest(device[which], at[which], value[which]):
        which = which[np.lexsort((-value[which], at[which]))]
    return which


def last_is_newest(device: NDArray[np.int32], at: Times, value: Floats | None = None) -> bool:
    """Whether the last row of each device is its newest, and of equal moments that of the smallest ``value``: so it is
    with batches as they come, and a fraction of the time that sorting takes."""
    size = int(device.max(initial=-1)) + 1
    last = np.empty(size, np.int64)
    last[device] = at
    if (at > last[device]).any():
        return False
    if value is None:
        return True
    least = np.empty(size)
    least[device] = value
    return not ((at == last[device]) & (value < least[device])).any()
