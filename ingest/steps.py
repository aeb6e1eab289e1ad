"""The steps between a message and the store, each on a whole batch. Their order is :data:`ingest.pipeline.STEPS`.

A step takes out what is wrong and keeps its message as a reject with the reason; it raises for nothing that was sent.

An alarm is the exception. An SOS from a known device is stored even if its clock or its place is impossible, with the
time of receipt or without a place, and its message is kept as a reject as well: somebody calls for help, and later
somebody should look at the terminal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from devices.codec import PartlyUndecodable, Undecodable
from devices.codecs import route, share_of
from devices.readings import SECOND, Fix, Flag
from devices.site import moment
from ingest.listener import EVERYTHING
from ingest.topics import UNKNOWN
from ingest.work import NO_SHARE, Kind, Work
from store.readings import one_per_key

if TYPE_CHECKING:
    from ingest.pipeline import Pipeline

ALARM: Final = int(Flag.SOS | Flag.MAN_DOWN)
NO_POSITION: Final = int(Flag.NO_POSITION)
_NOWHERE: Final = 1e-6  # degrees about 0/0, what a receiver without a position says


async def decode(pipeline: Pipeline, work: Work) -> None:
    """Payloads to readings. Rejects: ``unknown_topic``, unless we asked for all topics, and what the codec says."""
    fixes, origins = work.fixes.decoded, work.fixes.origins
    for index in work.rest:
        message = work.messages[index]
        if message.skipped:
            work.by_codec["skipped"] += 1
            work.refuse(index, "too_large", f"{message.skipped} bytes, which were not read")
            continue
        codec = route(message.topic)
        if codec is None and EVERYTHING in pipeline.listener.filters:
            work.by_codec["foreign"] += 1
            continue
        if codec is None:
            work.by_codec["unknown"] += 1
            work.refuse(index, "unknown_topic", message.topic)
            continue
        work.by_codec[codec.name] += 1
        try:
            readings = codec.decode(message.topic, message.payload, message.received)
        except PartlyUndecodable as error:
            work.refuse(index, error.reason, error.detail)
            readings = error.readings
        except Undecodable as error:
            work.refuse(index, error.reason, error.detail)
            continue
        if len(readings) == 1 and type(readings[0]) is Fix:  # nearly all are, and this is half the cost
            fixes.append(readings[0])
            origins.append(index)
        else:
            work.add(index, readings)


async def resolve(pipeline: Pipeline, work: Work) -> None:
    """Addresses to device ids, and columns instead of tuples. Rejects: ``unknown_device``, ``inactive_device``."""
    directory = pipeline.directory
    for kind in work.kinds:
        kind.to_columns(directory)
        unknown = kind.rows["device"] == UNKNOWN
        work.refuse_rows(kind, unknown, "unknown_device", _address)
        inactive = ~unknown & ~directory.active[kind.rows["device"]]
        work.refuse_rows(kind, inactive, "inactive_device", _address)
        kind.keep(~unknown & ~inactive)
    known = []
    for index, ack in work.acks:
        device = directory.registry.resolve(ack.device)
        if device is None:
            work.refuse(index, "unknown_device", ack.device)
        elif not device.active:
            work.refuse(index, "inactive_device", ack.device)
        else:
            known.append((index, ack._replace(device=device.code)))
    work.acks = known


async def check_area(pipeline: Pipeline, work: Work) -> None:
    """The area in the topic is the device's share. Reject: ``wrong_area``."""
    directory = pipeline.directory
    shares = {index: share_of(work.messages[index].topic) for index in work.rest}
    numbers = np.full(len(work.messages), NO_SHARE, np.int32)
    for index, share in shares.items():
        numbers[index] = directory.share_id(share)

    def detail(index: int, device: int) -> str:
        wanted = directory.registry.by_id(device)
        return f"area {shares[index]!r} in the topic, but {wanted.code} belongs to {wanted.share!r}"

    def detail_of_row(kind: Kind, row: int) -> str:
        return detail(int(kind.origin[row]), int(kind.rows["device"][row]))

    for kind in work.kinds:
        given = numbers[kind.origin]
        wrong = (given != NO_SHARE) & (given != directory.share[kind.rows["device"]])
        work.refuse_rows(kind, wrong, "wrong_area", detail_of_row)
        kind.keep(~wrong)
    right = []
    for index, ack in work.acks:
        device = directory.registry.resolve(ack.device)
        if device is not None and shares[index] not in (None, device.share):
            work.refuse(index, "wrong_area", detail(index, device.id))
        else:
            right.append((index, ack))
    work.acks = right


