"""Variation of whole images on the device that trains; what is drawn depends on the seed and the step alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.scaling import Scaling
from satsqueeze.learn.augment.corrupt import Corrupter
from satsqueeze.learn.augment.draws import step_seed
from satsqueeze.learn.batch import ClassBatch


@dataclass(frozen=True, kw_only=True)
class ClassAugmentSettings:
    """How whole images are varied."""

    views: bool = True
    """Each image in one of its 8 flips and quarter turns at random (4 where it is not square)."""
    shift: int = 0
    """Largest shift in pixels along either axis; what comes in from outside is mirrored."""
    mixup: float = 0.0
    """Parameter of the Beta distribution from which the share of another image is drawn, for images and targets alike
    (Zhang et al. 2018); 0 = off."""
    corrupt: float = 0.0
    """Robust training: probability that an image gets noise, blur, haze, another brightness or missing bands, each as
    often and at a random severity; see :mod:`satsqueeze.data.corruptions`. Its targets and teachers' answers stay."""

    def __post_init__(self) -> None:
        if self.shift < 0 or self.mixup < 0:
            raise SettingsError(f"shift and mixup must be >= 0, got {self.shift} and {self.mixup}")
        if not 0 <= self.corrupt <= 1:
            raise SettingsError(f"corrupt is a probability in [0, 1], got {self.corrupt}")


class ClassAugmenter:
    """Shifts, corrupts and mixes images; their views are the sampler's to choose, so that teachers' answers fit them.

    Args:
        settings: see there.
        seed: of all draws.
        scaling: of the network, whose bands and means corruption needs.

    Raises:
        SettingsError: corruption without a scaling.
        BandError: corruption of bands whose wavelengths are not known.
    """

    def __init__(self, settings: ClassAugmentSettings, *, seed: int, scaling: Scaling | None = None) -> None:
        self._settings, self._seed = settings, seed
        if settings.corrupt and scaling is None:
            raise SettingsError("corruption needs the bands and means of the images; hand over the network's scaling")
        self._corrupt = Corrupter(settings.corrupt, scaling, seed=seed) if settings.corrupt and scaling else None

    def __call__(self, batch: ClassBatch) -> ClassBatch:
        """The batch, varied.

        Raises:
            SettingsError: mixup along with teachers' answers, which are about single images.
        """
        generator = np.random.Generator(np.random.Philox(step_seed(self._seed, batch.step)))
        images, targets, maps, reach = batch.images, batch.targets, batch.maps, self._settings.shift
        if reach:
            shifts = generator.integers(-reach, reach + 1, size=(len(images), 2)).tolist()
            maps = tuple(moved(values, shifts, size=images.shape[-2:]) for values in maps)
            images = shifted(images, shifts)
        if self._corrupt is not None:
            images = self._corrupt(images, batch.step)
        if self._settings.mixup:
            if batch.answers is not None:
                raise SettingsError("teachers answer for single images; set mixup to 0, or train without teachers")
            shares = generator.beta(self._settings.mixup, self._settings.mixup, size=len(images))
            kept = torch.from_numpy(shares.astype(np.float32)).to(images.device)
            images = mixed(images, kept)
            targets = mixed(targets, kept)
        return batch._replace(images=images, targets=targets, maps=maps)


def shifted(images: Tensor, shifts: list[list[int]]) -> Tensor:
    """Images (N, C, H, W), each moved by its own (rows, cols) in pixels, mirrored about its outermost pixels.

    Raises:
        SettingsError: a shift as large as the image.
    """
    height, width = images.shape[-2:]
    reach = max((abs(value) for shift in shifts for value in shift), default=0)
    if reach >= min(height, width):
        raise SettingsError(
            f"a shift of {reach} px leaves nothing of images of {height} x {width} px; use a smaller one"
        )
    padded = functional.pad(images, (reach, reach, reach, reach), mode="reflect")
    windows = [
        image[:, reach - rows : reach - rows + height, reach - cols : reach - cols + width]
        for image, (rows, cols) in zip(padded, shifts, strict=True)
    ]
    return torch.stack(windows)


def moved(maps: Tensor, shifts: list[list[int]], *, size: Sequence[int]) -> Tensor:
    """Maps (N, h, w) of images, each moved with its image by (rows, cols) in pixels of that.

    What comes in at a border is mirrored about the border itself, not about the last pixel as in images: a part of a
    cell at most.

    Args:
        maps: of fewer cells than the images have pixels, as a rule.
        shifts: of each image.
        size: rows and columns of the images.
    """
    grid = torch.eye(2, 3, device=maps.device).repeat(len(maps), 1, 1)
    # A grid says where to look, and in units of half a side.
    grid[:, :, 2] = torch.tensor([[-2 * cols / size[1], -2 * rows / size[0]] for rows, cols in shifts])
    places = functional.affine_grid(grid, [len(maps), 1, *maps.shape[1:]], align_corners=False).to(maps)
    found = functional.grid_sample(maps[:, None], places, padding_mode="reflection", align_corners=False)
    return found[:, 0]


def mixed(values: Tensor, kept: Tensor) -> Tensor:
    """Each of the values (N, ...) by its share kept (N,), plus the rest of the one before it, the first of the last."""
    share = kept.view(-1, *[1] * (values.ndim - 1))
    return share * values + (1 - share) * values.roll(1, 0)
