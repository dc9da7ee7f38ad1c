"""What the STAC item of a mask says."""

from __future__ import annotations

from pathlib import Path

import pytest

from satsqueeze.core.raster import Georeference
from satsqueeze.flight.opening import open_package
from satsqueeze.flight.outputs.scene_item import MaskRecord, mask_item


@pytest.fixture
def item(package):
    """The item of a mask of 100 x 100 px."""

    def make(shares, *, foreground=(1,), georeference=None):
        named = {"classes": tuple(shares), "foreground": foreground}
        record = MaskRecord(
            id="scene",
            source=Path("/scene.tif"),
            package=package,
            manifest=open_package(package, threads=1).manifest.model_copy(update=named),
            buffer_m=0.0,
            graph="int8.onnx",
            engine="onnx",
            georeference=georeference,
            gsd_m=None,
            height=100,
            width=100,
            shares=shares,
            radiometry="stated",
            acquired=None,
            mask=Path("/out/scene.tif"),
            probabilities=None,
            version="0",
        )
        return mask_item(record).to_dict(transform_hrefs=False)

    return make


@pytest.mark.parametrize("west", [179.99, -180.01])
def test_degrees_beyond_180_are_cut_there(item, west):
    place = Georeference(crs="EPSG:4326", transform=(2e-4, 0, west, 0, -2e-4, 45.0))
    found = item({"clear": 1.0}, foreground=(0,), georeference=place)
    assert found["bbox"] == pytest.approx([179.99, 44.98, -179.99, 45.0])
    east, west = sorted(found["geometry"]["coordinates"], key=lambda polygon: polygon[0][0][0])
    assert {min(x for x, _ in east[0]), max(x for x, _ in west[0])} == {-180.0, 180.0}
    assert max(x for x, _ in east[0]) == pytest.approx(-179.99)


@pytest.mark.parametrize(("west", "height"), [(0.0, 90.0), (-180.125, 90.0), (0.0, 60.0)])
def test_a_grid_around_the_earth_is_the_earth(item, west, height):
    place = Georeference(crs="EPSG:4326", transform=(3.6, 0, west, 0, -height / 50, height))
    found = item({"clear": 1.0}, foreground=(0,), georeference=place)
    assert found["geometry"]["type"] == "Polygon"
    assert found["bbox"] == pytest.approx([-180, -height, 180, height])


def test_degrees_up_to_the_pole_are_cut_likewise(item):
    place = Georeference(crs="EPSG:4326", transform=(0.1, 0, 179.0, 0, -0.1, 90.0))
    assert item({"clear": 1.0}, foreground=(0,), georeference=place)["bbox"] == pytest.approx([179, 80, -171, 90])


def test_degrees_over_more_than_half_of_the_earth(item):
    place = Georeference(crs="EPSG:4326", transform=(2.7, 0, -10.0, 0, -0.1, 50.0))
    assert item({"clear": 1.0}, foreground=(0,), georeference=place)["bbox"] == pytest.approx([-10, 40, -100, 50])


def test_degrees_that_begin_at_180_lie_beyond_it(item):
    place = Georeference(crs="EPSG:4326", transform=(0.1, 0, 180.0, 0, -0.1, 50.0))
    found = item({"clear": 1.0}, foreground=(0,), georeference=place)
    assert found["geometry"]["type"] == "Polygon"
    assert found["bbox"] == pytest.approx([-180, 40, -170, 50])


def test_degrees_within_180_stay(item):
    place = Georeference(crs="EPSG:4326", transform=(2e-4, 0, 10.0, 0, -2e-4, 45.0))
    found = item({"clear": 1.0}, foreground=(0,), georeference=place)
    assert found["bbox"] == pytest.approx([10.0, 44.98, 10.02, 45.0])
    assert found["geometry"]["type"] == "Polygon"


@pytest.mark.parametrize(
    ("shares", "foreground", "cover"),
    [
        ({"clear": 0.7, "cloud": 0.1, "cloud shadow": 0.2}, (1,), 10.0),
        ({"no cloud": 0.9, "Cloud": 0.1}, (1,), 10.0),
        ({"clear": 0.5, "thick cloud": 0.2, "thin cloud": 0.2, "shadow": 0.1}, (1, 2), 40.0),
        ({"water": 0.9, "cloud": 0.1}, (), 10.0),
        ({"land": 0.3, "cloud": 0.1, "cloud shadow": 0.2, "no cloud": 0.4}, (), 10.0),
        ({"land": 0.7, "cloud": 0.1, "cloud_shadow": 0.2}, (1, 2), 10.0),
        ({"land": 0.5, "cloud": 0.1, "water": 0.4}, (2,), 10.0),
        ({"land": 0.9, "water": 0.1}, (1,), None),
    ],
)
def test_clouds_alone_are_cloud_cover(item, shares, foreground, cover):
    found = item(shares, foreground=foreground)["properties"].get("eo:cloud_cover")
    assert found == (cover if cover is None else pytest.approx(cover))
