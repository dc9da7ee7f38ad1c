"""Augmentation of whole batches: seeded, aligned, and silent where it must be."""

import re

import pytest
import torch

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.saturation import SATURATIONS, saturation_of
from satsqueeze.core.scaling import Scaling
from satsqueeze.learn.augment.draws import Draws, step_seed
from satsqueeze.learn.augment.patches import Augmenter, AugmentSettings, soft_from_bytes
from satsqueeze.learn.batch import TrainBatch

SCALING = Scaling(bands=("blue", "green", "red", "nir"), mean=(0.2,) * 4, std=(0.1, 0.1, 0.1, 0.2))
ALWAYS = AugmentSettings(
    rotation=1, scaling=1, noise=1, blur=1, brightness=1, contrast=1, low_resolution=1, gamma=1, gamma_inverted=1
)


def make_batch(step=0, count=6, side=24) -> TrainBatch:
    """Labels and targets that can be read off the image: class = (band 0 > 0.5), soft = one-hot of it."""
    generator = torch.Generator().manual_seed(7)
    coarse = (torch.rand(count, 1, 4, 4, generator=generator) > 0.5).float()
    truth = torch.nn.functional.interpolate(coarse, size=(side, side), mode="nearest")
    images = (0.2 + 0.6 * truth).expand(-1, 4, -1, -1).clone()
    images[:, :, :3] = 0
    labels = truth[:, 0].to(torch.uint8)
    labels[:, :3] = 255
    soft = torch.cat([1 - truth, truth], dim=1)
    soft[:, :, :3] = 0
    return TrainBatch(images, labels, soft, step)


def augmented(settings, step=0, seed=0, **changes) -> TrainBatch:
    return Augmenter(settings, scaling=SCALING, seed=seed)(make_batch(step, **changes))


def test_none_changes_nothing():
    before, after = make_batch(), augmented(AugmentSettings.none())
    assert all(torch.equal(a, b) for a, b in zip(before[:3], after[:3], strict=True))


def test_depends_on_seed_and_step_alone():
    torch.manual_seed(0)
    first = augmented(ALWAYS, step=5)
    torch.manual_seed(1)
    again = augmented(ALWAYS, step=5)
    assert all(torch.equal(a, b) for a, b in zip(first[:3], again[:3], strict=True))
    assert not torch.equal(first.images, augmented(ALWAYS, step=6).images)
    assert not torch.equal(first.images, augmented(ALWAYS, step=5, seed=1).images)


@pytest.mark.parametrize("step", range(5))
def test_geometry_keeps_image_labels_and_targets_together(step):
    after = augmented(AugmentSettings.geometric(), step=step)
    invalid = (after.images == 0).all(dim=1)
    assert torch.equal(after.labels == 255, invalid)
    assert torch.equal(after.soft.sum(1) == 0, invalid)
    # Away from class borders, where nearest and bilinear sampling agree, all three must tell the same.
    plain = (after.images[:, 0] - 0.2).abs().lt(1e-4) | (after.images[:, 0] - 0.8).abs().lt(1e-4)
    bright = after.images[:, 0] > 0.5
    assert plain.float().mean() > 0.3
    assert torch.equal(bright[plain], after.labels[plain] == 1)
    assert torch.equal(bright[plain], after.soft[:, 1][plain] > 0.5)


@pytest.mark.parametrize(
    "name", ["noise", "blur", "brightness", "contrast", "low_resolution", "gamma", "gamma_inverted", "saturation"]
)
def test_intensity_steps_change_images_only_and_keep_invalid_pixels(name):
    settings = AugmentSettings(**{**vars(AugmentSettings.none()), name: 1.0})
    before, after = make_batch(), augmented(settings)
    assert not torch.equal(before.images, after.images)
    assert torch.equal(before.labels, after.labels)
    assert torch.equal(before.soft, after.soft)
    assert (after.images[:, :, :3] == 0).all()
    assert torch.isfinite(after.images).all()


def test_brightness_is_one_factor_per_band_within_its_range():
    settings = AugmentSettings.none()
    settings = AugmentSettings(**{**vars(settings), "brightness": 1.0, "brightness_range": (0.9, 1.2)})
    before, after = make_batch(), augmented(settings)
    ratio = (after.images / before.images)[:, :, 3:]
    assert torch.allclose(ratio, ratio[:, :, :1, :1], atol=1e-5)
    factors = ratio[:, :, 0, 0]
    assert 0.9 <= factors.min() < 1 < factors.max() <= 1.2
    assert len(factors.unique()) > 6


def saturated(**changes):
    return AugmentSettings(**{**vars(AugmentSettings.none()), "saturation": 1.0, **changes})


