"""Many scenes: what cannot be flown is put aside with its reason, the others are finished."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

import rasterio

from satsqueeze.core.errors import RunError, SatsqueezeError
from satsqueeze.core.raster import StripReader
from satsqueeze.flight.ledger import Ledger, SceneRow
from satsqueeze.flight.outputs.scene_item import source_of
from satsqueeze.flight.passages.scene_flight import SceneTally
from satsqueeze.flight.scene_run import SceneOrigin, SceneOutputs, ScenePilot, SceneReport, clear_stale

OUTDATED = ".outdated"
"""Ending of files that show a scene as an earlier run saw it, and that the last run did not make anew."""

READING = 3
"""Raised when scenes are read otherwise than before, so that masks of an older version are made anew."""


@dataclass(frozen=True, kw_only=True)
class SceneJob:
    """One scene to fly."""

    origin: SceneOrigin
    open: Callable[[], AbstractContextManager[StripReader]]
    """Opens it; raises what keeps it from being opened."""
    files: tuple[Path, ...]
    """All files that its pixels are read from."""
    evidence: tuple[Path, ...] = ()
    """Files beside these that say how they are read, such as the product's metadata."""
    settings: str
    """How it is read, as text: part of the key by which a second run knows what is done."""


@dataclass(frozen=True, kw_only=True)
class BatchFolder:
    """Where the outputs of many scenes go."""

    path: Path
    probabilities: bool = False
    previews: bool = False

    def outputs(self, scene: str) -> SceneOutputs:
        """Files of one scene."""
        return SceneOutputs(
            mask=self.path / f"{scene}.tif",
            item=self.path / f"{scene}.json",
            probabilities=self.path / f"{scene}_probabilities.tif" if self.probabilities else None,
            preview=self.path / f"{scene}.png" if self.previews else None,
        )


@dataclass(frozen=True, kw_only=True)
class SceneOutcome:
    """What became of a scene in this run."""

    row: SceneRow | None
    """None where an earlier run had finished it."""
    scene: str


def fly_batch(
    pilot: ScenePilot,
    jobs: Sequence[SceneJob],
    folder: BatchFolder,
    *,
    advance: Callable[[str, int, int], None] | None = None,
) -> Iterator[SceneOutcome]:
    """Fly every scene that is not done; yields each as it is finished.

    The ledger ``manifest.jsonl`` gets one row per scene. A scene that was finished with the same files, package and
    settings, and whose outputs are there, is not flown again; one that was put aside is tried again.

    Args:
        pilot: flies.
        jobs: scenes with distinct ids.
        folder: for the outputs.
        advance: called with (scene, pixels done, pixels in all).

    Raises:
        RunError: the ledger cannot be read or written.
    """
    ledger = Ledger(folder.path)
    clear_stale([folder.path])
    for job in jobs:
        scene = job.origin.id
        key = key_of(pilot, job, folder)
        if ledger.is_done(scene, key):
            yield SceneOutcome(row=None, scene=scene)
            continue
        foreign = _foreign(job, folder.outputs(scene), ledger)
        if foreign:
            # What lies there is not this scene's, so nothing of it is touched, its row included.
            yield SceneOutcome(row=_aside(job, key, RunError(foreign), foreign), scene=scene)
            continue
        row = _flown(pilot, job, folder, key, advance)
        # What is not made anew shows the scene as it was; a later run would not know whose it is.
        made = folder.outputs(scene).all.values() if row.status == "done" else ()
        _retire([path for path in ledger.outputs(scene) if path not in made])
        ledger.add(row)
        yield SceneOutcome(row=row, scene=scene)
    ledger.tidy([job.origin.id for job in jobs])


def _foreign(job: SceneJob, outputs: SceneOutputs, ledger: Ledger) -> str:
    """Why the outputs of a scene would replace what no run made from it; empty where they do not."""
    source = job.origin.source
    ours = ledger.outputs(job.origin.id) if ledger.source(job.origin.id) == str(source) else ()
    if not ours and outputs.item is not None and source_of(outputs.item) == source.as_uri():
        return ""  # of a run that was killed before it could say so, or whose ledger is gone
    there = [path for path in outputs.all.values() if path.exists() and path not in ours]
    if not there:
        return ""
    return (
        f"{', '.join(map(str, there))} exists and was not made from {source}; move it elsewhere, or choose another "
        "folder for the outputs"
    )


