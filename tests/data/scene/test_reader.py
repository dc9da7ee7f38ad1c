from __future__ import annotations

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.enums import ColorInterp

from satsqueeze.core.errors import BandError, GridError, RadiometryError, RasterError
from satsqueeze.core.window import Window
from satsqueeze.data.items.reader import open_scene
from satsqueeze.data.scene.grid import GridRule

FOUR = ("blue", "green", "red", "nir")
UTM = "EPSG:32631"


def read(paths, **more):
    with open_scene(paths, **more) as reader:
        return reader.read()


def test_multi_band_file_by_descriptions(write_tiff, reflectance, tmp_path):
    image = reflectance()
    path = write_tiff(tmp_path / "a.tif", image, names=("B04", "B03", "B02", "B08"), crs=UTM)
    with open_scene(path, want=FOUR) as reader:
        assert reader.bands.names == FOUR
        assert (reader.height, reader.width, reader.gsd_m) == (24, 20, 10.0)
        raster = reader.read()
    np.testing.assert_array_equal(raster.values, image[[2, 1, 0, 3]])
    assert raster.valid.all()
    assert raster.georeference.crs == UTM
    assert raster.provenance == "floating-point values taken as reflectance"


def test_single_band_files_by_name_and_the_panchromatic_one_left_out(write_tiff, reflectance, tmp_path):
    image = reflectance(channels=3)
    stem = tmp_path / "LC80130312015295LGN00"
    paths = [write_tiff(stem.with_name(f"{stem.name}_B{n}_toa.tif"), image[n - 3], crs=UTM, gsd=30) for n in (3, 4, 5)]
    paths.append(write_tiff(stem.with_name(f"{stem.name}_B8_toa.tif"), reflectance(1, 1, 48, 40), crs=UTM, gsd=15))
    raster = read(paths)
    assert raster.bands == ("green", "red", "nir")
    np.testing.assert_array_equal(raster.values, image)


def test_a_panchromatic_band_that_begins_half_a_pixel_beside_the_others(tmp_path):
    def write(name, gsd, side, start):
        centres = start + (np.arange(side) + 0.5) * gsd
        values = 0.1 + 1e-4 * centres[None] + 2e-4 * centres[:, None]
        profile = {"driver": "GTiff", "dtype": "float32", "count": 1, "height": side, "width": side, "crs": UTM}
        place = rasterio.Affine(gsd, 0, 6e5 + start, 0, -gsd, 5e6 - start)
        with rasterio.open(tmp_path / f"{name}.tif", "w", **profile, transform=place) as file:
            file.write(values.astype(np.float32)[None])
        return tmp_path / f"{name}.tif"

    raster = read([write("red", 30, 60, 0.0), write("blue", 15, 119, 7.5)])
    red, blue = raster.values[:, 5:-5, 5:-5]
    np.testing.assert_allclose(red, blue, atol=1e-5)


@pytest.mark.parametrize("aside", [7.5, 10.0, 15.0])
def test_what_lies_beyond_a_coarser_file_was_not_measured(write_tiff, tmp_path, aside):
    fine = write_tiff(tmp_path / "red.tif", np.full((100, 100), 0.2, np.float32), crs=UTM, gsd=10)
    inside = (300000.0 + aside, 5000000.0 - aside)
    coarse = np.full((50, 50), 0.3, np.float32)
    raster = read([fine, write_tiff(tmp_path / "swir16.tif", coarse, crs=UTM, gsd=20, origin=inside)])
    np.testing.assert_allclose(raster.values[1][raster.valid], 0.3, atol=1e-6)
    assert not raster.valid[0].any()
    assert not raster.valid[:, 0].any()
    assert raster.valid[2:, 2:].all()


def test_files_that_lie_right_are_read_alike_whatever_lies_beside_them(write_tiff, tmp_path):
    random = np.random.default_rng(0)
    fine = write_tiff(tmp_path / "red.tif", random.random((40, 40)).astype(np.float32), crs=UTM, gsd=10)
    right = write_tiff(tmp_path / "swir16.tif", random.random((20, 20)).astype(np.float32), crs=UTM, gsd=20)
    aside = write_tiff(
        tmp_path / "swir22.tif",
        random.random((20, 20)).astype(np.float32),
        crs=UTM,
        gsd=20,
        origin=(300005.0, 4999995.0),
    )
    alone, beside = read([fine, right]), read([fine, right, aside])
    np.testing.assert_array_equal(alone.values[1], beside.values[1])


