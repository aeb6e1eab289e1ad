"""Labelled tracks of fishing boats from a CSV file: set, boat, trip, time (UTC), lat, lon, fishing (0/1)."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO, Final, cast

import numpy as np
from numpy.typing import NDArray

from detectors.geo import Floats
from detectors.movement import Track, features
from devices.site import micros

DATA: Final = Path(__file__).parent / "data" / "fishing_tracks_dev.csv"
"""The tracks that the shipped weights were fitted on; see data/README.md."""
COLUMNS: Final = ("set", "boat", "trip", "lat", "lon", "fishing")


class WrongBoats(ValueError):
    """A file of boats' tracks that cannot be read, with the line and what is wrong there."""


@dataclass(frozen=True, slots=True)
class Boats:
    """Fixes in the order of the file, columns of shape (n,)."""

    sets: NDArray[np.str_]
    boats: NDArray[np.str_]  # "set/boat"
    trips: NDArray[np.int64]  # a number for each trip
    at: NDArray[np.int64]  # UTC µs
    lon: Floats
    lat: Floats
    fishing: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.at)

    def features(self, *, hindsight: bool = False) -> dict[str, Floats]:
        """What the detector would know at each fix. Of fixes at one moment the first counts, for all of them; trips are
        tracks of their own."""
        track = Track.of(self.trips, self.at, self.lon, self.lat)
        where = track.find(self.trips, self.at)
        return {
            name: values[where]
            for name, values in features(track, np.arange(len(track.at)), hindsight=hindsight).items()
        }


def read_boats(path: Path) -> Boats:
    """Read a CSV file, also ``.csv.gz``.

    Raises:
        WrongBoats: a column is missing or a value is none; the line is named.
        OSError: it cannot be read.
    """
    with path.open("rb") as raw, gzip.open(raw) if path.suffix == ".gz" else raw as data:
        lines = TextIOWrapper(cast(BinaryIO, data), "utf-8-sig", newline="")
        table = csv.DictReader(lines)
        header = {name: name.split(" ")[0].strip() for name in table.fieldnames or ()}
        missing = sorted({*COLUMNS, "time"} - set(header.values()))
        if missing:
            raise WrongBoats(f"{path}: no column {missing[0]!r}: expected {', '.join((*COLUMNS, 'time'))}")
        rows = [
            _row(path, number, {header[k]: v for k, v in row.items() if k in header})
            for number, row in enumerate(table, 2)
        ]
    if not rows:
        raise WrongBoats(f"{path}: no fixes")
    sets, boats, trips, *numbers = zip(*rows, strict=True)
    at, lon, lat, fishing = (np.array(column) for column in numbers)
    _, trip = np.unique(np.array(trips), return_inverse=True)
    return Boats(np.array(sets), np.array(boats), trip.astype(np.int64), at, lon, lat, fishing)


def _row(path: Path, number: int, row: dict[str, str]) -> tuple[str, str, str, int, float, float, bool]:
    try:
        moment = datetime.fromisoformat(row["time"])
        at = micros(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
        boat = f"{row['set']}/{row['boat']}"
        lon, lat, fishing = float(row["lon"]), float(row["lat"]), {0.0: False, 1.0: True}[float(row["fishing"])]
    except (KeyError, ValueError, TypeError) as error:
        raise WrongBoats(f"{path}:{number}: {row!r}: {error}") from error
    if not (abs(lon) <= 180 and abs(lat) <= 90):
        raise WrongBoats(f"{path}:{number}: {row!r}: expected a place in degrees")
    return row["set"], boat, f"{boat}/{row['trip']}", at, lon, lat, fishing


def weights(sets: Iterable[str]) -> Floats:
    """One for each fix, mean 1: a set counts by the square root of its size, so that the largest is not all."""
    _, which, count = np.unique(np.array(list(sets)), return_inverse=True, return_counts=True)
    each = 1.0 / np.sqrt(count[which])
    return np.asarray(each / each.mean())
