"""Radiometry as a user meets it: through files on disk."""

from __future__ import annotations

import numpy as np
import pytest

from satsqueeze.core.errors import RadiometryError
from satsqueeze.data.items.reader import open_scene

MTL = """GROUP = LANDSAT_METADATA_FILE
    SUN_ELEVATION = 30.00000000
    REFLECTANCE_MULT_BAND_2 = 2.0000E-05
    REFLECTANCE_ADD_BAND_2 = -0.100000
    REFLECTANCE_MULT_BAND_4 = 3.0000E-05
    REFLECTANCE_ADD_BAND_4 = -0.200000
END_GROUP = LANDSAT_METADATA_FILE
"""
XML = "<n1:Level-1C xmlns:n1='x'><QUANTIFICATION_VALUE>10000</QUANTIFICATION_VALUE>{}</n1:Level-1C>"
OFFSETS = "<Radiometric_Offset_List><RADIO_ADD_OFFSET band_id='0'>-1000</RADIO_ADD_OFFSET></Radiometric_Offset_List>"
SAFE = "S2B_MSIL1C_20240101T000000_N{}_R008_T31UFT_20240101T000000.SAFE"
GRANULE = "GRANULE/L1C_T31UFT_A000001_20240101T000000/IMG_DATA/T31UFT_20240101T000000_B04.tif"


def value(paths, **more):
    with open_scene(paths, **more) as reader:
        raster = reader.read()
    return float(raster.values[0, 0, 0]), raster.provenance


@pytest.fixture
def digital(write_tiff):
    def write(path, number=3000, **more):
        return write_tiff(path, np.full((2, 2), number, np.uint16), **more)

    return write


@pytest.mark.parametrize(("baseline", "expected"), [("0510", 0.2), ("0400", 0.2), ("0205", 0.3)])
def test_baseline_in_the_product_name(digital, tmp_path, baseline, expected):
    found, provenance = value(digital(tmp_path / SAFE.format(baseline) / GRANULE))
    assert found == pytest.approx(expected)
    assert "processing baseline" in provenance


@pytest.mark.parametrize(
    ("offsets", "expected"), [(OFFSETS, 0.2), ("<PROCESSING_BASELINE>02.05</PROCESSING_BASELINE>", 0.3)]
)
def test_metadata_goes_before_the_name(digital, tmp_path, offsets, expected):
    safe = tmp_path / SAFE.format("0205")
    path = digital(safe / GRANULE)
    (safe / "MTD_MSIL1C.xml").write_text(XML.format(offsets))
    found, provenance = value(path)
    assert found == pytest.approx(expected)
    assert provenance == "product metadata"


def test_user_processed_products_prove_nothing_by_their_name(digital, tmp_path):
    path = digital(tmp_path / SAFE.format("9999") / GRANULE)
    with pytest.raises(
        RadiometryError, match=r"offset of Sentinel-2 product .* is unknown.*sentinel2-n0400 states -1000"
    ):
        value(path)
    assert value(path, radiometry="sentinel2-old")[0] == pytest.approx(0.3)
    assert value(path, radiometry="sentinel2-n0400")[0] == pytest.approx(0.2)


def test_statement_that_contradicts_the_name(digital, tmp_path):
    path = digital(tmp_path / SAFE.format("0510") / GRANULE)
    with pytest.raises(RadiometryError, match="stated offset of 0 DN contradicts"):
        value(path, radiometry="sentinel2-old")


def test_unreadable_metadata(digital, tmp_path):
    path = digital(tmp_path / SAFE.format("0510") / GRANULE)
    (tmp_path / SAFE.format("0510") / "MTD_MSIL1C.xml").write_text("<a")
    with pytest.raises(RadiometryError, match="not readable"):
        value(path)


def test_sentinel2_nodata_and_saturation(write_tiff, tmp_path):
    numbers = np.array([[0, 65535], [1000, 11000]], np.uint16)
    path = write_tiff(tmp_path / "T31UFT_20240101T000000_B04.tif", numbers)
    with open_scene(path, radiometry="sentinel2-n0400") as reader:
        raster = reader.read()
    assert raster.valid.tolist() == [[False, False], [True, True]]
    np.testing.assert_allclose(raster.values[0, 1], [0, 1], atol=1e-6)


def test_landsat_level_1_by_its_mtl(digital, tmp_path):
    name = "LC08_L1TP_017051_20151205_20200908_02_T1"
    (tmp_path / f"{name}_MTL.txt").write_text(MTL)
    paths = [digital(tmp_path / f"{name}_B{n}.TIF", 10000) for n in (2, 4)]
    with open_scene(paths) as reader:
        raster = reader.read()
    assert raster.bands == ("blue", "red")
    np.testing.assert_allclose(raster.values[:, 0, 0], [(0.2 - 0.1) / 0.5, (0.3 - 0.2) / 0.5], rtol=1e-5)


def test_landsat_level_1_without_mtl(digital, tmp_path):
    path = digital(tmp_path / "LC08_L1TP_017051_20151205_20200908_02_T1_B2.TIF", 10000)
    with pytest.raises(RadiometryError, match=r"no usable \*_MTL.txt lies beside.*landsat-l1:<sun elevation"):
        value(path)
    assert value(path, radiometry="landsat-l1:30")[0] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "landsat-l2",
            r"stated radiometry \(Landsat Collection 2 level 2; .* contradicts the product's \(Landsat level 1",
        ),
        ("landsat-l1:20", r"sun elevation 20 degrees; .* contradicts the product's .*sun elevation 30 degrees"),
        ("sentinel2-n0400", r"is of landsat-8, which contradicts the stated radiometry of sentinel2"),
    ],
)
def test_statements_that_a_landsat_product_contradicts(digital, tmp_path, statement, message):
    name = "LC08_L1TP_017051_20151205_20200908_02_T1"
    (tmp_path / f"{name}_MTL.txt").write_text(MTL)
    path = digital(tmp_path / f"{name}_B2.TIF", 10000)
    with pytest.raises(RadiometryError, match=message):
        value(path, radiometry=statement)
    assert value(path, radiometry="landsat-l1:30")[0] == pytest.approx(value(path)[0])
    # People round the elevation.
    assert value(path, radiometry="landsat-l1:30.2")[0] == pytest.approx(value(path)[0], rel=0.01)


