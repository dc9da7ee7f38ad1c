"""Opening one raster file: typed errors, and no warning about patches without a georeference."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window as RasterioWindow

from satsqueeze.core.errors import RasterError
from satsqueeze.core.raster import Georeference

# warnings.catch_warnings swaps process-wide state, and caches are packed by threads.
_OPENING = threading.Lock()
_METADATA = re.compile(r"(?:MTD_MSIL\w+|MTL)\.(?:xml|txt)$")


def open_raster(path: str) -> Any:
    """An open rasterio dataset.

    Raises:
        RasterError: missing, empty, truncated, a product's metadata, or no raster at all.
    """
    if _METADATA.search(path):
        # Other programs open a product by it; the folder may hold more than that product, so it is not guessed.
        raise RasterError(f"{path} is no image but tells of a product; name the folder that it lies in")
    try:
        with _OPENING, warnings.catch_warnings(), _quick_in_archives(path):
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            return rasterio.open(path)
    except UnicodeEncodeError as error:
        raise RasterError(f"{path!r} has a name that is no UTF-8, which GDAL cannot open; rename it") from error
    except (RasterioError, OSError) as error:
        raise RasterError(f"{path} cannot be read as a raster: {error}; fetch or write the file again") from error


def _quick_in_archives(path: str) -> AbstractContextManager[Any]:
    """Looking for files beside each member of a large archive takes six times longer than reading it."""
    if path.startswith("/vsizip/"):
        quick: AbstractContextManager[Any] = rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR")
        return quick
    return nullcontext()


@contextmanager
def opened(path: str) -> Iterator[Any]:
    """:func:`open_raster`, closed at the end of the block."""
    dataset = open_raster(path)
    try:
        yield dataset
    finally:
        dataset.close()


def read_channels(
    dataset: Any,
    indexes: list[int],
    *,
    window: RasterioWindow | None = None,
    shape: tuple[int, int] | None = None,
    smooth: bool = False,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Digital numbers (C, h, w) of 1-based channels.

    Args:
        dataset: from :func:`open_raster`.
        indexes: channels, counted from 1.
        window: part of the image; None for all of it.
        shape: rows and columns wanted, where they differ from those of the window.
        smooth: interpolate when resampling; else nearest.
        out: where to put them, of the shape that is read; by default a new array.

    Raises:
        RasterError: the pixels cannot be decoded.
    """
    resampling = Resampling.bilinear if smooth else Resampling.nearest
    target = {"out": out} if out is not None else {"out_shape": None if shape is None else (len(indexes), *shape)}
    try:
        found: NDArray[Any] = dataset.read(indexes, window=window, resampling=resampling, **target)
    except (RasterioError, OSError, ValueError) as error:
        raise _damaged(dataset, error) from error
    return found


def alpha_channels(dataset: Any) -> frozenset[int]:
    """Positions, from 0, of channels that say where pixels are missing instead of what they reflect.

    Their description counts alone: GDAL takes the fourth of any four channels of bytes for one, near infrared too,
    and many programs that write one do not tell GDAL.
    """
    names = enumerate(dataset.descriptions)
    return frozenset(index for index, name in names if (name or "").strip().lower() == ColorInterp.alpha.name)


def is_masked(dataset: Any) -> bool:
    """Whether a file says which pixels are missing by a mask of its own, a file beside it, or an alpha channel."""
    flags = {flag for of_band in dataset.mask_flag_enums for flag in of_band}
    return bool(alpha_channels(dataset)) or (MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags)


def read_mask(dataset: Any, window: RasterioWindow) -> NDArray[np.bool_]:
    """Where a file that :func:`is_masked` has pixels: (h, w) of a window.

    Raises:
        RasterError: the mask cannot be decoded.
    """
    alpha = alpha_channels(dataset)
    if alpha:
        # GDAL makes a mask of it beside one or three channels only.
        seen = read_channels(dataset, [index + 1 for index in alpha], window=window).astype(np.bool_)
        return np.asarray(seen.all(axis=0))
    try:
        found: NDArray[np.bool_] = dataset.read_masks(1, window=window) > 0
    except (RasterioError, OSError, ValueError) as error:
        raise _damaged(dataset, error) from error
    return found


def read_single(path: str, channel: int | None = None) -> NDArray[Any]:
    """Values (H, W) of a file with one channel, such as a mask, or of one channel among several.

    Args:
        path: of the file.
        channel: which one, counted from 1; by default the only one.

    Raises:
        RasterError: unreadable, more channels than one where none is chosen, or too few.
    """
    with opened(path) as dataset:
        if channel is None and dataset.count != 1:
            raise RasterError(
                f"{path} has {dataset.count} channels; expected a mask with one. Write one, or state 'label_band' in "
                "dataset.yaml"
            )
        if channel is not None and channel > dataset.count:
            raise RasterError(
                f"{path} has {dataset.count} channel(s); expected the mask in channel {channel}. Correct the file, or "
                "'label_band' in its card"
            )
        values: NDArray[Any] = read_channels(dataset, [channel or 1])[0]
        return values


def georeference_of(dataset: Any) -> Georeference | None:
    """Where the pixels lie, or None where the file does not say."""
    if dataset.crs is None or dataset.transform.is_identity:
        return None
    return Georeference(crs=dataset.crs.to_string(), transform=tuple(dataset.transform)[:6])


def pixel_size_m(georeference: Georeference | None) -> float | None:
    """Side of a pixel in metres where the coordinate system is projected, else None."""
    system = None if georeference is None else rasterio.CRS.from_string(georeference.crs)
    if georeference is None or system is None or not system.is_projected:
        return None
    a, b, _, d, e, _ = georeference.transform
    return float(np.sqrt(abs(a * e - b * d)) * system.linear_units_factor[1])


def _damaged(dataset: Any, error: Exception) -> RasterError:
    cause = error.__cause__ or error
    return RasterError(f"{dataset.name} is damaged or cut short ({cause}); fetch or write the file again")
