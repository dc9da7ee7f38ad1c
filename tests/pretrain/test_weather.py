"""What befalls views: each step does what it says, and nothing else changes."""

from dataclasses import replace

import pytest
import torch

from satsqueeze.core.scaling import Scaling
from satsqueeze.pretrain.view_sampler import ViewBatch
from satsqueeze.pretrain.view_settings import ViewSettings
from satsqueeze.pretrain.weather import AIRLIGHT, Weather, at_points

BANDS = ("blue", "green", "red", "nir")
SCALING = Scaling(bands=BANDS, mean=(0.11, 0.12, 0.13, 0.14), std=(0.05,) * 4)
CLEAR = replace(ViewSettings(size=16), jitter=0.0, band_dropout=0.0, haze=0.0, clouds=0.0, noise=0.0)


def batch(count=6, step=0):
    generator = torch.Generator().manual_seed(0)
    images = 0.2 + 0.1 * torch.rand(2 * count, 4, 16, 16, generator=generator)
    images[:, :, :2] = 0
    points = torch.randint(0, 16, (2 * count, 30, 2), generator=generator).float()
    return ViewBatch(
        images=images,
        points=points,
        ground=torch.zeros(count, 30, 2),
        partners=torch.zeros(count, 30, 2),
        counts=torch.ones(count, 30, dtype=torch.bool),
        places=torch.arange(count),
        step=step,
    )


def weathered(**changes):
    return Weather(replace(CLEAR, **changes), SCALING, seed=0)(batch())


def test_clear_weather_changes_nothing():
    found, plain = weathered(), batch()
    assert torch.equal(found.images, plain.images)
    assert found.counts.all()


@pytest.mark.parametrize(
    "changes", [{"jitter": 1.0}, {"haze": 1.0}, {"clouds": 1.0}, {"noise": 1.0}, {"band_dropout": 1.0}]
)
def test_every_step_changes_every_view_but_no_invalid_pixel(changes):
    found, plain = weathered(**changes), batch()
    assert (found.images[:, :, :2] == 0).all()
    assert all(bool((a != b).any()) for a, b in zip(found.images, plain.images, strict=True))
    again = Weather(replace(CLEAR, **changes), SCALING, seed=0)(batch())
    assert torch.equal(found.images, again.images)
    other = Weather(replace(CLEAR, **changes), SCALING, seed=0)(batch(step=1))
    assert not torch.equal(found.images, other.images)


def test_jitter_multiplies_each_band_by_one_factor():
    ratio = weathered(jitter=1.0).images[:, :, 2:] / batch().images[:, :, 2:]
    assert torch.allclose(ratio, ratio[:, :, :1, :1].expand_as(ratio), atol=1e-5)
    assert ratio.min() > 0.75**1.25 - 1e-5
    assert ratio.max() < (4 / 3) ** 1.25 + 1e-3


def test_haze_takes_a_share_towards_its_own_light_most_in_the_blue():
    found, plain = weathered(haze=1.0, haze_range=(0.1, 0.1)).images[:, :, 2:], batch().images[:, :, 2:]
    share = ((found - plain) / (AIRLIGHT - plain)).mean(dim=(0, 2, 3))
    assert torch.allclose(
        share, torch.tensor([0.1 * (nm / 550) ** -1.3 for nm in (492.4, 559.8, 664.6, 832.8)]), rtol=1e-4
    )


def test_missing_bands_are_the_mean_and_the_same_in_all_first_or_second_views():
    found, plain = weathered(band_dropout=1.0).images, batch().images
    for views, before in zip(found.chunk(2), plain.chunk(2), strict=True):
        lost = [band for band in range(4) if (views[:, band, 2:] == SCALING.mean[band]).all()]
        assert len(lost) == 1
        kept = [band for band in range(4) if band not in lost]
        assert torch.equal(views[:, kept], before[:, kept])


def test_noise_is_as_strong_as_asked_for():
    found = weathered(noise=1.0, noise_range=(0.2, 0.2)).images[:, :, 2:] - batch().images[:, :, 2:]
    assert float(found.std()) == pytest.approx(0.2 * 0.05, rel=0.03)


def test_no_pair_stays_under_a_drawn_cloud():
    found, plain = weathered(clouds=1.0, cloud_cover_range=(0.3, 0.3)), batch()
    changed = (found.images - plain.images).abs().amax(dim=1, keepdim=True)
    share = (changed[:, :, 2:] > 0.03).float().mean()
    assert 0.15 < float(share) < 0.5
    thick = at_points((changed > 0.25).float(), plain.points).bool()
    first, second = thick.chunk(2)
    assert not (found.counts & (first | second)).any()
    assert 0.2 < float(found.counts.float().mean()) < 0.9


def test_values_at_points_are_those_of_the_nearest_pixel():
    maps = torch.arange(12.0).view(1, 1, 3, 4)
    points = torch.tensor([[[0.0, 0.0], [1.4, 2.6], [-0.4, 3.4], [2.0, 0.0]]])
    assert at_points(maps, points).tolist() == [[0, 7, 3, 8]]
