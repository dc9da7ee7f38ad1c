"""Grouped cross-validation of a whole recipe: threshold, baselines, teachers and distilled students.

Every labelled image is predicted by models that never saw its scene, and nothing is chosen on it: networks keep their
last weights. Networks may start by learning what no fold touches (generated, composed and unlabelled images); that
start is made once per network and seed, and shared by the folds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from satsqueeze.bench.contender import network_config
from satsqueeze.bench.fold_counts import Candidate, FoldCounts
from satsqueeze.bench.network_figures import COST_SIDE, network_figures, with_latency
from satsqueeze.bench.recipe import NetworkSettings, Recipe
from satsqueeze.bench.row import BenchRow, Kind, write_rows
from satsqueeze.core.errors import RunError
from satsqueeze.core.package import FlightManifest, Quality
from satsqueeze.core.run import RunFolder
from satsqueeze.core.scaling import Scaling
from satsqueeze.data.cache import PackedCache, pack
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.fingerprint import fingerprint
from satsqueeze.data.sampler import SoftTargets
from satsqueeze.data.splits import Split, grouped_folds
from satsqueeze.distill.corrected import Corrected
from satsqueeze.distill.objective import Distillation
from satsqueeze.distill.soft import Teacher, teach
from satsqueeze.distill.teachers import ModelTeacher, OnnxContract, OnnxTeacher
from satsqueeze.export.stage import export_package
from satsqueeze.flight.runtime import open_package
from satsqueeze.learn.fit import fit
from satsqueeze.learn.losses import DiceCE, Objective
from satsqueeze.learn.segmenter import Segmenter
from satsqueeze.learn.settings import FitSettings
from satsqueeze.learn.threshold import ThresholdModel
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.model import SegmentationModel, build_model, load_model
from satsqueeze.nets.onnx_weights import start_from_onnx
from satsqueeze.nets.unet_config import UNetConfig


class Crossval:
    """One cross-validation, kept in a run folder and resumable at every training.

    Args:
        recipe: what to do.
        run: where everything is kept.
        say: told what is being done.
    """

    def __init__(self, recipe: Recipe, run: RunFolder, say: Callable[[str], None] = print) -> None:
        self.recipe, self.run, self.say = recipe, run, say

    @cached_property
    def cache(self) -> PackedCache:
        """The packed data."""
        return pack(open_dataset(self.recipe.data), self.run / "data", bands=self.recipe.bands)

    @cached_property
    def folds(self) -> tuple[Split, ...]:
        """Splits by scene of the labelled images; all else is on every training side."""
        return grouped_folds(self.cache.entries, folds=self.recipe.folds, seed=self.recipe.seed)

    @cached_property
    def counts(self) -> FoldCounts:
        """What has been scored."""
        return FoldCounts(self.run / "scores", self.cache, self.folds, self.recipe.export.buffer_m)

    @cached_property
    def untouched(self) -> tuple[str, ...]:
        """Items that no fold validates on and that share no group with one that is."""
        return tuple(sorted(set.intersection(*(set(split.train) for split in self.folds))))

    @cached_property
    def frozen_teachers(self) -> list[Teacher]:
        """The ONNX teachers."""
        return [OnnxTeacher(f.path, OnnxContract.read(f.contract)) for f in self.recipe.teacher_files]

    def execute(self, only: Sequence[str] = ()) -> tuple[BenchRow, ...]:
        """Train and score what is missing, or only the networks named; returns a row per model and precision.

        Raises:
            SettingsError: a name that the recipe does not have.
            RunError: the run folder holds a network of that name that was trained otherwise.
        """
        chosen = [self.recipe.network(name) for name in only] or self.recipe.networks
        self._score("threshold", 0, lambda _: ThresholdModel(self.recipe.bands))
        for file, teacher in zip(self.recipe.teacher_files, self.frozen_teachers, strict=True):
            self._score_teacher(file.contract.stem, teacher)
        for settings in chosen:
            self._claim(settings)
            for seed in settings.seeds:
                self._score(settings.name, seed, partial(self.trained, settings, seed))
                if settings.kind == "student" and seed in settings.seeds[: self.recipe.int8_seeds]:
                    self._score_int8(settings, seed)
        rows = tuple(self._measured(row) for row in self.rows())
        write_rows(self.run / "rows.jsonl", rows)
        return rows

    def _claim(self, settings: NetworkSettings) -> None:
        """Refuse trainings and scores that another recipe left under the same name."""
        place = f"network/{settings.name}"
        asked = self.recipe.making(settings) | {"data": self.cache.fingerprint}
        if not self.run.is_done(place, asked):
            if self.run.has(place):
                raise RunError(
                    f"{self.run.path} holds '{settings.name}' as another recipe or other data made it; choose a new "
                    "--out, or give the network another name"
                )
            self.run.finish(place, asked, {}, seconds=0.0)

    def trained(self, settings: NetworkSettings, seed: int, fold: int | None) -> SegmentationModel:
        """The network trained without the validation scenes of a fold; with fold None, on everything."""
        if settings.fit is None:
            return self._started(settings, seed)
        ids = self.cache.ids if fold is None else self.folds[fold].train
        place = self.run / ("all" if fold is None else f"fold_{fold}") / settings.name / f"seed_{seed}"
        if (place / "metrics.json").exists():
            return load_model(place)
        soft = self._answers(settings, fold) if settings.teacher_share else None
        model = self._started(settings, seed)
        self.say(f"training {settings.name}, seed {seed}, {'all scenes' if fold is None else f'fold {fold}'}")
        how = replace(settings.fit, seed=settings.fit.seed + seed)
        self._fit(model, ids, settings, how, place, soft)
        return model

    def _started(self, settings: NetworkSettings, seed: int) -> SegmentationModel:
        place = self.run / "start" / settings.name / f"seed_{seed}"
        if settings.start is not None and (place / "metrics.json").exists():
            return load_model(place)
        model = build_model(self._card(settings), seed=seed)
        if settings.onnx_start is not None:
            start_from_onnx(model.net.net, settings.onnx_start)  # type: ignore[arg-type]
        if settings.continues:
            model.load_state_dict(self._started(self.recipe.network(settings.continues), seed).state_dict())
        if settings.start is None:
            return model
        soft = self._taught(settings, self._teachers(settings, folds=()), self.cache.ids)
        self.say(f"starting {settings.name}, seed {seed}, on what no fold touches")
        how = replace(settings.start, seed=settings.start.seed + seed)
        self._fit(model, self.untouched, settings, how, place, soft)
        return model

    def _fit(  # noqa: PLR0917 - what is trained, on what, how and where to
        self,
        model: SegmentationModel,
        ids: Sequence[str],
        settings: NetworkSettings,
        how: FitSettings,
        place: Path,
        soft: SoftTargets | None,
    ) -> None:
        present = {self.cache.entries[self.cache.position(item)].source for item in ids}
        weights = {source: self.cache.weights.get(source, 1.0) for source in present}
        objective: Objective = DiceCE()
        if soft is not None:
            share = settings.teacher_share or 0.5
            objective = Distillation(hard=objective, weight=share, temperature=self.recipe.temperature)
        how = replace(how, source_weights=weights, keep="last")
        fit(model, self.cache, Split(train=tuple(ids), validation=()), how, place, objective=objective, soft=soft)

    def _answers(self, settings: NetworkSettings, fold: int | None) -> SoftTargets | None:
        """What a network's teachers say about the training images of a fold; with fold None, those of all folds."""
        every = fold is None or all(self.recipe.network(name).fit is None for name in settings.teachers)
        teachers = self._teachers(settings, folds=range(len(self.folds)) if fold is None else [fold])
        return self._taught(settings, teachers, self.cache.ids if every or fold is None else self.folds[fold].train)

    def _teachers(self, settings: NetworkSettings, folds: Sequence[int]) -> list[Teacher]:
        """The teachers of a network, as far as they were trained without the other folds' images."""
        named = [self.recipe.network(name) for name in settings.teachers]
        started = [
            (f"{n.name}-seed-{seed}", self._started(n, seed)) for n in named if n.fit is None for seed in n.seeds
        ]
        fitted = [(f"{n.name}-{k}", self.trained(n, n.seeds[0], k)) for n in named if n.fit is not None for k in folds]
        learnt = [ModelTeacher(name, [model], window=COST_SIDE) for name, model in (*started, *fitted)]
        return [*learnt, *self.frozen_teachers]

    def _taught(self, settings: NetworkSettings, teachers: Sequence[Teacher], ids: Sequence[str]) -> SoftTargets | None:
        if not teachers:
            return None
        answers = teach(teachers, self.cache, ids, self.run / "soft")
        return Corrected(answers, self.cache, settings.exact) if settings.exact else answers

    def _card(self, settings: NetworkSettings) -> ModelCard:
        """What a network of the recipe is, on this data."""
        config = network_config(
            settings.network,
            bands=len(self.cache.bands),
            classes=len(self.cache.classes),
            shape=self.recipe.planned_shape,
        )
        return ModelCard(
            name=settings.name,
            family="unet" if isinstance(config, UNetConfig) else "smp-unet-resnet34",
            config=config,
            scaling=self._scaling(settings),
            normalisation=settings.normalisation,
            bands=self.cache.bands,
            classes=self.cache.classes,
            foreground=self.cache.foreground,
        )

    def _scaling(self, settings: NetworkSettings) -> Scaling:
        if settings.onnx_scaling:
            contract = OnnxContract.read(self.recipe.teacher_files[0].contract)
            return Scaling(bands=contract.bands, mean=contract.mean, std=contract.std)
        return fingerprint(self.cache, self.untouched or None).scaling()

    def _score(self, name: str, seed: int, model_of: Callable[[int], Segmenter]) -> None:
        mirror = name in {n.name for n in self.recipe.networks if n.kind == "teacher"}
        window = self.recipe.planned_shape[0] if mirror else 512
        candidate = Candidate(name=name, seed=seed)
        for fold in self.counts.missing(candidate):
            jaccard = self.counts.score(candidate, fold, model_of(fold), mirror=mirror, window=window)
            self.say(f"{name}, seed {seed}, fold {fold}: Jaccard {jaccard:.3f}")

    def _score_teacher(self, name: str, teacher: Teacher) -> None:
        def answer(item: int) -> NDArray[np.uint8]:
            image = self.cache.image(item)[[self.cache.bands.index(band) for band in teacher.bands]]
            mask: NDArray[np.uint8] = teacher.probabilities(image).argmax(axis=0).astype(np.uint8)
            return mask

        candidate = Candidate(name=name)
        for fold in self.counts.missing(candidate):
            self.counts.count(candidate, fold, answer)

    def _score_int8(self, settings: NetworkSettings, seed: int) -> None:
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
        ids = self.cache.ids if fold is None else self.folds[fold].train
        entries = [self.cache.entries[self.cache.position(item)] for item in ids]
        judged = [entry.id for entry in entries if entry.labelled and entry.role == "evaluate"]
        return export_package(
            self.trained(settings, seed, fold),
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
        row = BenchRow(name=name, kind=kind, precision=precision, scores=self.counts.scores(seeds), seeds=len(seeds))
        if settings is None:
            return row
        trainings = sorted(path.parent for path in self.run.path.glob(f"*/{settings.name}/seed_*/metrics.json"))
        package = self._fold_package(settings, settings.seeds[0], 0)
        return row.model_copy(update=network_figures(self._card(settings), trainings=trainings, package=package))

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
        quality = [
            Quality(
                metric="jaccard",
                value=found.jaccard,
                protocol=f"{found.protocol}; source {found.source}, {found.images} images; cloud = thick or thin; "
                "whole images, arg-max, no test-time augmentation; the shipped weights saw all scenes",
                graph=row.precision,
                seeds=found.seeds,
            )
            for row in rows
            for found in row.scores
            if found.jaccard is not None
        ]
        description = "Cloud (thick or thin) in Sentinel-2 and Landsat-8 reflectance; shadow counts as clear."
        training = {"recipe": self.recipe, "scenes": "all"}
        return self.package(
            settings, settings.seeds[0], None, folder, description=description, quality=quality, training=training
        )
