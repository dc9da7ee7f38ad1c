import numpy as np
import pytest
import torch
from torch.nn import functional

from satsqueeze.core.errors import SettingsError
from satsqueeze.learn.augment.images import ClassAugmenter, ClassAugmentSettings, mixed, shifted
from satsqueeze.learn.augment.images import moved as moved_maps
from satsqueeze.learn.batch import ClassBatch
from satsqueeze.learn.class_losses import LabelLoss
from satsqueeze.learn.class_settings import ClassFitSettings


def test_cross_entropy_with_smoothing_is_torchs():
    logits, labels = torch.randn(6, 5), torch.tensor([0, 1, 2, 3, 4, 0])
    targets = functional.one_hot(labels, 5).float()
    for smoothing in (0.0, 0.2):
        expected = functional.cross_entropy(logits, labels, label_smoothing=smoothing)
        torch.testing.assert_close(LabelLoss(smoothing=smoothing)(logits, targets)["loss"], expected)


def test_binary_cross_entropy_of_several_labels():
    logits, targets = torch.randn(4, 3), torch.tensor([[1.0, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]])
    expected = functional.binary_cross_entropy_with_logits(logits, targets)
    torch.testing.assert_close(LabelLoss(multi_label=True)(logits, targets, None)["loss"], expected)
    smoothed = functional.binary_cross_entropy_with_logits(logits, 0.9 * targets + 0.05)
    torch.testing.assert_close(LabelLoss(multi_label=True, smoothing=0.1)(logits, targets)["loss"], smoothed)


def test_half_precision_logits_give_a_float_loss():
    loss = LabelLoss()(torch.randn(2, 3).bfloat16(), torch.eye(3)[:2])["loss"]
    assert loss.dtype == torch.float32


def test_shifts_are_crops_of_the_mirrored_image():
    images = torch.rand(3, 2, 6, 5)
    shifts = [[0, 0], [2, -1], [-1, 2]]
    found = shifted(images, shifts)
    for image, (rows, cols), moved in zip(images.numpy(), shifts, found.numpy(), strict=True):
        padded = np.pad(image, ((0, 0), (2, 2), (2, 2)), mode="reflect")
        np.testing.assert_array_equal(moved, padded[:, 2 - rows : 8 - rows, 2 - cols : 7 - cols])
    # A shift of +2 rows moves content down.
    np.testing.assert_array_equal(found[1, :, 2:, : 5 - 1], images[1, :, :4, 1:])
    with pytest.raises(SettingsError, match="a shift of 5 px leaves nothing of images of 6 x 5 px"):
        shifted(images, [[5, 0]] * 3)


def test_mixing_keeps_the_sum_of_targets():
    values, kept = torch.eye(3), torch.tensor([1.0, 0.75, 0.0])
    expected = torch.tensor([[1, 0, 0], [0.25, 0.75, 0], [0, 1, 0]])
    torch.testing.assert_close(mixed(values, kept), expected)
    assert mixed(torch.rand(3, 2, 4, 4), kept).shape == (3, 2, 4, 4)


def batch(step=0, answers=None):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(4, 3, 8, 8, generator=generator)
    return ClassBatch(images=images, targets=torch.eye(4), answers=answers, step=step)


def test_variation_depends_on_seed_and_step_alone():
    settings = ClassAugmentSettings(shift=3, mixup=0.4)
    one, other, later = (ClassAugmenter(settings, seed=seed)(batch(step)) for seed, step in ((1, 5), (1, 5), (1, 6)))
    assert torch.equal(one.images, other.images)
    assert torch.equal(one.targets, other.targets)
    assert not torch.equal(one.images, later.images)
    torch.testing.assert_close(one.targets.sum(dim=1), torch.ones(4))


def test_nothing_asked_nothing_done():
    given = batch()
    assert torch.equal(ClassAugmenter(ClassAugmentSettings(), seed=0)(given).images, given.images)


def test_mixing_is_refused_with_teachers():
    augment = ClassAugmenter(ClassAugmentSettings(mixup=0.2), seed=0)
    with pytest.raises(SettingsError, match="teachers answer for single images"):
        augment(batch(answers=torch.zeros(4, 1, 4)))


def test_steps_are_written_out():
    settings = ClassFitSettings(batch_size=10)
    assert settings.for_images(95).steps_per_epoch == 10
    assert settings.for_images(3).steps_per_epoch == 1
    assert ClassFitSettings(steps_per_epoch=7).for_images(95).steps_per_epoch == 7
    assert ClassFitSettings.from_dict(settings.to_dict()) == settings
    with pytest.raises(SettingsError, match="not settings of a training"):
        ClassFitSettings.from_dict({"epoch": 1})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "'epochs' must be at least 1"),
        ({"label_smoothing": 1.0}, "label smoothing and momentum"),
        ({"momentum": -0.1}, "label smoothing and momentum"),
        ({"schedule": "step"}, "got 'step'"),
        ({"steps_per_epoch": -1}, "'steps_per_epoch' must be at least 1"),
    ],
)
def test_refused_settings(changes, message):
    with pytest.raises(SettingsError, match=message):
        ClassFitSettings(**changes)


def test_refused_variation_and_smoothing():
    with pytest.raises(SettingsError, match="must be >= 0, got -1"):
        ClassAugmentSettings(shift=-1)
    with pytest.raises(SettingsError, match=r"in \[0, 1\), got 1"):
        LabelLoss(smoothing=1.0)


def test_maps_move_with_their_images():
    maps = torch.rand(2, 8, 6, generator=torch.Generator().manual_seed(0))
    shifts = [[8, 0], [-4, 12]]
    found = moved_maps(maps, shifts, size=(32, 24))  # cells of 4 x 4 pixels
    torch.testing.assert_close(found[0, 2:], maps[0, :-2])
    torch.testing.assert_close(found[1, :-1, 3:], maps[1, 1:, :-3])
    torch.testing.assert_close(moved_maps(maps, [[0, 0]] * 2, size=(32, 24)), maps)
    half = moved_maps(maps, [[2, 0]] * 2, size=(32, 24))
    torch.testing.assert_close(half[:, 1:], (maps[:, 1:] + maps[:, :-1]) / 2)
