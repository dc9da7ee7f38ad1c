"""How a scene is cut so that it fits into a given memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from satsqueeze.core.errors import BudgetError
from satsqueeze.core.package import FlightManifest
from satsqueeze.core.raster import StripReader
from satsqueeze.core.window import Window, cover
from satsqueeze.flight.memory import GraphMemory
from satsqueeze.flight.tiling import Tile

DEFAULT_RAM = 2**30
"""Memory of the process where nothing is said, in bytes."""
LARGEST_PIXELS = 2**34
"""An image beyond this is a damaged header: the largest scenes of any mission are well below."""
_LARGEST_TILE = 2**22
"""Pixels; engines gain nothing from more."""
_STRIPS = (1024, 768, 512, 384, 256, 192, 128, 96, 64, 32, 16, 8)
_SIDES = (1024, 768, 512, 384, 256, 192, 128, 64)
_SLACK_BYTES = 36 * 2**20
"""Small things: tables of the files, buffers of the compressor, stacks of threads."""
_PRE_BYTES_PER_BAND = 12
"""Float copies that exist at once while numbers become reflectance."""


@dataclass(frozen=True, kw_only=True)
class Strip:
    """One step down an image."""

    read: Window
    """Rows that are read for it, over the whole width; nothing is read twice."""
    core: Window | None
    """Rows that are finished with it, in coordinates of the image; None where more must be read first."""


@dataclass(frozen=True, kw_only=True)
class ScenePlan:
    """Strips and tiles of one image."""

    height: int
    width: int
    strip: int
    """Rows that are read at a time, in pixels."""
    tile_width: int
    """Width of the inputs of the graph, in pixels."""
    halo: int
    """Pixels around a core that its result may depend on, a multiple of ``multiple``."""
    multiple: int
    """Sides of every input are multiples of this, in pixels."""
    cache_bytes: int
    """For blocks that more than one strip needs."""
    expected_bytes: int
    """Peak memory of the process, by the model."""

    @property
    def rows(self) -> int:
        """Height continued to a multiple, in pixels."""
        return _up(self.height, self.multiple)

    @property
    def cols(self) -> int:
        """Width continued to a multiple, in pixels."""
        return _up(self.width, self.multiple)

    @property
    def buffer_rows(self) -> int:
        """Rows of the image that are held at once, at most."""
        return min(self.height, self.strip + 2 * self.halo + self.multiple)

    def strips(self) -> Iterator[Strip]:
        """From top to bottom; cores start at multiples of ``multiple`` and neither overlap nor leave gaps."""
        done = 0
        for row in range(0, self.height, self.strip):
            stop = min(row + self.strip, self.height)
            last = stop == self.height
            end = self.height if last else (stop - self.halo) // self.multiple * self.multiple
            core = Window(row=done, col=0, height=end - done, width=self.width) if end > done else None
            yield Strip(read=Window(row=row, col=0, height=stop - row, width=self.width), core=core)
            done = max(done, end)

    def tiles(self, core: Window) -> Iterator[Tile]:
        """Tiles of the rows of ``core``, in coordinates of the continued image; all of one width."""
        first = max(0, core.row - self.halo)
        stop = min(self.rows, _up(core.stop_row, self.multiple) + self.halo)
        wide = min(self.tile_width, self.cols)
        done = col = 0
        while done < self.cols:
            col = min(col, self.cols - wide)
            end = self.cols if col + wide == self.cols else col + wide - self.halo
            yield Tile(
                read=Window(row=first, col=col, height=stop - first, width=wide),
                core=Window(row=core.row, col=done, height=core.height, width=min(end, self.width) - done),
            )
            done, col = end, end - self.halo

    @property
    def overhead(self) -> float:
        """Pixels that run through the graph, per pixel of the image."""
        halo = 2 * self.halo
        tall = min(self.rows, self.strip + halo) * max(1.0, self.rows / self.strip)
        step = max(self.multiple, self.tile_width - halo)
        wide = self.cols if self.tile_width >= self.cols else self.tile_width * np.ceil((self.cols - halo) / step)
        return float(max(tall, self.rows) * wide / (self.rows * self.cols))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class BlendPlan:
    """Overlapping windows of one image whose results are averaged; the mask depends on their side."""

    height: int
    width: int
    side: int
    """Of the windows, in pixels, a multiple of ``multiple``."""
    multiple: int
    """Sides of every input are multiples of this, in pixels."""
    cache_bytes: int
    """For blocks that more than one strip needs."""
    expected_bytes: int
    """Peak memory of the process, by the model."""
    halo: int = 0
    """Rows above a core that are needed once it is finished."""

    @property
    def rows(self) -> int:
        """Height continued to a multiple, in pixels."""
        return _up(self.height, self.multiple)

    @property
    def cols(self) -> int:
        """Width continued to a multiple, in pixels."""
        return _up(self.width, self.multiple)

    @property
    def buffer_rows(self) -> int:
        """Rows of the image that are held at once, at most."""
        return min(self.height, self.side)

    def strips(self) -> Iterator[Strip]:
        """From top to bottom; each finishes the rows that no later window covers."""
        starts = sorted({window.row for window in self._cover()})
        read = 0
        for row, following in zip(starts, [*starts[1:], self.height], strict=True):
            stop = min(row + self.side, self.height)
            yield Strip(
                read=Window(row=read, col=0, height=stop - read, width=self.width),
                core=Window(row=row, col=0, height=following - row, width=self.width),
            )
            read = stop

    def windows(self, row: int) -> list[Window]:
        """Windows that start at a row, from left to right, in coordinates of the continued image."""
        return [window for window in self._cover() if window.row == row]

    def _cover(self) -> list[Window]:
        return cover(height=self.rows, width=self.cols, window=self.side)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)


def plan_scene(
    reader: StripReader,
    manifest: FlightManifest,
    memory: GraphMemory,
    *,
    max_ram: int = DEFAULT_RAM,
    probabilities: bool = False,
    strip: int | None = None,
    tile_width: int | None = None,
) -> ScenePlan | BlendPlan:
    """The strips and tiles with the least repeated work that fit; for a package that is not window-invariant, windows.

    Args:
        reader: of the image.
        manifest: of the package.
        memory: what its graph costs.
        max_ram: memory of the whole process, in bytes.
        probabilities: whether probabilities are kept too.
        strip: rows to read at a time instead, in pixels.
        tile_width: width of the inputs instead, in pixels.

    Raises:
        BudgetError: nothing fits; the message says what would.
    """
    multiple = manifest.size_multiple
    halo = max(_up(manifest.receptive_field, multiple), multiple if multiple > 1 else 0)
    if reader.height * reader.width > LARGEST_PIXELS:
        raise BudgetError(
            f"the image claims {reader.height} x {reader.width} px, more than any scene has; its header is damaged, or "
            "cut it into parts"
        )
    costs = _Costs(reader, manifest, memory, halo, probabilities)
    if not manifest.window_invariant:
        return costs.blended(max_ram)
    heights = _STRIPS if strip is None else (_up(strip, multiple),)
    if strip is None and 2 * reader.block_height > _STRIPS[0] >= reader.block_height:
        heights = (reader.block_height, *heights)
    plans = [plan for rows in heights for plan in costs.plans(_up(rows, multiple), tile_width, max_ram)]
    fitting = [plan for plan in plans if plan.expected_bytes <= max_ram]
    if not fitting:
        raise costs.too_little(max_ram, min(plan.expected_bytes for plan in plans))
    return min(fitting, key=lambda plan: (round(plan.overhead, 2), plan.expected_bytes))


@dataclass(frozen=True)
class _Costs:
    """The memory of a plan, summed up."""

    reader: StripReader
    manifest: FlightManifest
    memory: GraphMemory
    halo: int
    probabilities: bool

    def plans(self, strip: int, tile_width: int | None, max_ram: int) -> Iterator[ScenePlan]:
        multiple, width = self.manifest.size_multiple, _up(self.reader.width, self.manifest.size_multiple)
        least = min(width, 2 * self.halo + max(multiple, 8))
        fixed = self._fixed(strip)
        per_column = self._tile_pixel * self._tile_rows(strip)
        room = int((max_ram - fixed) / per_column) if tile_width is None else tile_width
        room = min(room, _LARGEST_TILE // self._tile_rows(strip)) if tile_width is None else room
        wide = _even(max(least, min(width, room)) // multiple * multiple, width, self.halo, multiple)
        wide = max(_up(least, multiple), wide)
        yield ScenePlan(
            height=self.reader.height,
            width=self.reader.width,
            strip=strip,
            tile_width=wide,
            halo=self.halo,
            multiple=multiple,
            cache_bytes=self._cache(strip),
            expected_bytes=int(fixed + per_column * wide),
        )

    def blended(self, max_ram: int) -> BlendPlan:
        """The largest windows that fit, at most those of a small image."""
        reader, multiple = self.reader, self.manifest.size_multiple
        cols = _up(reader.width, multiple)
        row = reader.width * (len(self.manifest.bands) * (np.dtype(reader.dtype).itemsize + 1) + 1)
        sums = cols * (4 * len(self.manifest.classes) + 5)
        least = 0
        for side in sorted({max(2 * multiple, side // multiple * multiple) for side in _SIDES}, reverse=True):
            held = min(side, reader.height) * (2 * row + 3 * sums)
            expected = int(
                self.memory.base_bytes + held + side**2 * self._tile_pixel + self._cache(side) + _SLACK_BYTES
            )
            least = expected
            if expected <= max_ram:
                return BlendPlan(
                    height=reader.height,
                    width=reader.width,
                    side=side,
                    multiple=multiple,
                    cache_bytes=self._cache(side // 2),
                    expected_bytes=expected,
                )
        raise self.too_little(max_ram, least)

    def too_little(self, max_ram: int, least: int) -> BudgetError:
        """What to say where nothing fits."""
        return BudgetError(
            f"an image of {self.reader.width} px across needs {least / 2**20:.0f} MB at least, of which "
            f"{self.memory.base_bytes / 2**20:.0f} MB are the process with the package; allowed are "
            f"{max_ram / 2**20:.0f} MB. Raise --max-ram, or try another --engine"
        )

    @property
    def _tile_pixel(self) -> float:
        # One tile is prepared while another runs.
        return self.memory.bytes_per_pixel + _PRE_BYTES_PER_BAND * len(self.manifest.bands) + 2

    def _tile_rows(self, strip: int) -> int:
        return min(_up(self.reader.height, self.manifest.size_multiple), strip + 2 * self.halo)

    def _cache(self, strip: int) -> int:
        """Blocks are decoded once: where strips end within them, a row of them is kept."""
        aligned = strip % self.reader.block_height == 0 or strip >= self.reader.height
        return 4 * 2**20 + (0 if aligned else self.reader.block_row_bytes)

    def _fixed(self, strip: int) -> int:
        reader, bands = self.reader, len(self.manifest.bands)
        row = reader.width * (bands * np.dtype(reader.dtype).itemsize + 1)
        strip = min(strip, reader.height)
        held = min(reader.height, strip + 2 * self.halo + self.manifest.size_multiple)
        results = reader.width * strip * (1 + self.probabilities * len(self.manifest.classes)) * 2
        # The strip being read exists beside the rows held, and for a moment as a comparison with nodata.
        read = strip * (row + reader.width * bands)
        return self.memory.base_bytes + held * row + read + results + self._cache(strip) + _SLACK_BYTES


def _even(tile: int, width: int, halo: int, multiple: int) -> int:
    """The narrowest tiles that need no more of them than tiles of ``tile``."""
    if tile >= width or tile <= 2 * halo:
        return tile
    count = -(-(width - 2 * halo) // (tile - 2 * halo))
    return min(tile, _up(-(-(width - 2 * halo) // count) + 2 * halo, multiple))


def _up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple
