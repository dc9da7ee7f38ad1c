"""Writing masks: cloud-optimised GeoTIFFs for software, pictures for the eye."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import GridError, LabelError
from satsqueeze.core.labels import IGNORE
from satsqueeze.core.raster import Georeference
from satsqueeze.flight.outputs.cog import CogLayout, class_tags, writing_cog
from satsqueeze.flight.outputs.palette import Colour, class_colours
from satsqueeze.flight.outputs.quicklook import quicklook

__all__ = ["quicklook", "write_mask"]


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
    chosen = class_colours(classes) if colours is None else colours
    if len(chosen) != len(classes):
        raise LabelError(f"{len(classes)} classes need as many colours, got {len(chosen)}")
    _check_mask(mask, classes)
    layout = CogLayout(
        height=mask.shape[0],
        width=mask.shape[1],
        georeference=georeference,
        descriptions=(description,),
        colours=tuple(chosen),
        tags=class_tags(classes),
    )
    with writing_cog(Path(path), layout) as writer:
        writer.write(mask[None])


def _check_mask(mask: NDArray[np.uint8], classes: Sequence[str]) -> None:
    if mask.ndim != 2 or 0 in mask.shape or mask.dtype != np.uint8:
        raise GridError(f"a mask must be uint8 (H, W) with at least one pixel, got {mask.dtype} {mask.shape}")
    values = np.unique(mask)
    unknown = values[(values >= len(classes)) & (values != IGNORE)]
    if unknown.size:
        raise LabelError(
            f"mask values {unknown.tolist()} are neither one of the {len(classes)} classes nor {IGNORE} for nodata"
        )
