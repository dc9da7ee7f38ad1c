from __future__ import annotations

import pytest

from satsqueeze.core.errors import RadiometryError
from satsqueeze.core.radiometry import LANDSAT_L2_RADIOMETRY, landsat_l1_radiometry
from satsqueeze.data.scene.radiometric_statement import parse_radiometry


def test_statements():
    assert parse_radiometry("auto").radiometry is None
    assert parse_radiometry("reflectance").radiometry.scale == 1
    assert parse_radiometry("landsat-l2").radiometry == LANDSAT_L2_RADIOMETRY
    assert parse_radiometry("landsat-l1:30").radiometry == landsat_l1_radiometry(sun_elevation_deg=30)
    assert [parse_radiometry(f"sentinel2{end}").offset_dn for end in ("", "-n0400", "-old")] == [None, -1000.0, 0.0]
    assert (parse_radiometry("scale:1e-4").radiometry.scale, parse_radiometry("scale:1e-4").radiometry.offset) == (
        1e-4,
        0,
    )
    assert parse_radiometry(" scale:1e-4:-0.1 ").radiometry.offset == -0.1


@pytest.mark.parametrize(
    "text", ["", "bright", "scale", "scale:x", "scale:1:2:3", "landsat-l1", "landsat-l1:a", "reflectance:1", "auto:1"]
)
def test_malformed(text):
    with pytest.raises(RadiometryError, match=r"expected auto or one of: reflectance .*scale:1e-4"):
        parse_radiometry(text)


@pytest.mark.parametrize("text", ["scale:-1", "landsat-l1:95"])
def test_out_of_range(text):
    with pytest.raises(RadiometryError):
        parse_radiometry(text)
