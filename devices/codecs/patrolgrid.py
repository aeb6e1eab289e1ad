"""The own MQTT contract, version 1: ``pg/v1/<area>/<device>/fix|sighting|sample|status|sos|command/ack``, JSON.

Each payload is one object or an array of them (store and forward); the fixes of an array are flagged BACKFILL.
``t`` is seconds since 1970 or RFC 3339 with a zone. Unknown fields are ignored, ``null`` is "unknown". Types are
strict: a number is a number, not a string. What is outside the stated range is refused with ``wrong_value``; only a
heading of 360 is taken as 0.

An alarm is never lost for the sake of its details: an ``sos`` (or a fix with ``"sos": true``) whose other fields are
wrong is still a Fix with the SOS flag and without a place, and the message is kept as a reject as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
import numpy as np
from msgspec import UNSET, Meta, Struct, UnsetType

from devices.codec import PartlyUndecodable, Undecodable
from devices.codecs.json_payload import (
    MAX_ELEMENTS,
    MAX_PAYLOAD,
    MOST_SECONDS,
    check_size,
    event_time,
    is_array,
    parse,
    storable,
)
from devices.crs import to_wgs84
from devices.kept import Kept
from devices.readings import NAN, CommandAck, Fix, Flag, Reading, Sample, Sighting

When: TypeAlias = float | Annotated[datetime, Meta(tz=True)]
Speed: TypeAlias = Annotated[float, Meta(ge=0, le=10_000)]  # m/s
Heading: TypeAlias = Annotated[float, Meta(ge=0, le=360)]
Accuracy: TypeAlias = Annotated[float, Meta(ge=0, le=1e8)]  # m
Percent: TypeAlias = Annotated[float, Meta(ge=0, le=100)]
Share: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Text64: TypeAlias = Annotated[str, Meta(max_length=64)]
Name64: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
Text500: TypeAlias = Annotated[str, Meta(max_length=500)]
Text512: TypeAlias = Annotated[str, Meta(max_length=512)]
Crs: TypeAlias = Literal["wgs84", "gcj02", "bd09"]

_CRS_FLAG: Final = {"wgs84": 0, "gcj02": int(Flag.FROM_GCJ02), "bd09": int(Flag.FROM_BD09)}
_SOS: Final = int(Flag.SOS)
_BACKFILL: Final = int(Flag.BACKFILL)
_NO_POSITION: Final = int(Flag.NO_POSITION)
_ALARMS: Final = {"sos": _SOS, "man_down": int(Flag.SOS | Flag.MAN_DOWN)}


class FixPayload(Struct, gc=False):
    """``fix``: t, lon, lat; optional spd m/s, hdg degrees, acc m, bat %, crs, sos."""

    t: When
    lon: float
    lat: float
    spd: Speed | None = NAN
    hdg: Heading | None = NAN
    acc: Accuracy | None = NAN
    bat: Percent | None = NAN
    crs: Crs = "wgs84"
    sos: bool = False


class SosPayload(Struct, gc=False):
    """``sos``: t; optional kind sos or man_down, and whatever a fix has."""

    t: When
    kind: Literal["sos", "man_down"] = "sos"
    lon: float | None = None
    lat: float | None = None
    spd: Speed | None = NAN
    hdg: Heading | None = NAN
    acc: Accuracy | None = NAN
    bat: Percent | None = NAN
    crs: Crs = "wgs84"


class SightingPayload(Struct, gc=False):
    """``sighting``: t, label; optional n (1), conf 0..1, track, lon and lat, crs, snap (a reference)."""

    t: When
    label: Name64
    n: Count = 1
    conf: Share | None = NAN
    track: Text64 | None = None
    lon: float | None = None
    lat: float | None = None
    crs: Crs = "wgs84"
    snap: Text512 | None = None


class SamplePayload(Struct, gc=False):
    """``sample``: t, q the quantity, v the value in its SI unit."""

    t: When
    q: Name64
    v: float


class StatusPayload(Struct, gc=False):
    """``status``: online; optional t and bat %. A last will leaves ``t`` out, which means the time of receipt."""

    online: bool
    t: When | UnsetType = UNSET
    bat: Percent | None = None


class AckPayload(Struct, gc=False):
    """``command/ack``: id of the command, t, ok; optional note."""

    id: Name64
    t: When
    ok: bool
    note: Text500 | None = None


class CryPayload(Struct):
    """As much of a broken ``sos`` or ``fix`` as tells whether it is an alarm."""

    t: Any = None
    sos: Any = False
    kind: Any = "sos"


_CRY: Final = msgspec.json.Decoder(CryPayload)
_ELEMENTS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_new: Final = tuple.__new__


def _fix(p: FixPayload, device: str, received: int, flags: int) -> list[Reading]:
    """The hot one: most of what a site sends. A named tuple's own __new__ costs twice as much as a tuple's."""
    t, spd, hdg, acc, bat = p.t, p.spd, p.hdg, p.acc, p.bat
    if p.sos:
        flags |= _SOS
    if p.crs != "wgs84":
        flags |= _CRS_FLAG[p.crs]
    return [
        _new(
            Fix,
            (
                device,
                round(t * 1e6) if type(t) is float and -MOST_SECONDS <= t <= MOST_SECONDS else event_time(t),
                received,
                p.lon,
                p.lat,
                NAN if spd is None else spd,
                NAN if hdg is None else 0.0 if hdg == 360.0 else hdg,
                NAN if acc is None else acc,
                NAN if bat is None else bat,
                flags,
            ),
        )
    ]


def _sos(p: SosPayload, device: str, received: int, flags: int) -> list[Reading]:
    flags |= _ALARMS[p.kind]
    if p.lon is None or p.lat is None:
        battery = NAN if p.bat is None else p.bat
        return [Fix(device, event_time(p.t), received, NAN, NAN, battery=battery, flags=flags | _NO_POSITION)]
    fix = FixPayload(p.t, p.lon, p.lat, p.spd, p.hdg, p.acc, p.bat, p.crs)
    return _fix(fix, device, received, flags)


def _sighting(p: SightingPayload, device: str, received: int, flags: int) -> list[Reading]:
    if (p.lon is None) != (p.lat is None):
        raise Undecodable("wrong_shape", f"lon = {p.lon!r}, lat = {p.lat!r}: give both or none")
    return [
        Sighting(
            device,
            event_time(p.t),
            received,
            storable(p.label, "label"),
            p.n,
            NAN if p.conf is None else p.conf,
            storable(p.track or "", "track"),
            NAN if p.lon is None else p.lon,
            NAN if p.lat is None else p.lat,
            storable(p.snap or "", "snap"),
        )
    ]


def _sample(p: SamplePayload, device: str, received: int, flags: int) -> list[Reading]:
    return [Sample(device, event_time(p.t), received, storable(p.q, "q"), p.v)]


def _status(p: StatusPayload, device: str, received: int, flags: int) -> list[Reading]:
    at = received if p.t is UNSET else event_time(p.t)
    readings: list[Reading] = [Sample(device, at, received, "online", float(p.online))]
    if p.bat is not None:
        readings.append(Sample(device, at, received, "battery", p.bat))
    return readings


def _ack(p: AckPayload, device: str, received: int, flags: int) -> list[Reading]:
    note = storable(p.note or "", "note")
    return [CommandAck(device, event_time(p.t), received, storable(p.id, "id"), p.ok, note)]


def _convert(payloads: Iterable[Any]) -> None:
    """Turn places in another system into WGS-84, in place. An impossible place stays, for the pipeline to refuse."""
    for crs in ("gcj02", "bd09"):
        moved = [p for p in payloads if p.crs == crs and _on_earth(p.lon, p.lat)]
        if len(moved) == 1:  # a single place is much cheaper without arrays
            moved[0].lon, moved[0].lat = to_wgs84(moved[0].lon, moved[0].lat, crs)
        elif moved:
            lon, lat = to_wgs84(np.array([p.lon for p in moved]), np.array([p.lat for p in moved]), crs)
            for p, x, y in zip(moved, lon.tolist(), lat.tolist(), strict=True):
                p.lon, p.lat = x, y


def _on_earth(lon: float | None, lat: float | None) -> bool:
    return lon is not None and lat is not None and abs(lon) <= 180 and abs(lat) <= 90


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of message: the decoder of its payload and what builds its readings."""

    decoder: msgspec.json.Decoder[Any]
    build: Callable[[Any, str, int, int], list[Reading]]
    placed: bool = False  # it may have a place, and so another coordinate system
    alarm: bool = False  # every message is an alarm
    may_alarm: bool = False  # one that says so is


