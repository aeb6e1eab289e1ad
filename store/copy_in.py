"""Fixes between NumPy and PostgreSQL without a loop: PGCOPY payloads and binary arrays as packed big-endian dtypes.

A row of the binary COPY format is an int16 count of fields, then for each field an int32 length and its bytes. With
fixed widths and no NULLs a structured dtype can hold all of that, so columns are filled in and one
``frombuffer`` reads it. Times are µs since 2000-01-01 on PostgreSQL's side.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from psycopg import adapters
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

from devices.readings import FIX, Rows

POSTGRES_EPOCH: Final = 946_684_800_000_000
"""2000-01-01 00:00 UTC in µs since 1970."""

COLUMNS: Final[tuple[str, ...]] = FIX.names or ()
_TIMES: Final = ("at", "received")
_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # no flags, no extension
_TRAILER: Final = b"\xff\xff"
_ARRAY_HEADER: Final = 20  # bytes: dimensions, NULL flag, element type, length, lower bound


def _row_dtype() -> np.dtype[Any]:
    fields: list[tuple[str, str]] = [("fields", ">i2")]
    for name in COLUMNS:
        fields += [(f"{name}_bytes", ">i4"), (name, FIX[name].str.replace("<", ">"))]
    return np.dtype(fields)


ROW: Final = _row_dtype()
"""One row of fixes in the binary COPY format."""


def _empty_row() -> bytes:
    row = np.zeros(1, ROW)
    row["fields"] = len(COLUMNS)
    for name in COLUMNS:
        row[f"{name}_bytes"] = FIX[name].itemsize
    return row.tobytes()


_EMPTY_ROW: Final = _empty_row()
_BLOCK: Final = 2**17 // ROW.itemsize  # rows that psycopg sends at once, and that stay in the processor's cache


def pieces(fixes: Rows) -> Iterator[Buffer]:
    """What COPY fixes FROM STDIN (FORMAT binary) takes for rows of :data:`devices.readings.FIX`, a piece at a time.

    A piece is good until the next is asked for.
    """
    yield _HEADER
    data = bytearray(_EMPTY_ROW * min(len(fixes), _BLOCK))
    packed = np.frombuffer(data, ROW)
    for start in range(0, len(fixes), _BLOCK):
        block = fixes[start : start + _BLOCK]
        into = packed[: len(block)]
        for name in COLUMNS:
            into[name] = block[name] - POSTGRES_EPOCH if name in _TIMES else block[name]
        yield memoryview(data)[: len(block) * ROW.itemsize]
    yield _TRAILER


def from_arrays(columns: Sequence[bytes | None], dtype: np.dtype[Any] = FIX) -> Rows:
    """Rows of ``dtype``, of columns of FIX, from ``array_agg`` of each in the binary format; None is no rows.

    Rows of a result cost microseconds each in Python, whether fetched or copied; ten arrays cost next to nothing.
    """
    if columns[0] is None:
        return np.empty(0, dtype)
    names = dtype.names or ()
    packed = [
        np.frombuffer(data or b"", np.dtype([("bytes", ">i4"), ("value", ROW[name])]), offset=_ARRAY_HEADER)
        for name, data in zip(names, columns, strict=True)
    ]
    fixes = np.empty(len(packed[0]), dtype)
    for name, column in zip(names, packed, strict=True):
        fixes[name] = column["value"]
        if name in _TIMES:
            fixes[name] += POSTGRES_EPOCH
    return fixes


class PackedArray:
    """A one-dimensional array as a query parameter; write it as ``%b`` with a cast to its type."""

    __slots__ = ("data",)

    def __init__(self, values: NDArray[Any], oid: int) -> None:
        element = values.dtype.newbyteorder(">")
        packed = np.empty(len(values), np.dtype([("bytes", ">i4"), ("value", element)]))
        packed["bytes"], packed["value"] = element.itemsize, values
        dimensions = 1 if len(values) else 0
        header = np.array([dimensions, 0, oid, len(values), 1][: 3 + 2 * dimensions], ">i4")
        self.data: bytes = header.tobytes() + packed.tobytes()


class _PackedArrayDumper(Dumper):
    """Sends the bytes as they are; the cast in the query says which array type they are."""

    format = Format.BINARY

    def dump(self, obj: PackedArray) -> Buffer:
        return obj.data


adapters.register_dumper(PackedArray, _PackedArrayDumper)
_OIDS: Final = {"i2": 21, "i4": 23, "i8": 20, "f4": 700, "f8": 701}
_TIMESTAMPTZ: Final = 1184


def array(rows: Rows, column: str) -> PackedArray:
    """A numeric column of any readings as a parameter; ``at`` and ``received`` become timestamptz."""
    if column in _TIMES:
        return PackedArray(rows[column] - POSTGRES_EPOCH, _TIMESTAMPTZ)
    values = rows[column]
    return PackedArray(values, _OIDS[values.dtype.str[1:]])
