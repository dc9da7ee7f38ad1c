from __future__ import annotations

import numpy as np
import pytest

from satsqueeze.core.errors import BandError, GridError
from satsqueeze.core.raster import Georeference, Raster, sanitise


def raster() -> Raster:
    values = np.stack([np.full((2, 3), v, np.float32) for v in (0.1, 0.2, 0.3)])
    return Raster(
        values=values,
        valid=np.ones((2, 3), bool),
        bands=("blue", "green", "red"),
        georeference=Georeference(crs="EPSG:32631", transform=(10, 0, 0, 0, -10, 0)),
        provenance="stated",
    )


def test_select_reorders_values_with_names_and_keeps_the_rest():
    chosen = raster().select(["red", "blue"])
    assert chosen.bands == ("red", "blue")
    np.testing.assert_array_equal(chosen.values[:, 0, 0], np.float32([0.3, 0.1]))
    assert chosen.georeference == raster().georeference
    assert chosen.provenance == "stated"


def test_select_refuses_an_absent_band():
    with pytest.raises(BandError, match="nir"):
        raster().select(["nir"])


def test_shapes_and_names_must_agree():
    values = np.zeros((2, 4, 5), np.float32)
    with pytest.raises(GridError, match=r"\(2, 4, 5\) and \(4, 6\)"):
        Raster(values=values, valid=np.ones((4, 6), bool), bands=("red", "nir"))
    with pytest.raises(GridError, match="needs values"):
        Raster(values=values[0], valid=np.ones((4, 5), bool), bands=("red",))
    with pytest.raises(BandError, match="2 channels but 1 band names"):
        Raster(values=values, valid=np.ones((4, 5), bool), bands=("red",))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_bad_band_makes_the_pixel_invalid_in_all(bad):
    values = np.full((2, 2, 2), 0.5, np.float32)
    values[1, 0, 1] = bad
    valid = np.array([[True, True], [False, True]])
    clean, now = sanitise(values, valid)
    np.testing.assert_array_equal(now, [[True, False], [False, True]])
    np.testing.assert_array_equal(clean, np.where(now, np.float32(0.5), 0)[None].repeat(2, axis=0))
    assert clean.dtype == np.float32


def test_sanitise_leaves_its_arguments_alone():
    values = np.full((1, 1, 2), np.nan, np.float32)
    valid = np.ones((1, 2), bool)
    sanitise(values, valid)
    assert np.isnan(values).all()
    assert valid.all()
