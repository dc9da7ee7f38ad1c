"""Ways to cut a scene that a plan is chosen from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from satsqueeze.core.raster import StripReader
from satsqueeze.core.rows import RowStream
from satsqueeze.core.window import up
from satsqueeze.flight.plans.scene_plan import ScenePlan, even
from satsqueeze.flight.plans.stream_plan import StreamPlan

LARGEST_TILE = 2**25
"""Pixels of all inputs at once; engines gain nothing from more, and networks that look far repeat less work in large
tiles."""
_STRIPS = (2048, 1792, 1536, 1280, 1024, 912, 800, 640, 512, 400, 320, 256, 192, 128, 96, 64, 32, 16, 8)
_WIDTHS = (4096, 3072, 2560, 2304, 2048, 1792, 1536, 1280, 1024, 896, 768, 640, 512, 448, 384, 320, 256, 192, 128)
_PANELS = (8192, 4096, 3072, 2048, 1024)
_STEPS = (0, 128, 192, 256)
"""Rows to finish at a time, widths of inputs and of panels, and rows of a call, all in pixels."""
_COLUMNS = (1, 2, 4, 6, 8, 12, 16)
"""Side by side in a panel, where rows are streamed."""


@dataclass(frozen=True, kw_only=True)
class PlanChoices:
    """Plans for one image and one graph; what they cost is for others to say: their bytes are 0."""

    reader: StripReader
    """Of the image."""
    multiple: int
    """Sides of every input are multiples of this, in pixels."""
    receptive_field: int
    """Pixels on each side that can influence a result of the graph."""
    reach: int
    """Pixels around a result that are wanted with it."""
    streams: int
    """Inputs that can be computed at once."""
    rows: RowStream | None
    """The graph that takes rows; None where there is none."""

    def streamed(self) -> Iterator[StreamPlan]:
        """Plans of rows to choose from; none for a graph that takes none, or an image of a few rows."""
        if self.rows is None:
            return
        multiple, halo, stream = self.multiple, self.halo, self.rows
        tall = up(self.reader.height, multiple)
        steps = {up(max(size, stream.least_rows), multiple) for size in _STEPS}
        for panel, step, count in product(self._panels(None, 2 * halo + multiple), steps, _COLUMNS):
            room = up(panel, multiple)
            wide = min(room, up(-(-max(1, room - 2 * halo) // count) + 2 * halo, multiple))
            strips = {step * max(1, size // step) for size in (0, self.reader.block_height)}
            for strip in strips if tall >= 2 * (step + multiple) else ():
                yield StreamPlan(
                    **self._common(panel, wide, self.streams),
                    strip=strip,
                    step=step,
                    delay=stream.delay,
                    reach=self.reach,
                )

    def tiled(self, strip: int | None, tile_width: int | None, panel_width: int | None) -> Iterator[ScenePlan]:
        """Plans of tiles to choose from; parts of them may be given, in pixels."""
        multiple, halo = self.multiple, self.halo
        rows, cols = up(self.reader.height, multiple), up(self.reader.width, multiple)
        least = 2 * halo + max(multiple, up(8, multiple))
        heights = {
            even(max(least, up(size, multiple) + 2 * halo), rows, halo, multiple) for size in _or(strip, _STRIPS)
        }
        for panel in self._panels(panel_width, least):
            room = up(panel, multiple)
            widths = {even(max(least, up(size, multiple)), room, halo, multiple) for size in _or(tile_width, _WIDTHS)}
            # What somebody asks for is tried whatever its size, and so are the smallest inputs.
            limit = LARGEST_TILE if tile_width is None and strip is None else cols * rows
            limit = max(limit, min(heights) * min(widths))
            yield from (
                self._plan(tall - 2 * halo if tall < rows else rows, wide, panel, streams)
                for tall in heights
                for wide in widths
                for streams in {1, self.streams}
                if tall * wide * streams <= limit
            )

    @property
    def halo(self) -> int:
        """Pixels around a core that are read too."""
        multiple = self.multiple
        return max(up(self.receptive_field + self.reach, multiple), multiple if multiple > 1 else 0)

    def _panels(self, panel_width: int | None, least: int) -> list[int]:
        """Widths of panels, whole blocks of the file unless given; the width of the image makes one panel."""
        block, width = self.reader.block_width, self.reader.width
        if panel_width is not None:
            return [min(width, max(least, panel_width))]
        return sorted({width, *(size // block * block for size in _PANELS if least <= size // block * block < width)})

    def _plan(self, strip: int, tile_width: int, panel_width: int, streams: int) -> ScenePlan:
        return ScenePlan(**self._common(panel_width, tile_width, streams), strip=strip)

    def _common(self, panel_width: int, tile_width: int, streams: int) -> dict[str, int]:
        return {
            "height": self.reader.height,
            "width": self.reader.width,
            "panel_width": panel_width,
            "tile_width": tile_width,
            "halo": self.halo,
            "streams": streams,
            "multiple": self.multiple,
            "cache_bytes": 0,
            "expected_bytes": 0,
        }


def _or(size: int | None, sizes: tuple[int, ...]) -> tuple[int, ...]:
    return sizes if size is None else (size,)
