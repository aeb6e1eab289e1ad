"""A small site with something of every kind, for the tests of the site folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import shapely

from devices.registry import Device
from devices.site import Area, Plan, Season, Unit, Zone
from devices.site_folder import SiteFolder, write_folder

DISTRICT, STREET, VILLAGE, GRID = "990101000000", "990101001000", "990101001201", "990101001201-01"
SQUARE = shapely.Polygon([(118.0, 31.0), (118.01, 31.0), (118.01, 31.01), (118.0, 31.0)])
ROUTE = shapely.LineString([(118, 31), (118.1, 31.1)])

AREAS = (
    Area(DISTRICT, "区", "District", "district"),
    Area(STREET, "镇", "Town", "street", DISTRICT),
    Area(VILLAGE, "村", "Village", "community", STREET),
    Area(GRID, "网格", "Grid", "grid", VILLAGE),
)
TERMINAL = Device(
    "T001",
    "terminal",
    "巡护,1号",
    'Patrol "1"',
    GRID,
    STREET,
    unit="fishery",
    role="patrol",
    interval=5.0,
    aliases=("owntracks/a/b",),
)
CAMERA = Device(
    "C01",
    "camera",
    "监控",
    "Camera",
    VILLAGE,
    STREET,
    lon=118.5,
    lat=31.25,
    active=False,
    properties={"fov": 60.5},
)
ZONES = (
    Zone("NF", "no_fishing", "禁渔区", "Ban", VILLAGE, SQUARE, season=Season("11-01", "02-29", "18:00", "06:00")),
    Zone(
        "CW", "crowd_watch", "广场", "Square", VILLAGE, shapely.MultiPolygon([SQUARE]), 80, properties={"floor": None}
    ),
    Zone("P", "patrol", "巡护线", "Route", VILLAGE, ROUTE),
)
PLANS = (
    Plan("Q", "quota", "每日两巡", "Twice a day", VILLAGE, ("P", "NF"), visits=2, stay=300.0, who=("patrol", "police")),
    Plan(
        "R", "route", "夜巡", "Night round", VILLAGE, ("P",), opens="22:00", closes="02:30", days=(5, 6), ordered=True
    ),
)
RULE = {
    "code": "sos",
    "name": "求救",
    "name_en": "SOS",
    "detector": "sos",
    "severity": "high",
    "category": "sos",
    "live_within": 600.0,
    "settings": {"z": 1, "a": [1.5, "x"]},
}

KIND = {
    "code": "sos",
    "name": "求救",
    "name_en": "SOS",
    "severity": "high",
    "high": "30m",
    "medium": "",
    "low": "2wd",
    "remind": "50",
    "supervise": "-",
    "ownership": "2wh",
    "callback": "",
}
SUPERVISOR = {"area": DISTRICT, "unit": "", "name": "王某", "name_en": "Wang", "account": "", "office": "fishery"}
CONTACT = {
    "to": "fishery",
    "address": "feishu://abc",
    "name": "渔政群",
    "severity": "high",
    "kinds": "sos fishing",
    "quiet": "22:00..07:00",
    "digest": "5/10m",
}


@pytest.fixture(scope="session")
def small() -> SiteFolder:
    """One of everything."""
    return SiteFolder(
        name="小湖",
        name_en="Small lake",
        areas=AREAS,
        units=(Unit("fishery", "渔政", "Fishery", DISTRICT, ("mailto://a:b@example.org", "dingtalk://abc")),),
        devices=(TERMINAL, CAMERA),
        zones=ZONES,
        plans=PLANS,
        rules=(RULE,),
        duties=({"category": "sos", "area": DISTRICT, "unit": "fishery"},),
        categories=(KIND,),
        supervisors=(SUPERVISOR,),
        contacts=(CONTACT,),
    )


@pytest.fixture
def folder(small: SiteFolder, tmp_path: Path) -> Path:
    """The small site, written."""
    write_folder(small, tmp_path)
    return tmp_path
