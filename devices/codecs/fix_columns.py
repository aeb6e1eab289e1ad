"""Many fixes of the own contract at once: payloads to columns without a call, an object or a loop per fix of our own.

Only what is plain is taken: well-formed, in WGS-84, with numeric times and without an alarm. All else is left for
:class:`devices.codecs.patrolgrid.PatrolGridCodec`, which takes the same with the same result, and names what is wrong.

Single fixes are decoded as one JSON array of all payloads, which costs a third of decoding each. Nothing in one payload
may then reach into the next: a payload is let in only if it has one opening brace, then quotes, even in number and
never escaped, then one closing brace. So its object ends within it, and nothing but an object is taken from it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from devices.codecs.json_payload import MAX_ELEMENTS, MAX_PAYLOAD, MOST_SECONDS
from devices.codecs.patrolgrid import FixPayload
from devices.readings import FIX, NAN, Flag, Rows

_DECODER: Final = msgspec.json.Decoder(list[FixPayload])
_ERRORS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_MEANINGLESS: Final = bytes(byte for byte in range(256) if byte not in b'{}"\\\xff')
_LEAST: Final = 8  # payloads that are decoded one by one rather than halved again
_COLUMNS: Final[tuple[tuple[str, Callable[[Any], Any]], ...]] = (
    ("lon", lambda items: [p.lon for p in items]),
    ("lat", lambda items: [p.lat for p in items]),
    ("speed", lambda items: [p.spd for p in items]),
    ("heading", lambda items: [p.hdg for p in items]),
    ("accuracy", lambda items: [p.acc for p in items]),
    ("battery", lambda items: [p.bat for p in items]),
)


def single_fixes(payloads: Sequence[bytes]) -> tuple[Rows, NDArray[np.bool_]]:
    """The plain fixes among payloads of one fix each: rows of FIX, shape (k,), and which payloads they are, shape (n,).

    ``device`` and ``received`` of the rows are for the caller to set.
    """
    taken = np.zeros(len(payloads), bool)
    candidates = _self_contained(payloads)
    items: list[FixPayload] = []
    for index, item in zip(candidates, _decoded([payloads[i] for i in candidates]), strict=True):
        if item is not None and _plain(item):
            items.append(item)
            taken[index] = True
    return _rows(items), taken


def fix_arrays(payloads: Sequence[bytes]) -> tuple[Rows, NDArray[np.intp], NDArray[np.bool_]]:
    """The plain ones among payloads that are arrays: rows of FIX, shape (k,), how many each taken payload has, and
    which payloads are taken, shape (n,). The rows carry :attr:`Flag.BACKFILL`."""
    taken = np.zeros(len(payloads), bool)
    counts: list[int] = []
    items: list[FixPayload] = []
    for index, payload in enumerate(payloads):
        if len(payload) > MAX_PAYLOAD:
            continue
        try:
            some = _DECODER.decode(payload)
        except _ERRORS:
            continue
        if len(some) <= MAX_ELEMENTS and all(map(_plain, some)):
            items += some
            counts.append(len(some))
            taken[index] = True
    fixes = _rows(items)
    fixes["flags"] = Flag.BACKFILL
    return fixes, np.array(counts, np.intp), taken


def _plain(item: FixPayload) -> bool:
    t = item.t
    return item.crs == "wgs84" and not item.sos and type(t) is float and -MOST_SECONDS <= t <= MOST_SECONDS


def _rows(items: Sequence[FixPayload]) -> Rows:
    """Columns from decoded payloads."""
    fixes = np.empty(len(items), FIX)
    fixes["at"] = np.rint(np.array([p.t for p in items], np.float64) * 1e6)
    with np.errstate(over="ignore"):  # beyond float4: infinite, as the pipeline's own columns have it
        for name, column in _COLUMNS:
            values = column(items)
            try:
                fixes[name] = values
            except TypeError:  # an explicit null
                fixes[name] = [NAN if value is None else value for value in values]
    fixes["heading"][fixes["heading"] == 360.0] = 0.0
    fixes["flags"] = 0
    return fixes


def _self_contained(payloads: Sequence[bytes]) -> list[int]:
    """The payloads whose object cannot end anywhere but at their end; see the module."""
    skeletons = b"\xff".join(payloads).translate(None, _MEANINGLESS).split(b"\xff")  # no JSON text holds a byte 255
    if len(skeletons) != len(payloads):
        return []
    return [index for index, skeleton in enumerate(skeletons) if _closed(skeleton)]


@lru_cache(maxsize=1 << 10)
def _closed(skeleton: bytes) -> bool:
    return len(skeleton) % 2 == 0 and skeleton == b"{" + b'"' * (len(skeleton) - 2) + b"}"


def _decoded(payloads: Sequence[bytes]) -> list[FixPayload | None]:
    """Each payload's fix; None for one that is not. A bad one is found by halving, so a few cost little."""
    if not payloads:
        return []
    try:
        return list(_DECODER.decode(b"[" + b",".join(payloads) + b"]"))
    except _ERRORS:
        if len(payloads) <= _LEAST:
            return [_alone(payload) for payload in payloads]
    half = len(payloads) // 2
    return _decoded(payloads[:half]) + _decoded(payloads[half:])


def _alone(payload: bytes) -> FixPayload | None:
    try:
        return _DECODER.decode(b"[" + payload + b"]")[0]
    except _ERRORS:
        return None
