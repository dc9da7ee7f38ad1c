from __future__ import annotations

import pytest

from satsqueeze.core.bands import (
    LANDSAT8,
    LANDSAT8_FILE_NAMES,
    SENTINEL2,
    SENTINEL2_FILE_NAMES,
    Band,
    Bands,
    band_positions,
)
from satsqueeze.core.errors import BandError


@pytest.mark.parametrize("name", ["", "Red", " red"])
def test_band_names_are_lower_case(name):
    with pytest.raises(BandError, match="lower case"):
        Band(name=name, wavelength_nm=660, gsd_m=10)


@pytest.mark.parametrize(("wavelength", "gsd"), [(-1.0, 10.0), (660.0, 0.0), (660.0, -10.0)])
def test_band_refuses_impossible_numbers(wavelength, gsd):
    with pytest.raises(BandError, match=r"'red'.*got"):
        Band(name="red", wavelength_nm=wavelength, gsd_m=gsd)


def test_bands_refuse_none_and_repeats():
    red = Band(name="red", wavelength_nm=660, gsd_m=10)
    with pytest.raises(BandError, match="at least one"):
        Bands(())
    with pytest.raises(BandError, match="red more than once"):
        Bands((red, red))


def test_selection_keeps_the_order_asked_for():
    bands = Bands(tuple(SENTINEL2[name] for name in ("blue", "green", "red", "nir")))
    chosen = bands.select(["nir", "blue"])
    assert chosen.names == ("nir", "blue")
    assert bands.positions(["nir", "blue"]) == [3, 0]
    assert [bands.items[i] for i in bands.positions(chosen.names)] == list(chosen)
    assert len(chosen) == 2


def test_positions_name_what_is_missing_and_what_is_there():
    with pytest.raises(BandError, match=r"band\(s\) nir are needed but the image has red, green"):
        band_positions(["red", "green"], ["nir", "red"])
    with pytest.raises(BandError, match="are needed but the image has 0, 1"):
        band_positions([0, 1], ["red"])
    with pytest.raises(BandError, match="has none"):
        band_positions([], ["red"])
    with pytest.raises(BandError, match="more than once"):
        band_positions(["red", "red"], ["red"])


def test_a_repeated_band_that_nobody_wants_does_no_harm():
    assert band_positions(["pan", "pan", "red"], ["red"]) == [2]


@pytest.mark.parametrize(("table", "files"), [(SENTINEL2, SENTINEL2_FILE_NAMES), (LANDSAT8, LANDSAT8_FILE_NAMES)])
def test_sensor_tables_agree(table, files):
    assert list(files.values()) == list(table)
    assert all(name == band.name for name, band in table.items())


def test_sentinel2_b8a_is_the_narrow_near_infrared():
    assert SENTINEL2_FILE_NAMES["B8A"] == "nir08"
    assert SENTINEL2_FILE_NAMES["B08"] == "nir"
    assert LANDSAT8_FILE_NAMES["B5"] == "nir"
    optical = [band.wavelength_nm for band in SENTINEL2.values()]
    assert optical == sorted(optical)
