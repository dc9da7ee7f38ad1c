"""Measuring models alike, one after another; a killed suite goes on where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from satsqueeze.bench.energy import (
    DeviceProfile,
    Energy,
    Meter,
    NotMeasured,
    Work,
    estimate_energy,
    find_meter,
    measure_energy,
)
from satsqueeze.bench.latency import LatencySettings, measure_package
from satsqueeze.bench.machine import this_machine
from satsqueeze.bench.row import ALL_SOURCES, BenchRow, Kind, Score
from satsqueeze.bench.row_file import record_row, write_rows
from satsqueeze.core.errors import SettingsError
from satsqueeze.core.files import sha256
from satsqueeze.core.manifest import FlightManifest
from satsqueeze.core.package import MANIFEST, read_manifest
from satsqueeze.core.run import fingerprint_of
from satsqueeze.flight.opening import open_package

_METRICS = ("precision", "recall", "specificity", "f1", "accuracy", "jaccard_per_image_mean", "calibration_error")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One row to be made."""

    name: str
    precision: str
    settings: object
    """What decides the row; anything that has a JSON form (see :func:`satsqueeze.core.run.plain`)."""
    make: Callable[[], BenchRow]


def run_suite(
    jobs: Sequence[Job], path: Path, *, on_progress: Callable[[int, int, str], None] | None = None
) -> tuple[BenchRow, ...]:
    """Make the rows that are absent from ``path`` or were made from other settings, each written as it is made.

    Args:
        jobs: one per name and precision, in the order of the rows.
        path: JSON-lines file; rows of other models in it are dropped once all of these are there.
        on_progress: called with (done, all, name) before each job.

    Raises:
        SettingsError: two jobs make the same row.
        RunError: the file cannot be read or written.
    """
    keys = [(job.name, job.precision) for job in jobs]
    if len(set(keys)) < len(keys):
        raise SettingsError(f"each name and precision may be measured once, got {sorted(keys)}")
    for done, job in enumerate(jobs):
        fingerprint = fingerprint_of(job.settings)
        if any(row.key == (job.name, job.precision) and row.fingerprint == fingerprint for row in BenchRow.read(path)):
            continue
        if on_progress is not None:
            on_progress(done, len(jobs), job.name)
        row = job.make()
        record_row(
            path,
            row.model_copy(update={"name": job.name, "precision": job.precision, "fingerprint": fingerprint}),
        )
    found = {row.key: row for row in BenchRow.read(path)}
    rows = tuple(found[key] for key in keys)
    write_rows(path, rows)
    return rows


@dataclass(frozen=True, kw_only=True)
class PackageFacts:
    """What a package does not say about itself."""

    kind: Kind = "student"
    scores: tuple[Score, ...] = ()
    peak_activation_bytes: int | None = None
    bytes_moved_per_pixel: float | None = None
    """Of float32 weights and activations, for an estimate of energy."""
    train_minutes: float | None = None
    seeds: int = 1
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PackageBench:
    """How flight packages are measured, the same for all that are compared."""

    latency: LatencySettings = field(default_factory=LatencySettings)
    energy_repeats: int = 20
    """Predictions for one energy figure; at least 1."""
    energy_profile: str = ""
    """YAML file of a device (name, joules_per_mac, joules_per_byte, source), by which energy is estimated instead of
    measured; the figure says so."""

    def __post_init__(self) -> None:
        if self.energy_repeats < 1:
            raise SettingsError(f"energy_repeats must be at least 1, got {self.energy_repeats}")


def package_jobs(
    package: Path, facts: PackageFacts, settings: PackageBench, *, name: str = "", meter: Meter | None = None
) -> list[Job]:
    """One job for each precision that a package has.

    Args:
        package: folder of a flight package.
        facts: what the package does not say.
        settings: of the measurement.
        name: of the rows; by default the package's.
        meter: of energy; by default the best this machine has.
    """
    manifest = read_manifest(package)
    profile = DeviceProfile.read(Path(settings.energy_profile)) if settings.energy_profile else None
    key = {"package": sha256(package / MANIFEST), "facts": facts, "settings": settings, "profile": profile}
    chosen = meter or find_meter()
    return [
        Job(
            name=name or manifest.name,
            precision=precision,
            settings={**key, "precision": precision},
            make=_Measurement(package, facts, settings, precision, profile or chosen),
        )
        for precision in _precisions(manifest)
    ]


def scores_of(result: Mapping[str, Any], protocol: str) -> tuple[Score, ...]:
    """The record of :func:`satsqueeze.bench.evaluate.evaluate` as scores: all sources, then each."""
    parts = {ALL_SOURCES: result, **(result["sources"] if len(result["sources"]) > 1 else {})}
    return tuple(
        Score(
            protocol=protocol,
            source=source,
            jaccard=part["jaccard"],
            images=part["images"],
            further={name: part[name] for name in _METRICS if name in part},
        )
        for source, part in parts.items()
    )


def _precisions(manifest: FlightManifest) -> list[Literal["fp32", "int8"]]:
    return [p for p in ("fp32", "int8") if any(graph.precision == p for graph in manifest.graphs)]


@dataclass(frozen=True)
class _Measurement:
    package: Path
    facts: PackageFacts
    settings: PackageBench
    precision: Literal["fp32", "int8"]
    meter: Meter | DeviceProfile

    def __call__(self) -> BenchRow:
        manifest = read_manifest(self.package)
        network, predict = measure_package(self.package, self.settings.latency, precision=self.precision)
        return BenchRow(
            name=manifest.name,
            kind=self.facts.kind,
            precision=self.precision,
            scores=self.facts.scores,
            parameters=manifest.parameters,
            macs_per_pixel=manifest.macs_per_pixel,
            macs_input=manifest.macs_input,
            fp32_bytes=_bytes(manifest, "fp32"),
            int8_bytes=_bytes(manifest, "int8"),
            peak_activation_bytes=self.facts.peak_activation_bytes,
            latency=predict,
            network_latency=network,
            energy=self._energy(manifest),
            train_minutes=self.facts.train_minutes,
            seeds=self.facts.seeds,
            machine=this_machine(),
            notes=self.facts.notes,
        )

    def _energy(self, manifest: FlightManifest) -> Energy | NotMeasured:
        """Of a megapixel."""
        timing = self.settings.latency
        if isinstance(self.meter, DeviceProfile):
            moved = self.facts.bytes_moved_per_pixel
            if moved is None:
                return NotMeasured("how many bytes this network moves is not known")
            width = 1 if self.precision == "int8" else 4
            work = Work(macs=1e6 * manifest.macs_per_pixel, bytes_moved=1e6 * moved * width / 4)
            return estimate_energy(work, self.meter)
        model = open_package(self.package, engine=timing.engine, precision=self.precision, threads=timing.threads)
        shape = (len(model.bands), timing.height, timing.width)
        image = np.random.default_rng(0).random(shape, dtype=np.float32)
        found = measure_energy(
            lambda: model.predict(image, model.bands), self.meter, repeats=self.settings.energy_repeats
        )
        if isinstance(found, NotMeasured):
            return found
        mpixels = timing.height * timing.width / 1e6
        return Energy(
            joules=found.joules / mpixels, seconds=found.seconds / mpixels, domain=found.domain, method=found.method
        )


def _bytes(manifest: FlightManifest, precision: str) -> int | None:
    sizes = [
        manifest.files[graph.file].bytes
        for graph in manifest.graphs
        if graph.precision == precision and graph.engine == "onnx" and graph.file in manifest.files
    ]
    return min(sizes, default=None)
