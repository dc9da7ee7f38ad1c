from __future__ import annotations

import pytest

from satsqueeze.core.bands import LANDSAT8_FILE_NAMES, SENTINEL2_FILE_NAMES
from satsqueeze.core.errors import BandError
from satsqueeze.data.scene.band_naming import (
    band_token,
    common_name,
    known_band,
    name_channels,
    possible_names,
    sensor_in,
)

FOUR = ("blue", "green", "red", "nir")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Blue", "blue"),
        ("RED", "red"),
        ("nir", "nir"),
        ("Near infrared", "nir"),
        ("red edge 1 (705 nm)", "rededge071"),
        ("Red_Edge-2", "rededge075"),
        ("SWIR 1", "swir16"),
        ("swir22", "swir22"),
        ("Coastal aerosol", "coastal"),
        ("narrow NIR", "nir08"),
        ("", None),
        ("layer 3", None),
        ("Infrared", "nir"),
        ("Shortwave Infrared", None),
        ("SWIR - short wave infrared (1610 nm)", None),
        ("Short-wave infrared 1", "swir16"),
        ("Mid-Infrared 2", "swir22"),
        ("Thermal infrared", "lwir11"),
    ],
)
def test_common_name(text, name):
    assert common_name(text) == name


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("LC80130312015295LGN00_B2_toa", "B2"),
        ("T31UFT_20240101T105441_B8A_20m", "B8A"),
        ("B02", "B02"),
        ("SR_B5", "B5"),
        ("AB2C", None),
        ("blue", None),
    ],
)
def test_band_token(text, token):
    assert band_token(text) == token


@pytest.mark.parametrize(
    ("path", "sensor"),
    [
        ("/d/S2B_MSIL1C_20240101T000000_N0510_R008_T31UFT_20240101T000000.SAFE/x.jp2", "sentinel-2"),
        ("/d/T31UFT_20240101T105441_B02.jp2", "sentinel-2"),
        ("/d/LC08_L2SP_218074_20190130_20200829_02_T1_SR_B2.TIF", "landsat-8"),
        ("/d/LC80130312015295LGN00_B2_toa.tif", "landsat-8"),
        ("/d/LT05_L1TP_1.tif", "landsat-tm"),
        ("/d/LE07_L1TP_1.tif", "landsat-tm"),
        ("/sentinel2/LC09_L1TP_1.tif", "landsat-8"),
        ("/d/patch_1.tif", None),
        ("/d/FULL08_x.tif", None),
    ],
)
def test_sensor_in(path, sensor):
    assert sensor_in(path) == sensor


@pytest.mark.parametrize(
    ("labels", "path", "gsd", "names"),
    [
        (["Blue", "Green", "Red", "NIR"], "x.tif", None, FOUR),
        (["B02", "B03", "B04", "B08"], "x.tif", None, FOUR),
        (["B2", "B3", "B4", "B8"], "x.tif", None, FOUR),
        (["B2", "B3", "B4", "B5"], "LC08_x.tif", None, FOUR),
        (["B1", "B2", "B3", "B4"], "LE07_x.tif", None, FOUR),
        (["B4", "B8A"], "x.tif", None, ("red", "nir08")),
        (["B2", "B5"], "x.tif", 10.0, ("blue", "rededge071")),
        (["B2 (blue)", "B4 (red)"], "x.tif", None, ("blue", "red")),
        (list(SENTINEL2_FILE_NAMES), "x.tif", None, tuple(SENTINEL2_FILE_NAMES.values())),
        (list(LANDSAT8_FILE_NAMES), "LC09_x.tif", None, tuple(LANDSAT8_FILE_NAMES.values())),
    ],
)
def test_name_channels(labels, path, gsd, names):
    assert name_channels(labels, path=path, gsd_m=gsd) == names


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["", "", "", ""], r"4 of 4 channels.*bands: \[blue"),
        (["B2", "B3", "B4", "B5"], "could be Sentinel-2's or Landsat's"),
        (["blue", "Blue"], "same band name: blue, blue"),
    ],
)
def test_refuses_to_guess(labels, message):
    with pytest.raises(BandError, match=message):
        name_channels(labels, path="patch.tif")


def test_numbers_mean_what_any_sensor_calls_so_unless_one_is_told():
    numbers = ["B2", "B3", "B4", "B5"]
    assert set(possible_names(numbers, path="x.tif")) == {
        ("blue", "green", "red", "rededge071"),
        FOUR,
        ("green", "red", "nir", "swir16"),
    }
    assert possible_names(numbers, path="x.tif", sensor="landsat-9") == (FOUR,)
    assert possible_names(numbers, path="LC08_x.tif") == (FOUR,)
    assert possible_names(["blue", "red"], path="x.tif") == (("blue", "red"),)
    assert possible_names(["a", "b"], path="x.tif") == ()


def test_known_band_prefers_the_sensor():
    assert known_band("blue", sensor="landsat-8").wavelength_nm == 482.0
    assert known_band("blue").wavelength_nm == 492.4
    assert known_band("mystery", gsd_m=3.0).gsd_m == 3.0
