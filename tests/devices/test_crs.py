"""WGS-84, GCJ-02 and BD-09: published points, and there and back again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.crs import UnknownCrs, from_wgs84, to_wgs84

# wgs lon, lat → gcj lon, lat. The first from the README of coordtransform, the others from the tests of eviltransform.
GCJ_POINTS = [
    (116.404, 39.915, 116.41024449916938, 39.91640428150164),
    (121.5272106, 31.1774276, 121.531541859215, 31.17530398364597),
    (113.912316, 22.543847, 113.9171764808363, 22.540796131694766),
    (116.377817, 39.911954, 116.38404722455657, 39.91334545536069),
]
# Inside the box in which the shift applies, a shift's width away from its edge (see to_wgs84).
longitudes = st.floats(72.05, 137.78)
latitudes = st.floats(0.88, 55.77)


@pytest.mark.parametrize(("lon", "lat", "gcj_lon", "gcj_lat"), GCJ_POINTS)
def test_published_gcj02_points(lon: float, lat: float, gcj_lon: float, gcj_lat: float) -> None:
    assert from_wgs84(lon, lat, "gcj02") == pytest.approx((gcj_lon, gcj_lat), abs=1e-9)
    assert to_wgs84(gcj_lon, gcj_lat, "gcj02") == pytest.approx((lon, lat), abs=1e-9)


def test_published_bd09_points() -> None:
    # gcj02tobd09(wgs84togcj02(116.404, 39.915)) of coordtransform
    assert from_wgs84(116.404, 39.915, "bd09") == pytest.approx((116.41662724378733, 39.922699552216216), abs=1e-9)
    assert to_wgs84(116.41662724378733, 39.922699552216216, "bd09") == pytest.approx((116.404, 39.915), abs=1e-9)


def test_the_one_step_inverse_of_others_is_bettered() -> None:
    """coordtransform's own way back is a single step and off by metres; ours returns to the start."""
    lon, lat = to_wgs84(116.404, 39.915, "gcj02")
    assert (lon, lat) == pytest.approx((116.39775550083061, 39.91359571849836), abs=2e-5)
    assert from_wgs84(lon, lat, "gcj02") == pytest.approx((116.404, 39.915), abs=1e-9)


@given(lon=longitudes, lat=latitudes, crs=st.sampled_from(["gcj02", "bd09"]))
def test_there_and_back(lon: float, lat: float, crs: str) -> None:
    there = from_wgs84(lon, lat, crs)  # type: ignore[arg-type]
    assert there != (lon, lat)
    assert max(abs(there[0] - lon), abs(there[1] - lat)) < 0.04
    assert to_wgs84(*there, crs) == pytest.approx((lon, lat), abs=1e-9)  # type: ignore[arg-type]


@given(lon=longitudes, lat=latitudes, crs=st.sampled_from(["gcj02", "bd09"]))
def test_back_and_there(lon: float, lat: float, crs: str) -> None:
    back = to_wgs84(lon, lat, crs)  # type: ignore[arg-type]
    assert from_wgs84(*back, crs) == pytest.approx((lon, lat), abs=1e-9)  # type: ignore[arg-type]


@given(
    lon=st.floats(-180, 180).filter(lambda x: not 71.8 < x < 138.0),
    lat=st.floats(-90, 90),
)
def test_outside_the_box_gcj02_is_wgs84(lon: float, lat: float) -> None:
    assert from_wgs84(lon, lat, "gcj02") == (lon, lat)
    assert to_wgs84(lon, lat, "gcj02") == (lon, lat)


@given(st.lists(st.tuples(longitudes | st.just(np.nan), latitudes), max_size=20))
def test_arrays_give_what_scalars_give(places: list[tuple[float, float]]) -> None:
    lon, lat = np.array(places, np.float64).reshape(-1, 2).T
    for crs in ("wgs84", "gcj02", "bd09"):
        for convert in (to_wgs84, from_wgs84):
            together = convert(lon, lat, crs)  # type: ignore[type-var, arg-type]
            assert together[0].shape == together[1].shape == lon.shape
            for i, place in enumerate(places):
                alone = convert(*place, crs)  # type: ignore[arg-type]
                assert type(alone[0]) is type(alone[1]) is float
                assert np.allclose([together[0][i], together[1][i]], alone, atol=1e-10, rtol=0, equal_nan=True)


def test_nan_stays_nan_and_spares_its_neighbours() -> None:
    lon, lat = to_wgs84(np.array([np.nan, 116.41024449916938]), np.array([30.0, 39.91640428150164]), "gcj02")
    assert np.isnan(lon[0])
    assert (lon[1], lat[1]) == pytest.approx((116.404, 39.915), abs=1e-9)


@pytest.mark.parametrize("place", [(np.inf, 30.0), (116.0, -np.inf), (116.0, 91.0), (1e300, 30.0), (-180.1, 1.0)])
@pytest.mark.parametrize("crs", ["wgs84", "gcj02", "bd09"])
def test_what_is_no_place_on_earth_is_nan(place: tuple[float, float], crs: str) -> None:
    for convert in (to_wgs84, from_wgs84):
        assert np.isnan(convert(*place, crs)).all()  # type: ignore[call-overload]
        assert np.isnan(convert(np.array(place[:1]), np.array(place[1:]), crs)).all()  # type: ignore[call-overload]


def test_the_arrays_given_are_left_alone() -> None:
    lon, lat = np.array([118.88]), np.array([31.47])
    from_wgs84(lon, lat, "bd09")
    to_wgs84(lon, lat, "bd09")
    assert (lon[0], lat[0]) == (118.88, 31.47)


@pytest.mark.parametrize("convert", [to_wgs84, from_wgs84])
def test_an_unknown_system_is_named(convert: object) -> None:
    with pytest.raises(UnknownCrs, match="'GCJ-02'"):
        convert(118.0, 31.0, "GCJ-02")  # type: ignore[operator]
