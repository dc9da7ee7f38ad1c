"""Geometry against exact quarter turns and scipy."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from satsqueeze.learn.augment.geometry import oriented, renormalised, sampling_matrices, valid_pixels, warped
from satsqueeze.learn.batch import TrainBatch


def make_batch(height=16, width=16, count=3, seed=0) -> TrainBatch:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 4, height, width, generator=generator) + 0.1
    labels = torch.randint(0, 3, (count, height, width), generator=generator).to(torch.uint8)
    soft = torch.rand(count, 3, height, width, generator=generator).softmax(1)
    return TrainBatch(images, labels, soft, 0)


def copied(batch):
    return TrainBatch(batch.images.clone(), batch.labels.clone(), batch.soft.clone(), batch.step)


def warp_all(batch, degrees, factor):
    count, _, height, width = batch.images.shape
    matrices = sampling_matrices(
        torch.full((count,), degrees), torch.full((count,), factor), height=height, width=width
    )
    return warped(copied(batch), torch.arange(count), matrices)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarter_turns_are_exact_and_counter_clockwise(turns):
    batch = make_batch()
    turned = warp_all(batch, 90.0 * turns, 1.0)
    assert torch.allclose(turned.images, batch.images.rot90(turns, (-2, -1)), atol=1e-5)
    assert torch.equal(turned.labels, batch.labels.rot90(turns, (-2, -1)))
    assert torch.allclose(turned.soft, batch.soft.rot90(turns, (-2, -1)), atol=1e-5)


def test_identity_and_half_turn_of_an_oblong_patch():
    batch = make_batch(height=12, width=20)
    same = warp_all(batch, 0.0, 1.0)
    assert torch.allclose(same.images, batch.images, atol=1e-5)
    assert torch.equal(same.labels, batch.labels)
    assert torch.equal(warp_all(batch, 180.0, 1.0).labels, batch.labels.flip(-1, -2))


@pytest.mark.parametrize(("degrees", "factor"), [(30.0, 1.0), (0.0, 1.3), (-70.0, 0.8)])
def test_warp_is_scipys_affine_transform(degrees, factor):
    batch = make_batch(height=24, width=32, count=1)
    got = warp_all(batch, degrees, factor).images[0].numpy()
    angle = np.deg2rad(degrees)
    # Rows and columns of the input for an output (row, column), both about the centre.
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / factor
    centre = np.array([(24 - 1) / 2, (32 - 1) / 2])
    offset = centre - matrix @ centre
    for band in range(4):
        expected = ndimage.affine_transform(
            batch.images[0, band].numpy(), matrix, offset=offset, order=1, mode="reflect"
        )
        assert np.abs(got[band] - expected).max() < 1e-4


def test_magnification_enlarges():
    batch = make_batch(count=1)
    batch.labels.zero_()
    batch.labels[0, 6:10, 6:10] = 1
    assert int((warp_all(batch, 0.0, 2.0).labels == 1).sum()) == 64


def test_invalid_pixels_stay_invalid_and_do_not_darken_their_neighbours():
    batch = make_batch(count=1)
    batch.images[:] = 0.5
    batch.images[:, :, :, :5] = 0
    batch.labels[:] = 1
    batch.labels[:, :, :5] = 255
    turned = warp_all(batch, 33.0, 1.1)
    invalid = (turned.images == 0).all(dim=1)
    assert invalid.any()
    assert torch.equal(turned.labels == 255, invalid)
    assert torch.allclose(turned.images[~invalid[:, None].expand_as(turned.images)], torch.tensor(0.5), atol=1e-5)
    assert torch.equal(turned.soft.sum(1) == 0, invalid)


def test_soft_targets_stay_distributions_and_gaps_stay_gaps():
    batch = make_batch()
    batch.soft[:, :, :, 8:] = 0
    total = warp_all(batch, 20.0, 1.0).soft.sum(1)
    assert ((total - 1).abs().lt(1e-5) | total.eq(0)).all()
    assert 0.2 < total.eq(0).float().mean() < 0.8


def test_answers_of_several_teachers_move_as_each_alone():
    first, second = make_batch(seed=1), make_batch(seed=2)
    second = TrainBatch(first.images, first.labels, second.soft, 0)
    both = TrainBatch(first.images, first.labels, torch.stack([first.soft, second.soft], dim=1), 0)
    flags = torch.tensor([True, False, True])
    for change in (
        lambda batch: warp_all(batch, 20.0, 1.3),
        lambda batch: oriented(copied(batch), upside_down=flags, sideways=~flags, transposed=flags),
    ):
        want = torch.stack([change(first).soft, change(second).soft], dim=1)
        torch.testing.assert_close(change(both).soft, want, rtol=0, atol=1e-6)


def test_only_the_chosen_are_warped():
    batch = make_batch()
    matrices = sampling_matrices(torch.tensor([45.0]), torch.ones(1), height=16, width=16)
    changed = warped(copied(batch), torch.tensor([1]), matrices)
    for before, after in zip(batch[:3], changed[:3], strict=True):
        assert torch.equal(before[[0, 2]], after[[0, 2]])
        assert not torch.equal(before[1], after[1])
    none = warped(copied(batch), torch.zeros(0, dtype=torch.long), torch.zeros(0, 2, 3))
    assert torch.equal(none.images, batch.images)


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("cols", [False, True])
@pytest.mark.parametrize("swap", [False, True])
def test_orientation_is_numpys(rows, cols, swap):
    batch = make_batch()
    flags = [torch.tensor([False, flag, False]) for flag in (rows, cols, swap)]
    changed = oriented(copied(batch), upside_down=flags[0], sideways=flags[1], transposed=flags[2])
    for before, after in zip(batch[:3], changed[:3], strict=True):
        expected = before[1].numpy()[..., :: -1 if rows else 1, :: -1 if cols else 1]
        assert np.array_equal(after[1].numpy(), np.swapaxes(expected, -1, -2) if swap else expected)
        assert torch.equal(before[[0, 2]], after[[0, 2]])


def test_valid_pixels_may_be_zero_in_some_bands():
    images = torch.ones(1, 2, 2, 2)
    images[0, 0, 0, 0] = 0
    images[0, :, 1, 1] = 0
    assert valid_pixels(images)[0, 0].tolist() == [[True, True], [True, False]]


def test_renormalised_needs_half_a_target():
    soft = torch.tensor([0.5, 0.25, 0.2, 0.1]).reshape(2, 2, 1, 1)
    out = renormalised(soft)
    assert out[0].flatten().tolist() == pytest.approx([2 / 3, 1 / 3])
    assert out[1].flatten().tolist() == [0, 0]
