"""Whether files lie on one grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from satsqueeze.core.errors import GridError
from satsqueeze.core.raster import Georeference
from satsqueeze.core.window import Window


def require_one_grid(sets: Sequence[Any], finest: Any, *, resample: bool) -> None:
    """Check that open files can be laid onto the grid of ``finest``.

    Args:
        sets: open rasterio datasets.
        finest: the one with the most pixels.
        resample: whether files without a georeference may differ in size.

    Raises:
        GridError: different coordinate systems, places or sizes.
    """
    systems = {dataset.crs.to_string() if dataset.crs else "none" for dataset in sets}
    if len(systems) > 1:
        raise GridError(
            f"the files of {sets[0].name} have different coordinate systems: {', '.join(sorted(systems))}; expected "
            "one. Reproject them onto one grid first."
        )
    for dataset in sets:
        same_size = (dataset.height, dataset.width) == (finest.height, finest.width)
        if _same_place(dataset, finest) if finest.crs else same_size or resample:
            continue
        raise GridError(
            f"{dataset.name} ({_extent(dataset)}) does not lie on the grid of {finest.name} ({_extent(finest)}); "
            "expected one grid. Crop or resample the bands first"
        )


def _same_place(dataset: Any, finest: Any) -> bool:
    slack = max(abs(dataset.transform.a), abs(dataset.transform.e), abs(dataset.transform.b))
    return bool(np.allclose(dataset.bounds, finest.bounds, rtol=0, atol=slack))


def _extent(dataset: Any) -> str:
    bounds = ", ".join(f"{value:.6g}" for value in dataset.bounds)
    return f"{dataset.height} x {dataset.width} px, bounds {bounds}"


def shifted(georeference: Georeference | None, window: Window) -> Georeference | None:
    """The georeference of a window of an image."""
    if georeference is None:
        return None
    a, b, c, d, e, f = georeference.transform
    moved = (a, b, c + a * window.col + b * window.row, d, e, f + d * window.col + e * window.row)
    return Georeference(crs=georeference.crs, transform=moved)
