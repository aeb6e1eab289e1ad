"""OwnTracks JSON: ``owntracks/<user>/<device>[/event|/status|...]``. The address of a device is its three-part topic.

``location`` and ``transition`` (a region entered or left) are fixes, ``lwt`` is the sample ``online`` 0 at the time of
receipt (its ``tst`` is when the phone first connected). Numbers may arrive as strings. Elements that are zero are left
out by the apps, so an absent ``vel``, ``acc`` or ``cog`` can mean zero or unmeasured: it is taken as unknown, as is a
negative one. Types that hold no reading of the device (card, cmd, configuration, dump, request, status, waypoint,
waypoints) are accepted and give none. What would be lost (beacon, encrypted, steps, unknown types) is refused, so that
it is kept as a reject.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from devices.codec import Undecodable
from devices.codecs.json_payload import check_size, event_time, parse
from devices.readings import NAN, Fix, Reading, Sample

_WITHOUT_READING: Final = frozenset(
    {"card", "cmd", "configuration", "dump", "request", "status", "waypoint", "waypoints"}
)
_KMH: Final = 3.6  # km/h in one m/s


class TypedPayload(Struct):
    """The element that every OwnTracks payload has."""

    kind: str = msgspec.field(name="_type")


class PlacePayload(Struct, gc=False):
    """``location`` and ``transition``: tst s, lat and lon degrees; optional acc m, vel km/h, cog degrees, batt %."""

    tst: float
    lat: float
    lon: float
    acc: float | None = None
    vel: float | None = None
    cog: float | None = None
    batt: float | None = None


_TYPED: Final = msgspec.json.Decoder(TypedPayload)
_PLACE: Final = msgspec.json.Decoder(PlacePayload, strict=False)


class OwnTracksCodec:
    """The codec of the OwnTracks apps in MQTT mode; see the module for what it accepts."""

    name: str = "owntracks"
    filters: tuple[str, ...] = ("owntracks/+/+/#",)

    def decode(self, topic: str, payload: bytes, received: int) -> Sequence[Reading]:
        """See :class:`devices.codec.Codec`."""
        parts = topic.split("/", 3)
        if len(parts) < 3 or parts[0] != "owntracks" or not parts[1] or not parts[2]:
            raise Undecodable("unknown_topic", topic)
        check_size(payload)
        device = "/".join(parts[:3])
        kind = parse(_TYPED, payload).kind
        if kind in ("location", "transition"):
            return [_fix(parse(_PLACE, payload), device, received)]
        if kind == "lwt":
            return [Sample(device, received, received, "online", 0.0)]
        if kind in _WITHOUT_READING:
            return []
        raise Undecodable("wrong_shape", f"_type = {kind!r}: not a type that can be kept as a reading")


def _fix(p: PlacePayload, device: str, received: int) -> Fix:
    speed = _known(p.vel, 36_000) / _KMH
    heading = _known(p.cog, 360) % 360
    return Fix(
        device,
        event_time(p.tst, "tst"),
        received,
        p.lon,
        p.lat,
        speed,
        heading,
        _known(p.acc, 1e8),
        _known(p.batt, 100),
    )


def _known(value: float | None, most: float) -> float:
    """The value where it is within 0..most, else NaN: the apps send -1 and the like for what the phone did not say."""
    return value if value is not None and 0 <= value <= most else NAN
