"""Where older sensors saturate."""

import math

import numpy as np
import pytest

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.saturation import SATURATIONS, Saturation, saturation_of


def test_levels_are_those_of_a_white_ground_under_the_sun():
    # A Lambertian ground of reflectance 1 under the sun overhead sends irradiance / pi upwards.
    sensor = Saturation(
        largest_radiance={"red": 100 / math.pi, "nir": 25 / math.pi}, solar_irradiance={"red": 100, "nir": 50}
    )
    assert sensor.levels(["nir", "red", "cirrus"]).tolist() == pytest.approx([0.5, 1.0, math.inf])
    assert sensor.levels(["nir"]).dtype == np.float32


def test_high_gain_saturates_before_low_gain_in_every_band():
    bands = ("blue", "green", "red", "nir", "swir16", "swir22")
    high, low = (saturation_of(f"landsat-7-etm-{gain}-gain").levels(bands) for gain in ("high", "low"))
    assert low / high == pytest.approx(1.53, abs=0.02)


@pytest.mark.parametrize("name", SATURATIONS)
def test_every_sensor_states_radiance_and_irradiance_of_the_same_bands(name):
    sensor = SATURATIONS[name]
    assert sensor.largest_radiance.keys() == sensor.solar_irradiance.keys()
    levels = sensor.levels(tuple(sensor.largest_radiance))
    assert ((levels > 0.25) & (levels < 1)).all()


def test_an_unknown_sensor_names_the_closest():
    with pytest.raises(SettingsError, match="no sensor is called 'landsat-5'; did you mean landsat-5-tm"):
        saturation_of("landsat-5")
