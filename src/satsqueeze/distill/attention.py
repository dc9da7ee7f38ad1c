"""Attention transfer: a student looks where its teachers look (Zagoruyko and Komodakis 2017, arXiv 1612.03928).

The attention map of features A is their spatial energy, Q = sum_c A_c^2, averaged over the cells of the smaller of two
grids and divided by its norm. Of unit maps q_s of the student and q_i of T teachers, each image adds

    weight * mean_i |q_s - q_i|^2 / 2 = weight * (1 - mean_i cos(Q_s, Q_i))

to the loss: 0 where both look alike, at most the weight, since energies are not negative.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from satsqueeze.core.errors import SettingsError
from satsqueeze.distill.attention_energy import energy, unit_map
from satsqueeze.distill.attention_maps import TeacherMaps


@dataclass(frozen=True, kw_only=True)
class AttentionTransfer:
    """A guide of training; see :class:`satsqueeze.learn.guide.Guide`.

    Raises:
        SettingsError: a weight that is not positive and finite.
    """

    weight: float
    layer: str
    """Of the student; see :func:`satsqueeze.distill.attention_layer.feature_layer`."""
    maps: TeacherMaps = field(repr=False)
    teachers: str = ""
    """Who looks, for the record: ``TeacherMaps.described``."""

    def __post_init__(self) -> None:
        if not 0 < self.weight < math.inf:
            raise SettingsError(f"the weight of attention must be > 0 and finite, got {self.weight}")

    def rows(self, positions: NDArray[np.int64], views: NDArray[np.int64]) -> tuple[NDArray[np.float32], ...]:
        """See :meth:`TeacherMaps.rows`."""
        return self.maps.rows(positions, views)

    def __call__(self, features: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """What is added to the loss, a scalar; arguments as in :meth:`satsqueeze.learn.guide.Guide.__call__`."""
        return self.weight * torch.stack([attention_distance(features, taught) for taught in maps]).mean()


def attention_distance(features: Tensor, taught: Tensor) -> Tensor:
    """Half the squared distance of two unit maps, the mean over images.

    Args:
        features: of the student, float (N, C, H, W).
        taught: map of the teacher, float (N, h, w), of any norm.

    Returns:
        A scalar in [0, 1].

    Raises:
        SettingsError: another number of images.
    """
    if len(features) != len(taught):
        raise SettingsError(f"there are features of {len(features)} images and maps of {len(taught)}; expected as many")
    cells = min(*features.shape[2:], *taught.shape[1:])
    ours, theirs = unit_map(energy(features), cells), unit_map(taught, cells)
    return (ours - theirs).square().sum(dim=(1, 2)).mean() / 2