def test_stated_bands_name_the_channels(write_tiff, reflectance, tmp_path):
    image = reflectance()
    path = write_tiff(tmp_path / "a.tif", image)
    with pytest.raises(BandError, match="cannot tell the bands of 4 of 4 channels"):
        open_scene(path)
    np.testing.assert_array_equal(read(path, bands=FOUR, want=["red"]).values, image[[2]])
    with pytest.raises(BandError, match=r"has 4 channels; expected 3 \(blue, green, red\)"):
        open_scene(path, bands=FOUR[:3])
    with pytest.raises(BandError, match=r"a\.tif: band\(s\) swir16 are needed but the image has blue"):
        open_scene(path, bands=FOUR, want=["swir16"])


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=st.integers(0, 23), col=st.integers(0, 19), data=st.data())
def test_a_window_is_a_part_of_the_whole(write_tiff, tmp_path, row, col, data):
    path = tmp_path / "window.tif"
    if not path.exists():
        digital = np.random.default_rng(0).integers(0, 9000, (4, 24, 20)).astype(np.uint16)
        write_tiff(path, digital, names=FOUR, crs=UTM, nodata=0, scales=(1e-4,) * 4, offsets=(-0.1,) * 4)
    height, width = data.draw(st.integers(1, 24 - row)), data.draw(st.integers(1, 20 - col))
    with open_scene(path) as reader:
        whole, part = reader.read(), reader.read(Window(row=row, col=col, height=height, width=width))
    window = np.s_[row : row + height, col : col + width]
    np.testing.assert_array_equal(part.values, whole.values[:, *window])
    np.testing.assert_array_equal(part.valid, whole.valid[window])
    assert part.georeference.transform[2] == 300000 + 10 * col
    assert part.georeference.transform[5] == 5000000 - 10 * row


@pytest.mark.parametrize(("own", "wanted"), [(10.0, 7.0), (30.0, 10.0), (10.0, 20.0)])
def test_a_window_of_another_grid_is_a_part_of_the_whole(write_tiff, tmp_path, own, wanted):
    rows, cols = np.mgrid[0:200, 0:300]
    numbers = (3000 + 900 * np.sin(rows / 7) * np.cos(cols / 5)).astype(np.uint16)
    numbers[80:99, 120:143] = 0
    tags = {"nodata": 0, "scales": (1e-4,), "offsets": (0.0,)}
    path = write_tiff(tmp_path / "red.tif", numbers, names=("red",), crs=UTM, gsd=own, **tags)
    generator = np.random.default_rng(0)
    with open_scene(path, grid=GridRule(gsd_m=wanted, exact=True)) as scene:
        whole, valid = scene.digital()
        for _ in range(40):
            height, width = (int(generator.integers(1, size + 1)) for size in valid.shape)
            row, col = (
                int(generator.integers(scene.height - height + 1)),
                int(generator.integers(scene.width - width + 1)),
            )
            numbers, seen = scene.digital(Window(row=row, col=col, height=height, width=width))
            part = (slice(row, row + height), slice(col, col + width))
            np.testing.assert_array_equal(numbers, whole[:, *part])
            np.testing.assert_array_equal(seen, valid[part])


def test_window_outside_is_refused(write_tiff, reflectance, tmp_path):
    with open_scene(write_tiff(tmp_path / "a.tif", reflectance(), names=FOUR)) as reader:
        for window in (Window(row=-1, col=0, height=2, width=2), Window(row=23, col=0, height=2, width=2)):
            with pytest.raises(GridError, match="leaves the image of 24 x 20 px"):
                reader.read(window)


def test_coarser_bands_are_resampled_where_they_lie_on_the_same_place(write_tiff, tmp_path):
    fine = write_tiff(tmp_path / "x_B02.tif", np.full((8, 8), 0.25, np.float32), crs=UTM)
    coarse = write_tiff(
        tmp_path / "x_B11.tif", np.arange(16, dtype=np.float32).reshape(4, 4) / 20 + 0.01, crs=UTM, gsd=20
    )
    raster = read([fine, coarse])
    assert raster.values.shape == (2, 8, 8)
    assert raster.values[1].mean() == pytest.approx((7.5 / 20) + 0.01, abs=0.01)
    assert (np.diff(raster.values[1], axis=1) >= 0).all()


