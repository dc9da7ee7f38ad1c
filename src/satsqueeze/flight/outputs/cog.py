"""Cloud-optimised GeoTIFFs, written part by part, whole or not at all."""

from __future__ import annotations

import os
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError  # copying raises GDAL's own errors, which have no public name
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.transform import Affine
from rasterio.windows import Window as RasterioWindow

from satsqueeze.core.errors import GridError, RunError
from satsqueeze.core.files import replacing
from satsqueeze.core.labels import IGNORE
from satsqueeze.core.raster import Georeference
from satsqueeze.core.window import Window
from satsqueeze.flight.outputs.palette import NODATA_COLOUR, Colour
from satsqueeze.flight.passages.sample import thinned

BLOCK = 512
"""Side of a compressed block, in pixels."""
_PART_BLOCK = (16, 512)
"""Rows and columns of blocks on the way: small, as parts that end within one have it compressed twice."""


@dataclass(frozen=True, kw_only=True)
class CogLayout:
    """What a uint8 file of classes or scaled probabilities holds; 255 is nodata."""

    height: int
    width: int
    georeference: Georeference | None
    descriptions: tuple[str, ...]
    """One per band."""
    colours: tuple[Colour, ...] = ()
    """Of each value of a single band; empty: no colour table."""
    scale: float = 1.0
    """What a step of a value means."""
    tags: Mapping[str, str] | None = None
    """Of the first band."""

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 1 or not self.descriptions:
            raise GridError(
                f"a file needs at least one pixel and one band, got {self.height} x {self.width} px and "
                f"{len(self.descriptions)} bands"
            )


class CogWriter:
    """Takes an image part by part; see :func:`writing_cog`.

    Args:
        targets: open files of the image and of every n-th row and column of it, by n.
        layout: of the image.
    """

    def __init__(self, targets: Mapping[int, Any], layout: CogLayout) -> None:
        self._targets, self._layout = targets, layout
        self.rows = 0
        """Rows of the whole width written so far."""
        self.pixels = 0
        """Pixels written so far."""
        self.checksums: dict[range, NDArray[np.uint32]] = {}
        """CRC-32 of the values of each band and row, (bands, H), by the columns that were written together."""

    def write(self, values: NDArray[np.uint8], window: Window | None = None) -> None:
        """Write a part; parts neither overlap nor leave gaps.

        Args:
            values: uint8 (bands, h, w).
            window: where they belong; by default over the whole width, below the rows that are there.

        Raises:
            GridError: they do not fit.
        """
        bands, height, width = values.shape
        layout = self._layout
        window = window or Window(row=self.rows, col=0, height=height, width=layout.width)
        if (bands, height, width) != (len(layout.descriptions), window.height, window.width) or (
            window.stop_row > layout.height or window.stop_col > layout.width
        ):
            raise GridError(
                f"values of {values.shape} do not fit {window} of a file of {len(layout.descriptions)} bands with "
                f"{layout.height} x {layout.width} px"
            )
        for step, target in self._targets.items():
            (down, across), taken = thinned(window, step)
            place = RasterioWindow(across.start, down.start, across.stop - across.start, down.stop - down.start)
            if place.height and place.width:
                target.write(values[:, *taken], window=place)
        columns = range(window.col, window.stop_col)
        sums = self.checksums.setdefault(columns, np.zeros((bands, layout.height), np.uint32))
        sums[:, window.row : window.stop_row] = _checksums(values)
        self.pixels += height * width
        self.rows = self.pixels // layout.width


