"""The readings that devices send, as row types for the codecs and as column dtypes for everything after.

A codec returns the row types (one named tuple per reading, the device still named by its address). From the pipeline
on, readings travel as NumPy structured arrays whose ``device`` is the dense integer id of the registry.

Units: degrees WGS-84, metres, metres per second, degrees clockwise from north, UTC microseconds. Unknown numbers are
NaN.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntFlag
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

NAN: Final = float("nan")
SECOND: Final = 1_000_000  # microseconds

Rows: TypeAlias = NDArray[np.void]
"""A structured array of one of the dtypes below, shape (n,)."""


class Flag(IntFlag):
    """What is known of a fix beyond its numbers (column ``flags``, int16 in SQL)."""

    SOS = 1
    BACKFILL = 2  # arrived in a store-and-forward array
    FROM_GCJ02 = 4  # converted on entry
    FROM_BD09 = 8
    NO_POSITION = 16  # an SOS without a fix: lon and lat are NaN
    MAN_DOWN = 32
    SUSPECT = 64  # a detector doubts that the device was there: kept, shown, never dropped


class Fix(NamedTuple):
    """One position of one device."""

    device: str  # the address under which the device sent it
    at: int  # UTC µs, the device's clock
    received: int  # UTC µs, our clock
    lon: float
    lat: float
    speed: float = NAN
    heading: float = NAN
    accuracy: float = NAN
    battery: float = NAN  # percent
    flags: int = 0


class Sighting(NamedTuple):
    """One camera detection. Place NaN means: the camera's registered place."""

    device: str
    at: int
    received: int
    label: str  # person, rod, net, boat, ...
    count: int = 1  # type: ignore[assignment]  # the field word; nobody counts a tuple's elements here
    confidence: float = NAN  # 0..1
    track: str = ""  # the camera's own track id, "" where it has none
    lon: float = NAN
    lat: float = NAN
    snapshot: str = ""  # a reference, never the picture


class Sample(NamedTuple):
    """One sensor value, in the SI unit of its quantity (water_level in m, smoke in %, online 0 or 1, battery in %)."""

    device: str
    at: int
    received: int
    quantity: str
    value: float


class CommandAck(NamedTuple):
    """A terminal's answer to a command that was sent to it."""

    device: str
    at: int
    received: int
    command: str  # the id that came with the command
    accepted: bool
    note: str = ""


Reading: TypeAlias = Fix | Sighting | Sample | CommandAck

FIX: Final = np.dtype(
    [
        ("device", "<i4"),
        ("at", "<i8"),
        ("received", "<i8"),
        ("lon", "<f8"),
        ("lat", "<f8"),
        ("speed", "<f4"),
        ("heading", "<f4"),
        ("accuracy", "<f4"),
        ("battery", "<f4"),
        ("flags", "<i2"),
    ],
    align=True,
)
SIGHTING: Final = np.dtype(
    [
        ("device", "<i4"),
        ("at", "<i8"),
        ("received", "<i8"),
        ("label", "O"),
        ("count", "<i4"),
        ("confidence", "<f4"),
        ("track", "O"),
        ("lon", "<f8"),
        ("lat", "<f8"),
        ("snapshot", "O"),
    ]
)
SAMPLE: Final = np.dtype([("device", "<i4"), ("at", "<i8"), ("received", "<i8"), ("quantity", "O"), ("value", "<f8")])
VISIT: Final = np.dtype([("device", "<i4"), ("zone", "O"), ("entered", "<i8"), ("left", "<i8")])
"""A device's stay in a zone, by its key (device, zone, entered); a later row of the same key replaces the one before.
``left`` is 0 while the device is inside, and -1 when late fixes have shown that there was no such visit."""


def raw(table: Rows) -> Rows:
    """The same rows as plain bytes: NumPy copies structured rows field by field, which takes many times as long."""
    return table.view(np.dtype((np.void, table.dtype.itemsize)))


def joined_rows(dtype: np.dtype[Any], parts: Iterable[Rows]) -> Rows:
    """Rows of ``dtype`` one after the other."""
    if dtype.hasobject:  # whose bytes cannot be had
        return np.concatenate([np.empty(0, dtype), *parts])
    return np.concatenate([raw(np.empty(0, dtype)), *map(raw, parts)]).view(dtype)


def rows(dtype: np.dtype[Any], tuples: list[tuple[Any, ...]] | None = None) -> Rows:
    """A structured array of ``dtype`` from tuples in column order; empty without them."""
    return np.array(tuples or [], dtype=dtype)