@pytest.mark.parametrize(
    ("crs", "gsd", "origin", "message"),
    [
        ("EPSG:32632", 10.0, (300000.0, 5000000.0), "different coordinate systems: EPSG:32631, EPSG:32632"),
        (UTM, 10.0, (300500.0, 5000000.0), "does not lie on the grid of"),
        (UTM, 20.0, (300000.0, 5000000.0), "does not lie on the grid of"),
    ],
)
def test_files_that_do_not_fit(write_tiff, tmp_path, crs, gsd, origin, message):
    values = np.full((8, 8), 0.2, np.float32)
    one = write_tiff(tmp_path / "x_B02.tif", values, crs=UTM)
    other = write_tiff(tmp_path / "x_B03.tif", values, crs=crs, gsd=gsd, origin=origin)
    with pytest.raises(GridError, match=message):
        open_scene([one, other])


def test_unequal_sizes_without_georeference_are_refused(write_tiff, tmp_path):
    one = write_tiff(tmp_path / "x_B02.tif", np.full((8, 8), 0.2, np.float32))
    other = write_tiff(tmp_path / "x_B03.tif", np.full((4, 4), 0.2, np.float32))
    with pytest.raises(GridError, match=r"4 x 4 px.*does not lie on the grid of .*8 x 8 px"):
        open_scene([one, other])


def test_mixed_types_are_refused(write_tiff, tmp_path):
    one = write_tiff(tmp_path / "S2A_MSIL1C_x_N0205_x_B02.tif", np.full((8, 8), 0.2, np.float32))
    other = write_tiff(tmp_path / "S2A_MSIL1C_x_N0205_x_B03.tif", np.full((8, 8), 2000, np.uint16))
    with pytest.raises(GridError, match="different data types: float32, uint16; expected one"):
        open_scene([one, other])


def test_what_is_not_valid(write_tiff, tmp_path):
    values = np.full((2, 3, 4), 0.2, np.float32)
    values[0, 0, 0] = np.nan
    values[1, 0, 1] = np.inf
    values[:, 0, 2] = 0
    values[0, 0, 3] = 0
    values[1, 1, 0] = -9999
    raster = read(write_tiff(tmp_path / "a.tif", values, names=("red", "nir"), nodata=-9999))
    assert raster.valid[0].tolist() == [False, False, False, True]
    assert not raster.valid[1, 0]
    assert raster.valid.sum() == 8
    assert (raster.values[:, ~raster.valid] == 0).all()


def test_nodata_that_is_nan_needs_no_warning(write_tiff, tmp_path):
    values = np.full((1, 2, 2), 0.2, np.float32)
    values[0, 0, 0] = np.nan
    raster = read(write_tiff(tmp_path / "a.tif", values, names=("red",), nodata=np.nan))
    assert raster.valid.tolist() == [[False, True], [True, True]]


def test_thermal_bands_stay_out_unless_asked_for(write_tiff, reflectance, tmp_path):
    path = write_tiff(tmp_path / "a.tif", np.concatenate([reflectance(channels=1), reflectance(channels=1) + 280]))
    assert read(path, bands=("red", "lwir11")).bands == ("red",)
    with pytest.raises(BandError, match="has no reflective band, only lwir11"):
        read(write_tiff(tmp_path / "b.tif", reflectance(channels=1)), bands=("lwir11",))


@pytest.mark.parametrize("content", [b"", b"II*\x00nonsense", None])
def test_unreadable_file(tmp_path, content):
    path = tmp_path / "a.tif"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RasterError, match=r"a\.tif cannot be read as a raster: .*; fetch or write the file again"):
        open_scene(path)


def test_truncated_file(write_tiff, reflectance, tmp_path):
    path = write_tiff(tmp_path / "a.tif", reflectance(height=200, width=200), names=FOUR)
    path.write_bytes(path.read_bytes()[:-40000])
    with pytest.raises(RasterError, match=r"a\.tif cannot be read as a raster: .*; fetch or write the file again"):
        open_scene(path)


def test_damaged_pixels(write_tiff, reflectance, tmp_path):
    smooth = np.round(reflectance(height=200, width=200), 1)
    path = write_tiff(tmp_path / "a.tif", smooth, names=FOUR, compress="deflate")
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 5000] = b"\xff" * 5000
    path.write_bytes(content)
    with open_scene(path) as reader, pytest.raises(RasterError, match=r"damaged or cut short .*; fetch or write"):
        reader.read()


