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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satsqueeze.bench.contender import network_config
from satsqueeze.bench.latency import LatencySettings, measure_package
from satsqueeze.bench.machine import this_machine
from satsqueeze.bench.pooled import pool, seed_scores, write_counts
from satsqueeze.bench.recipe import NetworkSettings, Recipe
from satsqueeze.bench.row import BenchRow, Kind, write_rows
from satsqueeze.core.files import read_json
from satsqueeze.core.metrics import confusion
from satsqueeze.core.package import FlightManifest, Graph, Quality, read_manifest
from satsqueeze.core.run import RunFolder
from satsqueeze.core.scaling import Scaling
from satsqueeze.data.cache import PackedCache, pack
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.fingerprint import fingerprint
from satsqueeze.data.splits import Split, grouped_folds
from satsqueeze.distill.objective import Distillation
from satsqueeze.distill.selected import Selected
from satsqueeze.distill.soft import Teacher, teach
from satsqueeze.distill.teachers import ModelTeacher, OnnxContract, OnnxTeacher
from satsqueeze.export.stage import export_package
from satsqueeze.flight.runtime import open_package
from satsqueeze.learn.evaluate import score
from satsqueeze.learn.fit import fit
from satsqueeze.learn.losses import DiceCE, Objective
from satsqueeze.learn.segmenter import Segmenter
from satsqueeze.learn.settings import FitSettings
from satsqueeze.learn.threshold import ThresholdModel
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.cost import cost
from satsqueeze.nets.model import SegmentationModel, build_model, load_model
from satsqueeze.nets.onnx_weights import start_from_onnx
from satsqueeze.nets.unet_config import UNetConfig

COST_SIDE = 256
"""Height and width at which costs are counted, in pixels."""


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
        """
        chosen = [self.recipe.network(name) for name in only] or self.recipe.networks
        self._score("threshold", 0, lambda _: ThresholdModel(self.recipe.bands))
        for file, teacher in zip(self.recipe.teacher_files, self.frozen_teachers, strict=True):
            self._score_teacher(file.contract.stem, teacher)
        for settings in chosen:
            for seed in settings.seeds:
                self._score(settings.name, seed, partial(self.trained, settings, seed))
                if settings.kind == "student" and seed in settings.seeds[: self.recipe.int8_seeds]:
                    self._score_int8(settings, seed)
        rows = tuple(self._measured(row) for row in self.rows())
        write_rows(self.run / "rows.jsonl", rows)
        return rows

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
        self._fit(model, ids, settings, replace(settings.fit, seed=seed), place, soft)
        return model

    def _started(self, settings: NetworkSettings, seed: int) -> SegmentationModel:
        model = build_model(self._card(settings), seed=seed)
        if settings.onnx_start is not None:
            start_from_onnx(model.net.net, settings.onnx_start)  # type: ignore[arg-type]
        if settings.start is None:
            return model
        place = self.run / "start" / settings.name / f"seed_{seed}"
        if (place / "metrics.json").exists():
            return load_model(place)
        soft = self._taught(self._teachers(settings, folds=()), self.cache.ids)
        self.say(f"starting {settings.name}, seed {seed}, on what no fold touches")
        self._fit(model, self.untouched, settings, replace(settings.start, seed=seed), place, soft)
        return model

    def _fit(  # noqa: PLR0917 - what is trained, on what, how and where to
        self,
        model: SegmentationModel,
        ids: Sequence[str],
        settings: NetworkSettings,
        how: FitSettings,
        place: Path,
        soft: Selected | None,
    ) -> None:
        present = {self.cache.entries[self.cache.position(item)].source for item in ids}
        weights = {source: self.cache.weights.get(source, 1.0) for source in present}
        objective: Objective = DiceCE()
        if soft is not None:
            share = settings.teacher_share or 0.5
            objective = Distillation(hard=objective, weight=share, temperature=self.recipe.temperature)
        how = replace(how, source_weights=weights, keep="last")
        fit(model, self.cache, Split(train=tuple(ids), validation=()), how, place, objective=objective, soft=soft)

    def _answers(self, settings: NetworkSettings, fold: int | None) -> Selected | None:
        """What a network's teachers say about the training images of a fold; with fold None, those of all folds."""
        every = fold is None or all(self.recipe.network(name).fit is None for name in settings.teachers)
        teachers = self._teachers(settings, folds=range(len(self.folds)) if fold is None else [fold])
        return self._taught(teachers, self.cache.ids if every or fold is None else self.folds[fold].train)

    def _teachers(self, settings: NetworkSettings, folds: Sequence[int]) -> list[Teacher]:
        """The teachers of a network, as far as they were trained without the other folds' images."""
        named = [self.recipe.network(name) for name in settings.teachers]
        started = [
            (f"{n.name}-seed-{seed}", self._started(n, seed)) for n in named if n.fit is None for seed in n.seeds
        ]
        fitted = [(f"{n.name}-{k}", self.trained(n, n.seeds[0], k)) for n in named if n.fit is not None for k in folds]
        learnt = [ModelTeacher(name, [model], window=COST_SIDE) for name, model in (*started, *fitted)]
        return [*learnt, *self.frozen_teachers]

    def _taught(self, teachers: Sequence[Teacher], ids: Sequence[str]) -> Selected | None:
        if not teachers:
            return None
        asked = [i for i in ids if self.cache.entries[self.cache.position(i)].source not in self.recipe.exact]
        answers = teach(teachers, self.cache, asked, self.run / "soft")
        return Selected(answers, asked, len(self.cache.classes))

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
        for fold, split in enumerate(self.folds):
            path = self._counts_path(name, "fp32", seed, fold)
            if not path.exists():
                window = self.recipe.planned_shape[0] if mirror else 512
                found = score(model_of(fold), self.cache, split.validation, mirror=mirror, window=window)
                write_counts(path, found.metrics.images)
                self.say(f"{name}, seed {seed}, fold {fold}: Jaccard {found.jaccard:.3f}")

    def _score_teacher(self, name: str, teacher: Teacher) -> None:
        def answer(item: int) -> NDArray[np.uint8]:
            image = self.cache.image(item)[[self.cache.bands.index(band) for band in teacher.bands]]
            mask: NDArray[np.uint8] = teacher.probabilities(image).argmax(axis=0).astype(np.uint8)
            return mask

        for fold, split in enumerate(self.folds):
            self._count(self._counts_path(name, "fp32", 0, fold), split.validation, answer)

    def _score_int8(self, settings: NetworkSettings, seed: int) -> None:
        for fold, split in enumerate(self.folds):
            path = self._counts_path(settings.name, "int8", seed, fold)
            if path.exists():
                continue
            folder = self._fold_package(settings, seed, fold)
            if not folder.exists():
                self.package(settings, seed, fold, folder, description="a fold of a cross-validation")
            flown = open_package(folder, engine="onnx", precision="int8")

            def answer(item: int, flown: object = flown) -> NDArray[np.uint8]:
                valid = self.cache.valid(item)
                mask = flown.predict(self.cache.image(item), bands=self.cache.bands, valid=valid)  # type: ignore[attr-defined]
                return np.asarray(mask)

            self._count(path, split.validation, answer)

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
            [entry.id for entry in entries if entry.source not in self.recipe.exact],
            judged,
            self.recipe.export,
            folder,
            name=folder.name,
            description=description,
            quality=quality,
            training=training,
        )

    def _count(self, path: Path, ids: Sequence[str], answer: Callable[[int], NDArray[np.uint8]]) -> None:
        if path.exists():
            return
        counts = {}
        for item in ids:
            position = self.cache.position(item)
            counts[item] = confusion(self.cache.label(position), answer(position), len(self.cache.classes))
        write_counts(path, counts)

    def _counts_path(self, name: str, precision: str, seed: int, fold: int) -> Path:
        return self.run / "scores" / name / f"{precision}_seed_{seed}_fold_{fold}.json"

    def rows(self) -> tuple[BenchRow, ...]:
        """One row per model and precision that has been scored in all folds."""
        named: list[tuple[str, Kind, NetworkSettings | None]] = [("threshold", "threshold", None)]
        named += [(file.contract.stem, "teacher", None) for file in self.recipe.teacher_files]
        named += [(n.name, n.kind, n) for n in self.recipe.networks]
        found = [self._row(name, kind, n, precision) for name, kind, n in named for precision in ("fp32", "int8")]
        return tuple(row for row in found if row is not None)

    def _row(self, name: str, kind: Kind, settings: NetworkSettings | None, precision: str) -> BenchRow | None:
        every = [self._paths(name, precision, seed) for seed in (settings.seeds if settings else (0,))]
        seeds = [pool(paths) for paths in every if all(path.exists() for path in paths)]
        if not seeds:
            return None
        row = BenchRow(
            name=name,
            kind=kind,
            precision=precision,
            scores=seed_scores(seeds, self.cache.foreground, f"{len(self.folds)}-fold by scene, pooled"),
            seeds=len(seeds),
        )
        return row if settings is None else row.model_copy(update=self._costs(settings))

    def _costs(self, settings: NetworkSettings) -> dict[str, Any]:
        figures = cost(build_model(self._card(settings), seed=0), height=COST_SIDE, width=COST_SIDE)
        trainings = sorted(self.run.path.glob(f"*/{settings.name}/seed_*/metrics.json"))
        found: dict[str, Any] = {
            "parameters": figures.parameters,
            "macs_per_pixel": figures.macs_per_pixel,
            "macs_input": f"{COST_SIDE}x{COST_SIDE}",
            "peak_activation_bytes": figures.peak_activation_bytes,
            "train_minutes": sum(read_json(path)["seconds"] for path in trainings) / 60,
        }
        package = self._fold_package(settings, settings.seeds[0], 0)
        if package.exists():
            sizes = {g.precision: read_manifest(package).files[g.file].bytes for g in _onnx_graphs(package)}
            found |= {"fp32_bytes": sizes.get("fp32"), "int8_bytes": sizes.get("int8")}
        return found

    def _measured(self, row: BenchRow) -> BenchRow:
        """The row with the latency of the first seed's package, where there is one."""
        known = {settings.name: settings for settings in self.recipe.networks}
        package = self._fold_package(known[row.name], known[row.name].seeds[0], 0) if row.name in known else None
        if package is None or not package.exists():
            return row
        network, predict = measure_package(package, LatencySettings(engine="onnx"), precision=row.precision)  # type: ignore[arg-type]
        return row.model_copy(update={"latency": predict, "network_latency": network, "machine": this_machine()})

    def _fold_package(self, settings: NetworkSettings, seed: int, fold: int) -> Path:
        return self.run / "packages" / f"{settings.name}-fold-{fold}-seed-{seed}"

    def _paths(self, name: str, precision: str, seed: int) -> list[Path]:
        return [self._counts_path(name, precision, seed, fold) for fold in range(len(self.folds))]

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


def _onnx_graphs(package: Path) -> list[Graph]:
    return [graph for graph in read_manifest(package).graphs if graph.engine == "onnx"]
