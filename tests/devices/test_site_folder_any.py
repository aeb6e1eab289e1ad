"""Any site comes back as it was written; any file that is broken is refused by name and never by another exception."""

from __future__ import annotations

import json
import string
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import shapely
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from devices.registry import Device
from devices.site import Plan, Season, Zone
from devices.site_contents import FILES, ZONES
from devices.site_folder import SiteErrors, SiteFolder, check_folder, read_folder, write_folder
from devices.site_geojson import RESERVED
from devices.site_plans import VISITED_KINDS

DISTRICT, STREET, VILLAGE, GRID = "990101000000", "990101001000", "990101001201", "990101001201-01"

codes = st.text(string.ascii_letters + string.digits + "_.-", min_size=1, max_size=8).filter(lambda c: c[0].isalnum())
names = (
    st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"]), min_size=1, max_size=12)
    .map(str.strip)
    .filter(bool)
)
words = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="+#"), min_size=1, max_size=10)
numbers = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
toml_values = st.recursive(
    names | numbers | st.booleans(),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(names, v, max_size=3),
    max_leaves=6,
)
json_values = st.recursive(
    st.none() | names | numbers | st.booleans(),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(names, v, max_size=3),
    max_leaves=6,
)
extras = st.dictionaries(names.filter(lambda n: n not in RESERVED), json_values, max_size=3)
lons, lats = st.floats(60, 179.99), st.floats(1, 59.99)
days = st.dates().map(lambda d: f"{d:%m-%d}")
hours = st.times().map(lambda t: f"{t:%H:%M}")
seasons = st.none() | st.builds(Season, days, days, hours, hours)


@st.composite
def outlines(draw: st.DrawFn, *, line: bool) -> Any:
    lon, lat = draw(lons), draw(lats)
    if line:
        return shapely.LineString([(lon, lat), (draw(lons), draw(lats)), (lon + 0.001, lat)])
    box = shapely.box(lon, lat, lon + draw(st.floats(0.001, 0.01)), lat + draw(st.floats(0.001, 0.01)))
    return draw(st.sampled_from([box, shapely.MultiPolygon([box]), box.difference(box.centroid.buffer(0.0003))]))


@st.composite
def devices(draw: st.DrawFn, code: str, aliases: tuple[str, ...]) -> Device:
    kind = draw(st.sampled_from(["terminal", "camera", "sensor", "vessel"]))
    place = {"lon": draw(lons), "lat": draw(lats)} if kind in ("camera", "sensor") or draw(st.booleans()) else {}
    return Device(
        code,
        kind,
        draw(names),
        draw(names),
        draw(st.sampled_from([STREET, GRID])),
        STREET,
        unit=draw(st.sampled_from(["", "fishery"])),
        role=draw(st.sampled_from(["patrol", "police", "boat"])) if kind == "terminal" else "",
        interval=draw(st.floats(0, 86400)),
        aliases=aliases,
        active=draw(st.booleans()),
        properties=draw(extras),
        **place,
    )


@st.composite
def zones(draw: st.DrawFn, code: str) -> Zone:
    kind = draw(st.sampled_from(["no_fishing", "restricted", "patrol", "checkpoint", "crowd_watch", "water"]))
    line = kind == "patrol" and draw(st.booleans())
    capacity = draw(st.integers(1, 10**6)) if kind == "crowd_watch" else 0
    geometry = draw(outlines(line=line))
    return Zone(code, kind, draw(names), draw(names), VILLAGE, geometry, capacity, draw(seasons), draw(extras))


@st.composite
def plans(draw: st.DrawFn, code: str, zones: Sequence[Zone]) -> Plan:
    lines = [z.code for z in zones if z.geometry.geom_type == "LineString"]
    route = bool(lines) and draw(st.booleans())
    some = st.lists(st.sampled_from([z.code for z in zones]), min_size=1, unique=True)
    return Plan(
        code,
        "route" if route else "quota",
        draw(names),
        draw(names),
        GRID,
        (draw(st.sampled_from(lines)),) if route else tuple(draw(some)),
        visits=1 if route else draw(st.integers(1, 100)),
        stay=draw(st.floats(0, 86400)),
        opens=draw(hours),
        closes=draw(hours),
        days=tuple(draw(st.lists(st.integers(1, 7), min_size=1, unique=True))),
        who=tuple(draw(st.lists(st.sampled_from(["patrol", "police", "boat"]), unique=True))),
        share=draw(st.floats(0, 1, exclude_min=True)),
        ordered=draw(st.booleans()),
        corridor=draw(st.floats(5, 1000)),
    )


def kinds(code: str) -> st.SearchStrategy[dict[str, str]]:
    """A line of categories.csv; what its cells may be is not judged here."""
    columns = ("name", "name_en", "severity", "high", "medium", "low", "remind", "supervise", "ownership", "callback")
    return st.fixed_dictionaries({"code": st.just(code), **dict.fromkeys(columns, names | st.just(""))})


people = st.fixed_dictionaries(
    {"area": st.just(DISTRICT), **dict.fromkeys(("unit", "name", "name_en", "account", "office"), names | st.just(""))}
)


