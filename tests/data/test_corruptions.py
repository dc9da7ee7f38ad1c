"""Corruptions against identities, closed forms and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from satsqueeze.core.errors import BandError, GridError, SettingsError
from satsqueeze.data.corruptions import (
    AIRLIGHT,
    BLUR,
    BRIGHTNESS,
    CORRUPTIONS,
    HAZE,
    NOISE,
    SEVERITIES,
    blurred,
    corrupted,
    haze_shares,
    hazed,
    missing_bands,
)

RGB = ("red", "green", "blue")
FILL = (0.11, 0.12, 0.13)
WHOLE = np.ones((32, 24), bool)


@pytest.fixture
def image():
    return np.random.default_rng(0).uniform(0.02, 0.3, (3, 32, 24)).astype(np.float32)


def run(image, kind, severity, seed=7, **changes):
    told = {"bands": RGB, "fill": FILL, "seed": seed, "key": "a", **changes}
    return corrupted(image, kind=kind, severity=severity, **told)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_pure_seeded_and_identity_at_zero(image, kind):
    before = image.copy()
    np.testing.assert_array_equal(run(image, kind, 0), image)
    for severity in SEVERITIES:
        found = run(image, kind, severity)
        assert (found.dtype, found.shape) == (np.float32, image.shape)
        np.testing.assert_array_equal(found, run(image, kind, severity))
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("kind", ["noise", "blur", "haze"])
def test_a_higher_severity_is_further_from_the_image(image, kind):
    distances = [np.abs(run(image, kind, severity) - image).mean() for severity in SEVERITIES]
    assert all(np.diff(distances) > 0)


def test_noise_is_one_normal_field_times_its_strength(image):
    fields = [(run(image, "noise", severity) - image) / NOISE[severity - 1] for severity in SEVERITIES]
    for field in fields:
        np.testing.assert_allclose(field, fields[-1], atol=2e-4)
    large = run(np.zeros((3, 128, 128), np.float32), "noise", 3)
    assert large.std() == pytest.approx(NOISE[2], rel=0.02)
    assert large.mean() == pytest.approx(0, abs=5e-4)
    assert not np.array_equal(run(image, "noise", 1, key="b"), run(image, "noise", 1))
    assert not np.array_equal(run(image, "noise", 1, seed=8), run(image, "noise", 1))


@pytest.mark.parametrize("severity", SEVERITIES)
def test_blur_is_scipys(image, severity):
    sigma = BLUR[severity - 1]
    # scipy calls reflection about the outermost pixels "mirror"; a kernel cannot be wider than the image here.
    radius = min(int(np.ceil(4 * sigma)), 23)
    expected = ndimage.gaussian_filter(image, (0, sigma, sigma), mode="mirror", radius=(0, radius, radius))
    np.testing.assert_allclose(run(image, "blur", severity), expected, atol=1e-6)


def test_blur_keeps_constants_and_leaves_invalid_pixels_out(image):
    constant = np.full((2, 16, 16), 0.2, np.float32)
    valid = np.ones((16, 16), bool)
    valid[:, 5] = False
    found = blurred(np.where(valid, constant, 0), valid, 2.0)
    np.testing.assert_allclose(found, 0.2, atol=1e-6)
    impulse = np.zeros((1, 33, 33), np.float32)
    impulse[0, 16, 16] = 1
    spread = blurred(impulse, np.ones((33, 33), bool), 1.5)
    assert spread.sum() == pytest.approx(1, abs=1e-5)
    assert spread[0, 16, 17] / spread[0, 16, 16] == pytest.approx(np.exp(-0.5 / 1.5**2), rel=1e-5)


def test_haze_is_light_of_short_waves(image):
    for severity in SEVERITIES:
        red, green, blue = haze_shares(RGB, severity)
        assert red < green < blue
        # Angstrom's law from one band to another.
        assert blue / red == pytest.approx((664.6 / 492.4) ** 1.3, rel=1e-5)
        assert green == pytest.approx(HAZE[severity - 1] * (559.8 / 550) ** -1.3, rel=1e-5)
        black = run(np.zeros_like(image), "haze", severity)
        np.testing.assert_allclose(black[:, 0, 0], AIRLIGHT * np.array([red, green, blue]), rtol=1e-5)
    np.testing.assert_array_equal(hazed(image, np.zeros(3, np.float32)), image)
    np.testing.assert_allclose(hazed(image, np.ones(3, np.float32)), AIRLIGHT)
    np.testing.assert_allclose(run(np.full_like(image, AIRLIGHT), "haze", 5), AIRLIGHT, rtol=1e-6)


def test_brightness_is_a_factor_up_or_down(image):
    ratios = {round(float((run(image, "brightness", 2, key=str(n)) / image).mean()), 4) for n in range(20)}
    assert ratios == {BRIGHTNESS[1], round(1 / BRIGHTNESS[1], 4)}
    # An image that is brighter at one severity is brighter at all.
    signs = {bool((run(image, "brightness", severity) > image).all()) for severity in SEVERITIES}
    assert len(signs) == 1


def test_missing_bands_hold_the_fill_and_grow_in_number(image):
    before = np.zeros(3, bool)
    for severity in SEVERITIES:
        found = run(image, "missing-bands", severity)
        filled = np.array([np.allclose(band, value) for band, value in zip(found, FILL, strict=True)])
        np.testing.assert_array_equal(found[~filled], image[~filled])
        assert (filled >= before).all()
        before = filled
    assert before.sum() == 2


@pytest.mark.parametrize("bands", [1, 2, 3, 10, 13])
def test_the_number_of_missing_bands_is_right_on_average(bands):
    order = np.random.default_rng(0).permutation(bands)
    chances = (np.arange(1000) + 0.5) / 1000
    for severity in SEVERITIES:
        counts = [missing_bands(severity, order, chance).sum() for chance in chances]
        assert np.mean(counts) == pytest.approx(severity * (bands - 1) / 5, abs=2e-3)
        assert max(counts) <= max(0, bands - 1)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_invalid_pixels_stay_zero(image, kind):
    valid = np.ones(image.shape[1:], bool)
    valid[3:6, :] = False
    found = run(np.where(valid, image, 0), kind, 5, valid=valid)
    assert (found[:, ~valid] == 0).all()
    assert (found[:, valid] != 0).all()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"kind": "rain"}, SettingsError, "expected one of noise, blur, haze"),
        ({"severity": 6}, SettingsError, "severity of 0 to 5, got 'noise' at 6"),
        ({"fill": (0.1,)}, GridError, "C bands and C means; got"),
        ({"bands": ("red",)}, GridError, "C bands and C means; got"),
        ({"valid": np.ones((2, 2), bool)}, GridError, "validity must be"),
        ({"kind": "haze", "bands": ("red", "green", "vv")}, BandError, "haze over red, green, vv is not known"),
    ],
)
def test_refusals(image, changes, error, message):
    told = {"kind": "noise", "severity": 1, "bands": RGB, "fill": FILL, "seed": 0, **changes}
    with pytest.raises(error, match=message):
        corrupted(image, **told)