_KINDS: Final = {
    "fix": _Kind(msgspec.json.Decoder(FixPayload), _fix, placed=True, may_alarm=True),
    "sos": _Kind(msgspec.json.Decoder(SosPayload), _sos, placed=True, alarm=True, may_alarm=True),
    "sighting": _Kind(msgspec.json.Decoder(SightingPayload), _sighting, placed=True),
    "sample": _Kind(msgspec.json.Decoder(SamplePayload), _sample),
    "status": _Kind(msgspec.json.Decoder(StatusPayload), _status),
    "command/ack": _Kind(msgspec.json.Decoder(AckPayload), _ack),
}


def fix_topic(share: str, device: str) -> str:
    """The topic on which a device sends its fixes."""
    return f"pg/v1/{share}/{device}/fix"


class PatrolGridCodec:
    """The codec of the own contract; see the module for what it accepts."""

    name: str = "patrolgrid"
    filters: tuple[str, ...] = tuple(f"pg/v1/{{share}}/+/{kind}" for kind in _KINDS)

    def decode(self, topic: str, payload: bytes, received: int) -> Sequence[Reading]:
        """See :class:`devices.codec.Codec`."""
        kind, device = _ADDRESSED[topic]
        if payload[:1] != b"{" or len(payload) > MAX_PAYLOAD:
            check_size(payload)
            if is_array(payload):
                return _array(kind, payload, device, received)
        try:
            item = kind.decoder.decode(payload)
            if kind.placed and item.crs != "wgs84":
                _convert([item])
            return kind.build(item, device, received, 0)
        except (Undecodable, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return _with_cry(kind, payload, device, received)


def _addressed(topic: str) -> tuple[_Kind, str]:
    """The kind of message and the device of a topic."""
    parts = topic.split("/", 4)
    kind = _KINDS.get(parts[4]) if len(parts) == 5 and topic.startswith("pg/v1/") else None
    if kind is None or not parts[2] or not parts[3]:
        raise Undecodable("unknown_topic", topic)
    return kind, parts[3]


_ADDRESSED: Final[Kept[tuple[_Kind, str]]] = Kept(_addressed)


def _with_cry(kind: _Kind, payload: bytes, device: str, received: int) -> list[Reading]:
    """A payload that is wrong, once more: to name what is wrong with it, and to keep the alarm that it may be."""
    try:
        item = parse(kind.decoder, payload)
        return kind.build(item, device, received, 0)
    except Undecodable as error:
        cry = _cry(kind, payload, device, received, 0)
        if not cry:
            raise
        raise PartlyUndecodable(error.reason, error.detail, cry) from error


def _array(kind: _Kind, payload: bytes, device: str, received: int) -> list[Reading]:
    elements = parse(_ELEMENTS, payload)
    if len(elements) > MAX_ELEMENTS:
        raise Undecodable("too_large", f"an array of {len(elements)} elements, at most {MAX_ELEMENTS}")
    items: list[Any] = []
    problems: dict[int, Undecodable] = {}
    for place, element in enumerate(elements):
        try:
            items.append(parse(kind.decoder, element))
        except Undecodable as error:
            items.append(None)
            problems[place] = error
    if kind.placed:
        _convert([item for item in items if item is not None])
    readings: list[Reading] = []
    for place, (item, element) in enumerate(zip(items, elements, strict=True)):
        try:
            if item is not None:
                readings += kind.build(item, device, received, _BACKFILL)
        except Undecodable as error:
            problems[place] = error
        if place in problems:
            readings += _cry(kind, element, device, received, _BACKFILL)
    if not problems:
        return readings
    place = min(problems)
    detail = f"{len(problems)} of {len(elements)} elements; element {place}: {problems[place].detail}"
    if not readings:
        raise Undecodable(problems[place].reason, detail)
    raise PartlyUndecodable(problems[place].reason, detail, readings)


def _cry(kind: _Kind, payload: bytes | msgspec.Raw, device: str, received: int, flags: int) -> list[Reading]:
    """The alarm in a broken payload: without a place, and at the time of receipt unless its own is readable."""
    if not kind.may_alarm:
        return []
    try:
        cry = parse(_CRY, payload)
    except Undecodable:
        return []  # no JSON object: nothing shows that somebody calls for help
    if not kind.alarm and cry.sos is not True:
        return []
    try:
        at = event_time(msgspec.convert(cry.t, When))
    except (msgspec.ValidationError, Undecodable):
        at = received
    flags |= _ALARMS["man_down" if cry.kind == "man_down" else "sos"] | _NO_POSITION
    return [Fix(device, at, received, NAN, NAN, flags=flags)]