async def join(pipeline: Pipeline, work: Work) -> None:
    """The fixes of the express lane beside the others: from here on all are checked alike."""
    work.join()


async def check_time(pipeline: Pipeline, work: Work) -> None:
    """The device's clock against ours. Rejects: ``time_in_future``, ``time_too_old``."""
    retained = work.messages.retained
    for kind in work.kinds:
        ahead = kind.rows["at"] - kind.rows["received"]
        future = ahead > pipeline.future_limit * SECOND
        old = -ahead > pipeline.backfill_days * 86_400 * SECOND
        work.refuse_rows(kind, future, "time_in_future", _clock)
        work.refuse_rows(kind, old, "time_too_old", _clock)
        alarm, again = _alarms(kind), retained[kind.origin]
        saved = (future | old) & alarm & ~again
        kind.rows["at"][saved] = kind.rows["received"][saved]
        # A retained alarm comes again with every subscription: without a time of its own it must not become a new one.
        stale = alarm & again & (ahead == 0)
        kind.keep(~(future | old | stale) | saved)


async def check_place(pipeline: Pipeline, work: Work) -> None:
    """Places are on Earth, and sightings without one take their camera's. Reject: ``place_impossible``."""
    for kind in (work.fixes, work.sightings):
        lon, lat = kind.rows["lon"], kind.rows["lat"]
        possible = (np.abs(lon) <= 180) & (np.abs(lat) <= 90) & ((np.abs(lon) > _NOWHERE) | (np.abs(lat) > _NOWHERE))
        absent = np.isnan(lon) & np.isnan(lat) if kind is work.sightings else kind.rows["flags"] & NO_POSITION != 0
        wrong = ~possible & ~absent
        work.refuse_rows(kind, wrong, "place_impossible", _place)
        alarm = wrong & _alarms(kind)
        if alarm.any():
            lon[alarm] = lat[alarm] = np.nan
            kind.rows["flags"][alarm] |= NO_POSITION
        kind.keep(~wrong | alarm)
    seen = work.sightings.rows
    absent = np.isnan(seen["lon"])
    registry = pipeline.directory.registry
    seen["lon"][absent] = registry.lon[seen["device"][absent]]
    seen["lat"][absent] = registry.lat[seen["device"][absent]]


async def sort(pipeline: Pipeline, work: Work) -> None:
    """Fixes in the order in which they are stored, one for each device and moment, in parts for the lanes; which
    message brought each is not asked after this."""
    work.fixes.rows = one_per_key(work.fixes.rows)
    work.parts = pipeline.lanes.parts(work.fixes.rows)


def _alarms(kind: Kind) -> NDArray[np.bool_]:
    if "flags" not in (kind.dtype.names or ()):
        return np.zeros(len(kind.rows), bool)
    return np.asarray(kind.rows["flags"] & ALARM != 0)


def _address(kind: Kind, row: int) -> str:
    return kind.addresses[row]


def _clock(kind: Kind, row: int) -> str:
    at, received = int(kind.rows["at"][row]), int(kind.rows["received"][row])
    try:
        said = moment(at).isoformat()
    except OverflowError:  # outside the years 1 to 9999
        said = f"{at / SECOND:.0f} s since 1970"
    return f"t = {said}, received {moment(received).isoformat()}"


def _place(kind: Kind, row: int) -> str:
    return f"lon = {float(kind.rows['lon'][row])!r}, lat = {float(kind.rows['lat'][row])!r}"
