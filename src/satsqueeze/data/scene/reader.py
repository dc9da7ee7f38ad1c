"""From files to reflectance, window by window."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import GridError
from satsqueeze.core.raster import Georeference, Raster
from satsqueeze.core.window import Window
from satsqueeze.data.scene.band_naming import common_name
from satsqueeze.data.scene.channels import ReadRule
from satsqueeze.data.scene.digital_reader import DigitalReader
from satsqueeze.data.scene.grid import GridRule, shifted
from satsqueeze.data.scene.plausibility import SMALL_SCALE, Look, require_not_scaled_twice, require_plausible

_ROWS = 64
"""Rows that are converted at a time: they stay in the processor's cache."""


class SceneReader:
    """Reflectance of one image that lies in one or several raster files; a :class:`satsqueeze.core.raster.StripReader`.

    Args:
        files: the image's numbers; closed with this.
    """

    def __init__(self, files: DigitalReader) -> None:
        self._files, rule = files, files.rule
        self._channels, self.bands, self.dtype = files.channels, files.bands, files.dtype
        self.height, self.width = files.height, files.width
        self.georeference: Georeference | None = files.georeference
        self.gsd_m = files.gsd_m
        found = dict.fromkeys(channel.radiometry.provenance for channel in self._channels)
        self.provenance = "; ".join([*found, rule.assumed] if rule.assumed else found)

    @property
    def block_height(self) -> int:
        """Rows that are decoded together, in pixels of the grid; 1 where a file has no blocks."""
        return self._files.block_height

    @property
    def block_width(self) -> int:
        """Columns that are decoded together, in pixels of the grid."""
        return self._files.block_width

    @property
    def block_row_bytes(self) -> int:
        """Memory of one row of decoded blocks over the whole width, all files together."""
        return self._files.block_row_bytes

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, window: Window | None = None) -> Raster:
        """Reflectance of a window, or of the whole image.

        Raises:
            GridError: the window leaves the image.
            RasterError: the pixels cannot be decoded.
            RadiometryError: the values cannot be reflectance.
        """
        window = window or Window(row=0, col=0, height=self.height, width=self.width)
        if min(window.row, window.col) < 0 or window.stop_row > self.height or window.stop_col > self.width:
            raise GridError(f"{window} leaves the image of {self.height} x {self.width} px; clip it first")
        digital, whole = self.digital(window)
        values, valid = self.reflectance(digital, whole)
        self.require_plausible(digital, values, valid)
        return Raster(
            values=values,
            valid=valid,
            bands=self.bands.names,
            georeference=shifted(self.georeference, window),
            provenance=self.provenance,
        )

    def digital(
        self, window: Window | None = None, out: NDArray[Any] | None = None
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Numbers as stored (C, h, w), in ``out`` where given, and where none is tagged or masked as missing (h, w)."""
        return self._files.digital(window, out)

    def reflectance(
        self, digital: NDArray[Any], whole: NDArray[np.bool_], out: NDArray[np.float32] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Float32 (C, h, w), 0 where invalid, in ``out`` where given, and validity (h, w), from :meth:`digital`."""
        values = np.empty(digital.shape, np.float32) if out is None else out
        valid = np.empty(whole.shape, np.bool_)
        for row in range(0, whole.shape[0], _ROWS):
            rows = slice(row, row + _ROWS)
            part = values[:, rows]
            sound = self._reflectance(digital[:, rows], part)
            sound &= whole[rows]
            if not sound.all():
                np.copyto(part, 0, where=~sound)
            valid[rows] = sound
        return values, valid

    def require_plausible(self, digital: NDArray[Any], values: NDArray[np.float32], valid: NDArray[np.bool_]) -> None:
        """Check that what was derived can be reflectance; pixels of the whole image, or of a sample of it.

        Raises:
            RadiometryError: it cannot.
        """
        reflective = [i for i, channel in enumerate(self._channels) if channel.name not in self._files.rule.thermal]
        look = Look(file=self._files.paths[0], provenance=self.provenance, bands=self.bands.names)
        require_plausible(values, valid, reflective, look)
        scaled = [i for i, channel in enumerate(self._channels) if channel.radiometry.scale < SMALL_SCALE]
        require_not_scaled_twice(digital, valid, scaled, look)

    def _reflectance(self, digital: NDArray[Any], out: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Put reflectance (C, h, w) into ``out``; returns validity (h, w)."""
        kinds = dict.fromkeys(channel.radiometry for channel in self._channels)
        if len(kinds) == 1:
            return next(iter(kinds)).to_reflectance(digital, out)[1]
        valid = np.ones(digital.shape[1:], dtype=bool)
        for radiometry in kinds:
            positions = [i for i, channel in enumerate(self._channels) if channel.radiometry == radiometry]
            out[positions], part = radiometry.to_reflectance(digital[positions])
            valid &= part
        return valid


def open_scene(
    paths: str | Path | Sequence[str | Path],
    *,
    bands: Sequence[str] | None = None,
    radiometry: str = "auto",
    want: Sequence[str] | None = None,
    file_bands: Sequence[str] = (),
    grid: GridRule | None = None,
    nodata: Sequence[float] = (),
) -> SceneReader:
    """Open one multi-band file or several single-band files as one scene.

    Args:
        paths: GeoTIFF, JPEG 2000 or anything rasterio opens.
        bands: common names of the channels in file order, where the files do not name them.
        radiometry: ``auto``, or a statement (:func:`satsqueeze.data.scene.radiometric_statement.parse_radiometry`).
        want: bands to read, in this order; by default all.
        file_bands: the band of each file, where each has one band and it is known.
        grid: the pixel size wanted; see :class:`satsqueeze.data.scene.digital_reader.DigitalReader`.
        nodata: numbers of missing pixels, beside those that files tag and products have.

    Raises:
        RasterError, BandError, GridError, RadiometryError: see there.
    """
    files = [paths] if isinstance(paths, str | Path) else list(paths)
    stated = tuple(common_name(name) or name.strip().lower() for name in bands or ())
    rule = ReadRule(orders=(stated,) if stated else (), radiometry=radiometry, nodata=tuple(nodata))
    local = [_local(path) for path in files]
    return SceneReader(DigitalReader(local, rule, want=want, file_bands=file_bands, grid=grid))


def _local(path: str | Path) -> str:
    text = str(path)
    return text if text.startswith("/vsi") else Path(text).expanduser().absolute().as_posix()
