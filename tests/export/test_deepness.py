"""What the QGIS plugin reads turns its rasters into our reflectance."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from satsqueeze.core.manifest import FlightManifest, Graph, PackageBand, PackageScaling
from satsqueeze.export.deepness import DeepnessSettings, deepness_metadata


@pytest.fixture
def manifest():
    return FlightManifest(
        name="m",
        description="d",
        bands=tuple(PackageBand(name=n, wavelength_nm=1.0, gsd_m=g) for n, g in (("red", 10.0), ("nir", 20.0))),
        classes=("clear", "cloud", "shadow"),
        foreground=(1,),
        scaling=PackageScaling(bands=("red", "nir"), mean=(0.0, 0.0), std=(1.0, 1.0), low=-1.0, high=2.0),
        size_multiple=24,
        receptive_field=40,
        parameters=1,
        macs_per_pixel=1.0,
        macs_input="24x24",
        graphs=(Graph(file="g", precision="fp32", engine="onnx"),),
        default_graph="g",
    )


def test_every_value_is_json_of_the_type_that_the_plugin_casts_to(manifest):
    found = {key: json.loads(value) for key, value in deepness_metadata(manifest, DeepnessSettings()).items()}
    assert found["model_type"] == "Segmentor"
    assert found["class_names"] == [{"0": "clear", "1": "cloud", "2": "shadow"}, {"0": "clear"}]
    assert found["resolution"] == 1000.0, "centimetres per pixel, of the finest band"
    assert found["tile_size"] == found["tiles_size"] == 528, "512 raised to a multiple of 24"
    assert found["tiles_overlap"] == 16, "per cent of the tile: 2 * 40 px of 528"
    assert found["seg_thresh"] == 0.0


@pytest.mark.parametrize(("scale", "offset"), [(10000.0, 0.0), (10000.0, 1000.0), (1.0, 0.0)])
def test_the_plugins_arithmetic_gives_reflectance(manifest, scale, offset):
    settings = DeepnessSettings(dn_per_reflectance=scale, dn_offset=offset)
    found = {key: json.loads(value) for key, value in deepness_metadata(manifest, settings).items()}
    reflectance = np.array([0.0, 0.25, 1.1])
    raster = reflectance * scale + offset
    got = (raster / 255 - found["standardization_mean"][0]) / found["standardization_std"][0]
    np.testing.assert_allclose(got, reflectance, atol=1e-12)
    assert len(found["standardization_mean"]) == len(found["standardization_std"]) == 2


def test_overlap_is_at_most_half(manifest):
    wide = manifest.model_copy(update={"receptive_field": 1000})
    settings = replace(DeepnessSettings(), tile=24)
    assert json.loads(deepness_metadata(wide, settings)["tiles_overlap"]) == 50
