"""The heat map: where the patrols were, by the hour, without anybody's name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query, Response

from console.api.refusals import LOGGED_IN, refusals
from console.auth import Desks
from console.desk import TheDesk
from console.errors import wrong_value
from console.models_heat import HeatMap
from console.orders import Moment
from store.heat import CELL, EVERYWHERE, Box, heat, hours_counted

heat_map = APIRouter(prefix="/api/v1/heat", tags=["devices"], responses=refusals(*LOGGED_IN))

LONGEST: Final = timedelta(days=31)
MOST_CELLS: Final = 20_000
HOUR: Final = timedelta(hours=1)


@heat_map.get("", summary="Where the terminals were, as a heat map", response_model=HeatMap)
async def read_heat(
    caller: Desks,
    desk: TheDesk,
    since: Annotated[Moment | None, Query(description="From this hour; a day before `until` if left out")] = None,
    until: Annotated[Moment | None, Query(description="Up to this hour, exclusive; now if left out")] = None,
    box: Annotated[
        str | None, Query(description="west,south,east,north in degrees", examples=["118.6,31.3,119.1,31.6"])
    ] = None,
) -> Response:
    """Whole hours, at most 31 days. Of the account's area; an hour is rolled up some minutes after its end, and again
    when late fixes come. No device is named, so it is not recorded as a look at a track."""
    end = _whole(until or datetime.now(UTC))
    begin = _whole(since) if since else end - timedelta(days=1)
    if not timedelta(0) < end - begin <= LONGEST:
        raise wrong_value("since 须早于 until，且相差不超过 31 天", "since must be before until, by at most 31 days")
    where = EVERYWHERE if box is None else _box(box)
    async with desk.pool.connection() as conn:
        found = await heat(conn, begin, end, where, caller.sight.areas, MOST_CELLS + 1)
        counted = await hours_counted(conn, begin, end)
    places = (found.lon.round(6).tolist(), found.lat.round(6).tolist())
    cells = list(zip(*places, found.devices.tolist(), found.fixes.tolist(), strict=True))
    answer = HeatMap(
        since=begin,
        until=end,
        hours=(end - begin) // HOUR,
        counted=counted,
        cell=CELL,
        cells=cells[:MOST_CELLS],
        cut=len(cells) > MOST_CELLS,
    )
    return Response(answer.model_dump_json(), media_type="application/json")


def _whole(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _box(text: str) -> Box:
    try:
        west, south, east, north = map(float, text.split(","))
    except ValueError:
        west, south, east, north = 0.0, 0.0, 0.0, 0.0
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        raise wrong_value(
            f"box={text[:60]}：应为“西,南,东,北”的度数", f"box={text[:60]}: expected west,south,east,north in degrees"
        )
    return Box(west, south, east, north)