def test_saturation_clips_at_the_levels_of_a_sensor_under_one_sun():
    settings = saturated(saturation_sensors=("landsat-7-etm-high-gain",), sun_elevation_range=(40.0, 70.0))
    batch = make_batch()
    batch.images[:, :, 3:] *= 3
    before = batch.images.clone()
    after = Augmenter(settings, scaling=SCALING, seed=0)(batch)
    clipped = after.images.amax(dim=(2, 3))
    sines = torch.from_numpy(saturation_of("landsat-7-etm-high-gain").levels(SCALING.bands)) / clipped
    assert torch.equal(after.images, torch.minimum(before, clipped[:, :, None, None]))
    assert torch.allclose(sines, sines[:, :1].expand_as(sines), rtol=1e-5)
    elevations = sines[:, 0].asin().rad2deg()
    assert 40 <= elevations.min() < elevations.max() <= 70


def test_every_sensor_is_as_likely():
    settings = saturated(sun_elevation_range=(90.0, 90.0))
    batch = make_batch(count=3000, side=4)
    batch.images.fill_(2.0)
    green = Augmenter(settings, scaling=SCALING, seed=0)(batch).images[:, 1, 0, 0]
    levels, counts = green.unique(return_counts=True)
    assert levels.tolist() == pytest.approx(sorted(saturation_of(name).levels(["green"])[0] for name in SATURATIONS))
    assert (counts / 3000).tolist() == pytest.approx([1 / 3] * 3, abs=0.03)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"saturation_sensors": ()}, "needs 'saturation_sensors': landsat-5-tm"),
        (
            {"saturation_sensors": ("landsat-5",)},
            "no sensor is called 'landsat-5'; did you mean landsat-5-tm",
        ),
        ({"sun_elevation_range": (30.0, 95.0)}, "'sun_elevation_range' ends at 90 degrees"),
        ({"sun_elevation_range": (0.0, 45.0)}, "'sun_elevation_range' must be positive"),
    ],
)
def test_settings_of_saturation_are_checked(changes, told):
    with pytest.raises(SettingsError, match=re.escape(told)):
        saturated(**changes)


def test_bands_that_no_sensor_has_cannot_saturate():
    radar = Scaling(bands=("vv", "vh"), mean=(0.1, 0.1), std=(0.1, 0.1))
    with pytest.raises(SettingsError, match="knows no level of vv, vh"):
        Augmenter(saturated(), scaling=radar, seed=0)
    Augmenter(AugmentSettings(), scaling=radar, seed=0)


def test_noise_is_in_units_of_the_bands_deviation():
    settings = AugmentSettings(**{**vars(AugmentSettings.none()), "noise": 1.0, "noise_range": (0.1, 0.1)})
    difference = augmented(settings, side=96).images - make_batch(side=96).images
    measured = difference[:, :, 3:].std(dim=(0, 2, 3))
    assert measured.tolist() == pytest.approx([0.1 * std for std in SCALING.std], rel=0.03)


def test_probabilities_are_kept():
    draws = Draws(0, 0)
    assert draws.chosen(0.2, 20000).float().mean().item() == pytest.approx(0.2, abs=0.01)
    factors = draws.factor(0.7, 1.4, 20000)
    assert (factors < 1).float().mean().item() == pytest.approx(0.5, abs=0.015)
    assert factors.min() >= 0.7
    assert factors.max() <= 1.4
    assert draws.factor(0.5, 0.9, 1000).max() < 0.9


def test_seeds_differ():
    assert len({step_seed(seed, step) for seed in range(20) for step in range(50)}) == 1000


def test_a_patch_without_a_valid_pixel_survives_everything():
    batch = make_batch()
    batch.images.zero_()
    batch.labels.fill_(255)
    after = Augmenter(ALWAYS, scaling=SCALING, seed=0)(batch)
    assert (after.images == 0).all()
    assert (after.labels == 255).all()


def test_oblong_patches_are_not_transposed():
    batch = TrainBatch(torch.rand(4, 4, 8, 12), torch.zeros(4, 8, 12, dtype=torch.uint8), None, 0)
    settings = AugmentSettings(**{**vars(AugmentSettings.none()), "transpose": 1.0})
    expected = batch.images.clone()
    assert torch.equal(Augmenter(settings, scaling=SCALING, seed=0)(batch).images, expected)


def test_soft_from_bytes():
    soft = torch.tensor([[[[255, 127, 0]], [[0, 127, 0]]]], dtype=torch.uint8)
    assert soft_from_bytes(soft)[0, :, 0].T.tolist() == [[1, 0], [0.5, 0.5], [0, 0]]
