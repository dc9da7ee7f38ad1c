"""A picture of an image and its mask, for the eye."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning

from satsqueeze.core.errors import GridError
from satsqueeze.core.files import replacing
from satsqueeze.core.labels import IGNORE
from satsqueeze.flight.palette import NODATA_COLOUR, class_colours

LARGEST_SIDE = 1024
"""Of each panel, in pixels; larger images are thinned out."""
OPACITY = 0.55
"""Of the mask over the picture."""
LEGEND_HEIGHT = 16
GAP = 8


def quicklook(
    image: NDArray[np.float32],
    mask: NDArray[np.uint8],
    path: Path | str,
    *,
    classes: Sequence[str],
    bands: Sequence[str] = ("red", "green", "blue"),
) -> None:
    """Write a PNG: the image in true colour, beside it the mask laid over it, below bars of the classes' shares.

    Args:
        image: float32 reflectance (C, H, W).
        mask: uint8 (H, W), class values, 255 = nodata; class 0 is left transparent.
        path: ``.png`` file to write, whole or not at all.
        classes: name of each class value.
        bands: names of the C channels; without red, green and blue the first three (or one) are shown.

    Raises:
        GridError: image and mask differ in size.
    """
    if image.shape[1:] != mask.shape:
        raise GridError(f"image and mask must have the same size, got {image.shape[1:]} and {mask.shape}")
    step = max(1, -(-max(mask.shape) // LARGEST_SIDE))
    small = mask[::step, ::step]
    picture = true_colour(image[:, ::step, ::step], bands)
    colours = np.zeros((256, 3), np.float32)
    colours[: len(classes)] = class_colours(classes)
    colours[IGNORE] = NODATA_COLOUR
    laid = np.isin(small, range(1, len(classes)))[..., None] * np.float32(OPACITY)
    laid = np.where((small == IGNORE)[..., None], np.float32(1), laid)
    overlay = picture * (1 - laid) + colours[small] * laid
    gap = np.full((small.shape[0], GAP, 3), 255, np.float32)
    panels = np.concatenate([picture, gap, overlay], axis=1)
    space = np.full((GAP, panels.shape[1], 3), 255, np.float32)
    _write_png(Path(path), np.concatenate([panels, space, _shares(mask, colours, panels.shape[1])]))


def true_colour(image: NDArray[np.float32], bands: Sequence[str]) -> NDArray[np.float32]:
    """Red, green, blue (H, W, 3) in 0..255, brightened so that the 98th percentile of reflectance is white."""
    names = list(bands)
    wanted = ("red", "green", "blue")
    positions = [names.index(b) for b in wanted] if set(wanted) <= set(names) else [i % len(names) for i in range(3)]
    values = np.nan_to_num(image[positions], nan=0.0, posinf=0.0, neginf=0.0)
    white = max(float(np.percentile(values, 98)), 0.05)
    # Display gamma of about 2: reflectance is linear in light, the eye is not.
    picture: NDArray[np.float32] = (np.sqrt(np.clip(values / white, 0, 1)) * 255).transpose(1, 2, 0).astype(np.float32)
    return picture


def _shares(mask: NDArray[np.uint8], colours: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    counts = np.bincount(mask.ravel(), minlength=256)
    edges = np.round(np.cumsum(counts) / mask.size * width).astype(int)
    line = np.repeat(np.arange(256), np.diff(edges, prepend=0))
    return np.repeat(colours[line][None], LEGEND_HEIGHT, axis=0)


def _write_png(path: Path, picture: NDArray[np.float32]) -> None:
    values = np.clip(picture, 0, 255).astype(np.uint8).transpose(2, 0, 1)
    with warnings.catch_warnings(), replacing(path) as temporary:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        shape = {"count": 3, "height": values.shape[1], "width": values.shape[2]}
        with rasterio.open(temporary, "w", driver="PNG", dtype="uint8", **shape) as target:
            target.write(values)
