"""On which grid images are read."""

import numpy as np
import pytest
import rasterio
from affine import Affine

from satsqueeze.core.errors import GridError
from satsqueeze.data.scene.grid import GridRule, laid
from satsqueeze.data.scene.reader import open_scene


@pytest.fixture
def ramp(tmp_path):
    """Writes an image whose reflectance is a linear function of its place: 0.1 + 1e-4 x + 2e-4 y in metres."""

    def write(gsd, side, crs="EPSG:32631"):
        centres = (np.arange(side) + 0.5) * gsd
        values = 0.1 + 1e-4 * centres[None] + 2e-4 * centres[:, None]
        path = tmp_path / f"{gsd}.tif"
        profile = {"driver": "GTiff", "dtype": "float32", "count": 1, "height": side, "width": side, "crs": crs}
        with rasterio.open(path, "w", **profile, transform=Affine(gsd, 0, 6e5, 0, -gsd, 5e6)) as file:
            file.write(values.astype(np.float32)[None])
        return path

    return write


@pytest.mark.parametrize(
    ("own", "read"),
    [(2.5, 10.0), (7.0, 7.0), (10.0, 10.0), (20.0, 20.0), (30.0, 30.0), (60.0, 30.0), (120.0, 30.0)],
)
def test_much_finer_and_much_coarser_images_are_resampled(ramp, own, read):
    with rasterio.open(ramp(own, 48)) as file:
        grid = GridRule(gsd_m=10).target(file)
    assert grid.georeference.transform[0] == pytest.approx(read)
    assert grid.height == round(48 * own / read)


def test_coarser_bands_look_alike_in_training_and_in_flight(tmp_path):
    """Training reads an image on its own grid by sizes alone, flight lays it onto a grid that is asked for."""
    generator = np.random.default_rng(0)
    for name, gsd, side in (("B04", 10.0, 48), ("B11", 20.0, 24)):
        profile = {"driver": "GTiff", "dtype": "uint16", "count": 1, "height": side, "width": side, "crs": "EPSG:32631"}
        with rasterio.open(
            tmp_path / f"{name}.tif", "w", **profile, transform=Affine(gsd, 0, 6e5, 0, -gsd, 5e6)
        ) as file:
            file.write(generator.integers(500, 6000, (1, side, side), dtype=np.uint16))
    paths = [tmp_path / "B04.tif", tmp_path / "B11.tif"]
    words = {"radiometry": "scale:0.0001", "want": ("red", "swir16"), "file_bands": ("red", "swir16")}
    with open_scene(paths, **words) as trained, open_scene(paths, **words, grid=GridRule(gsd_m=10.0)) as flown:
        one, other = trained.read(), flown.read()
    np.testing.assert_array_equal(one.valid, other.valid)
    np.testing.assert_allclose(one.values, other.values, atol=1.1e-4)


@pytest.mark.parametrize("own", [2.5, 120.0])
def test_what_is_linear_stays_so(ramp, own):
    with rasterio.open(ramp(own, 48)) as file:
        grid = GridRule(gsd_m=10).target(file)
        with laid(file, grid, nodata=None) as view:
            found = view.read([1])[0]
    gsd = grid.georeference.transform[0]
    rows, cols = ((np.arange(edge) + 0.5) * gsd for edge in (grid.height, grid.width))
    wanted = 0.1 + 1e-4 * cols[None] + 2e-4 * rows[:, None]
    inner = (slice(8, -8), slice(8, -8)) if own > 10 else (slice(1, -1), slice(1, -1))
    np.testing.assert_allclose(found[inner], wanted[inner], rtol=2e-5)


def test_no_size_without_metres(ramp):
    with rasterio.open(ramp(0.001, 8, crs="EPSG:4326")) as file:
        assert GridRule(gsd_m=10).target(file).height == 8
        with pytest.raises(GridError, match="not in metres, so it cannot be read at 10 m"):
            GridRule(gsd_m=10, exact=True).target(file)
    with pytest.raises(GridError, match="above 0 m, got 0"):
        GridRule(gsd_m=0)


@pytest.mark.parametrize(("own", "gsd"), [(30, 20), (30, 13), (10, 7), (10, 20)])
def test_no_pixel_is_made_beyond_the_last(ramp, own, gsd):
    with rasterio.open(ramp(own, 101)) as file:
        grid = GridRule(gsd_m=gsd, exact=True).target(file)
        with laid(file, grid, nodata=None) as view:
            found = view.read([1])[0]
    assert (grid.height - 0.5) * gsd < 101 * own
    assert (grid.height + 0.5) * gsd >= 101 * own - 1
    assert found.min() > 0
