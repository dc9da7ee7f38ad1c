"""From the shapes and spacings of all cases to the one shape and spacing that a plan starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from satsqueeze.core.errors import SettingsError
from satsqueeze.plan.topology import Size


@dataclass(frozen=True, kw_only=True)
class DatasetGeometry:
    """What the planner needs to know about the extent of a data set."""

    shape: Size
    """Median height and width in pixels after resampling to `spacing`; half-integers occur."""
    spacing: Size
    """Target ground distance (y, x) per pixel."""
    n: int
    """Number of cases."""


def dataset_geometry(*, shapes: Sequence[Size], spacings: Sequence[Size]) -> DatasetGeometry:
    """Median spacing, then the median of the shapes that resampling to it would give (nnU-Net v2).

    Args:
        shapes: height and width in pixels of every case, after cropping to its valid pixels.
        spacings: ground distance (y, x) per pixel of every case, in the same order and any one unit.

    Raises:
        SettingsError: if there are no cases, the lists differ in length, or a number is not positive.
    """
    if not shapes or len(shapes) != len(spacings):
        raise SettingsError(f"got {len(shapes)} shapes and {len(spacings)} spacings, expected one of each per case")
    sizes, distances = np.asarray(shapes, dtype=float), np.asarray(spacings, dtype=float)
    for name, values in (("shapes", sizes), ("spacings", distances)):
        if values.shape != (len(shapes), 2) or not (np.isfinite(values).all() and (values > 0).all()):
            raise SettingsError(f"{name}: expected positive (y, x) pairs, got an array of shape {values.shape}")
    target = np.percentile(distances, 50, axis=0)
    resampled = np.rint(distances / target * sizes)
    height, width = np.median(resampled, axis=0).tolist()
    return DatasetGeometry(shape=(height, width), spacing=(float(target[0]), float(target[1])), n=len(shapes))
