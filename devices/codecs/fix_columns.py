"""Many fixes of the own contract at once: payloads to columns without a call, an object or a loop per fix of our own.

A device sends the same keys in the same order for all its life, so that a payload without its digits is one of a few
*forms*. Payloads of a known form are nothing but numbers between commas, and the numbers of all of them are parsed as
one JSON array. A form is known if it is an object, or an array of equal ones, of plain keys with t, lon and lat among
them. That a number stands behind each colon and nowhere else is made sure of, so no payload can reach into the next.

Only what is plain is taken: well-formed, in WGS-84, all values numbers, and without an alarm. All else is left for
:class:`devices.codecs.patrolgrid.PatrolGridCodec`, which takes the same with the same result, and names what is wrong.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
import simdjson
from numpy.typing import NDArray

from devices.codecs.json_payload import MAX_ELEMENTS, MAX_PAYLOAD, MOST_SECONDS
from devices.readings import FIX, NAN, Flag, Rows, joined_rows

_RANGES: Final = {  # column and range of each key, as FixPayload has them
    "t": ("at", -MOST_SECONDS, MOST_SECONDS),
    "lon": ("lon", -np.inf, np.inf),
    "lat": ("lat", -np.inf, np.inf),
    "spd": ("speed", 0.0, 10_000.0),
    "hdg": ("heading", 0.0, 360.0),
    "acc": ("accuracy", 0.0, 1e8),
    "bat": ("battery", 0.0, 100.0),
}
_ANY: Final = ("", -np.inf, np.inf)
_NEEDED: Final = frozenset({"t", "lon", "lat"})
_TELLING: Final = frozenset({"crs", "sos"})  # keys that make a fix more than its numbers
_KEY: Final = rb'"([A-Za-z_]+)":'
_OBJECT: Final = re.compile(rb"\{%b(?:,%b)*\}" % (_KEY, _KEY))

_BORDER: Final = b"\xff"  # between payloads: no JSON text holds this byte
_NUMERALS: Final = b"0123456789+-."
_NOT_NUMBERS: Final = bytes(byte for byte in range(256) if byte not in _NUMERALS + b"," + _BORDER)
_BORDERS_TO_COMMAS: Final = bytes.maketrans(_BORDER, b",")
# Kinds of bytes such that, modulo 256, the step to a numeral from any other byte than a colon, or from a colon to any
# other byte than a numeral, is longer than all steps that may be.
_KINDS: Final = bytes(0 if byte in _NUMERALS else 120 if byte == ord(":") else 100 for byte in range(256))
_LONGEST: Final = 256 - 120  # from a colon to a numeral
_KEPT: Final = 8 << 10  # bytes of a form that is remembered
_PIECE: Final = 256 << 10  # bytes of payload parsed in one call, about; no other thread runs Python meanwhile
_Numbers = NDArray[np.integer[Any]]


class _Parsers(threading.local):
    """A parser of JSON for each thread; it keeps its memory from one call to the next."""

    def __init__(self) -> None:
        self.mine = simdjson.Parser()


_PARSERS: Final = _Parsers()


class _Form(NamedTuple):
    """What the payloads of a form have in them."""

    keys: tuple[str, ...]  # of each fix, in their order
    fixes: int
    flags: int


def plain_fixes(data: bytes, begin: _Numbers, size: _Numbers) -> tuple[Rows, NDArray[np.intp]]:
    """The plain fixes among the payloads that lie at ``begin`` in ``data`` and are ``size`` bytes long, columns of
    shape (n,): rows of FIX, shape (k,), and of each the index of its payload, shape (k,).

    A payload is taken whole or not at all. ``device`` and ``received`` are for the caller to set; the fixes of an array
    carry :attr:`Flag.BACKFILL`.
    """
    places = list(zip(begin.tolist(), (begin + size).tolist(), strict=True))
    pieces = max(1, -(-int(size.sum()) // _PIECE))
    step = max(1, -(-len(places) // pieces))
    starts = range(0, max(1, len(places)), step)
    parts = [_plain_fixes([data[a:b] for a, b in places[start : start + step]]) for start in starts]
    if len(parts) == 1:
        return parts[0]
    fixes, origins = zip(*parts, strict=True)
    return joined_rows(FIX, fixes), np.concatenate([o + start for o, start in zip(origins, starts, strict=True)])


def _plain_fixes(payloads: Sequence[bytes]) -> tuple[Rows, NDArray[np.intp]]:
    """The same, of payloads that are parsed together."""
    skeletons = _joined(payloads).translate(None, _NUMERALS).split(_BORDER) if payloads else []
    if len(skeletons) > len(payloads) or max(map(len, payloads), default=0) > MAX_PAYLOAD:
        sound = [i for i, p in enumerate(payloads) if _BORDER not in p and len(p) <= MAX_PAYLOAD]
        fixes, origin = _plain_fixes([payloads[i] for i in sound])
        return fixes, np.array(sound, np.intp)[origin]
    number = {skeleton: i for i, skeleton in enumerate(set(skeletons))}
    forms = [_remembered(skeleton) if len(skeleton) <= _KEPT else _form(skeleton) for skeleton in number]
    form = np.fromiter(map(number.__getitem__, skeletons), np.intp, len(skeletons))
    parts = [_of_keys(payloads, keys, forms, form) for keys in {form.keys: None for form in forms if form}]
    if len(parts) == 1:
        return parts[0]
    fixes = joined_rows(FIX, (fixes for fixes, _ in parts))
    origin = np.concatenate([np.empty(0, np.intp), *(origin for _, origin in parts)])
    order = np.argsort(origin, kind="stable")
    return fixes.take(order), origin[order]


def _joined(payloads: Sequence[bytes]) -> bytes:
    """Payloads with a border between them, and without the space that is no part of a key."""
    joined = _BORDER.join(payloads)
    return joined.replace(b": ", b":").replace(b", ", b",") if b" " in joined else joined


def _form(skeleton: bytes) -> _Form | None:
    """The form that a payload without its numerals has, if it is a plain one."""
    array = skeleton[:1] == b"["
    body = skeleton[1:-1] if array else skeleton
    unit = body[: body.find(b"}") + 1]
    fixes = (len(body) + 1) // (len(unit) + 1)
    if fixes > (MAX_ELEMENTS if array else 1) or not _OBJECT.fullmatch(unit):
        return None
    if skeleton != (b"[" + b",".join([unit] * fixes) + b"]" if array else unit):
        return None
    keys = tuple(key.decode() for key in re.findall(_KEY, unit))
    if len(set(keys)) < len(keys) or not _NEEDED.issubset(keys) or _TELLING.intersection(keys):
        return None
    return _Form(keys, fixes, int(Flag.BACKFILL) if array else 0)


_remembered: Final = lru_cache(maxsize=1 << 10)(_form)


def _of_keys(
    payloads: Sequence[bytes], keys: tuple[str, ...], forms: Sequence[_Form | None], form: NDArray[np.intp]
) -> tuple[Rows, NDArray[np.intp]]:
    """The fixes of all payloads whose form has these keys, and the payload of each, in order; ``form`` is the index of
    each payload's, shape (n,)."""
    mine = np.array([f is not None and f.keys == keys for f in forms])
    which = np.flatnonzero(mine[form])
    counts, flags = (np.array([getattr(f, name, 0) for f in forms])[form[which]] for name in ("fixes", "flags"))
    chosen = payloads if len(which) == len(payloads) else [payloads[i] for i in which.tolist()]
    numbers, good = _numbers(chosen, counts * len(keys))
    which, counts, flags = which[good], counts[good], flags[good]
    values = np.ascontiguousarray(numbers.reshape(-1, len(keys)).T)
    origin, flags = np.repeat(which, counts), np.repeat(flags, counts)
    least, most = np.array([_RANGES.get(key, _ANY)[1:] for key in keys]).T
    if (values.min(axis=1, initial=np.inf) < least).any() or (values.max(axis=1, initial=-np.inf) > most).any():
        plain = ((least <= values.T) & (most >= values.T)).all(axis=1)
        plain = ~np.isin(origin, origin[~plain])  # a payload is taken whole
        values, origin, flags = values[:, plain], origin[plain], flags[plain]
    return _rows(dict(zip(keys, values, strict=True)), flags), origin


