"""Masks as GeoTIFFs that other software understands."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from satsqueeze.core.errors import GridError, LabelError
from satsqueeze.core.raster import Georeference
from satsqueeze.flight.mask import write_mask
from satsqueeze.flight.outputs.palette import class_colours

CLASSES = ("clear", "thick cloud", "thin cloud", "shadow")
PLACE = Georeference(crs="EPSG:32631", transform=(10.0, 0.0, 600000.0, 0.0, -10.0, 5700000.0))


@pytest.fixture
def mask():
    values = np.random.default_rng(0).integers(0, 4, (700, 530)).astype(np.uint8)
    values[:10] = 255
    return values


def test_values_place_nodata_colours_and_names_survive(tmp_path, mask):
    path = tmp_path / "deep" / "mask.tif"
    write_mask(path, mask, PLACE, CLASSES)
    with rasterio.open(path) as found:
        np.testing.assert_array_equal(found.read(1), mask)
        assert found.crs.to_epsg() == 32631
        assert tuple(found.transform)[:6] == PLACE.transform
        assert (found.nodata, found.dtypes, found.count) == (255, ("uint8",), 1)
        assert found.descriptions == ("cloud mask",)
        assert found.compression.name == "deflate"
        assert found.profile["tiled"]
        assert found.block_shapes == [(512, 512)]
        assert found.overviews(1) == [2]
        assert found.tags(1)["class_2"] == "thin cloud"
        assert found.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        table = found.colormap(1)
        assert [table[i][:3] for i in range(4)] == list(class_colours(CLASSES))
    assert [p.name for p in path.parent.iterdir()] == ["mask.tif"]


def test_overviews_hold_classes_not_means(tmp_path):
    mask = np.zeros((1100, 1100), np.uint8)
    mask[:, ::2] = 3
    write_mask(tmp_path / "mask.tif", mask, PLACE, CLASSES)
    with rasterio.open(tmp_path / "mask.tif", overview_level=0) as found:
        assert set(np.unique(found.read(1))) <= {0, 3}


def test_a_patch_without_a_place_can_be_written(tmp_path):
    write_mask(tmp_path / "mask.tif", np.zeros((3, 5), np.uint8), None, CLASSES, description="test")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(tmp_path / "mask.tif") as found:
            assert found.crs is None
            assert found.descriptions == ("test",)


def test_own_colours(tmp_path):
    write_mask(tmp_path / "mask.tif", np.zeros((3, 5), np.uint8), PLACE, ("a", "b"), [(1, 2, 3), (4, 5, 6)])
    with rasterio.open(tmp_path / "mask.tif") as found:
        assert found.colormap(1)[1][:3] == (4, 5, 6)
    with pytest.raises(LabelError, match="as many colours"):
        write_mask(tmp_path / "other.tif", np.zeros((3, 5), np.uint8), PLACE, ("a", "b"), [(1, 2, 3)])


@pytest.mark.parametrize("bad", [np.zeros((3, 5)), np.zeros((1, 3, 5), np.uint8), np.zeros((0, 5), np.uint8)])
def test_what_is_not_a_mask_is_refused(tmp_path, bad):
    with pytest.raises(GridError, match="uint8"):
        write_mask(tmp_path / "mask.tif", bad, PLACE, CLASSES)


def test_values_outside_the_classes_are_refused_and_leave_nothing(tmp_path):
    with pytest.raises(LabelError, match=r"\[4, 9\]"):
        write_mask(tmp_path / "mask.tif", np.array([[0, 4, 9, 255]], np.uint8), PLACE, CLASSES)
    assert not list(tmp_path.iterdir())


def test_colours_are_distinct():
    names = tuple(f"class {i}" for i in range(8))
    assert len(set(class_colours(names))) == 8
    assert len(set(class_colours(CLASSES))) == 4
    assert len(class_colours([str(i) for i in range(20)])) == 20
