"""``satsqueeze bench``: every model of a run, measured alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from json import dumps
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from satsqueeze.bench.latency import Latency, measure_latency
from satsqueeze.bench.machine import this_machine
from satsqueeze.bench.row import BenchRow
from satsqueeze.bench.suite import Job, PackageBench, PackageFacts, package_jobs, run_suite, scores_of
from satsqueeze.cli.distill import own_teacher
from satsqueeze.cli.export import packaged
from satsqueeze.cli.progress import progress
from satsqueeze.cli.scores import TEST, WHOLE, WHOLE_IMAGES, kept_score, score_images, score_package
from satsqueeze.cli.stage import PACKAGES, PLAN, ROWS, TEACHER, open_run, require, require_unchanged, run_stage
from satsqueeze.cli.table import print_table
from satsqueeze.core.errors import BandError, SettingsError
from satsqueeze.core.files import read_json, sha256
from satsqueeze.core.package import MANIFEST, read_manifest
from satsqueeze.core.run import RunFolder
from satsqueeze.core.window import up
from satsqueeze.data.stage import Prepared, load_prepared
from satsqueeze.distill.ladder import Rung
from satsqueeze.distill.stage import LADDER, DistillSettings, read_ladder
from satsqueeze.flight.runtime import Precision
from satsqueeze.learn.scoring.evaluate import ScoreSettings
from satsqueeze.learn.scoring.postprocess import PostProcessing
from satsqueeze.learn.scoring.segmenter import Segmenter
from satsqueeze.learn.scoring.sliding import mask_of, predict_logits
from satsqueeze.learn.scoring.threshold import ThresholdModel
from satsqueeze.nets.cost import COST_SIDE, Cost, cost
from satsqueeze.nets.model import load_model
from satsqueeze.plan.stage import TrainPlan

PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")
_REPEATS = 3  # the teacher and the threshold do not fly: a rough figure is enough


def command(
    run: Path,
    bench: PackageBench = PackageBench(),  # noqa: B008 - frozen, and shown as the default
    json: bool = False,
) -> int:
    """Score every model of a run on its test images and measure cost, latency and energy.

    Args:
        run: run folder with exported packages.
        bench: settings of the measurement.
        json: print the rows as JSON lines instead of a table.
    """
    rows = bench_stage(open_run(run), bench)
    if json:
        for row in rows:
            print(dumps(row.to_dict()))
    else:
        print_table(rows, read_ladder(run / LADDER))
    return 0


def bench_stage(run: RunFolder, settings: PackageBench) -> tuple[BenchRow, ...]:
    """Make ``bench.jsonl``, one line per model and precision; measured ones are kept.

    Raises:
        RunError: the students have not been exported, or were before they were distilled anew.
    """
    require(run, "export")
    require_unchanged(run, "export", ladder=read_json(run / LADDER))
    prepared = load_prepared(run)
    bench = _Bench(run=run, prepared=prepared, planned=TrainPlan.read(run / PLAN), settings=settings)
    key = {**prepared.key, **models_of(run), "bench": settings}

    def work() -> dict[str, Any]:
        with progress("measuring") as advance:
            rows = run_suite(bench.jobs(), run / ROWS, on_progress=lambda done, total, _: advance(done, total))
        return {"rows": [row.to_dict() for row in rows]}

    found = run_stage(run, "bench", key, work, outputs=(ROWS,))
    return tuple(BenchRow.from_dict(row) for row in found["rows"])


def models_of(run: RunFolder) -> dict[str, Any]:
    """What is measured, as the key of the stage holds it: teacher, ladder, and packages by what they hold."""
    return {
        "teacher": require(run, "train") if (run / TEACHER).exists() else {},
        "ladder": read_json(run / LADDER),
        "packages": {rung.name: sha256(run / f"{PACKAGES}/{rung.name}/{MANIFEST}") for rung in packaged(run)},
    }


@dataclass(frozen=True, kw_only=True)
class _Bench:
    """The models of a run."""

    run: RunFolder
    prepared: Prepared
    planned: TrainPlan
    settings: PackageBench

    def jobs(self) -> list[Job]:
        """One job per row, the baseline first."""
        jobs = []
        cache = self.prepared.cache
        try:
            threshold = ThresholdModel(cache.bands, cache.classes, cache.foreground)
        except (BandError, SettingsError):  # no green and red, or no foreground: there is no such baseline
            threshold = None
        if threshold is not None:
            jobs.append(self._job("threshold", {}, lambda: self._threshold(threshold)))
        if (self.run / TEACHER).exists():
            jobs.append(self._job("teacher", require(self.run, "train"), self._teacher))
        for rung in packaged(self.run):
            jobs += self._student(rung)
        return jobs

    def _job(self, name: str, key: object, make: Callable[[], BenchRow]) -> Job:
        settings = {**self.prepared.key, "model": key, "bench": self.settings}
        return Job(name=name, precision="fp32", settings=settings, make=make)

    def _threshold(self, model: ThresholdModel) -> BenchRow:
        found = self._score("threshold-fp32", {}, lambda: score_images(model, self.prepared, WHOLE_IMAGES))
        return BenchRow(
            name="threshold",
            kind="threshold",
            scores=scores_of(found, TEST),
            latency=self._latency(model, window=WHOLE),
            machine=this_machine(),
            notes=("cloud where green > 0.175 and green > red, or green > 0.39",),
        )

    def _teacher(self) -> BenchRow:
        teacher = own_teacher(self.run, self.planned, DistillSettings())
        window = max(self.planned.unet.patch_size)
        ensemble, members = teacher.ensemble, len(teacher.ensemble.models)
        record = require(self.run, "train")
        clean = _adopted(record)
        settings = ScoreSettings(window=window, mirror=True, postprocess=clean)
        found = self._score(
            "teacher-fp32",
            {"fingerprint": teacher.fingerprint, "postprocess": clean},
            lambda: score_images(ensemble, self.prepared, settings),
        )
        told = clean.told(self.prepared.cache.classes)
        figures = _figures(self.run / f"{TEACHER}/fold_0", side=up(COST_SIDE, ensemble.size_multiple))
        weights = [path.stat().st_size for path in sorted((self.run / TEACHER).glob("fold_*/weights.safetensors"))]
        return BenchRow(
            name="teacher",
            kind="teacher",
            scores=scores_of(found, TEST),
            parameters=members * figures.parameters,
            macs_per_pixel=members * figures.macs_per_pixel,
            macs_input=f"{figures.height}x{figures.width}",
            fp32_bytes=sum(weights),
            peak_activation_bytes=figures.peak_activation_bytes,
            latency=self._latency(ensemble, window=window),
            train_minutes=record["train_minutes"],
            machine=this_machine(),
            notes=(
                f"ensemble of {members} networks of {figures.parameters:,} parameters, one per fold",
                *((f"masks post-processed: {told}",) if told else ()),
            ),
        )

    def _student(self, rung: Rung) -> list[Job]:
        """One job per precision of its package."""
        package = self.run / f"{PACKAGES}/{rung.name}"
        manifest = read_manifest(package)
        side = int(manifest.macs_input.split("x")[0])
        figures = _figures(self.run / rung.folder, side=side)
        facts = PackageFacts(
            peak_activation_bytes=figures.peak_activation_bytes,
            bytes_moved_per_pixel=figures.bytes_moved / (figures.height * figures.width),
            train_minutes=rung.train_minutes,
            notes=(f"{rung.compression:,.0f} times fewer parameters than one network of the teacher",),
        )
        key = {"package": sha256(package / MANIFEST), "decided": "in the graph"}  # unlike scores of older versions
        jobs = []
        for precision in PRECISIONS:
            if any(graph.precision == precision for graph in manifest.graphs):
                found = self._score(f"{rung.name}-{precision}", key, self._flight_score(package, precision))
                scored = replace(facts, scores=scores_of(found, TEST))
                every = package_jobs(package, scored, self.settings, name=rung.name)
                jobs += [job for job in every if job.precision == precision]
        return jobs

    def _flight_score(self, package: Path, precision: Precision) -> Callable[[], dict[str, Any]]:
        return lambda: score_package(package, precision, self.prepared)

    def _score(self, name: str, key: object, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        return kept_score(self.run, name, {**self.prepared.key, "model": key}, work)

    def _latency(self, model: Segmenter, *, window: int) -> Latency:
        """Of a model that runs on torch, scored as it is here."""
        timing = self.settings.latency

        def predict(image: NDArray[np.float32]) -> NDArray[np.uint8]:
            return mask_of(predict_logits(model, image, window=window, mirror=window < WHOLE))

        fewer = replace(
            timing,
            threads=torch.get_num_threads(),
            repeats=min(_REPEATS, timing.repeats),
            warmup=min(1, timing.warmup),
        )
        return measure_latency(predict, fewer, channels=len(self.prepared.cache.bands), engine="torch")


def _adopted(trained: Mapping[str, Any]) -> PostProcessing:
    """What is done to the teacher's masks, by the record of its training."""
    record = trained.get("postprocessing")
    return PostProcessing.from_dict(record["adopted"]) if record else PostProcessing()


def _figures(folder: Path, *, side: int) -> Cost:
    return cost(load_model(folder), height=side, width=side)
