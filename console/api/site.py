"""The place: its zones, patrol plans, areas, units and rules."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict

import shapely
from fastapi import APIRouter

from console.api.refusals import LOGGED_IN, refusals
from console.auth import Anyone, Caller
from console.desk import Ground, TheDesk
from console.models import AreaOut, PlanOut, RuleOut, SiteOut, UnitOut, ZoneCollection, ZoneFeature, ZoneProperties
from devices.site import Site, Zone

site = APIRouter(prefix="/api/v1/site", tags=["site"], responses=refusals(*LOGGED_IN))


@site.get("", summary="The site's zones, patrol plans, areas, units and rules")
async def read_site(caller: Anyone, desk: TheDesk) -> SiteOut:
    """Everything a map needs before the first position.

    An account with an area is given the areas, zones and plans below and above its own; the units are given whole, as a
    case may be handed to any.
    """
    ground = await desk.ground()
    return describe(ground, caller, desk.tile_url, desk.tile_attribution)


def describe(ground: Ground, caller: Caller, tile_url: str, tile_attribution: str) -> SiteOut:
    """What this caller is told of the site."""
    place = ground.site
    own = caller.sight.areas
    shown = set(place.areas) if own is None else {*own, *place.lineage(caller.account.area or "")}
    zones = [zone for zone in sorted(place.zones.values(), key=lambda z: z.code) if zone.area in shown]
    return SiteOut(
        name=place.name,
        name_en=place.name_en,
        tile_url=tile_url,
        tile_attribution=tile_attribution,
        bounds=_bounds(place, zones, caller),
        zones=ZoneCollection(features=[_feature(zone) for zone in zones]),
        plans=[PlanOut.model_validate(plan) for plan in place.plans.values() if plan.area in shown],
        areas=[AreaOut.model_validate(area) for area in place.areas.values() if area.code in shown],
        units=[UnitOut.model_validate(unit) for unit in place.units.values()],
        rules=[RuleOut.model_validate(rule) for rule in ground.rules],
    )


def _feature(zone: Zone) -> ZoneFeature:
    properties = ZoneProperties(
        code=zone.code,
        kind=zone.kind,
        name=zone.name,
        name_en=zone.name_en,
        area=zone.area,
        capacity=zone.capacity,
        season=asdict(zone.season) if zone.season else None,
    )
    return ZoneFeature(id=zone.code, geometry=shapely.geometry.mapping(zone.geometry), properties=properties)


def _bounds(place: Site, zones: Iterable[Zone], caller: Caller) -> tuple[float, float, float, float] | None:
    """West, south, east, north of the zones and the fixed devices shown; None when there are none."""
    shapes = [zone.geometry for zone in zones]
    shapes += [
        shapely.Point(device.lon, device.lat)
        for device in place.registry.devices
        if caller.sight.device(device) and math.isfinite(device.lon) and math.isfinite(device.lat)
    ]
    if not shapes:
        return None
    west, south, east, north = shapely.total_bounds(shapes).tolist()
    return west, south, east, north
