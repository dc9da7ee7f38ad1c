"""Digital numbers of one image over its files: which are its channels, on which grid, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.transform import Affine
from rasterio.windows import Window as RasterioWindow

from satsqueeze.core.bands import Bands, band_positions
from satsqueeze.core.errors import BandError, GridError
from satsqueeze.core.raster import Georeference
from satsqueeze.core.window import Window, up
from satsqueeze.data.scene.band_naming import known_band, sensor_in
from satsqueeze.data.scene.channels import Channel, ChannelFiles, ReadRule
from satsqueeze.data.scene.grid import Grid, GridRule, laid, require_one_grid, same_extent
from satsqueeze.data.scene.raster_file import georeference_of, is_masked, opened, pixel_size_m, read_channels, read_mask
from satsqueeze.data.scene.resampled_file import ResampledFile


class DigitalReader:
    """Numbers as stored of one image that lies in one or several raster files, all on one grid.

    Args:
        files: paths to open, one or more.
        rule: how to interpret them.
        want: bands to read, in this order; by default all reflective ones.
        file_bands: the band of each file, where a card says so.
        grid: the pixel size wanted. Then every file is warped onto one grid pixel by pixel, so that a window holds the
            same numbers whatever is read around it; by default the grid is that of the finest file, and only files
            that begin or end beside it are warped.

    Raises:
        RasterError: a file cannot be opened.
        BandError: channels without usable names, or wanted bands that are absent.
        GridError: files that do not fit onto one another, or numbers of different types.
        RadiometryError: reflectance cannot be derived.
    """

    def __init__(
        self,
        files: Sequence[str],
        rule: ReadRule,
        *,
        want: Sequence[str] | None = None,
        file_bands: Sequence[str] = (),
        grid: GridRule | None = None,
    ) -> None:
        self.rule = rule
        self._stack = ExitStack()
        try:
            self._open(files, want, file_bands)
            target = self._own_grid() if grid is None else grid.target(self._finest)
            if target is not None:
                self._lay(self._beside() if grid is None else self._used, target)
        except BaseException:
            self.close()
            raise

    def _open(self, files: Sequence[str], want: Sequence[str] | None, file_bands: Sequence[str]) -> None:
        missing = [name for name in want or () if file_bands and name not in file_bands]
        if missing:
            raise BandError(
                f"{files[0]}: the file of band {', '.join(missing)} is missing; expected one file per band, found "
                f"{', '.join(file_bands)}. Add it, or leave the image out"
            )
        if file_bands and want is not None:
            chosen = [list(files)[i] for i in band_positions(tuple(file_bands), want)]
            files, file_bands = chosen, tuple(want)
        if not files:
            raise BandError("an image needs at least one file, got none")
        self.paths = tuple(files)
        self._sets = [self._stack.enter_context(opened(path)) for path in files]
        files_of = ChannelFiles(paths=self.paths, datasets=self._sets, rule=self.rule, bands=tuple(file_bands))
        self.channels = tuple(files_of.choose(want))
        used, finest = [self._sets[file] for file in self._used], self._finest
        self.height, self.width = int(finest.height), int(finest.width)
        self._masked = {file for file, own in enumerate(self._sets) if is_masked(own)}
        self._resampled = {
            file: ResampledFile(own, _scaled(own, finest), known=own.nodatavals)
            for file, own in enumerate(self._sets)
            if (own.height, own.width) != (finest.height, finest.width)
        }
        self.georeference: Georeference | None = georeference_of(finest)
        self.gsd_m = pixel_size_m(self.georeference)
        require_one_grid(used, finest, resample=self.rule.resample)
        self.dtype = self._common_dtype()
        self._fills_with_zeros = np.issubdtype(np.dtype(self.dtype), np.floating) or not self._says_what_is_missing()
        self.bands = self._known_bands()

    def _says_what_is_missing(self) -> bool:
        """Whether files, metadata or the user state a number that stands for nothing, in any band."""
        tags = (self._sets[channel.file].nodatavals[channel.index] for channel in self.channels)
        return any(tag is not None for tag in tags) or any(
            channel.nodata or channel.radiometry.nodata is not None for channel in self.channels
        )

    def _known_bands(self) -> Bands:
        known = {band.name: band for band in self.rule.bands}
        sensor = sensor_in(self.paths[0])
        return Bands(
            tuple(
                known.get(channel.name) or known_band(channel.name, gsd_m=self.gsd_m, sensor=sensor)
                for channel in self.channels
            )
        )

    @property
    def _finest(self) -> Any:
        return max((self._sets[file] for file in self._used), key=lambda dataset: int(dataset.width * dataset.height))

    def _beside(self) -> list[int]:
        """Coarser files that begin or end beside the finest, as others do beside Landsat's panchromatic band."""
        finest = self._finest
        coarser = [file for file in self._used if self._sets[file].shape != finest.shape]
        return [file for file in coarser if not same_extent(self._sets[file], finest)]

    def _own_grid(self) -> Grid | None:
        """That of the finest file; None where it does not say where it lies."""
        place = self.georeference
        return None if place is None else Grid(georeference=place, height=self.height, width=self.width)

    def _lay(self, files: Sequence[int], target: Grid) -> None:
        for file in files:
            missing = next(_fill(channel) for channel in self.channels if channel.file == file)
            own = self._sets[file]
            self._sets[file] = self._stack.enter_context(laid(own, target, nodata=missing))
            if self._sets[file] is own:
                self._resampled.pop(file, None)
            else:
                place = _between(own.transform, Affine(*target.georeference.transform))
                self._resampled[file] = ResampledFile(own, place, known=(_tag(own, missing),) * own.count)
        self.height, self.width, self.georeference = target.height, target.width, target.georeference
        self.gsd_m = pixel_size_m(self.georeference)

    @property
    def block_height(self) -> int:
        """Rows that are decoded together, in pixels of the grid; 1 where a file has no blocks."""
        rows = (self._sets[f].block_shapes[0][0] * self.height / self._sets[f].height for f in self._used)
        return max([1, *(round(float(value)) for value in rows)])

    @property
    def block_width(self) -> int:
        """Columns that are decoded together, in pixels of the grid."""
        cols = (self._sets[f].block_shapes[0][1] * self.width / self._sets[f].width for f in self._used)
        return max([1, *(round(float(value)) for value in cols)])

    @property
    def block_row_bytes(self) -> int:
        """Memory of one row of decoded blocks over the whole width, all files together."""
        size = 0
        for file in self._used:
            dataset = self._sets[file]
            tall, wide = dataset.block_shapes[0]
            across = up(dataset.width, wide)
            size += across * tall * (sum(np.dtype(kind).itemsize for kind in dataset.dtypes) + (file in self._masked))
        return size

    @property
    def _used(self) -> list[int]:
        return list(dict.fromkeys(channel.file for channel in self.channels))

    def close(self) -> None:
        """Close the files."""
        self._stack.close()

    def digital(
        self, window: Window | None = None, out: NDArray[Any] | None = None
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Numbers as stored (C, h, w), in ``out`` where given, and where none is tagged or masked as missing (h, w)."""
        window = window or Window(row=0, col=0, height=self.height, width=self.width)
        shape = (len(self.channels), window.height, window.width)
        digital = np.empty(shape, dtype=self.dtype) if out is None else out
        valid = np.ones(shape[1:], dtype=bool)
        for file in self._used:
            positions = [i for i, channel in enumerate(self.channels) if channel.file == file]
            self._read_file(file, positions, window, digital)
            tags = self._sets[file].nodatavals
            for i in positions:
                channel = self.channels[i]
                for number in dict.fromkeys((tags[channel.index], *channel.nodata)):
                    if number is not None:
                        valid &= _is_not(digital[i], number)
            if file in self._masked and file not in self._resampled:
                part = RasterioWindow(window.col, window.row, window.width, window.height)
                valid &= read_mask(self._sets[file], part)
            if file in self._resampled:
                self._resampled[file].strike(valid, window, [self.channels[i] for i in positions])
        if self._fills_with_zeros:
            # Many files fill with zeros and do not tag it; what was measured is never 0 in all bands.
            filled = np.ones_like(valid)
            for values in digital:
                filled &= values == 0
            valid &= ~filled
        return digital, valid

    def _read_file(self, file: int, positions: list[int], window: Window, out: NDArray[Any]) -> None:
        """Put the channels of a file where they belong among all, without a copy where they lie side by side."""
        dataset, indexes = self._sets[file], [self.channels[i].index + 1 for i in positions]
        down, across = dataset.height / self.height, dataset.width / self.width
        part = RasterioWindow(window.col * across, window.row * down, window.width * across, window.height * down)
        if down == across == 1:
            first, stop = positions[0], positions[-1] + 1
            if positions == list(range(first, stop)):
                read_channels(dataset, indexes, window=part, out=out[first:stop])
            else:
                out[positions] = read_channels(dataset, indexes, window=part)
            return
        shape = (window.height, window.width)
        nearest = read_channels(dataset, indexes, window=part, shape=shape)
        smooth = read_channels(dataset, indexes, window=part, shape=shape, smooth=True)
        out[positions] = np.where(nearest == 0, nearest, smooth)

    def _common_dtype(self) -> str:
        dtypes = {self._sets[channel.file].dtypes[channel.index] for channel in self.channels}
        if len(dtypes) > 1:
            raise GridError(
                f"the bands of {self.paths[0]} have different data types: {', '.join(sorted(dtypes))}; expected one. "
                "Write all bands with the same type and scale."
            )
        return str(dtypes.pop())


def _fill(channel: Channel) -> float | None:
    """The number that stands for nothing where the file tags none."""
    product = channel.radiometry.nodata
    return next(iter(channel.nodata), None) if product is None else product


def _tag(dataset: Any, stated: float | None) -> float | None:
    return stated if dataset.nodata is None else dataset.nodata


def _scaled(dataset: Any, finest: Any) -> Affine:
    """From pixels of the finest file to those of another over the same ground."""
    return Affine.scale(dataset.width / finest.width, dataset.height / finest.height)


def _between(file: Affine, grid: Affine) -> Affine:
    """From pixels of a grid to those of a file."""
    matrix = np.linalg.inv(np.reshape(tuple(file), (3, 3))) @ np.reshape(tuple(grid), (3, 3))
    return Affine(*matrix.ravel()[:6])


def _is_not(values: NDArray[Any], tag: float) -> NDArray[np.bool_]:
    """Where numbers differ from the one that a file tags as nodata."""
    # Integers are compared as such: as floats they would be converted first.
    number = int(tag) if values.dtype.kind in "iu" and float(tag).is_integer() else tag
    found: NDArray[np.bool_] = ~np.isnan(values) if np.isnan(tag) else values != number
    return found
