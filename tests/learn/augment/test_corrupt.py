"""Corruption of batches against that of single images by numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from satsqueeze.core.errors import BandError, SettingsError
from satsqueeze.core.scaling import Scaling
from satsqueeze.data import corruptions as oracle
from satsqueeze.learn.augment.corrupt import Corrupter, blurred_images, brightened, hazed, noised, without_bands
from satsqueeze.learn.augment.images import ClassAugmenter, ClassAugmentSettings
from satsqueeze.learn.batch import ClassBatch
from satsqueeze.learn.class_losses import LabelLoss
from satsqueeze.learn.class_settings import ClassFitSettings
from satsqueeze.learn.class_task import ClassTask
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.classifier import ClassifierConfig
from satsqueeze.nets.model import build_model

RGB = ("red", "green", "blue")
SCALING = Scaling(bands=RGB, mean=(0.11, 0.12, 0.13), std=(0.05,) * 3)
SEVERITIES = np.array([1, 2, 3, 4, 5])


@pytest.fixture
def images():
    values = np.random.default_rng(0).uniform(0.02, 0.3, (5, 3, 32, 24)).astype(np.float32)
    values[2, :, 4:7, 9] = 0
    return values


def test_every_corruption_is_that_of_numpy(images):
    generator, given = np.random.default_rng(1), torch.from_numpy(images)
    valid = (images != 0).any(axis=1)
    normal = generator.standard_normal(images.shape, np.float32)
    pairs = {
        "noise": (
            noised(given, torch.tensor(oracle.NOISE), torch.from_numpy(normal)),
            [oracle.noised(*three) for three in zip(images, oracle.NOISE, normal, strict=True)],
        ),
        "blur": (
            blurred_images(given, torch.from_numpy(valid[:, None]), torch.tensor(oracle.BLUR)),
            [oracle.blurred(*three) for three in zip(images, valid, oracle.BLUR, strict=True)],
        ),
        "haze": (
            hazed(given, torch.from_numpy(np.stack([oracle.haze_shares(RGB, s) for s in SEVERITIES]))),
            [oracle.hazed(image, oracle.haze_shares(RGB, s)) for image, s in zip(images, SEVERITIES, strict=True)],
        ),
        "brightness": (
            brightened(given, torch.tensor(oracle.BRIGHTNESS)),
            [oracle.brightened(*two) for two in zip(images, oracle.BRIGHTNESS, strict=True)],
        ),
        "missing-bands": (
            without_bands(given, torch.eye(5)[:, :3].bool(), torch.tensor(SCALING.mean)),
            [
                oracle.without_bands(image, missing, np.array(SCALING.mean, np.float32))
                for image, missing in zip(images, np.eye(5)[:, :3].astype(bool), strict=True)
            ],
        ),
    }
    assert set(pairs) == set(oracle.CORRUPTIONS)
    for kind, (found, expected) in pairs.items():
        # The batch shares one kernel length, beyond the 4 sigma where numpy cuts the narrower ones.
        tolerance = 5e-5 if kind == "blur" else 1e-6
        np.testing.assert_allclose(found.numpy(), np.stack(expected), atol=tolerance, err_msg=kind)


def test_a_share_is_corrupted_and_the_rest_untouched():
    images = torch.rand(400, 3, 8, 8) + 0.01
    found = Corrupter(0.5, SCALING, seed=3)(images, 7)
    changed = (found != images).flatten(1).any(dim=1)
    # One in ten of the chosen keeps all its bands at random.
    assert 0.35 < changed.float().mean() < 0.55
    assert torch.equal(Corrupter(0.5, SCALING, seed=3)(images, 7), found)
    assert not torch.equal(Corrupter(0.5, SCALING, seed=3)(images, 8), found)
    assert not torch.equal(Corrupter(0.5, SCALING, seed=4)(images, 7), found)
    assert torch.equal(Corrupter(0.0, SCALING, seed=3)(images, 7), images)


@pytest.mark.parametrize("kind", oracle.CORRUPTIONS)
def test_invalid_pixels_stay_zero(images, kind):
    given = torch.from_numpy(images)
    found = Corrupter(1.0, SCALING, seed=0).corrupted(given, kind, SEVERITIES, np.random.default_rng(0))
    assert (found[2, :, 4:7, 9] == 0).all()
    assert found.shape == given.shape
    assert not torch.equal(found, given)
    assert torch.isfinite(found).all()


def test_severity_five_leaves_one_band():
    images = torch.rand(20, 3, 4, 4) + 1
    found = Corrupter(1.0, SCALING, seed=0).corrupted(images, "missing-bands", np.full(20, 5), np.random.default_rng(0))
    kept = (found == images).flatten(2).all(dim=2)
    assert (kept.sum(dim=1) == 1).all()
    assert kept.any(dim=0).all()
    filled = found.transpose(0, 1)[~kept.T.contiguous()]
    assert filled.unique().tolist() == pytest.approx(sorted(SCALING.mean))


def test_the_augmenter_corrupts_where_it_is_told_to():
    batch = ClassBatch(images=torch.rand(16, 3, 8, 8) + 0.01, targets=torch.eye(16), answers=None, step=2)
    settings = ClassAugmentSettings(corrupt=1.0)
    found = ClassAugmenter(settings, seed=5, scaling=SCALING)(batch)
    expected = Corrupter(1.0, SCALING, seed=5)(batch.images, 2)
    assert torch.equal(found.images, expected)
    assert torch.equal(found.targets, batch.targets)
    # Shifts are those drawn without corruption.
    moved = ClassAugmenter(ClassAugmentSettings(shift=2), seed=5)(batch).images
    both = ClassAugmenter(ClassAugmentSettings(shift=2, corrupt=1.0), seed=5, scaling=SCALING)(batch).images
    assert torch.equal(both, Corrupter(1.0, SCALING, seed=5)(moved, 2))


def test_training_corrupts_with_the_bands_and_means_of_its_network():
    config = ClassifierConfig(model="resnet8", in_channels=3, classes=16, size=8)
    card = ModelCard(
        name="tiny",
        family="zoo",
        config=config,
        scaling=SCALING,
        bands=RGB,
        classes=tuple(f"class{number}" for number in range(16)),
        foreground=(),
        task="classification",
    )
    batch = ClassBatch(images=torch.rand(16, 3, 8, 8) + 0.01, targets=torch.eye(16), answers=None, step=2)
    settings = ClassFitSettings(steps_per_epoch=1, seed=5, augment=ClassAugmentSettings(corrupt=1.0))
    found = ClassTask(build_model(card, seed=0), LabelLoss(), settings).augmented(batch)
    assert torch.equal(found.images, Corrupter(1.0, SCALING, seed=5)(batch.images, 2))


def test_refusals():
    with pytest.raises(SettingsError, match=r"a probability in \[0, 1\], got 1.5"):
        ClassAugmentSettings(corrupt=1.5)
    with pytest.raises(SettingsError, match="hand over the network's scaling"):
        ClassAugmenter(ClassAugmentSettings(corrupt=0.5), seed=0)
    radar = Scaling(bands=("vv", "vh"), mean=(0.0, 0.0), std=(1.0, 1.0))
    with pytest.raises(BandError, match="haze over vv, vh is not known"):
        Corrupter(0.5, radar, seed=0)


def test_records_from_before_corruption_are_those_of_none():
    plain, robust = ClassFitSettings(), ClassFitSettings(augment=ClassAugmentSettings(corrupt=0.25))
    assert plain.to_dict()["augment"] == {"views": True, "shift": 0, "mixup": 0.0}
    assert robust.to_dict()["augment"]["corrupt"] == 0.25
    assert ClassFitSettings.from_dict(robust.to_dict()) == robust
    assert ClassFitSettings.from_dict(plain.to_dict()) == plain