def test_no_file_at_all():
    with pytest.raises(BandError, match="at least one file, got none"):
        open_scene([])


@pytest.mark.parametrize("factor", [1e4, 100.0])
def test_floats_that_are_no_reflectance(write_tiff, reflectance, tmp_path, factor):
    path = write_tiff(tmp_path / "a.tif", reflectance() * np.float32(factor), names=FOUR)
    with open_scene(path) as reader, pytest.raises(RadiometryError, match=r"cannot be reflectance.*scale:1e-4"):
        reader.read()
    assert read(path, radiometry=f"scale:{1 / factor}").values.max() < 0.61


def test_floats_below_any_reflectance(write_tiff, reflectance, tmp_path):
    path = write_tiff(tmp_path / "a.tif", reflectance() - 0.9, names=FOUR)
    with open_scene(path) as reader, pytest.raises(RadiometryError, match=r"has a mean of -0\..*cannot be reflectance"):
        reader.read()


def test_floats_scaled_twice(write_tiff, reflectance, tmp_path):
    path = write_tiff(tmp_path / "a.tif", reflectance(), names=FOUR)
    with open_scene(path, radiometry="scale:1e-4") as reader, pytest.raises(RadiometryError, match="already"):
        reader.read()


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("tag", [0, 7, None])
def test_numbers_go_where_they_are_wanted(write_tiff, tmp_path, tag, swap):
    values = np.random.default_rng(0).integers(0, 9, (4, 24, 20)).astype(np.uint16)
    # Two files whose bands lie between one another, or one after the other.
    parts = [[0, 2], [1, 3]] if swap else [[0, 1], [2, 3]]
    paths = [
        write_tiff(tmp_path / f"{i}.tif", values[part], names=[FOUR[p] for p in part], crs=UTM, nodata=tag)
        for i, part in enumerate(parts)
    ]
    window = Window(row=3, col=2, height=10, width=12)
    wide = np.zeros((4, 11, 15), np.uint16)
    with open_scene(paths, want=FOUR, radiometry="scale:0.1") as reader:
        fresh, whole = reader.digital(window)
        found, same = reader.digital(window, out=wide[:, :10, :12])
    assert np.shares_memory(found, wide)
    np.testing.assert_array_equal(fresh, values[:, *window.slices])
    np.testing.assert_array_equal(found, fresh)
    np.testing.assert_array_equal(whole, np.ones((10, 12), bool) if tag is None else (fresh != tag).all(axis=0))
    np.testing.assert_array_equal(same, whole)
    assert not wide[:, 10:].any()
    assert not wide[:, :, 12:].any()


def coarse_beside_fine(write_tiff, folder, column):
    """A band of 10 m, and one of 20 m whose first three columns hold something that is no reflectance."""
    coarse = np.full((12, 12), 2000, np.array(column).dtype if column < 0 else np.uint16)
    coarse[:, :3] = column
    fine = np.full((24, 24), 3000, coarse.dtype)
    fine_path = write_tiff(folder / "T31UFT_20240101T000000_B04.tif", fine, crs=UTM, gsd=10)
    return [fine_path, write_tiff(folder / "T31UFT_20240101T000000_B11.tif", coarse, crs=UTM, gsd=20)]


@pytest.mark.parametrize("grid", [None, GridRule(gsd_m=10.0)])
@pytest.mark.parametrize(
    ("column", "rule"),
    [
        (65535, {"radiometry": "sentinel2-old"}),
        (0, {"radiometry": "sentinel2-old"}),
        (-9999, {"radiometry": "scale:1e-4", "nodata": (-9999,)}),
    ],
)
def test_resampling_mixes_no_measurement_with_what_is_none(write_tiff, tmp_path, column, rule, grid):
    paths = coarse_beside_fine(write_tiff, tmp_path, column)
    with open_scene(paths, grid=grid, **rule) as reader:
        raster = reader.read()
        part = reader.read(Window(row=3, col=5, height=4, width=9))
    assert not raster.valid[:, :6].any()
    assert raster.valid[:, 10:].all()
    np.testing.assert_allclose(raster.values[1][raster.valid], 0.2, atol=2e-4)
    np.testing.assert_array_equal(part.valid, raster.valid[3:7, 5:14])