def _numbers(payloads: Sequence[bytes], counts: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The numbers of those payloads of a known form that are JSON, and which these are; ``counts`` of each.

    A bad one spoils all, and is found by halving, so that a few cost little.
    """
    parsed = _parsed(_joined(payloads), int(counts.sum()))
    if parsed is not None:
        return parsed, np.ones(len(payloads), bool)
    if len(payloads) == 1:
        return np.empty(0), np.zeros(1, bool)
    half = len(payloads) // 2
    first, second = _numbers(payloads[:half], counts[:half]), _numbers(payloads[half:], counts[half:])
    return np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]])


def _parsed(joined: bytes, count: int) -> NDArray[np.float64] | None:
    """So many numbers out of joined payloads; None if they are not one behind each colon."""
    kinds = np.frombuffer(joined.translate(_KINDS), np.uint8)
    if not kinds[0] or (kinds[1:] - kinds[:-1]).max(initial=0) > _LONGEST:
        return None
    text = b"[%b]" % joined.translate(_BORDERS_TO_COMMAS, _NOT_NUMBERS)
    try:  # straight into float8, which a list of Python's floats would cost twice as much as the parsing
        array: Any = _PARSERS.mine.parse(text)
        numbers = np.frombuffer(array.as_buffer(of_type="d"), np.float64)
    except (ValueError, RuntimeError):  # no JSON; or a whole number beyond 64 bits, which the codec reads
        return None
    return numbers if len(numbers) == count else None


def _rows(values: Mapping[str, NDArray[np.float64]], flags: NDArray[np.intp]) -> Rows:
    fixes = np.empty(len(flags), FIX)
    for key, (column, _, _) in _RANGES.items():
        fixes[column] = values.get(key, NAN) if key != "t" else np.rint(values["t"] * 1e6)
    fixes["heading"][fixes["heading"] == 360.0] = 0.0
    fixes["flags"] = flags
    return fixes
