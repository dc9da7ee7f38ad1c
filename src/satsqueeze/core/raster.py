"""The currency between reader and everything else: values with their validity, bands and place on Earth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.bands import Bands, band_positions
from satsqueeze.core.errors import BandError, GridError
from satsqueeze.core.window import Window


@dataclass(frozen=True, kw_only=True)
class Georeference:
    """Where the pixels lie: coordinate system and affine transform."""

    crs: str
    """Coordinate reference system as WKT or authority code, such as ``EPSG:32631``."""
    transform: tuple[float, float, float, float, float, float]
    """Affine coefficients a..f: x = a*col + b*row + c, y = d*col + e*row + f."""


@dataclass(frozen=True, kw_only=True)
class Raster:
    """Reflectance with validity."""

    values: NDArray[np.float32]
    """Float32 reflectance (C, H, W); 0 where invalid."""
    valid: NDArray[np.bool_]
    """(H, W); True means that every band is valid there."""
    bands: tuple[str, ...]
    """Names of the C channels."""
    georeference: Georeference | None = None
    provenance: str = ""
    """How reflectance was derived, for the record."""

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or self.valid.shape != self.values.shape[1:]:
            raise GridError(
                f"a raster needs values (C, H, W) and validity (H, W), got {self.values.shape} and {self.valid.shape}"
            )
        if len(self.bands) != self.values.shape[0]:
            raise BandError(f"{self.values.shape[0]} channels but {len(self.bands)} band names: {self.bands}")

    def select(self, names: Sequence[str]) -> Raster:
        """The same raster with only these bands, in this order.

        Raises:
            BandError: a name is absent.
        """
        positions = band_positions(self.bands, names)
        return Raster(
            values=self.values[positions],
            valid=self.valid,
            bands=tuple(names),
            georeference=self.georeference,
            provenance=self.provenance,
        )


class StripReader(Protocol):
    """Anything that yields the numbers of an image by window, and turns them into reflectance pixel by pixel.

    Numbers as stored take half the memory of reflectance, which is why images larger than memory are read so.
    """

    bands: Bands
    height: int
    width: int
    georeference: Georeference | None
    gsd_m: float | None
    """Side of a pixel in metres; None where that is not known."""
    provenance: str
    dtype: str
    """Of the numbers as stored."""

    @property
    def block_height(self) -> int:
        """Rows that are decoded together, in pixels."""
        ...

    @property
    def block_width(self) -> int:
        """Columns that are decoded together, in pixels."""
        ...

    @property
    def block_row_bytes(self) -> int:
        """Memory of one row of decoded blocks over the whole width."""
        ...

    def digital(
        self, window: Window | None = None, out: NDArray[Any] | None = None
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Numbers as stored (C, h, w), in ``out`` where given, and (h, w) with False where one is tagged as nodata."""
        ...

    def reflectance(
        self, digital: NDArray[Any], whole: NDArray[np.bool_], out: NDArray[np.float32] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Float32 reflectance (C, h, w), 0 where invalid, in ``out`` where given, and validity (h, w)."""
        ...

    def require_plausible(self, digital: NDArray[Any], values: NDArray[np.float32], valid: NDArray[np.bool_]) -> None:
        """Raise :class:`satsqueeze.core.errors.RadiometryError` where a sample of the image cannot be reflectance."""
        ...


def sanitise(values: NDArray[np.float32], valid: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Make NaN and inf pixels invalid and set every invalid pixel to 0.

    Args:
        values: float32 (C, H, W).
        valid: (H, W), True = valid.

    Returns:
        New values and validity; a pixel is valid only if all its bands are finite.
    """
    valid = valid & np.isfinite(values).all(axis=0)
    return np.where(valid, values, np.float32(0)).astype(np.float32, copy=False), valid