def test_a_saturated_pixel_is_part_of_no_average(write_tiff, tmp_path):
    numbers = np.full((20, 20), 2000, np.uint16)
    numbers[7, 9] = 65535
    path = write_tiff(tmp_path / "T31UFT_20240101T000000_B04.tif", numbers, crs=UTM, gsd=5)
    with open_scene(path, radiometry="sentinel2-old", grid=GridRule(gsd_m=10.0)) as reader:
        raster = reader.read()
    assert np.argwhere(~raster.valid).tolist() == [[3, 4]]
    np.testing.assert_allclose(raster.values[0][raster.valid], 0.2, atol=1e-6)


@pytest.mark.parametrize("gsd", [5.0, 20.0])
@pytest.mark.parametrize("tag", [0, 60000])
def test_what_one_band_lacks_is_part_of_none_of_its_averages(write_tiff, tmp_path, gsd, tag):
    numbers = np.full((4, 40, 40), 2000, np.uint16)
    numbers[1, 7:12, 9:14] = tag
    path = write_tiff(
        tmp_path / "a.tif", numbers, names=FOUR, crs=UTM, gsd=10 if gsd > 10 else 20, scales=(1e-4,) * 4, nodata=tag
    )
    with open_scene(path, grid=GridRule(gsd_m=gsd, exact=True)) as reader:
        raster = reader.read()
    assert not raster.valid.all()
    np.testing.assert_allclose(raster.values[:, raster.valid], 0.2, atol=1e-6)


def with_mask(path, write_tiff, *, inside, gsd):
    """Four bands whose first rows, of a number like any other, are masked by the file or by a file beside it."""
    write_tiff(path, np.full((4, 40, 40), 2000, np.uint16), names=FOUR, crs=UTM, gsd=gsd, scales=(1e-4,) * 4)
    seen = np.full((40, 40), 255, np.uint8)
    seen[:12] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=inside), rasterio.open(path, "r+") as target:
        target.write_mask(seen)
    assert path.with_name(f"{path.name}.msk").exists() != inside
    return path


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize(("gsd", "rows"), [(10.0, 12), (5.0, 6), (40.0, 12)])
def test_masked_pixels_are_missing_on_every_grid(write_tiff, tmp_path, inside, gsd, rows):
    path = with_mask(tmp_path / "a.tif", write_tiff, inside=inside, gsd=gsd)
    with open_scene(path, grid=GridRule(gsd_m=10.0)) as reader:
        raster, scale = reader.read(), reader.height / 40
        part = reader.read(Window(row=2, col=3, height=rows, width=9))
    bound = 12 * scale
    assert not raster.valid[: int(bound)].any()
    assert raster.valid[int(bound) + 3 :].all()
    np.testing.assert_allclose(raster.values[:, raster.valid], 0.2, atol=1e-6)
    np.testing.assert_array_equal(part.valid, raster.valid[2 : 2 + rows, 3:12])


@pytest.mark.parametrize("told", [True, False])
def test_an_alpha_channel_is_a_mask_and_no_band(write_tiff, tmp_path, told):
    values = np.full((5, 20, 20), 2000, np.uint16)
    values[4], values[4, :5] = 65535, 0
    path = write_tiff(
        tmp_path / "a.tif", values, names=(*FOUR, "alpha"), crs=UTM, scales=(1e-4,) * 5, photometric="RGB"
    )
    with rasterio.open(path, "r+") as target:
        last = ColorInterp.alpha if told else ColorInterp.undefined
        target.colorinterp = [*target.colorinterp[:3], ColorInterp.undefined, last]
    raster = read(path)
    assert raster.bands == FOUR
    assert not raster.valid[:5].any()
    assert raster.valid[5:].all()


def test_an_alpha_channel_is_not_taken_for_a_band_where_it_is_stated(write_tiff, tmp_path):
    path = write_tiff(tmp_path / "a.tif", np.full((5, 20, 20), 2000, np.uint16), crs=UTM, scales=(1e-4,) * 5)
    with pytest.raises(BandError, match="says where pixels are missing"):
        open_scene(path, bands=(*FOUR, "alpha"))


@pytest.mark.parametrize("dtype", ["complex64", "complex_int16"])
def test_complex_numbers_are_no_reflectance(tmp_path, dtype):
    place = {"crs": UTM, "transform": Affine(10, 0, 6e5, 0, -10, 5e6)}
    profile = {"driver": "GTiff", "count": 4, "height": 20, "width": 20, "dtype": dtype, **place}
    with rasterio.open(tmp_path / "a.tif", "w", **profile) as target:
        target.descriptions = FOUR
    for radiometry in ("auto", "scale:1e-4"):
        with pytest.raises(RadiometryError, match="holds complex numbers"):
            open_scene(tmp_path / "a.tif", radiometry=radiometry)


