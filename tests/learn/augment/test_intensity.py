"""Intensity changes against scipy and their invariants."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy import ndimage

from satsqueeze.learn.augment.intensity import blurred, coarsened, contrasted, gamma_corrected


def patches(seed=0, invalid=False):
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(2, 3, 20, 24, generator=generator) * 0.6 + 0.02
    valid = torch.ones(2, 1, 20, 24, dtype=torch.bool)
    if invalid:
        valid[:, :, :4] = False
    return values * valid, valid


def masked(valid):
    return None if bool(valid.all()) else ~valid


def stats(values, valid):
    chosen = values.masked_select(valid.expand_as(values)).reshape(values.shape[0] * values.shape[1], -1)
    return chosen.mean(1), chosen.std(1, unbiased=False), chosen.amin(1), chosen.amax(1)


@pytest.mark.parametrize("sigma", [0.5, 0.8, 1.0])
def test_blur_is_scipys(sigma):
    plane = torch.rand(1, 20, 24, generator=torch.Generator().manual_seed(0))
    got = blurred(plane, None, torch.tensor([sigma]))[0].numpy()
    expected = ndimage.gaussian_filter(plane[0].numpy(), sigma, mode="mirror", truncate=np.ceil(4 * sigma) / sigma)
    assert np.abs(got - expected).max() < 1e-5


def test_blur_skips_invalid_pixels():
    plane = torch.full((1, 12, 12), 0.3)
    invalid = torch.zeros_like(plane, dtype=torch.bool)
    plane[:, :5], invalid[:, :5] = 0, True
    out = blurred(plane, invalid, torch.tensor([1.0]))
    assert torch.allclose(out[:, 5:], torch.tensor(0.3), atol=1e-6)


@pytest.mark.parametrize("invalid", [False, True])
def test_contrast_keeps_mean_direction_and_range(invalid):
    values, valid = patches(invalid=invalid)
    _, std, low, high = stats(values, valid)
    stretched = contrasted(values, masked(valid), torch.full((2, 3, 1, 1), 1.25))
    _, new_std, new_low, new_high = stats(stretched, valid)
    assert (new_std > std).all()
    assert torch.allclose(new_low, low)
    assert torch.allclose(new_high, high)
    flatter = contrasted(values, masked(valid), torch.full((2, 3, 1, 1), 0.75))
    mean, new_std, *_ = stats(flatter, valid)
    assert torch.allclose(new_std, 0.75 * std, rtol=1e-4)
    assert torch.allclose(mean, stats(values, valid)[0], atol=1e-5)


@pytest.mark.parametrize("invalid", [False, True])
@pytest.mark.parametrize("inverted", [False, True])
def test_gamma_keeps_mean_and_deviation(invalid, inverted):
    values, valid = patches(invalid=invalid)
    gamma = torch.tensor([0.7, 1.0, 1.5]).reshape(1, 3, 1, 1).expand(2, 3, 1, 1)
    curved = gamma_corrected(values, masked(valid), gamma, inverted=inverted)
    for before, after in zip(stats(values, valid)[:2], stats(curved, valid)[:2], strict=True):
        assert torch.allclose(before, after, atol=1e-5)
    seen = valid.expand_as(values)
    assert torch.allclose(curved[:, 1][seen[:, 1]], values[:, 1][seen[:, 1]], atol=1e-5)
    assert (curved[:, 2] - values[:, 2])[seen[:, 2]].abs().max() > 0.01


def test_gamma_inverted_bends_the_other_way():
    values, valid = patches()
    gamma = torch.full((2, 3, 1, 1), 1.5)
    skew = [
        float((v - v.mean()).pow(3).mean())
        for v in (gamma_corrected(values, masked(valid), gamma, inverted=flag) for flag in (False, True))
    ]
    assert skew[0] > 0 > skew[1]


def test_constant_band_stays_constant():
    values, valid = torch.full((1, 2, 8, 8), 0.4), torch.ones(1, 1, 8, 8, dtype=torch.bool)
    gamma = torch.full((1, 2, 1, 1), 1.5)
    assert torch.allclose(gamma_corrected(values, masked(valid), gamma, inverted=False), values)
    assert torch.allclose(contrasted(values, masked(valid), gamma), values)


def test_coarsened_keeps_size_and_a_constant():
    plane = torch.full((2, 15, 17), 0.3)
    assert torch.allclose(coarsened(plane, None, 0.5), plane, atol=1e-6)
    noise = torch.rand(1, 32, 32, generator=torch.Generator().manual_seed(0))
    out = coarsened(noise, None, 0.5)
    assert out.shape == noise.shape
    # Half the samples cannot carry the finest detail.
    assert (out[:, :, 1:] - out[:, :, :-1]).abs().mean() < (noise[:, :, 1:] - noise[:, :, :-1]).abs().mean()
    assert torch.allclose(coarsened(noise, None, 1.0), noise, atol=1e-6)


@pytest.mark.parametrize("inverted", [False, True])
def test_without_a_mask_nothing_differs_from_a_mask_of_valid_pixels(inverted):
    values, valid = patches()
    factor = torch.full((2, 3, 1, 1), 1.3)
    assert torch.allclose(contrasted(values, None, factor), contrasted(values, ~valid, factor), atol=1e-6)
    curved = (gamma_corrected(values, mask, factor, inverted=inverted) for mask in (None, ~valid))
    assert torch.allclose(*curved, atol=1e-6)
    sigma = torch.tensor([0.6, 1.0])
    assert torch.allclose(blurred(values[:, 0], None, sigma), blurred(values[:, 0], ~valid[:, 0], sigma), atol=1e-6)


def test_what_stands_in_invalid_pixels_has_no_influence():
    values, valid = patches(invalid=True)
    other = torch.where(valid, values, 0.9)
    factor = torch.full((2, 3, 1, 1), 1.3)
    for change in (contrasted, partial(gamma_corrected, inverted=False)):
        assert torch.equal(change(values, ~valid, factor) * valid, change(other, ~valid, factor) * valid)
    sigma = torch.tensor([0.6, 1.0])
    smooth = (blurred(given[:, 0], ~valid[:, 0], sigma) * valid[:, 0] for given in (values, other))
    assert torch.equal(*smooth)


@pytest.mark.parametrize("scale", [0.5, 0.7, 0.9])
def test_coarsening_mixes_nothing_with_what_is_invalid(scale):
    planes, invalid = torch.full((2, 40, 40), 0.5), torch.zeros(1, 40, 40, dtype=torch.bool)
    invalid[:, :, 20:] = True
    planes = planes.masked_fill(invalid, 0.0)
    out = coarsened(planes, invalid, scale)
    assert torch.allclose(out[:, :, :20], torch.tensor(0.5), atol=1e-6)
    noise = torch.rand(2, 40, 40, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(coarsened(noise, None, scale), coarsened(noise, torch.zeros_like(invalid), scale), atol=1e-6)
