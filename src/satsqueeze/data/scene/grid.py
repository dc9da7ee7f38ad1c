"""Whether files lie on one grid, and how they are laid onto another."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window as RasterioWindow

from satsqueeze.core.errors import GridError
from satsqueeze.core.raster import Georeference
from satsqueeze.core.window import Window
from satsqueeze.data.scene.raster_file import georeference_of, pixel_size_m


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


def require_one_place(
    first: Georeference, second: Georeference, shape: tuple[int, ...], *, names: tuple[str, str]
) -> None:
    """Check that two images of one size (H, W) cover the same ground, to a pixel.

    Raises:
        GridError: different coordinate systems or places.
    """
    if CRS.from_string(first.crs) != CRS.from_string(second.crs):
        raise GridError(f"{names[0]} is in {first.crs} but {names[1]} is in {second.crs}; expected one system")
    corners = np.array([(0, 0, 1), (shape[1], shape[0], 1), (shape[1], 0, 1)])
    slack = max(abs(value) for value in second.transform[:2])
    aside = corners @ np.subtract(first.transform, second.transform).reshape(2, 3).T
    away = float(np.hypot(*aside.T).max())
    if away > np.sqrt(2) * slack:
        raise GridError(
            f"{names[0]} lies up to {away / slack:.0f} px from where {names[1]} lies; expected the same place. Give "
            "the image its own mask, or correct the georeference of one of them"
        )


def _same_place(dataset: Any, finest: Any) -> bool:
    slack = max(abs(dataset.transform.a), abs(dataset.transform.e), abs(dataset.transform.b))
    return bool(np.allclose(_corners(dataset), _corners(finest), rtol=0, atol=slack))


def same_extent(dataset: Any, finest: Any) -> bool:
    """Whether two files over one ground begin and end at one place, so that their sizes tell where pixels lie."""
    aside = np.abs(_corners(dataset) - _corners(finest)).max()
    return bool(aside <= _ASIDE * np.sqrt(abs(finest.transform.determinant)))


def _corners(dataset: Any) -> NDArray[np.float64]:
    """Where the corners (4, 2) of an image lie, however its grid is turned."""
    height, width = dataset.height, dataset.width
    pixels = np.array([(0, 0, 1), (width, 0, 1), (0, height, 1), (width, height, 1)])
    return pixels @ np.reshape(tuple(dataset.transform)[:6], (2, 3)).T


def _extent(dataset: Any) -> str:
    corners = _corners(dataset)
    bounds = ", ".join(f"{value:.6g}" for value in (*corners.min(axis=0), *corners.max(axis=0)))
    return f"{dataset.height} x {dataset.width} px, bounds {bounds}"


def shifted(georeference: Georeference | None, window: Window) -> Georeference | None:
    """The georeference of a window of an image."""
    if georeference is None:
        return None
    a, b, c, d, e, f = georeference.transform
    moved = (a, b, c + a * window.col + b * window.row, d, e, f + d * window.col + e * window.row)
    return Georeference(crs=georeference.crs, transform=moved)


FINER = 1.5
"""Pixels smaller than wanted by more than this factor are averaged to the size wanted."""
COARSER = 3.0
"""Pixels larger than wanted by more than this factor are interpolated to this many times the size wanted: to a network
that learnt what 10 m show, and by augmentation 30 m, a cloud of a few pixels of 120 m is a roof."""
_ASIDE = 0.1
"""Pixels of the finest file by which extents may differ."""
_WARP_MEMORY_MB = 16
_SAME = 1e-3
_MOST_PIXELS = 2**34
"""Of any grid; no scene of any mission has as many."""
_EXACT = 1e-6
"""Error in pixels that the warper may make to save time; GDAL does not take 0 here."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A place and size in pixels."""

    georeference: Georeference
    height: int
    width: int