def _flown(
    pilot: ScenePilot,
    job: SceneJob,
    folder: BatchFolder,
    key: str,
    advance: Callable[[str, int, int], None] | None,
) -> SceneRow:
    scene = job.origin.id
    watched = None if advance is None else (lambda done, total: advance(scene, done, total))
    outputs = folder.outputs(scene)
    try:
        return fly_job(pilot, job, outputs, key=key, advance=watched)
    except MemoryError as error:
        return _aside(job, key, error, f"memory ran out ({error}); lower --max-ram or free some")
    except SatsqueezeError as error:
        return _aside(job, key, error, str(error))
    except Exception as error:  # noqa: BLE001 - whatever a damaged file provokes must not end the batch
        return _aside(job, key, error, f"unexpected {type(error).__name__}: {error}; please report it with the file")


def fly_job(
    pilot: ScenePilot,
    job: SceneJob,
    outputs: SceneOutputs,
    *,
    key: str = "",
    advance: Callable[[int, int], None] | None = None,
) -> SceneRow:
    """Open and fly one scene; returns its row.

    Raises:
        SatsqueezeError: it cannot be flown.
    """
    started = time.perf_counter()
    tally = SceneTally()
    with ExitStack() as stack:
        # Blocks of a strip are decoded beside one another: nothing else can be done before the first strip is there.
        with tally.timer("open"), rasterio.Env(GDAL_NUM_THREADS=pilot.model.engine.streams):
            reader = stack.enter_context(job.open())
        report = pilot.fly(reader, job.origin, outputs, tally=tally, advance=advance)
        return _row(pilot, job, reader, report, outputs, key=key, wall=time.perf_counter() - started)


def _row(
    pilot: ScenePilot,
    job: SceneJob,
    reader: StripReader,
    report: SceneReport,
    outputs: SceneOutputs,
    *,
    key: str,
    wall: float,
) -> SceneRow:
    return SceneRow(
        scene=job.origin.id,
        source=str(job.origin.source),
        status="done",
        key=key,
        outputs={
            kind: {"file": path.name, "bytes": path.stat().st_size} for kind, path in reversed(outputs.all.items())
        },
        height=reader.height,
        width=reader.width,
        seconds={stage: round(value, 6) for stage, value in report.tally.timer.seconds.items()},
        wall_s=round(wall, 6),
        mpixel_per_s=round(reader.height * reader.width / 1e6 / wall, 4),
        peak_memory_bytes=report.peak_bytes,
        shares=report.tally.shares(pilot.model.classes),
        undecided=report.tally.undecided if pilot.counts_undecided else None,
        plan={**report.plan.to_dict(), "blended": not report.exact},
        buffer_px=report.buffer.radius,
        radiometry=reader.provenance,
        graph=pilot.model.graph.file,
        engine=pilot.model.engine.name,
    )


def _retire(outputs: Sequence[Path]) -> None:
    """Take the names from files that show a scene as it was before; they stay beside, so nothing is lost."""
    for path in outputs:
        if path.is_file():
            path.replace(path.with_name(f"{path.name}{OUTDATED}"))


def _aside(job: SceneJob, key: str, error: BaseException, reason: str) -> SceneRow:
    return SceneRow(
        scene=job.origin.id,
        source=str(job.origin.source),
        status="quarantined",
        reason=reason,
        error=type(error).__name__,
        key=key,
    )


def key_of(pilot: ScenePilot, job: SceneJob, folder: BatchFolder) -> str:
    """Hash of everything that the outputs of a scene depend on."""
    record = {
        "reading": READING,
        "files": [[str(path), *_stamp(path)] for path in (*job.files, *job.evidence)],
        "package": pilot.model.manifest.model_dump(mode="json")["files"],
        "graph": pilot.model.graph.file,
        "engine": pilot.model.engine.name,
        "settings": job.settings,
        "buffer_m": pilot.model.buffer_m,
        "outputs": sorted(folder.outputs("").all),
        # Windows that are blended show in the mask, so their size counts.
        "max_ram": None if pilot.model.manifest.window_invariant else pilot.max_ram,
    }
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def _stamp(path: Path) -> list[int]:
    try:
        found = path.stat()
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns]
