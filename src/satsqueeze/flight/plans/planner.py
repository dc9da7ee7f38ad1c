"""Choosing how a scene is cut: a model of memory, and the least of it that is nearly as fast as any."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from satsqueeze.core.buffer import Buffer
from satsqueeze.core.errors import BudgetError
from satsqueeze.core.manifest import FlightManifest
from satsqueeze.core.raster import StripReader
from satsqueeze.core.window import up
from satsqueeze.flight.outputs.cog import BLOCK
from satsqueeze.flight.plans.choices import PlanChoices
from satsqueeze.flight.plans.memory import GraphMemory
from satsqueeze.flight.plans.row_flight import RowFlight
from satsqueeze.flight.plans.scene_plan import BlendPlan, ScenePlan
from satsqueeze.flight.plans.stream_plan import StreamPlan

DEFAULT_RAM = 2**30
"""Memory of the process where nothing is said, in bytes."""
LARGEST_PIXELS = 2**34
"""An image beyond this is a damaged header: the largest scenes of any mission are well below."""
_ROW_TIME, _ROW_SCRATCH = 1.1, 1.5
"""Time per pixel of a graph that takes rows, and memory more, in that of the graph for tiles: rows are put together.
Measured in ONNX Runtime on the package that ships."""
_ROW_SLACK_BYTES = 40 * 2**20
"""That three graphs with scratch space of their own take besides; measured."""
_CALL_PIXELS = 6000
"""That a call for rows is worth, whatever its size; measured."""
_LATE = 1.08
"""Time that rows take where they end within the blocks of a file; measured."""
_SIDES = (1024, 768, 512, 384, 256, 192, 128, 64)
_NEARLY = 1.05
"""Plans that cost at most so many times the work of the best are as good: the one with the least memory is taken."""
_READING = 0.3
"""Work of decoding a pixel of all bands, in terms of running it through a graph: between fast and slow engines."""
LEAST_CACHE = 8 * 2**20
"""Of blocks of files, in bytes; all that files are finished with."""
_FINISHED_ROWS = 5 * BLOCK
"""Rows over the whole width of an image that are held while its file is finished; measured."""
_SLACK_BYTES = 36 * 2**20
"""Small things: tables of the files, buffers of the compressor, stacks of threads, code that is touched late."""


def plan_scene(
    reader: StripReader,
    manifest: FlightManifest,
    memory: GraphMemory,
    *,
    max_ram: int = DEFAULT_RAM,
    probabilities: bool = False,
    buffer: Buffer | None = None,
    rows: RowFlight | None = None,
    strip: int | None = None,
    tile_width: int | None = None,
    panel_width: int | None = None,
) -> ScenePlan | StreamPlan | BlendPlan:
    """The panels, strips and tiles with little repeated work that fit; windows if a package is not window-invariant.

    Where a graph takes rows, those, if that is less work.

    Args:
        reader: of the image.
        manifest: of the package.
        memory: what its graph costs.
        max_ram: memory of the whole process, in bytes.
        probabilities: whether the graph gives probabilities too.
        buffer: by which tiles are widened, so that they see as much more; None for none.
        rows: a graph that takes rows; None where there is none.
        strip: rows to finish at a time instead, in pixels.
        tile_width: width of the inputs instead, in pixels.
        panel_width: columns after which a new panel begins instead, in pixels.

    Raises:
        BudgetError: nothing fits; the message says what would.
    """
    if reader.height * reader.width > LARGEST_PIXELS:
        raise BudgetError(
            f"the image claims {reader.height} x {reader.width} px, more than any scene has; its header is damaged, or "
            "cut it into parts"
        )
    costs = _Costs(reader, manifest, memory, probabilities, buffer, rows)
    if not manifest.window_invariant:
        return costs.blended(max_ram)
    choices = PlanChoices(
        reader=reader,
        multiple=manifest.size_multiple,
        receptive_field=manifest.receptive_field,
        reach=0 if buffer is None else buffer.reach,
        streams=memory.streams,
        rows=None if rows is None else rows.stream,
    )
    return costs.best([*choices.tiled(strip, tile_width, panel_width), *choices.streamed()], max_ram)


@dataclass(frozen=True)
class _Costs:
    """The memory and the work of a plan, summed up."""

    reader: StripReader
    manifest: FlightManifest
    memory: GraphMemory
    probabilities: bool
    buffer: Buffer | None
    rows: RowFlight | None

    def best(self, plans: Iterable[ScenePlan | StreamPlan], max_ram: int) -> ScenePlan | StreamPlan:
        """Of those that fit and are nearly as fast as the fastest, the one with the least memory."""
        priced = [(plan, self._cache(plan)) for plan in plans]
        needed = [self._bytes(plan, cache) for plan, cache in priced]
        if min(needed) > max_ram:
            raise self.too_little(max_ram, min(needed))
        fitting = [(plan, cache, size) for (plan, cache), size in zip(priced, needed, strict=True) if size <= max_ram]
        work = [self.work(plan) for plan, _, _ in fitting]
        near = [found for found, cost in zip(fitting, work, strict=True) if cost <= _NEARLY * min(work)]
        plan, cache, size = min(near, key=lambda found: found[2])
        return replace(plan, cache_bytes=cache, expected_bytes=size)

    def _cache(self, plan: ScenePlan | StreamPlan) -> int:
        """Bytes for blocks that strips share."""
        block_width, row_bytes = self._blocks
        whole = isinstance(plan, StreamPlan) and plan.strip % self.reader.block_height == 0
        if whole or plan.buffer_rows >= self.reader.height:
            return LEAST_CACHE
        # Strips end within blocks, so a row of these is kept: blocks are decoded once.
        return LEAST_CACHE + int(row_bytes * min(1.0, (plan.buffer_cols + 2 * block_width) / self.reader.width))

    @cached_property
    def _blocks(self) -> tuple[int, int]:
        """Width of a block of the files, and bytes of a row of them."""
        return self.reader.block_width, self.reader.block_row_bytes

    def _bytes(self, plan: ScenePlan | StreamPlan, cache: int) -> int:
        numbers = len(self.manifest.bands) * np.dtype(self.reader.dtype).itemsize
        # Rows that are held and those that are read meanwhile, and where they are valid, with two comparisons.
        held = plan.buffer_rows * plan.buffer_cols * (2 * numbers + 5)
        # One result is made while another is written.
        chances = 5 * len(self.manifest.classes) if self.probabilities else 0
        results = 2 * min(plan.height, plan.strip + plan.halo) * plan.buffer_cols * (1 + chances)
        graph = self._row_bytes(plan) if isinstance(plan, StreamPlan) else self._tile_bytes(plan)
        # An engine may keep its memory while the files are finished.
        most = max(held + results + cache, self._finishing)
        opened = 0 if self.rows is None else self.rows.bytes
        return int(self.memory.base_bytes + opened + _SLACK_BYTES + graph + most)

    def _tile_bytes(self, plan: ScenePlan) -> float:
        return plan.tile_height * plan.tile_width * plan.streams * self._tile_pixel

    def _row_bytes(self, plan: StreamPlan) -> float:
        """Of calls, and of what they leave."""
        if self.rows is None:
            return 0.0
        pixels = max(call.rows for call in plan.calls) * plan.widest * plan.streams
        scratch = self._tile_pixel + _ROW_SCRATCH * self.memory.bytes_per_pixel
        # Every column keeps what was left for it, and a call makes the next beside it, in another place.
        columns = 2 * sum(span.seen for span in plan.columns(0)) + 2 * plan.streams * plan.widest
        carried = columns * sum(carry.bytes_per_column for carry in self.rows.stream.carries)
        return _ROW_SLACK_BYTES + pixels * scratch + carried

    @property
    def _finishing(self) -> int:
        bands = len(self.manifest.classes) if self.probabilities else 1
        return 2 * LEAST_CACHE + _FINISHED_ROWS * self.reader.width * bands

    def work(self, plan: ScenePlan | StreamPlan) -> float:
        """Of the graph and of decoding, per pixel of the image; 1 is the least."""
        block, _ = self._blocks
        blocks = -(-plan.width // block)
        decoded = sum(-(-min(panel.last, plan.width) // block) - panel.first // block for panel in plan.panels)
        # An engine with idle streams has idle threads.
        computed = plan.overhead * plan.waiting * self.memory.streams / plan.streams
        if self.rows is not None and isinstance(plan, StreamPlan):
            # Reading comes in whole blocks, and what waits for one is late.
            late = 1.0 if plan.strip % self.reader.block_height == 0 else _LATE
            computed *= _ROW_TIME * late * (1 + _CALL_PIXELS / (plan.step * plan.widest))
        return computed + _READING * (decoded / blocks - 1)

    def blended(self, max_ram: int) -> BlendPlan:
        """The largest windows that fit, at most those of a small image."""
        reader, multiple = self.reader, self.manifest.size_multiple
        cols = up(reader.width, multiple)
        row = reader.width * (len(self.manifest.bands) * np.dtype(reader.dtype).itemsize + 1)
        sums = cols * (4 * len(self.manifest.classes) + 5)
        least = 0
        for side in sorted({max(2 * multiple, side // multiple * multiple) for side in _SIDES}, reverse=True):
            held = min(side, reader.height) * (2 * row + 3 * sums + 2 * reader.width)
            cache = LEAST_CACHE + (0 if side >= reader.height else reader.block_row_bytes)
            most = max(held + cache, self._finishing)
            least = int(self.memory.base_bytes + _SLACK_BYTES + side**2 * self._tile_pixel + most)
            if least <= max_ram:
                return BlendPlan(
                    height=reader.height,
                    width=reader.width,
                    side=side,
                    multiple=multiple,
                    cache_bytes=cache,
                    expected_bytes=least,
                )
        raise self.too_little(max_ram, least)

    def too_little(self, max_ram: int, least: int) -> BudgetError:
        """What to say where nothing fits."""
        return BudgetError(
            f"an image of {self.reader.width} px across needs {-(-least // 2**20)} MB at least, of which "
            f"{self.memory.base_bytes / 2**20:.0f} MB are the process with the package; allowed are "
            f"{max_ram / 2**20:.0f} MB. Raise --max-ram, or try another --engine"
        )

    @property
    def _tile_pixel(self) -> float:
        # With the input, what is valid in it and what is missing.
        widened = 0 if self.buffer is None else self.buffer.bytes_per_pixel
        return self.memory.bytes_per_pixel + 4 * len(self.manifest.bands) + 2 + widened