@dataclass(frozen=True, kw_only=True)
class GridRule:
    """Which grid an image is read on."""

    gsd_m: float
    """Side of a pixel, in metres."""
    exact: bool = False
    """Whether every image is read at that very size; else only those beyond ``FINER`` and ``COARSER`` are resampled."""

    def __post_init__(self) -> None:
        if not self.gsd_m > 0:
            raise GridError(f"the ground sample distance must be above 0 m, got {self.gsd_m}")

    def target(self, finest: Any) -> Grid | None:
        """The grid for an open dataset, its own where that is near enough; None where its pixels have no metres.

        Raises:
            GridError: a size is asked for of an image that has none.
        """
        place = finest.transform
        if finest.crs is None or place.is_identity:
            if self.exact:
                raise GridError(f"{finest.name} has no georeference, so it cannot be read at {self.gsd_m:g} m")
            return None
        own = pixel_size_m(georeference_of(finest))
        if own is None:
            if self.exact:
                raise GridError(f"{finest.name} is not in metres, so it cannot be read at {self.gsd_m:g} m")
            factor = 1.0
        else:
            factor = self.gsd_m / own
        if not self.exact and factor < FINER:
            factor = min(1.0, factor * COARSER)
        if abs(factor - 1) < _SAME:
            factor = 1.0
        self._require_pixels(finest, factor)
        scaled = (place.a * factor, place.b * factor, place.c, place.d * factor, place.e * factor, place.f)
        return Grid(
            georeference=Georeference(crs=finest.crs.to_string(), transform=scaled),
            height=_whole(finest.height / factor),
            width=_whole(finest.width / factor),
        )

    def _require_pixels(self, finest: Any, factor: float) -> None:
        """Refuse grids of no pixel, and of more than any scene has."""
        size = f"{finest.name} of {finest.height} x {finest.width} px"
        if min(finest.height, finest.width) / factor < 0.5:
            raise GridError(f"{size} is smaller than half a pixel of {self.gsd_m:g} m; ask for a finer size")
        if finest.height / factor * finest.width / factor > _MOST_PIXELS:
            raise GridError(f"{size} would have too many pixels at {self.gsd_m:g} m; ask for a coarser size")


def _whole(size: float) -> int:
    """Pixels whose centres lie on a side of a size in pixels: beyond it nothing was measured."""
    return max(1, int(np.ceil(size - 0.5 - _SAME)))


def laid(dataset: Any, grid: Grid, *, nodata: float | None) -> AbstractContextManager[Any]:
    """A dataset as it is on another grid: itself where it lies there, else averaged or interpolated when read.

    Numbers do not depend on the window read; see :class:`BlockwiseVRT`.

    Args:
        dataset: an open rasterio dataset.
        grid: the grid wanted.
        nodata: digital number of missing pixels, which have no part in any average, where the file does not tag one.
    """
    place = Affine(*grid.georeference.transform)
    if (dataset.height, dataset.width) == (grid.height, grid.width) and np.allclose(
        tuple(dataset.transform)[:6], tuple(place)[:6], rtol=0, atol=abs(place.a) * _SAME
    ):
        return _Open(dataset)
    missing = dataset.nodata if dataset.nodata is not None else nodata
    # By area: a pixel of a grid that is turned by 90 degrees has no width along x.
    finer = abs(dataset.transform.determinant) < abs(place.determinant) * (1 - _SAME) ** 2
    warped: AbstractContextManager[Any] = BlockwiseVRT(
        dataset,
        crs=dataset.crs,
        transform=place,
        height=grid.height,
        width=grid.width,
        src_nodata=missing,
        nodata=missing,
        # Bilinear as coarser bands are read for training: what is flown must look alike.
        resampling=Resampling.average if finer else Resampling.bilinear,
        tolerance=_EXACT,
        warp_mem_limit=_WARP_MEMORY_MB,
        UNIFIED_SRC_NODATA="NO",  # else a number is left out only where all bands lack theirs
    )
    return warped


class BlockwiseVRT(WarpedVRT):  # type: ignore[misc]
    """A warped dataset that is always computed block by block, whatever window is read.

    GDAL's places are floats relative to what it is asked for. In another window the same pixel may take in another
    neighbour, where its centre lies on that of a pixel of the file, or be rounded the other way.
    """

    def read(
        self,
        indexes: Sequence[int],
        out: NDArray[Any] | None = None,
        window: RasterioWindow | None = None,
        **_: object,
    ) -> NDArray[Any]:
        """Channels, counted from 1, of a window of whole pixels: (C, h, w), in ``out`` where given."""
        part = window or RasterioWindow(0, 0, self.width, self.height)
        (top, bottom), (left, right) = ((int(start), int(stop)) for start, stop in part.toranges())
        shape = (len(indexes), bottom - top, right - left)
        found = np.empty(shape, self.dtypes[indexes[0] - 1]) if out is None else out
        tall, wide = self.block_shapes[0]
        for row, col in product(range(top // tall * tall, bottom, tall), range(left // wide * wide, right, wide)):
            high, broad = min(tall, self.height - row), min(wide, self.width - col)
            block = super().read(indexes, window=RasterioWindow(col, row, broad, high))
            rows, cols = slice(max(top, row), min(bottom, row + high)), slice(max(left, col), min(right, col + broad))
            found[:, rows.start - top : rows.stop - top, cols.start - left : cols.stop - left] = block[
                :, rows.start - row : rows.stop - row, cols.start - col : cols.stop - col
            ]
        return found


@dataclass(frozen=True)
class _Open:
    """A dataset that somebody else closes."""

    dataset: Any

    def __enter__(self) -> Any:
        return self.dataset

    def __exit__(self, *_: object) -> None:
        return None
