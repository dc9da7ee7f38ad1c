"""What befalls views on the device that trains: light, missing bands, haze, cloud patches, noise."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from satsqueeze.core.bands import wavelength_of
from satsqueeze.core.scaling import Scaling
from satsqueeze.data.corruptions import AIRLIGHT
from satsqueeze.learn.augment.draws import Draws
from satsqueeze.learn.augment.geometry import valid_pixels
from satsqueeze.pretrain.view_geometry import at_points
from satsqueeze.pretrain.view_sampler import ViewBatch
from satsqueeze.pretrain.view_settings import ViewSettings

_ANGSTROM = 1.3  # aerosol over land
_REFERENCE_NM = 550.0
_UNKNOWN_NM = 800.0  # a band of unknown wavelength sees as much haze as near infrared
_BAND_SHARE = 0.25  # of the jitter that each band gets for itself, in the logarithm
_DROPPED_SHARE = 0.25  # of the bands, at least one and never all
_CLOUD_REFLECTANCE = (0.45, 0.95)
_CLOUD_CELLS = (2, 5)
_EDGE = 0.35  # width of a cloud's soft border, in standard deviations of its noise
_HIDDEN = 0.3  # opacity from which a pixel counts as under the cloud


class Weather:
    """Changes the views of a batch; what it does depends on nothing but the seed and the number of the step.

    Jitter, haze, clouds and noise are drawn for every view (augmentations of samples), missing bands once for all first
    and once for all second views (augmentations of batches): were they drawn per view, an image could be told from the
    others by what it lacks instead of by what it shows.

    Args:
        settings: see there.
        scaling: of the network: bands, and the means and spreads that stand for missing bands and measure noise.
        seed: non-negative.
    """

    def __init__(self, settings: ViewSettings, scaling: Scaling, *, seed: int) -> None:
        self._settings, self._seed = settings, seed
        self._mean = torch.tensor(scaling.mean, dtype=torch.float32)[:, None, None]
        self._std = torch.tensor(scaling.std, dtype=torch.float32)[:, None, None]
        wavelengths = torch.tensor([wavelength_of(band) or _UNKNOWN_NM for band in scaling.bands])
        self._colour = ((wavelengths / _REFERENCE_NM) ** -_ANGSTROM)[:, None, None]

    def __call__(self, batch: ViewBatch) -> ViewBatch:
        """The batch as it is trained on: other images, and no pairs under drawn clouds. Invalid pixels stay invalid.

        Series stay as they are: their dates have light, haze and clouds of their own.
        """
        if batch.days is not None:
            return batch
        draws = Draws(self._seed, batch.step)
        valid = valid_pixels(batch.images)
        images = self._lit(batch.images, draws)
        images = self._hazy(images, draws)
        images, hidden = self._clouded(images, draws)
        images = self._noisy(images, draws)
        images = self._without_bands(images, draws)
        seen = ~at_points(hidden.to(images.dtype), batch.points).bool()
        first, second = seen.chunk(2)
        counts = batch.counts & first & second
        return batch._replace(images=images.masked_fill(~valid, 0.0), counts=counts)

    def _lit(self, images: Tensor, draws: Draws) -> Tensor:
        count, bands = images.shape[:2]
        chosen = draws.chosen(self._settings.jitter, count, 1, 1, 1)
        whole = draws.factor(*self._settings.jitter_range, count, 1, 1, 1)
        each = draws.factor(*self._settings.jitter_range, count, bands, 1, 1) ** _BAND_SHARE
        return images * torch.where(chosen, whole * each, 1.0).to(images.device)

    def _hazy(self, images: Tensor, draws: Draws) -> Tensor:
        count = len(images)
        chosen = draws.chosen(self._settings.haze, count, 1, 1, 1)
        share = draws.uniform(*self._settings.haze_range, count, 1, 1, 1) * chosen
        thickness = (share * self._colour).clamp(max=1.0).to(images.device)
        return images + thickness * (AIRLIGHT - images)

    def _clouded(self, images: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Images with cloud patches, and where those hide the ground: bool (M, 1, h, w)."""
        count, (height, width) = len(images), images.shape[-2:]
        chosen = draws.chosen(self._settings.clouds, count)
        cover = draws.uniform(*self._settings.cloud_cover_range, count)
        light = draws.uniform(*_CLOUD_REFLECTANCE, count, 1, 1, 1)
        fields = [draws.normal(count, 1, cells, cells) for cells in _CLOUD_CELLS]
        hidden = torch.zeros(count, 1, height, width, dtype=torch.bool, device=images.device)
        which = chosen.nonzero().flatten()
        if not len(which):
            return images, hidden
        noise = sum(
            functional.interpolate(field[which], size=(height, width), mode="bicubic", align_corners=False)
            for field in fields
        )
        field = torch.as_tensor(noise).flatten(1)
        level = torch.stack([row.quantile(1 - float(share)) for row, share in zip(field, cover[which], strict=True)])
        opacity = ((field - level[:, None]) / (_EDGE * field.std(dim=1, keepdim=True)) + 0.5).clamp(0, 1)
        opacity = opacity.view(len(which), 1, height, width).to(images.device)
        at = which.to(images.device)
        changed = images.clone()
        changed[at] = torch.lerp(images[at], light[which].to(images.device).expand_as(images[at]), opacity)
        hidden[at] = opacity > _HIDDEN
        return changed, hidden

    def _noisy(self, images: Tensor, draws: Draws) -> Tensor:
        chosen = draws.indices(self._settings.noise, len(images))
        std = draws.uniform(*self._settings.noise_range, len(images), 1, 1, 1)
        if not len(chosen):
            return images
        noise = draws.normal(len(chosen), *images.shape[1:]) * std[chosen] * self._std
        return images.index_add(0, chosen.to(images.device), noise.to(images.device))

    def _without_bands(self, images: Tensor, draws: Draws) -> Tensor:
        count, bands = len(images) // 2, images.shape[1]
        dropped = draws.chosen(self._settings.band_dropout, 2, 1)
        order = draws.uniform(0, 1, 2, bands).argsort(dim=1).argsort(dim=1)
        lost = dropped & (order < min(max(round(_DROPPED_SHARE * bands), 1), bands - 1))
        which = lost.repeat_interleave(count, dim=0)[:, :, None, None].to(images.device)
        # The mean of the data is what says nothing to the network.
        return torch.where(which, self._mean.to(images.device), images)