lines = st.fixed_dictionaries(
    dict.fromkeys(("to", "address", "name", "severity", "kinds", "quiet", "digest"), names | st.just(""))
)


@st.composite
def sites(draw: st.DrawFn, small: SiteFolder) -> SiteFolder:
    """The small site's areas and unit with anything else."""
    device_codes = draw(st.lists(codes, max_size=4, unique=True))
    addresses = draw(st.lists(words.filter(lambda w: w not in device_codes), max_size=3, unique=True))
    duty_categories = draw(st.lists(names, max_size=3, unique=True))
    rule = st.fixed_dictionaries(
        dict.fromkeys(("name", "name_en", "detector", "severity", "category"), names),
        optional={
            "settings": st.dictionaries(names, toml_values, max_size=3),
            "deadline": names,
            "active": st.booleans(),
        },
    )
    places = tuple(draw(zones(c)) for c in draw(st.lists(codes, max_size=3, unique=True)))
    visited = [z for z in places if z.kind in VISITED_KINDS]
    plan_codes = draw(st.lists(codes, max_size=2, unique=True)) if visited else []
    return replace(
        small,
        name=draw(names),
        name_en=draw(names),
        devices=tuple(draw(devices(c, tuple(addresses) if i == 0 else ())) for i, c in enumerate(device_codes)),
        zones=places,
        plans=tuple(draw(plans(c, visited)) for c in plan_codes),
        rules=tuple({"code": c, **draw(rule)} for c in draw(st.lists(names, max_size=2, unique=True))),
        duties=tuple({"category": c, "area": DISTRICT, "unit": "fishery"} for c in duty_categories),
        categories=tuple(draw(kinds(c)) for c in duty_categories),
        supervisors=tuple(draw(st.lists(people, max_size=2))),
        contacts=tuple(draw(st.lists(lines.filter(lambda line: any(line.values())), max_size=2))),
    )


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_round_trip_of_any_site(
    tmp_path_factory: pytest.TempPathFactory, small: SiteFolder, data: st.DataObject
) -> None:
    site = data.draw(sites(small))
    first, second = tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("second")
    write_folder(site, first)
    read = read_folder(first)
    assert read == site
    write_folder(read, second)
    assert all((first / file).read_bytes() == (second / file).read_bytes() for file in FILES)


# ── Never another exception ─────────────────────────────────────────────────────────────────────────────────────────
def read_or_refuse(folder: Path) -> None:
    try:
        site = read_folder(folder)
    except SiteErrors as errors:
        assert errors.errors
        assert all(error.file in FILES and error.problem for error in errors.errors)
    else:
        check_folder(site)


@settings(max_examples=150)
@given(file=st.sampled_from(FILES), content=st.binary(max_size=200))
@example(file=ZONES, content=b"[" * 100_000)
@example(file="rules.toml", content=b"a=" + b"[" * 5_000)
@example(
    file="devices.csv", content=b"code,kind,name,name_en,area,share,properties\nT,terminal,a,a,9,9," + b"[" * 100_000
)
@example(file="areas.csv", content=b"\xff\xfe\x00")
@example(file="areas.csv", content=b"code,name,name_en,level\n" + b"x" * 200_000)
@example(file="site.toml", content=b"name = " + b"9" * 5_000)
@example(
    file=ZONES,
    content=b'{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"code": %s}}]}'
    % (b"9" * 5_000),
)
def test_any_bytes_in_a_file(
    tmp_path_factory: pytest.TempPathFactory, small: SiteFolder, file: str, content: bytes
) -> None:
    folder = tmp_path_factory.mktemp("site")
    write_folder(small, folder)
    (folder / file).write_bytes(content)
    read_or_refuse(folder)


@settings(max_examples=200)
@given(file=st.sampled_from(FILES), data=st.data())
def test_any_wound_of_a_good_file(
    tmp_path_factory: pytest.TempPathFactory, small: SiteFolder, file: str, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("site")
    write_folder(small, folder)
    whole = (folder / file).read_bytes()
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 40)))
    (folder / file).write_bytes(whole[:start] + data.draw(st.binary(max_size=12)) + whole[end:])
    read_or_refuse(folder)


@settings(max_examples=150)
@given(data=st.data())
def test_any_json_in_a_feature(
    tmp_path_factory: pytest.TempPathFactory, small: SiteFolder, data: st.DataObject
) -> None:
    anything = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda v: st.lists(v, max_size=4) | st.dictionaries(st.text(max_size=5), v, max_size=3),
        max_leaves=12,
    )
    folder = tmp_path_factory.mktemp("site")
    write_folder(small, folder)
    collection = json.loads((folder / ZONES).read_text("utf-8"))
    feature = data.draw(st.sampled_from(collection["features"]))
    part = data.draw(st.sampled_from(["type", "properties", "geometry", "coordinates", *feature["properties"]]))
    owner = {"coordinates": feature["geometry"]}.get(part, feature if part in feature else feature["properties"])
    owner[part] = data.draw(anything)
    (folder / ZONES).write_text(json.dumps(collection), "utf-8")
    read_or_refuse(folder)
