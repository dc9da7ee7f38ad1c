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
from satsqueeze.flight.outputs.legend import Entry, legend
from satsqueeze.flight.outputs.palette import NODATA_COLOUR, overlay_colours

LARGEST_SIDE = 1024
"""Of each panel, in pixels; larger images are thinned out."""
OPACITY = 0.55
"""Of the mask over the picture."""
GAP = 8
_ROWS = 64


def quicklook(
    image: NDArray[np.float32],
    mask: NDArray[np.uint8],
    path: Path | str,
    *,
    classes: Sequence[str],
    bands: Sequence[str] = ("red", "green", "blue"),
    foreground: Sequence[int] = (),
    counts: NDArray[np.int64] | None = None,
) -> None:
    """Write a PNG: the image in true colour, beside it the mask laid over it, below a legend with shares.

    Args:
        image: float32 reflectance (C, H, W).
        mask: uint8 (H, W), class values, 255 = nodata; class 0 is left transparent. The legend tells the share of each
            class in the pixels that have data, with what becomes of them, and that of pixels without data in all.
        path: ``.png`` file to write, whole or not at all.
        classes: name of each class value.
        bands: names of the C channels; without red, green and blue the first three (or one) are shown.
        foreground: values of the classes that are dropped, such as clouds; the others are kept. Empty: nothing is said.
        counts: (256,) pixels of each value in the whole mask, where ``mask`` has been thinned out already.

    Raises:
        GridError: image and mask differ in size.
    """
    if image.shape[1:] != mask.shape:
        raise GridError(f"image and mask must have the same size, got {image.shape[1:]} and {mask.shape}")
    step = max(1, -(-max(mask.shape) // LARGEST_SIDE))
    small = mask[::step, ::step]
    image = image[:, ::step, ::step]
    white = white_of(image, bands)
    colours = np.zeros((256, 3), np.float32)
    colours[: len(classes)] = overlay_colours(classes)
    colours[IGNORE] = NODATA_COLOUR
    width = small.shape[1]
    panels = np.full((small.shape[0], 2 * width + GAP, 3), 255, np.uint8)
    # A few rows at a time: numbers of each step are four times larger than the picture.
    for row in range(0, small.shape[0], _ROWS):
        rows = slice(row, row + _ROWS)
        picture, values = true_colour(image[:, rows], bands, white=white), small[rows]
        laid = np.isin(values, range(1, len(classes)))[..., None] * np.float32(OPACITY)
        laid = np.where((values == IGNORE)[..., None], np.float32(1), laid)
        panels[rows, :width] = picture
        panels[rows, width + GAP :] = picture * (1 - laid) + colours[values] * laid
    if counts is None:
        counts = np.bincount(mask.ravel(), minlength=256)
    key = legend(_entries(counts, classes, foreground), width=panels.shape[1]).astype(np.uint8)
    # Of a tiny image, the legend is wider than the panels.
    panels = np.pad(panels, ((0, GAP), (0, key.shape[1] - panels.shape[1]), (0, 0)), constant_values=255)
    _write_png(Path(path), np.concatenate([panels, key]))


def true_colour(image: NDArray[np.float32], bands: Sequence[str], *, white: float | None = None) -> NDArray[np.float32]:
    """Red, green, blue (H, W, 3) in 0..255, brightened so that a reflectance is white, by default :func:`white_of`."""
    values = np.nan_to_num(image[_shown(bands)], nan=0.0, posinf=0.0, neginf=0.0)
    values /= white_of(image, bands) if white is None else white
    # Display gamma of about 2: reflectance is linear in light, the eye is not.
    picture: NDArray[np.float32] = (np.sqrt(np.clip(values, 0, 1)) * 255).transpose(1, 2, 0).astype(np.float32)
    return picture


def white_of(image: NDArray[np.float32], bands: Sequence[str]) -> float:
    """The reflectance that is shown white: the 98th percentile, at least 0.05."""
    values = np.nan_to_num(image[_shown(bands)], nan=0.0, posinf=0.0, neginf=0.0)
    return max(float(np.percentile(values, 98, overwrite_input=True)), 0.05)


def _shown(bands: Sequence[str]) -> list[int]:
    """Positions of the bands that are shown as red, green and blue."""
    names = list(bands)
    wanted = ("red", "green", "blue")
    return [names.index(b) for b in wanted] if set(wanted) <= set(names) else [i % len(names) for i in range(3)]


def _entries(counts: NDArray[np.int64], classes: Sequence[str], foreground: Sequence[int]) -> list[Entry]:
    """Classes with their shares of the pixels that have data, and pixels without data with theirs of all."""
    pixels = int(counts.sum())
    seen = max(pixels - int(counts[IGNORE]), 1)
    # The first class is not laid over the picture, so its swatch is empty.
    colours = ((255, 255, 255), *overlay_colours(classes)[1:])
    fates = [("drop" if i in foreground else "keep") if foreground else "" for i in range(len(classes))]
    shown = [
        Entry(name, colour, counts[i] / seen, fates[i])
        for i, (name, colour) in enumerate(zip(classes, colours, strict=True))
    ]
    return [*shown, Entry("no data", NODATA_COLOUR, counts[IGNORE] / pixels)]


def _write_png(path: Path, picture: NDArray[np.uint8]) -> None:
    values = picture.transpose(2, 0, 1)
    with warnings.catch_warnings(), replacing(path) as temporary:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        shape = {"count": 3, "height": values.shape[1], "width": values.shape[2]}
        with rasterio.open(temporary, "w", driver="PNG", dtype="uint8", **shape) as target:
            target.write(values)
