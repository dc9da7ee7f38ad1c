import numpy as np
import pytest

from satsqueeze.data.synth.erosion import carve, enlarge
from satsqueeze.data.synth.noise import stream
from satsqueeze.data.synth.relief import dune_heights, hill_heights, illumination, mountain_heights
from satsqueeze.data.synth.sun import Sun


def test_flat_ground_is_fully_lit() -> None:
    light = illumination(np.zeros((20, 20), dtype=np.float32), gsd=10, sun=Sun(zenith_deg=60, azimuth_deg=100))
    np.testing.assert_array_equal(light, 1)


@pytest.mark.parametrize("grade", [-0.2, 0.1, 0.3])
@pytest.mark.parametrize("azimuth", [90.0, 150.0])
def test_slope_follows_lamberts_cosine(grade: float, azimuth: float) -> None:
    gsd, zenith = 10.0, 30.0
    heights = np.broadcast_to(np.arange(64, dtype=np.float32) * grade * gsd, (64, 64)).copy()
    light = illumination(heights, gsd=gsd, sun=Sun(zenith_deg=zenith, azimuth_deg=azimuth))
    normal = np.array([-grade, 0, 1]) / np.hypot(grade, 1)
    theta, phi = np.deg2rad(zenith), np.deg2rad(azimuth)
    towards = np.array([np.sin(theta) * np.sin(phi), np.sin(theta) * np.cos(phi), np.cos(theta)])
    assert light[10, 10] == pytest.approx(normal @ towards / np.cos(theta), rel=1e-4)


def test_a_wall_casts_a_shadow_of_height_times_tangent() -> None:
    heights = np.zeros((64, 64), dtype=np.float32)
    heights[:, 40:44] = 100.0
    light = illumination(heights, gsd=10, sun=Sun(zenith_deg=45, azimuth_deg=90))
    row = light[32]
    assert row[34:39].max() < 0.1
    assert row[20:27].min() > 0.99
    assert row[48:].min() > 0.99


def test_carved_terrain_drains_along_its_valleys() -> None:
    carved = carve(stream(0, "h"), 96, 128)
    for field in (carved.heights, carved.drainage):
        assert field.shape == (96, 128)
        assert field.dtype == np.float32
        assert (field.min(), field.max()) == (0, 1)
    curvature = sum(np.roll(carved.heights, step, axis) for step in (-4, 4) for axis in (0, 1)) / 4 - carved.heights
    valleys, crests = carved.drainage > 0.45, carved.drainage < 0.15
    assert curvature[valleys].mean() > 0 > curvature[crests].mean()


@pytest.mark.parametrize(("height", "width"), [(40, 40), (41, 53)])
def test_enlarging_keeps_waves(height: int, width: int) -> None:
    def wave(rows: int, cols: int) -> np.ndarray:
        row, col = np.mgrid[:rows, :cols]
        return (np.cos(2 * np.pi * row / rows) + np.sin(2 * np.pi * 2 * col / cols)).astype(np.float32)

    np.testing.assert_allclose(enlarge(wave(20, 24), height, width), wave(height, width), atol=0.02)


def test_mountains_are_as_high_as_asked_or_as_slopes_allow() -> None:
    carved = carve(stream(0, "h"), 96, 96)
    low = mountain_heights(stream(1, "h"), carved, gsd=30.0, amplitude_m=100.0)
    assert low.max() - low.min() == pytest.approx(100, abs=60)
    steep = mountain_heights(stream(1, "h"), carved, gsd=10.0, amplitude_m=1e5)
    assert np.median(np.hypot(*np.gradient(steep, 10.0))) < 1.2


def test_hills_scale_with_their_amplitude() -> None:
    one, two = (hill_heights(stream(0, "h"), 96, 96, gsd=10.0, amplitude_m=size) for size in (100.0, 200.0))
    np.testing.assert_allclose(two, 2 * one, rtol=1e-5)


def test_dunes_are_metres_to_decametres_high() -> None:
    heights = dune_heights(stream(1, "d"), 128, 128, gsd=10.0)
    assert 1 < heights.max() - heights.min() < 250