def test_a_stated_scale_that_the_product_contradicts(digital, write_tiff, tmp_path):
    path = digital(tmp_path / SAFE.format("0510") / GRANULE)
    with pytest.raises(RadiometryError, match=r"stated: scale:0.0001; .*contradicts the product's .*baseline 05.10"):
        value(path, radiometry="scale:0.0001")
    assert value(path, radiometry="scale:0.0001:-0.1")[0] == pytest.approx(value(path)[0])
    level_2 = digital(tmp_path / "LC08_L2SP_218074_20190130_20200829_02_T1_SR_B2.TIF", 10000)
    with pytest.raises(RadiometryError, match=r"contradicts the product's \(Landsat Collection 2 level 2"):
        value(level_2, radiometry="scale:0.0001")
    # Numbers that were converted to reflectance before are what they are, whatever their name.
    converted = write_tiff(tmp_path / SAFE.format("0510") / "red.tif", np.full((2, 2), 0.2, np.float32), names=("red",))
    assert value(converted, radiometry="scale:1")[0] == pytest.approx(0.2)


def test_bytes_are_no_sentinel_2(write_tiff, tmp_path):
    path = write_tiff(tmp_path / "picture.tif", np.full((2, 2), 90, np.uint8), names=("red",))
    with pytest.raises(RadiometryError, match="holds bytes, but Sentinel-2's numbers have 16 bits"):
        value(path, radiometry="sentinel2-old")


def test_a_level_2_name_contradicts_level_1(digital, tmp_path):
    path = digital(tmp_path / "LC08_L2SP_218074_20190130_20200829_02_T1_SR_B2.TIF", 10000)
    with pytest.raises(RadiometryError, match=r"contradicts the product's \(Landsat Collection 2 level 2"):
        value(path, radiometry="landsat-l1:45")


def test_a_sentinel_2_name_contradicts_landsat(digital, tmp_path):
    path = digital(tmp_path / "T31UFT_20240101T000000_B04.tif", 10000)
    with pytest.raises(RadiometryError, match=r"is of sentinel-2, which contradicts .* landsat-l2"):
        value(path, radiometry="landsat-l2")


@pytest.mark.parametrize("name", ["scene_red.tif", "LE07_L1TP_017051_20001205_20200908_02_T1_B3.TIF"])
def test_older_sensors_have_factors_of_their_own(write_tiff, tmp_path, name):
    path = write_tiff(tmp_path / name, np.full((2, 2), 90, np.uint8), names=("red",))
    with pytest.raises(RadiometryError, match=r"uint8 numbers of an older Landsat.*state scale:<reflectance per DN>"):
        value(path, radiometry="landsat-l1:45")
    assert value(path, radiometry="scale:0.001")[0] == pytest.approx(0.09)


def test_the_mtl_of_another_landsat_product_is_not_taken(digital, tmp_path):
    (tmp_path / "LC08_L1TP_017051_20151205_20200908_02_T1_MTL.txt").write_text(MTL)
    path = digital(tmp_path / "LC08_L1TP_017051_20150618_20200909_02_T1_B2.TIF", 10000)
    with pytest.raises(RadiometryError, match=r"no usable \*_MTL.txt lies beside"):
        value(path)


def test_landsat_level_2_by_its_name(digital, tmp_path):
    path = digital(tmp_path / "LC08_L2SP_218074_20190130_20200829_02_T1_SR_B2.TIF", 10000)
    assert value(path)[0] == pytest.approx(0.075)


def test_scale_tags(digital, tmp_path):
    path = digital(tmp_path / "a.tif", names=("red",), scales=(1e-4,), offsets=(-0.1,))
    assert value(path) == (pytest.approx(0.2), "scale and offset tags of the file")
    assert value(path, radiometry="sentinel2-n0400")[0] == pytest.approx(0.2)
    with pytest.raises(RadiometryError, match=r"tagged with scale 0.0001 and offset -0.1, which contradicts"):
        value(path, radiometry="scale:1e-4")


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
def test_integers_without_evidence(write_tiff, tmp_path, dtype):
    path = write_tiff(tmp_path / "a.tif", np.full((2, 2), 100, dtype), names=("red",))
    with pytest.raises(RadiometryError, match=f"nothing tells how the {dtype} numbers.*--radiometry: reflectance"):
        value(path)
    assert value(path, radiometry="scale:0.001")[0] == pytest.approx(0.1)
    with pytest.raises(RadiometryError, match="stated as 'reflectance', which is floating point"):
        value(path, radiometry="reflectance")


def test_landsat_collection_1_surface_reflectance_by_its_name(write_tiff, tmp_path):
    numbers = np.array([[1000, -9999], [20000, 4000]], np.int16)
    path = write_tiff(tmp_path / "LC08_L1TP_017051_20151205_20170401_01_T1_sr_band2.tif", numbers)
    with open_scene(path, bands=["blue"]) as reader:
        raster = reader.read()
    assert raster.valid.tolist() == [[True, False], [False, True]]
    np.testing.assert_allclose(raster.values[0][raster.valid], [0.1, 0.4], rtol=1e-6)