def _checksums(values: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """CRC-32 of each band and row (bands, h) of (bands, h, w)."""
    rows = np.ascontiguousarray(values)
    return np.array([[zlib.crc32(row) for row in band] for band in rows], np.uint32)


@contextmanager
def writing_cog(path: Path, layout: CogLayout, *, threads: int = 1) -> Iterator[CogWriter]:
    """Yield a writer; the file appears at ``path`` when the block ends well and all pixels were written.

    Pixels go to lightly compressed files beside it first, one for each overview: GDAL's COG driver wants to see the
    whole image, and would make its overviews from that only then.

    Args:
        path: of the file.
        layout: of it.
        threads: that compress its blocks at the end.

    Raises:
        RunError: the disk is full, or the folder cannot be written.
        GridError: pixels are missing at the end.
    """
    files = {step: path.with_name(f".{path.stem}.x{step}.{os.getpid()}.strips.part.tif") for step in _steps(layout)}
    joined = files[1].with_suffix(".vrt")
    try:
        with replacing(path) as temporary:
            temporary.touch()  # says in plain words where a folder cannot be written
            with ExitStack() as stack:
                targets = {step: stack.enter_context(_opened(file, layout, step)) for step, file in files.items()}
                writer = CogWriter(targets, layout)
                yield writer
            if writer.pixels != layout.height * layout.width:
                raise GridError(f"{path}: {writer.rows} of {layout.height} rows were written")
            _join(files, joined)
            _finish(joined, temporary, threads)
            _require_same(temporary, writer.checksums)
    except (RasterioError, CPLE_BaseError) as error:
        raise RunError(
            f"writing {path} failed ({error.__cause__ or error}); is the disk full, or a limit reached? Free "
            "some space and run the same command again"
        ) from error
    finally:
        for left in (*files.values(), joined, *(Path(f"{file}.aux.xml") for file in files.values())):
            with suppress(OSError):
                left.unlink(missing_ok=True)


def _steps(layout: CogLayout) -> list[int]:
    """1 for the image, and distances of the rows and columns of its overviews, until one block holds all."""
    steps = [1]
    while max(layout.height, layout.width) > BLOCK * steps[-1]:
        steps.append(2 * steps[-1])
    return steps


@contextmanager
def _opened(path: Path, layout: CogLayout, step: int) -> Iterator[Any]:
    place = layout.georeference
    profile = {
        "driver": "GTiff",
        "height": -(-layout.height // step),
        "width": -(-layout.width // step),
        "count": len(layout.descriptions),
        "dtype": "uint8",
        "nodata": IGNORE,
        "interleave": "band",
        "tiled": True,
        "blockysize": _PART_BLOCK[0],
        "blockxsize": _PART_BLOCK[1],
        "compress": "PACKBITS",
        "bigtiff": "if_safer",
        **({} if place is None or step > 1 else {"crs": place.crs, "transform": Affine(*place.transform)}),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        target = rasterio.open(path, "w", **profile)
    with target:
        if step == 1:
            _describe(target, layout)
        yield target


def _describe(target: Any, layout: CogLayout) -> None:
    if layout.colours:
        table = {value: (*colour, 255) for value, colour in enumerate(layout.colours)}
        target.write_colormap(1, table | {IGNORE: (*NODATA_COLOUR, 0)})
    target.descriptions = layout.descriptions
    if layout.scale != 1.0:
        target.scales = (layout.scale,) * len(layout.descriptions)
    target.update_tags(1, **(layout.tags or {}))


def _join(files: Mapping[int, Path], target: Path) -> None:
    """One virtual file of an image and its overviews, beside them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        rasterio.shutil.copy(str(files[1]), str(target), driver="VRT")
    described = ET.parse(target)  # noqa: S314 - GDAL has just written it
    for number, band in enumerate(described.getroot().iter("VRTRasterBand"), start=1):
        for step, file in files.items():
            if step > 1:
                overview = ET.SubElement(band, "Overview")
                ET.SubElement(overview, "SourceFilename", relativeToVRT="1").text = file.name
                ET.SubElement(overview, "SourceBand").text = str(number)
    described.write(target)


def _finish(source: Path, target: Path, threads: int) -> None:
    options = {"compress": "DEFLATE", "blocksize": BLOCK, "overview_resampling": "nearest", "bigtiff": "if_safer"}
    if threads > 1:
        options["num_threads"] = threads
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        rasterio.shutil.copy(str(source), str(target), driver="COG", **options)


def _require_same(path: Path, checksums: Mapping[range, NDArray[np.uint32]]) -> None:
    """Read a file back: a disk that fills up while GDAL closes a file is not always reported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        source = rasterio.open(path)
    with source:
        for row in range(0, source.height, BLOCK):
            rows = slice(row, min(row + BLOCK, source.height))
            for band in range(source.count):
                found = source.read([band + 1], window=RasterioWindow(0, row, source.width, rows.stop - row))
                for columns, expected in checksums.items():
                    if not np.array_equal(
                        _checksums(found[:, :, columns.start : columns.stop])[0], expected[band, rows]
                    ):
                        raise RunError(f"{path} does not hold what was written; is the disk full or failing? Run again")


def class_tags(classes: Sequence[str]) -> dict[str, str]:
    """Band metadata that names each class value."""
    return {f"class_{value}": name for value, name in enumerate(classes)}
