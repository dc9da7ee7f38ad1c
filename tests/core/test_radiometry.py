from __future__ import annotations

import numpy as np
import pytest

from satsqueeze.core.errors import RadiometryError
from satsqueeze.core.radiometry import (
    LANDSAT_L2_RADIOMETRY,
    Radiometry,
    landsat_l1_radiometry,
    sentinel2_radiometry,
)

N0509 = "S2B_MSIL1C_20230706T103629_N0509_R008_T31UFT_20230706T124118.SAFE"
N0205 = "S2A_MSIL1C_20170616T105621_N0205_R094_T31UFT_20170616T105620.SAFE"
N0400 = "S2A_MSIL2A_20220126T105311_N0400_R051_T48NUG_20220126T140921.SAFE"
# Sensed in 2016, reprocessed as Collection 1: the date says "no offset", the baseline says otherwise.
REPROCESSED = "S2A_MSIL1C_20160105T105442_N0500_R051_T31UFT_20231016T045110.SAFE"


def metadata(*, offset: float | None = -1000, quantification: float | None = 10000, level: str = "L1C", more: str = ""):
    tags = {"L1C": ("RADIO_ADD_OFFSET", "QUANTIFICATION_VALUE"), "L2A": ("BOA_ADD_OFFSET", "BOA_QUANTIFICATION_VALUE")}
    offset_tag, quantification_tag = tags[level]
    offsets = (
        "" if offset is None else "".join(f'<{offset_tag} band_id="{i}">{offset}</{offset_tag}>' for i in range(13))
    )
    value = (
        "" if quantification is None else f'<{quantification_tag} unit="none">{quantification}</{quantification_tag}>'
    )
    return f'<n1:Level xmlns:n1="https://psd-14.sentinel2.eo.esa.int/x.xsd"><a>{offsets}{value}{more}</a></n1:Level>'


@pytest.mark.parametrize(
    ("name", "offset"),
    [
        (N0509, -0.1),
        (N0205, 0.0),
        (N0400, -0.1),
        (REPROCESSED, -0.1),
        ("S2A_MSIL1C_20211231T000000_N0301_R008_T48NUG_20211231T000000", 0.0),
        ("S2A_OPER_MSI_L1C_TL_SGS__20160101T104159_A002736_T31UFT_N02.01", 0.0),
        ("/archive/S2B_MSIL2A_20240101T000000_N0510/GRANULE", -0.1),
        # Zones 31 and 48 once decided about the offset in another project.
        ("S2A_MSIL1C_20170616T105621_N0205_R094_T48NUG_20170616T105620.SAFE", 0.0),
        ("S2B_MSIL1C_20230706T103629_N0509_R008_T31NAA_20230706T124118.SAFE", -0.1),
    ],
)
def test_the_baseline_in_the_name_decides_neither_tile_nor_date(name, offset):
    found = sentinel2_radiometry(product_name=name)
    assert found.offset == pytest.approx(offset)
    assert found.scale == pytest.approx(1e-4)
    assert "processing baseline" in found.provenance


@pytest.mark.parametrize(
    "name", ["", "T31UFT_20230706T103629_B04.jp2", "my_image.tif", "S2A_MSIL1C_20230101T000000_R008_T31UFT"]
)
def test_without_evidence_it_refuses_to_guess(name):
    with pytest.raises(RadiometryError, match="offset_dn: -1000"):
        sentinel2_radiometry(product_name=name)
    assert sentinel2_radiometry(product_name=name, stated_offset_dn=-1000).offset == pytest.approx(-0.1)
    assert "stated by the user" in sentinel2_radiometry(product_name=name, stated_offset_dn=0).provenance


def test_products_of_the_users_own_sen2cor_are_no_evidence():
    name = "S2A_MSIL2A_20170105T013442_N9999_R031_T53NMJ_20191220T000000.SAFE"
    with pytest.raises(RadiometryError, match="unknown"):
        sentinel2_radiometry(product_name=name)
    assert sentinel2_radiometry(product_name=name, stated_offset_dn=0).offset == 0


def test_metadata_beats_the_name():
    found = sentinel2_radiometry(product_name=N0205, metadata_xml=metadata(offset=-1000))
    assert (found.offset, found.provenance) == (pytest.approx(-0.1), "product metadata")
    assert sentinel2_radiometry(product_name=N0509, metadata_xml=metadata(offset=0)).offset == 0


@pytest.mark.parametrize("level", ["L1C", "L2A"])
def test_metadata_gives_offset_and_quantification(level):
    found = sentinel2_radiometry(metadata_xml=metadata(offset=-1000, quantification=20000, level=level))
    assert found.offset == pytest.approx(-0.05)
    assert found.scale == pytest.approx(5e-5)


def test_old_metadata_without_offset_means_none():
    old = metadata(offset=None, more="<PROCESSING_BASELINE>02.05</PROCESSING_BASELINE>")
    assert sentinel2_radiometry(metadata_xml=old).offset == 0


def test_metadata_without_offset_or_baseline_leave_the_offset_to_the_name():
    silent = metadata(offset=None, quantification=20000)
    found = sentinel2_radiometry(product_name=N0509, metadata_xml=silent)
    assert (found.scale, found.offset) == (pytest.approx(1 / 20000), pytest.approx(-1000 / 20000))
    with pytest.raises(RadiometryError, match="is unknown: no product metadata that tells it"):
        sentinel2_radiometry(metadata_xml=silent)