def test_near_infrared_that_gdal_takes_for_alpha_stays_a_band(write_tiff, tmp_path):
    values = np.full((4, 20, 20), 90, np.uint8)
    values[3, 3] = 0
    path = write_tiff(tmp_path / "a.tif", values, names=FOUR, crs=UTM, scales=(1e-2,) * 4)
    with rasterio.open(path) as source:
        assert ColorInterp.alpha in source.colorinterp
    raster = read(path)
    assert raster.bands == FOUR
    assert raster.valid.all()


@pytest.mark.parametrize("grid", [None, GridRule(gsd_m=20.0)])
def test_every_band_has_its_own_nodata(write_tiff, tmp_path, grid):
    tags, bands = (0, 65535), []
    for number, (name, tag) in enumerate(zip(("red", "nir"), tags, strict=True), 1):
        values = np.full((40, 40), 2000, np.uint16)
        values[:10] = tag
        write_tiff(tmp_path / f"{name}.tif", values, names=(name,), crs=UTM, nodata=tag)
        bands.append(
            f'<VRTRasterBand dataType="UInt16" band="{number}"><Description>{name}</Description>'
            f"<NoDataValue>{tag}</NoDataValue><Scale>0.0001</Scale><SimpleSource><SourceFilename "
            f'relativeToVRT="1">{name}.tif</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>'
        )
    with rasterio.open(tmp_path / "red.tif") as source:
        place = ", ".join(map(str, source.transform.to_gdal()))
    head = f'<VRTDataset rasterXSize="40" rasterYSize="40"><SRS>{UTM}</SRS><GeoTransform>{place}</GeoTransform>'
    path = tmp_path / "both.vrt"
    path.write_text("".join([head, *bands, "</VRTDataset>"]))
    for want in (("red", "nir"), ("nir",)):
        raster = read(path, want=want, grid=grid)
        missing = round(10 * raster.valid.shape[0] / 40)
        assert not raster.valid[:missing].any()
        assert raster.valid[missing:].all()
        np.testing.assert_allclose(raster.values[:, raster.valid], 0.2, atol=1e-6)


@pytest.mark.parametrize(("dtype", "tag"), [(np.uint16, None), (np.float32, None), (np.uint16, 65535)])
def test_zeros_in_all_bands_are_fill_unless_another_number_is(write_tiff, tmp_path, dtype, tag):
    values = np.full((4, 20, 20), 2000 if dtype is np.uint16 else 0.2, dtype)
    values[:, :5] = 0
    values[3, 10] = 0
    path = write_tiff(tmp_path / "a.tif", values, names=FOUR, nodata=tag)
    raster = read(path, radiometry="scale:1e-4" if dtype is np.uint16 else "auto")
    assert raster.valid[:5].all() == (tag is not None)
    assert raster.valid[5:].all(), "one dark band is a measurement"


def test_stated_bands_do_not_overrule_names_of_files(write_tiff, reflectance, tmp_path):
    image = reflectance()
    # As a shell lists them: near infrared before red.
    paths = [write_tiff(tmp_path / f"{name}.tif", image[FOUR.index(name)]) for name in sorted(FOUR)]
    raster = read(paths, bands=FOUR, want=FOUR)
    np.testing.assert_array_equal(raster.values, image)


@pytest.mark.parametrize("turned", [True, False])
def test_fine_pixels_are_averaged_however_their_grid_is_turned(write_tiff, tmp_path, turned):
    numbers = np.random.default_rng(0).integers(1000, 4000, (40, 40)).astype(np.uint16)
    path = write_tiff(tmp_path / "T31UFT_20240101T000000_B04.tif", numbers, crs=UTM, gsd=5)
    if turned:
        with rasterio.open(path, "r+") as handle:
            handle.transform = Affine(0, 5, 300000, 5, 0, 5000000)
    with open_scene(path, radiometry="sentinel2-old", grid=GridRule(gsd_m=10.0)) as reader:
        values = reader.read().values[0]
    want = numbers.reshape(20, 2, 20, 2).mean(axis=(1, 3)) * 1e-4
    np.testing.assert_allclose(values, want, atol=6e-5)
