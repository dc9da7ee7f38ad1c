"""Writing masks: cloud-optimised GeoTIFFs for software, pictures for the eye."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine

from satsqueeze.core.errors import GridError, LabelError
from satsqueeze.core.files import replacing
from satsqueeze.core.labels import IGNORE
from satsqueeze.core.raster import Georeference
from satsqueeze.flight.palette import NODATA_COLOUR, Colour, class_colours
from satsqueeze.flight.quicklook import quicklook

__all__ = ["quicklook", "write_mask"]

BLOCK = 512
"""Side of a compressed block, in pixels."""


def write_mask(
    path: Path | str,
    mask: NDArray[np.uint8],
    georeference: Georeference | None,
    classes: Sequence[str],
    colours: Sequence[Colour] | None = None,
    *,
    description: str = "cloud mask",
) -> None:
    """Write a class mask as a cloud-optimised GeoTIFF, whole or not at all.

    Args:
        path: file to write.
        mask: uint8 (H, W), class values, 255 = nodata.
        georeference: where the pixels lie; None for a patch without a place.
        classes: name of each class value, written as band metadata.
        colours: one per class for the colour table; by default those of :func:`class_colours`.
        description: of the band.

    Raises:
        GridError: the mask is not (H, W) with at least one pixel.
        LabelError: a value that is neither a class nor 255, or one colour too few or many.
        RunError: the disk is full, or the folder cannot be written.
    """
    table = _colour_table(classes, colours)
    _check_mask(mask, classes)
    place = {} if georeference is None else {"crs": georeference.crs, "transform": Affine(*georeference.transform)}
    profile = {
        "driver": "COG",
        "height": mask.shape[0],
        "width": mask.shape[1],
        "count": 1,
        "dtype": "uint8",
        "nodata": IGNORE,
        "compress": "DEFLATE",
        "blocksize": BLOCK,
        "overview_resampling": "nearest",
        **place,
    }
    with warnings.catch_warnings(), replacing(Path(path)) as temporary:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(temporary, "w", **profile) as target:
            target.write(mask, 1)
            target.write_colormap(1, table)
            target.set_band_description(1, description)
            target.update_tags(1, **{f"class_{value}": name for value, name in enumerate(classes)})


def _check_mask(mask: NDArray[np.uint8], classes: Sequence[str]) -> None:
    if mask.ndim != 2 or 0 in mask.shape or mask.dtype != np.uint8:
        raise GridError(f"a mask must be uint8 (H, W) with at least one pixel, got {mask.dtype} {mask.shape}")
    values = np.unique(mask)
    unknown = values[(values >= len(classes)) & (values != IGNORE)]
    if unknown.size:
        raise LabelError(
            f"mask values {unknown.tolist()} are neither one of the {len(classes)} classes nor {IGNORE} for nodata"
        )


def _colour_table(classes: Sequence[str], colours: Sequence[Colour] | None) -> dict[int, tuple[int, int, int, int]]:
    chosen = class_colours(classes) if colours is None else colours
    if len(chosen) != len(classes):
        raise LabelError(f"{len(classes)} classes need as many colours, got {len(chosen)}")
    table = {value: (*colour, 255) for value, colour in enumerate(chosen)}
    return table | {IGNORE: (*NODATA_COLOUR, 0)}
