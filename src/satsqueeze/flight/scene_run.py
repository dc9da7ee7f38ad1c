"""One scene from an open reader to files that appear together or not at all."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import rasterio

from satsqueeze.core.buffer import Buffer
from satsqueeze.core.errors import BudgetError, PackageError
from satsqueeze.core.files import is_running, write_json
from satsqueeze.core.raster import StripReader
from satsqueeze.flight.outputs.quicklook import LARGEST_SIDE, quicklook
from satsqueeze.flight.outputs.scene_item import MaskRecord, is_cloud, mask_item
from satsqueeze.flight.outputs.sinks import FileSink, SceneFiles, file_sink
from satsqueeze.flight.passages.fly import fly
from satsqueeze.flight.passages.sample import Sample
from satsqueeze.flight.passages.scene_flight import Plan, SceneFlight, SceneTally, nowhere
from satsqueeze.flight.plans.memory import GraphMemory, forget_peak, measure, peak_bytes, settle
from satsqueeze.flight.plans.planner import DEFAULT_RAM, LEAST_CACHE, plan_scene
from satsqueeze.flight.plans.row_flight import RowFlight, open_rows
from satsqueeze.flight.plans.scene_plan import BlendPlan, ScenePlan
from satsqueeze.flight.plans.stream_plan import StreamPlan
from satsqueeze.flight.runtime import FlightModel

_LITTLE = 1.25
"""Pixels through the graph per pixel of the image, up to which opening another graph takes longer than it saves."""
_STALE = re.compile(r"^\..*\.(\d+)\.(?:strips\.)?part(?:\.\w+)?$")


@dataclass(frozen=True, kw_only=True)
class SceneOutputs:
    """Where the files of one scene go; None: not wanted."""

    mask: Path
    probabilities: Path | None = None
    item: Path | None = None
    preview: Path | None = None

    @property
    def all(self) -> dict[str, Path]:
        """Those that are wanted, by kind: first the item, which tells whose they are, and the mask last."""
        named = {"item": self.item, "probabilities": self.probabilities, "preview": self.preview, "mask": self.mask}
        return {kind: path for kind, path in named.items() if path is not None}


@dataclass(frozen=True, kw_only=True)
class SceneOrigin:
    """What a scene is called and comes from."""

    id: str
    source: Path
    acquired: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class SceneReport:
    """How a scene went."""

    tally: SceneTally
    plan: Plan
    buffer: Buffer
    """By which foreground was widened."""
    peak_bytes: int
    """The most memory of the process while the scene was flown."""

    @property
    def exact(self) -> bool:
        """Whether the mask is the same for any memory; else it was blended."""
        return not isinstance(self.plan, BlendPlan)


class ScenePilot:
    """Flies scenes with one package in one amount of memory.

    Args:
        model: a segmentation package, opened.
        package: its folder, for the record.
        max_ram: memory of the whole process, in bytes.
        probabilities: whether probabilities are written too.
        version: of this software, for the record.

    Raises:
        PackageError: the package decides on whole images.
    """

    def __init__(
        self,
        model: FlightModel,
        package: Path,
        *,
        max_ram: int = DEFAULT_RAM,
        probabilities: bool = False,
        version: str = "",
    ) -> None:
        if model.manifest.task != "segmentation":
            raise PackageError(
                f"{model.manifest.name} decides on whole images ({model.manifest.task}) and gives no mask; choose a "
                "segmentation package"
            )
        self.model, self.package, self.max_ram = model, package.absolute(), max_ram
        self._probabilities, self._version = probabilities, version
        # A float graph rounds its sums in another order in other tiles: narrow decisions are counted.
        self.counts_undecided = model.graph.precision == "fp32"
        self._wanted = probabilities or self.counts_undecided or not model.manifest.window_invariant

    @cached_property
    def memory(self) -> GraphMemory:
        """What the graph costs, measured once: when the first scene is open, with all libraries loaded."""
        return measure(self.model.engine, self.model.manifest, probabilities=self._wanted)

    @cached_property
    def rows(self) -> RowFlight | None:
        """The graph that takes rows; None where masks alone are not what is wanted, or it differs here."""
        if self._wanted:
            return None
        model = self.model
        return open_rows(model.engine, self.package, model.manifest, model.graph)

    def _plan(self, reader: StripReader, buffer: Buffer) -> Plan:
        """Tiles where they repeat little, else the better of tiles and rows."""
        manifest = self.model.manifest
        plan = partial(plan_scene, reader, manifest, self.memory, probabilities=self._probabilities, buffer=buffer)
        tiled = plan(max_ram=self.max_ram)
        if not isinstance(tiled, ScenePlan) or tiled.overhead <= _LITTLE or self.rows is None:
            return tiled
        with suppress(BudgetError):
            found = plan(max_ram=self.max_ram, rows=self.rows)
            if isinstance(found, StreamPlan):
                return found
        del self.rows  # it would take the memory of tiles
        return tiled

    def fly(
        self,
        reader: StripReader,
        origin: SceneOrigin,
        outputs: SceneOutputs,
        *,
        tally: SceneTally | None = None,
        advance: Callable[[int, int], None] | None = None,
    ) -> SceneReport:
        """Fly one scene and write its files.

        Raises:
            DataError: nothing is valid, or the numbers cannot be decoded or be reflectance.
            BudgetError: it does not fit the memory.
            RunError: the disk is full, or a folder cannot be written.
        """
        tally = tally or SceneTally()
        manifest, buffer = self.model.manifest, self.model.buffer(reader.gsd_m)
        # What a graph costs is measured on the way, and is no part of the flight.
        plan = self._plan(reader, buffer)
        # An engine keeps memory that fits the tiles of the last scene and not those of this one.
        settle(self.model.engine, manifest)
        forget_peak()
        picture = Sample(height=plan.height, width=plan.width, side=LARGEST_SIDE) if outputs.preview else None
        # GDAL would keep a twentieth of the machine's memory of the files that it finishes.
        with rasterio.Env(GDAL_CACHEMAX=LEAST_CACHE), appearing(outputs) as parts, ExitStack() as stack:
            step, threads = picture.step if picture else 0, self.model.engine.streams
            sink = stack.enter_context(file_sink(self._files(reader, parts), step=step, threads=threads))
            flight = SceneFlight(
                reader=reader,
                engine=self.model.engine,
                plan=plan,
                classes=len(manifest.classes),
                sink=sink,
                samples=() if picture is None else (picture,),
                probabilities=self._probabilities,
                buffer=buffer,
                rows=self.rows if isinstance(plan, StreamPlan) else None,
                count_undecided=self.counts_undecided,
                advance=advance or nowhere,
                tally=tally,
            )
            fly(flight)
            del flight
            settle(self.model.engine, manifest)
            if isinstance(plan, StreamPlan) and self.rows is not None:
                self.rows.graph.rest()
            with tally.timer("write"):
                if picture is not None and parts.preview is not None:
                    self._draw(reader, picture, sink, parts.preview, tally)
                if parts.item is not None:
                    write_json(parts.item, self._item(reader, origin, outputs, tally))
                stack.close()
        return SceneReport(tally=tally, plan=plan, buffer=buffer, peak_bytes=peak_bytes())

    def _files(self, reader: StripReader, parts: SceneOutputs) -> SceneFiles:
        return SceneFiles(
            mask=parts.mask,
            probabilities=parts.probabilities,
            height=reader.height,
            width=reader.width,
            georeference=reader.georeference,
            classes=self.model.classes,
            description="cloud mask" if any(map(is_cloud, self.model.classes)) else "class mask",
        )

    def _draw(self, reader: StripReader, picture: Sample, sink: FileSink, path: Path, tally: SceneTally) -> None:
        values, _ = reader.reflectance(*picture.collected())
        quicklook(
            values,
            sink.small(),
            path,
            classes=self.model.classes,
            bands=reader.bands.names,
            foreground=self.model.foreground,
            counts=tally.counts,
        )

    def _item(
        self, reader: StripReader, origin: SceneOrigin, outputs: SceneOutputs, tally: SceneTally
    ) -> dict[str, Any]:
        record = MaskRecord(
            id=origin.id,
            source=origin.source,
            package=self.package,
            manifest=self.model.manifest,
            buffer_m=self.model.buffer_m if self.model.buffer(reader.gsd_m).reach else 0.0,
            graph=self.model.graph.file,
            engine=self.model.engine.name,
            georeference=reader.georeference,
            gsd_m=reader.gsd_m,
            height=reader.height,
            width=reader.width,
            shares=tally.shares(self.model.classes),
            radiometry=reader.provenance,
            acquired=origin.acquired,
            mask=outputs.mask,
            probabilities=outputs.probabilities,
            version=self._version,
        )
        found: dict[str, Any] = mask_item(record).to_dict(include_self_link=False, transform_hrefs=False)
        return found


@contextmanager
def appearing(outputs: SceneOutputs) -> Iterator[SceneOutputs]:
    """Yield temporary places; when the block ends well the files take their own, the mask last, else none does.

    Raises:
        RunError: a folder cannot be written.
    """
    parts = {
        kind: path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}") for kind, path in outputs.all.items()
    }
    try:
        yield SceneOutputs(**parts)
        for kind, path in outputs.all.items():
            parts[kind].replace(path)
    finally:
        for part in parts.values():
            for left in (part, Path(f"{part}.aux.xml")):
                with suppress(OSError):
                    left.unlink(missing_ok=True)


def clear_stale(folders: Sequence[Path]) -> list[Path]:
    """Remove temporary files that killed runs have left in some folders; returns what was removed."""
    removed = []
    for path in (path for folder in folders if folder.is_dir() for path in folder.iterdir()):
        match = _STALE.match(path.name)
        if match and not is_running(int(match[1])) and path.is_file():
            with suppress(OSError):
                path.unlink()
                removed.append(path)
    return removed