@pytest.mark.parametrize("offset_dn", [0.0, -1000.0])
def test_a_product_that_its_user_made_takes_the_stated_offset(offset_dn):
    made = metadata(offset=None, more="<PROCESSING_BASELINE>99.99</PROCESSING_BASELINE>")
    assert sentinel2_radiometry(metadata_xml=made, stated_offset_dn=offset_dn).offset == offset_dn / 10000


def test_metadata_of_a_granule_says_nothing_so_the_name_is_asked():
    found = sentinel2_radiometry(product_name=N0509, metadata_xml="<Tile><SENSING_TIME/></Tile>")
    assert "05.09" in found.provenance


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<broken", "not readable"),
        (metadata(offset="minus"), "not readable"),
        (metadata(more="<RADIO_ADD_OFFSET>0</RADIO_ADD_OFFSET>"), "states offset"),
        (metadata(quantification=0), "above 0"),
        (metadata(offset=None, more="<PROCESSING_BASELINE>05.09</PROCESSING_BASELINE>"), "baseline 05.09, which has"),
    ],
)
def test_metadata_that_cannot_be_trusted_is_refused(text, message):
    with pytest.raises(RadiometryError, match=message):
        sentinel2_radiometry(metadata_xml=text)


@pytest.mark.parametrize(
    ("evidence", "stated"),
    [
        ({"product_name": N0509}, 0),
        ({"product_name": N0205}, -1000),
        ({"metadata_xml": metadata(offset=-1000)}, 0),
        ({"product_name": N0205, "metadata_xml": metadata(offset=-1000)}, 0),
    ],
)
def test_a_setting_that_contradicts_the_evidence_is_refused(evidence, stated):
    with pytest.raises(RadiometryError, match="contradicts"):
        sentinel2_radiometry(**evidence, stated_offset_dn=stated)
    sentinel2_radiometry(**evidence, stated_offset_dn=-1000 - stated)


@pytest.mark.parametrize("stated", [1000, -0.1, float("nan")])
def test_a_stated_offset_is_one_that_exists(stated):
    with pytest.raises(RadiometryError, match="must be -1000"):
        sentinel2_radiometry(stated_offset_dn=stated)


def test_a_path_through_two_products_is_refused():
    with pytest.raises(RadiometryError, match="one product"):
        sentinel2_radiometry(product_name=f"{N0205}/{N0509}")


def test_sentinel2_digital_numbers_become_reflectance_with_zero_as_nodata():
    digital = np.array([[[0, 1000, 11000, 65535, 500]]], np.uint16)
    values, valid = sentinel2_radiometry(product_name=N0509).to_reflectance(digital)
    np.testing.assert_array_equal(valid, [[False, True, True, False, True]])
    np.testing.assert_allclose(values, np.float32([[[0, 0, 1, 0, -0.05]]]), atol=1e-7)
    assert values.dtype == np.float32


def test_one_band_without_data_makes_the_pixel_invalid():
    digital = np.array([[[0, 5]], [[7, 7]]], np.uint16)
    _, valid = Radiometry(scale=1, nodata=0).to_reflectance(digital)
    np.testing.assert_array_equal(valid, [[False, True]])


@pytest.mark.parametrize("nodata", [np.nan, -9999.0, None])
def test_nodata_may_be_nan_a_value_or_nothing(nodata):
    digital = np.array([[[0.5, np.nan, -9999.0]]], np.float32)
    values, valid = Radiometry(scale=1, nodata=nodata).to_reflectance(digital)
    np.testing.assert_array_equal(valid, [[True, False, nodata != -9999.0]])
    assert np.isfinite(values).all()


def test_infinite_and_huge_values_become_invalid_without_a_warning():
    values, valid = Radiometry(scale=1).to_reflectance(np.array([[[np.inf, -np.inf, 1e300, 0.25]]]))
    np.testing.assert_array_equal(valid, [[False, False, False, True]])
    np.testing.assert_array_equal(values, np.float32([[[0, 0, 0, 0.25]]]))


@pytest.mark.parametrize(("scale", "offset"), [(0.0, 0.0), (-1.0, 0.0), (np.nan, 0.0), (1.0, np.inf)])
def test_impossible_scales_are_refused(scale, offset):
    with pytest.raises(RadiometryError, match="positive finite scale"):
        Radiometry(scale=scale, offset=offset)


def test_landsat_level_1_follows_the_handbook():
    found = landsat_l1_radiometry(sun_elevation_deg=30.0)
    values, valid = found.to_reflectance(np.array([[[0, 10000, 65535]]], np.uint16))
    np.testing.assert_array_equal(valid, [[False, True, False]])
    assert values[0, 0, 1] == pytest.approx((2e-5 * 10000 - 0.1) / np.sin(np.pi / 6), rel=1e-5)
    assert "30 degrees" in found.provenance


@pytest.mark.parametrize("elevation", [0, -10, 90.1, float("nan")])
def test_the_sun_stands_above_the_horizon(elevation):
    with pytest.raises(RadiometryError, match="sun elevation"):
        landsat_l1_radiometry(sun_elevation_deg=elevation)


def test_landsat_level_2_follows_the_guide():
    values, _ = LANDSAT_L2_RADIOMETRY.to_reflectance(np.array([[[7273, 43636]]], np.uint16))
    np.testing.assert_allclose(values, [[[0, 1]]], atol=1e-4)
