"""Devices, where they are, and where they were."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import msgspec
import numpy as np
import structlog
from fastapi import APIRouter, Path, Query, Response

from console.answers import number, position
from console.api.refusals import LOGGED_IN, refusals
from console.auth import Anyone, Staff
from console.desk import TheDesk
from console.errors import not_found, wrong_value
from console.models import DeviceOut, Position, Track
from console.orders import Moment
from devices.readings import SECOND, Flag, Rows
from devices.registry import Device
from devices.site import micros
from store.accounts import record_look
from store.readings import last_positions, track

log = structlog.get_logger()
devices = APIRouter(prefix="/api/v1", tags=["devices"], responses=refusals(*LOGGED_IN))

LONGEST_TRACK: Final = timedelta(days=7)
MOST_POINTS: Final = 250_000  # a fix every 3 s for the longest track


@devices.get("/devices", summary="The registered devices")
async def read_devices(caller: Anyone, desk: TheDesk) -> list[DeviceOut]:
    """Those that the account may see: a viewer no terminals, a unit its own and those in its area."""
    site = (await desk.ground()).site
    return [_device(device) for device in site.registry.devices if caller.sight.device(device)]


@devices.get("/positions", summary="Where every device is")
async def read_positions(caller: Anyone, desk: TheDesk) -> list[Position]:
    """The newest position of each device that the account may see and that ever sent one."""
    site = (await desk.ground()).site
    shown = {device.id: device for device in site.registry.devices if caller.sight.device(device)}
    async with desk.pool.connection() as conn:
        fixes = await last_positions(conn)
    return [position(fix, shown[int(fix["device"])]) for fix in fixes if int(fix["device"]) in shown]


@devices.get("/devices/{code}/track", summary="Where a device was", response_model=Track, responses=refusals(404))
async def read_track(
    caller: Staff,
    desk: TheDesk,
    code: Annotated[str, Path(description="The device's code", examples=["T001"])],
    since: Annotated[Moment | None, Query(description="From here; an hour before `until` if left out")] = None,
    until: Annotated[Moment | None, Query(description="Up to here, exclusive; now if left out")] = None,
) -> Response:
    """At most seven days. Each look is recorded with who looked, at whom, and which stretch."""
    end = until or datetime.now(UTC)
    begin = since or end - timedelta(hours=1)
    if not timedelta(0) < end - begin <= LONGEST_TRACK:
        raise wrong_value("since 须早于 until，且相差不超过 7 天", "since must be before until, by at most 7 days")
    device = (await desk.ground()).site.registry.resolve(code)
    if device is None or device.code != code or not caller.sight.device(device):
        raise not_found("该设备", "such device")
    async with desk.pool.connection() as conn:
        await record_look(conn, caller.account.id, device.id, begin, end)
        fixes = await track(conn, device.id, micros(begin), micros(end), MOST_POINTS)
    log.info("track_looked_at", by=caller.account.name, device=code, since=str(begin), until=str(end))
    return Response(_encoded(device, fixes), media_type="application/json")


def _encoded(device: Device, fixes: Rows) -> bytes:
    """The JSON of a Track, straight from the columns: a day is 17,280 points. msgspec writes NaN as null."""
    seconds = (fixes["at"] / SECOND).round(3).tolist()
    places = (fixes["lon"].round(7).tolist(), fixes["lat"].round(7).tolist())
    speeds = fixes["speed"].astype(float).round(2).tolist()
    suspect = np.flatnonzero(fixes["flags"] & Flag.SUSPECT).tolist()
    points = list(zip(*places, seconds, speeds, strict=True))
    return msgspec.json.encode({"device": device.code, "points": points, "suspect": suspect})


def _device(device: Device) -> DeviceOut:
    return DeviceOut(
        id=device.id,
        code=device.code,
        kind=device.kind,
        role=device.role,
        name=device.name,
        name_en=device.name_en,
        area=device.area,
        unit=device.unit,
        interval=device.interval,
        lon=number(device.lon, 7),
        lat=number(device.lat, 7),
        active=device.active,
    )
