"""Grouped cross-validation of a whole recipe: threshold, baselines, teachers and distilled students.

Every labelled image is predicted by models that never saw its scene, and nothing is chosen on it: networks keep their
last weights. Networks may start by learning what no fold touches (generated, composed and unlabelled images); that
start is made once per network and seed, and shared by the folds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from satsqueeze.bench.folds.counts import Candidate, FoldCounts
from satsqueeze.bench.folds.network_figures import network_figures, with_latency
from satsqueeze.bench.folds.recipe import NetworkSettings, Recipe
from satsqueeze.bench.folds.trainings import FoldTrainings
from satsqueeze.bench.row import BenchRow, Kind
from satsqueeze.bench.row_file import write_rows
from satsqueeze.core.manifest import FlightManifest, Quality
from satsqueeze.core.run import RunFolder
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.distill.soft import Teacher, require_same_classes
from satsqueeze.export.stage import export_package
from satsqueeze.flight.opening import open_package
from satsqueeze.learn.scoring.segmenter import Segmenter
from satsqueeze.learn.scoring.threshold import ThresholdModel


class Crossval:
    """One cross-validation, kept in a run folder and resumable at every training.

    Args:
        recipe: what to do.
        run: where everything is kept.
        say: told what is being done.
    """

    def __init__(self, recipe: Recipe, run: RunFolder, say: Callable[[str], None] = print) -> None:
        self.recipe, self.run, self.say = recipe, run, say
        self.trainings = FoldTrainings(recipe, run, say)

    @property
    def cache(self) -> PackedCache:
        """The packed data."""
        return self.trainings.cache

    @cached_property
    def counts(self) -> FoldCounts:
        """What has been scored."""
        return FoldCounts(self.run / "scores", self.cache, self.trainings.folds, self.recipe.export.buffer_m)

    def execute(self, only: Sequence[str] = ()) -> tuple[BenchRow, ...]:
        """Train and score what is missing, or only the networks named; returns a row per model and precision.

        Raises:
            SettingsError: a name that the recipe does not have.
            RunError: the run folder holds a network of that name that was trained otherwise.
        """
        chosen = [self.recipe.network(name) for name in only] or self.recipe.networks
        if self.cache.foreground:
            bands, classes, cloud = self.cache.bands, self.cache.classes, self.cache.foreground
            self._score("threshold", 0, lambda _: ThresholdModel(bands, classes, cloud))
        for file, teacher in zip(self.recipe.teacher_files, self.trainings.frozen_teachers, strict=True):
            self._score_teacher(file.contract.stem, teacher)
        for settings in chosen:
            self.trainings.claim(settings)
            for seed in settings.seeds:
                self._score(settings.name, seed, partial(self.trainings.trained, settings, seed))
                if settings.kind == "student" and seed in settings.seeds[: self.recipe.int8_seeds]:
                    self._score_int8(settings, seed)
        rows = tuple(self._measured(row) for row in self.rows())
        write_rows(self.run / "rows.jsonl", rows)
        return rows

    def _score(self, name: str, seed: int, model_of: Callable[[int], Segmenter]) -> None:
        mirror = self._is_mirrored(name)
        window = self.recipe.planned_shape[0] if mirror else 512
        candidate = Candidate(name=name, seed=seed)
        for fold in self.counts.missing(candidate):
            jaccard = self.counts.score(candidate, fold, model_of(fold), mirror=mirror, window=window)
            self.say(f"{name}, seed {seed}, fold {fold}: Jaccard {jaccard:.3f}")

    def _is_mirrored(self, name: str) -> bool:
        """Teachers answer as they teach."""
        return name in {network.name for network in self.recipe.networks if network.kind == "teacher"}

    def _score_teacher(self, name: str, teacher: Teacher) -> None:
        require_same_classes(teacher, self.cache)

        def answer(item: int) -> NDArray[np.uint8]:
            image = self.cache.image(item)[[self.cache.bands.index(band) for band in teacher.bands]]
            mask: NDArray[np.uint8] = teacher.probabilities(image).argmax(axis=0).astype(np.uint8)
            return mask

        candidate = Candidate(name=name)
        for fold in self.counts.missing(candidate):
            self.counts.count(candidate, fold, answer)

    def _score_int8(self, settings: NetworkSettings, seed: int) -> None:
        self._claim_int8(settings)
        candidate = Candidate(name=settings.name, precision="int8", seed=seed)
        for fold in self.counts.missing(candidate):
            folder = self._fold_package(settings, seed, fold)
            if not folder.exists():
                self.package(settings, seed, fold, folder, description="a fold of a cross-validation")
            flown = open_package(folder, engine="onnx", precision="int8")

            def answer(item: int, flown: object = flown) -> NDArray[np.uint8]:
                valid = self.cache.valid(item)
                mask = flown.predict(self.cache.image(item), bands=self.cache.bands, valid=valid)  # type: ignore[attr-defined]
                return np.asarray(mask)

            self.counts.count(candidate, fold, answer)

    def _claim_int8(self, settings: NetworkSettings) -> None:
        """Refuse packages and scores of int8 that were exported otherwise."""
        place = f"int8/{settings.name}"
        refusal = (
            f"{self.run.path} holds '{settings.name}' in int8 as other export settings made it; choose a new --out, or "
            "give the network another name"
        )
        if self.run.is_due(place, self.recipe.export, refusal=refusal):
            self.run.finish(place, self.recipe.export, {}, seconds=0.0)

    def package(
        self,
        settings: NetworkSettings,
        seed: int,
        fold: int | None,
        folder: Path,
        *,
        description: str,
        quality: Sequence[Quality] = (),
        training: Mapping[str, object] | None = None,
    ) -> FlightManifest:
        """Export a trained student; int8 is judged on labelled training images, so that no validation image decides."""
        ids = self.cache.ids if fold is None else self.trainings.folds[fold].train
        entries = [self.cache.entries[self.cache.position(item)] for item in ids]
        judged = [entry.id for entry in entries if entry.labelled and entry.role == "evaluate"]
        return export_package(
            self.trainings.trained(settings, seed, fold),
            self.cache,
            ids,
            judged,
            self.recipe.export,
            folder,
            name=folder.name,
            description=description,
            quality=quality,
            training=training,
        )

    def rows(self) -> tuple[BenchRow, ...]:
        """One row per model and precision that has been scored in all folds."""
        named: list[tuple[str, Kind, NetworkSettings | None]] = [("threshold", "threshold", None)]
        named += [(file.contract.stem, "teacher", None) for file in self.recipe.teacher_files]
        named += [(n.name, n.kind, n) for n in self.recipe.networks]
        found = [self._row(name, kind, n, precision) for name, kind, n in named for precision in ("fp32", "int8")]
        return tuple(row for row in found if row is not None)

    def _row(self, name: str, kind: Kind, settings: NetworkSettings | None, precision: str) -> BenchRow | None:
        drawn = settings.seeds if settings else (0,)
        every = [Candidate(name=name, precision=precision, seed=seed) for seed in drawn]
        seeds = [candidate for candidate in every if not self.counts.missing(candidate)]
        if not seeds:
            return None
        scores = self.counts.scores(seeds, mirrored=self._is_mirrored(name))
        row = BenchRow(name=name, kind=kind, precision=precision, scores=scores, seeds=len(seeds))
        if settings is None:
            return row
        trainings = sorted(path.parent for path in self.run.path.glob(f"*/{settings.name}/seed_*/metrics.json"))
        package = self._fold_package(settings, settings.seeds[0], 0)
        return row.model_copy(
            update=network_figures(self.trainings.card(settings), trainings=trainings, package=package)
        )

    def _measured(self, row: BenchRow) -> BenchRow:
        """The row with the latency of the first seed's package, where there is one."""
        known = {settings.name: settings for settings in self.recipe.networks}
        package = self._fold_package(known[row.name], known[row.name].seeds[0], 0) if row.name in known else None
        return row if package is None or not package.exists() else with_latency(row, package)

    def _fold_package(self, settings: NetworkSettings, seed: int, fold: int) -> Path:
        return self.run / "packages" / f"{settings.name}-fold-{fold}-seed-{seed}"

    def ship(self, name: str, folder: Path) -> FlightManifest:
        """Train a student on all scenes from the teachers of all folds, and package it with its cross-validated scores.

        Raises:
            SettingsError: the recipe has no such network.
            ParityError: the package does not pass its gate; nothing is written.
        """
        settings = self.recipe.network(name)
        rows = [row for row in self.rows() if row.name == name]
        learnt = "the weights that ship learnt from all of these images"
        if settings.fit is None:
            learnt = (
                "the weights that ship are those of the first seed, which learnt from none of these images; their int8 "
                "graph is calibrated on all of them"
            )
        cache = self.cache
        judged = " + ".join(cache.classes[value] for value in cache.foreground) or "mean of the classes"
        quality = [
            Quality(
                metric="jaccard",
                value=found.jaccard,
                protocol=f"{found.protocol}; source {found.source}, {found.images} images; {judged}; "
                f"whole images, arg-max, no test-time augmentation; {learnt}",
                graph=row.precision,
                seeds=found.seeds,
            )
            for row in rows
            for found in row.scores
            if found.jaccard is not None
        ]
        description = self.recipe.description or f"{', '.join(cache.classes)} from {', '.join(cache.bands)}"
        training = {"recipe": self.recipe, "scenes": "all" if settings.fit is not None else "none that is scored"}
        return self.package(
            settings, settings.seeds[0], None, folder, description=description, quality=quality, training=training
        )
