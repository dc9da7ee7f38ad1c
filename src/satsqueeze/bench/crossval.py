"""Grouped cross-validation of a whole recipe: threshold, baselines, teachers and distilled students.

Every labelled image is predicted by models that never saw its scene, and nothing is chosen on it: networks keep their
last weights. Networks may start by learning what no fold touches (generated, composed and unlabelled images); that
start is made once per network and seed, and shared by the folds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from satsqueeze.bench.pooled import pool, seed_scores, write_counts
from satsqueeze.bench.row import BenchRow, Kind, write_rows
from satsqueeze.core.errors import SettingsError
from satsqueeze.core.metrics import confusion
from satsqueeze.core.package import FlightManifest, Quality
from satsqueeze.core.run import RunFolder
from satsqueeze.core.scaling import Scaling
from satsqueeze.core.window import Window
from satsqueeze.data.cache import PackedCache, pack
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.fingerprint import fingerprint
from satsqueeze.data.splits import Split, grouped_folds
from satsqueeze.distill.objective import Distillation
from satsqueeze.distill.soft import SoftCache, Teacher, teach
from satsqueeze.distill.teachers import ModelTeacher, OnnxContract, OnnxTeacher
from satsqueeze.export.settings import ExportSettings
from satsqueeze.export.stage import export_package
from satsqueeze.flight.runtime import open_package
from satsqueeze.learn.evaluate import score
from satsqueeze.learn.fit import fit
from satsqueeze.learn.losses import DiceCE
from satsqueeze.learn.settings import FitSettings
from satsqueeze.learn.threshold import ThresholdModel
from satsqueeze.nets.baselines import SmpUNetConfig
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.cost import cost
from satsqueeze.nets.model import SegmentationModel, build_model, load_model
from satsqueeze.nets.onnx_weights import OnnxStart, start_from_onnx
from satsqueeze.nets.students import student_card, student_for_ratio
from satsqueeze.plan.stage import network
from satsqueeze.plan.unet_plan import plan_unet

COST_SIDE = 256


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """A network that is trained in every fold."""

    name: str
    network: str
    """``planned`` (nnU-Net's plan), ``smp:<encoder>``, ``student:<rung>``, ``compressed:<ratio>`` or
    ``lite:<ratio>``: the student that many times smaller than the planned network."""
    kind: Kind
    fit: FitSettings
    """Training on a fold, together with everything that no fold touches."""
    start: FitSettings | None = None
    """Training before that, on what no fold touches; None for none."""
    onnx_start: OnnxStart | None = None
    """Weights of an ONNX file to start from."""
    onnx_scaling: bool = False
    """Normalise as the first ONNX teacher does, since the weights were made for it."""
    teacher_share: float = 0.0
    """Weight of the teachers in the loss; 0 learns from labels alone."""
    teaches: bool = False
    """Whether it is a teacher of the students."""
    seeds: tuple[int, ...] = (0,)


@dataclass(frozen=True, kw_only=True)
class TeacherFile:
    """A frozen ONNX teacher."""

    path: Path
    contract: Path


@dataclass(frozen=True, kw_only=True)
class CrossvalSettings:
    """A recipe."""

    data: str
    bands: tuple[str, ...] = ("blue", "green", "red", "nir")
    folds: int = 3
    seed: int = 0
    """Of the folds."""
    exact: tuple[str, ...] = ("composed",)
    """Sources with exact labels, on which teachers are not asked."""
    planned_shape: tuple[int, int] = (256, 256)
    """Height and width in pixels for which nnU-Net's rules plan."""
    teacher_files: tuple[TeacherFile, ...] = ()
    networks: tuple[NetworkSettings, ...] = ()
    """In order; teachers before their students."""
    temperature: float = 2.0
    export: ExportSettings = field(default_factory=ExportSettings)
    int8_seeds: int = 1
    """Seeds of each student that are also scored in int8."""


class Selected:
    """Teacher answers for some items, none for the others.

    Args:
        answers: for the items in ``ids``.
        ids: items with answers.
        classes: number of classes.
    """

    def __init__(self, answers: SoftCache, ids: Sequence[str], classes: int) -> None:
        self.answers, self.ids, self.classes = answers, frozenset(ids), classes

    def window(self, id: str, window: Window) -> NDArray[np.uint8]:  # noqa: A002 - the sampler's protocol
        """See :class:`satsqueeze.data.sampler.SoftTargets`."""
        if id in self.ids:
            return self.answers.window(id, window)
        return np.zeros((self.classes, window.height, window.width), np.uint8)


class Crossval:
    """One cross-validation, kept in a run folder and resumable at every training.

    Args:
        settings: the recipe.
        run: where everything is kept.
        say: told what is being done.
    """

    def __init__(self, settings: CrossvalSettings, run: RunFolder, say: Callable[[str], None] = print) -> None:
        self.settings, self.run, self.say = settings, run, say

    @cached_property
    def cache(self) -> PackedCache:
        """The packed data."""
        return pack(open_dataset(self.settings.data), self.run / "data", bands=self.settings.bands)

    @cached_property
    def folds(self) -> tuple[Split, ...]:
        """Splits by scene of the labelled images; all else is on every training side."""
        return grouped_folds(self.cache.entries, folds=self.settings.folds, seed=self.settings.seed)

    @cached_property
    def untouched(self) -> tuple[str, ...]:
        """Items that no fold validates on and that share no group with one that is."""
        return tuple(sorted(set.intersection(*(set(split.train) for split in self.folds))))

    @cached_property
    def frozen_teachers(self) -> list[Teacher]:
        """The ONNX teachers."""
        return [OnnxTeacher(f.path, OnnxContract.read(f.contract)) for f in self.settings.teacher_files]

    def execute(self) -> tuple[BenchRow, ...]:
        """Train and score everything that is missing; returns one row per model and precision."""
        self._score("threshold", "fp32", 0, lambda _: ThresholdModel(self.settings.bands))
        for file, teacher in zip(self.settings.teacher_files, self.frozen_teachers, strict=True):
            self._score_teacher(file.contract.stem, teacher)
        for settings in self.settings.networks:
            for seed in settings.seeds:
                self._score(settings.name, "fp32", seed, lambda k, s=settings, n=seed: self.trained(s, n, k))
                if settings.kind == "student" and seed in settings.seeds[: self.settings.int8_seeds]:
                    self._score_int8(settings, seed)
        rows = self.rows()
        write_rows(self.run / "rows.jsonl", rows)
        return rows

    def trained(self, settings: NetworkSettings, seed: int, fold: int | None) -> SegmentationModel:
        """The network trained without the validation scenes of a fold; with fold None, on everything."""
        ids = self.cache.ids if fold is None else self.folds[fold].train
        place = self.run / ("all" if fold is None else f"fold_{fold}") / settings.name / f"seed_{seed}"
        if (place / "metrics.json").exists():
            return load_model(place)
        soft = self._answers(fold) if settings.teacher_share else None
        model = self._started(settings, seed)
        self.say(f"training {settings.name}, seed {seed}, {'all scenes' if fold is None else f'fold {fold}'}")
        self._fit(model, ids, settings, replace(settings.fit, seed=seed), place, soft)
        return model

    def _started(self, settings: NetworkSettings, seed: int) -> SegmentationModel:
        model = build_model(self._card(settings), seed=seed)
        if settings.onnx_start is not None:
            start_from_onnx(model.net.net, settings.onnx_start)  # type: ignore[arg-type,union-attr]
        if settings.start is None:
            return model
        place = self.run / "start" / settings.name / f"seed_{seed}"
        if (place / "metrics.json").exists():
            return load_model(place)
        self.say(f"starting {settings.name}, seed {seed}, on what no fold touches")
        soft = self._taught(self.frozen_teachers, self.untouched, self.run / "soft" / "frozen")
        self._fit(model, self.untouched, settings, replace(settings.start, seed=seed), place, soft)
        return model

    def _fit(
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
        objective = DiceCE()
        if soft is not None:
            share = settings.teacher_share or 0.5
            objective = Distillation(hard=objective, weight=share, temperature=self.settings.temperature)  # type: ignore[assignment]
        how = replace(how, source_weights=weights, keep="last")
        fit(model, self.cache, Split(train=tuple(ids), validation=()), how, place, objective=objective, soft=soft)

    def _answers(self, fold: int | None) -> Selected | None:
        """What the teachers of a fold say about its training images; with fold None, those of all folds."""
        folds = range(len(self.folds)) if fold is None else [fold]
        networks = [n for n in self.settings.networks if n.teaches]
        side = self.settings.planned_shape[0]
        teachers: list[Teacher] = [
            ModelTeacher(f"{n.name}-{k}", [self.trained(n, n.seeds[0], k)], window=side, mirror=True)
            for n in networks
            for k in folds
        ]
        ids = self.cache.ids if fold is None else self.folds[fold].train
        name = "all" if fold is None else f"fold_{fold}"
        return self._taught(teachers or self.frozen_teachers, ids, self.run / "soft" / name)

    def _taught(self, teachers: Sequence[Teacher], ids: Sequence[str], folder: Path) -> Selected | None:
        if not teachers:
            return None
        asked = [i for i in ids if self.cache.entries[self.cache.position(i)].source not in self.settings.exact]
        self.say(f"asking {len(teachers)} teacher(s) about {len(asked)} images")
        return Selected(teach(teachers, self.cache, asked, folder), asked, len(self.cache.classes))

    def _card(self, settings: NetworkSettings) -> ModelCard:
        sizes = {"in_channels": len(self.cache.bands), "classes": len(self.cache.classes)}
        kind, _, argument = settings.network.partition(":")
        planned = plan_unet(
            shape=self.settings.planned_shape, channels=len(self.cache.bands), labels=len(self.cache.classes), n=1000
        )
        if kind == "planned":
            config = network(planned, **sizes)
        elif kind == "smp":
            config = SmpUNetConfig(encoder=argument, **sizes)  # type: ignore[assignment]
        elif kind == "student":
            config = student_card(argument).fitted(**sizes)
        elif kind in ("compressed", "lite"):
            family = "lite" if kind == "lite" else "unet"
            config = student_for_ratio(self.planned_parameters, 0.97 * float(argument), **sizes, family=family).config  # type: ignore[arg-type]
        else:
            raise SettingsError(f"network '{settings.network}': expected planned, smp:, student:, compressed: or lite:")
        return ModelCard(
            name=settings.name,
            family="smp-unet-resnet34" if kind == "smp" else "unet",
            config=config,
            scaling=self._scaling(settings),
            bands=self.cache.bands,
            classes=self.cache.classes,
            foreground=self.cache.foreground,
        )

    def _scaling(self, settings: NetworkSettings) -> Scaling:
        if settings.onnx_scaling:
            contract = OnnxContract.read(self.settings.teacher_files[0].contract)
            return Scaling(bands=contract.bands, mean=contract.mean, std=contract.std)
        return fingerprint(self.cache, self.untouched).scaling()

    @cached_property
    def planned_parameters(self) -> int:
        """Parameters of nnU-Net's network for these images."""
        from satsqueeze.plan.cost_model import parameter_count

        sizes = {"channels": len(self.cache.bands), "labels": len(self.cache.classes)}
        plan = plan_unet(shape=self.settings.planned_shape, n=1000, **sizes)
        return parameter_count(plan.architecture, **sizes)

    def _score(self, name: str, precision: str, seed: int, model_of: Callable[[int], object]) -> None:
        for fold, split in enumerate(self.folds):
            path = self._counts_path(name, precision, seed, fold)
            if not path.exists():
                model = model_of(fold)
                mirror = name in {n.name for n in self.settings.networks if n.kind == "teacher"}
                window = self.settings.planned_shape[0] if mirror else 512
                found = score(model, self.cache, split.validation, mirror=mirror, window=window)  # type: ignore[arg-type]
                write_counts(path, found.metrics.images)
                self.say(f"{name} {precision} seed {seed} fold {fold}: Jaccard {found.jaccard:.3f}")

    def _score_teacher(self, name: str, teacher: Teacher) -> None:
        def answer(item: int) -> NDArray[np.uint8]:
            image = self.cache.image(item)[[self.cache.bands.index(band) for band in teacher.bands]]
            return teacher.probabilities(image).argmax(axis=0).astype(np.uint8)

        for fold, split in enumerate(self.folds):
            self._count(self._counts_path(name, "fp32", 0, fold), split.validation, answer)

    def _score_int8(self, settings: NetworkSettings, seed: int) -> None:
        for fold, split in enumerate(self.folds):
            path = self._counts_path(settings.name, "int8", seed, fold)
            if path.exists():
                continue
            folder = self.run / "packages" / f"{settings.name}-fold-{fold}-seed-{seed}"
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
            [entry.id for entry in entries if entry.source not in self.settings.exact],
            judged,
            self.settings.export,
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
        named += [(file.contract.stem, "teacher", None) for file in self.settings.teacher_files]
        named += [(n.name, n.kind, n) for n in self.settings.networks]
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
        if settings is None:
            return row
        figures = cost(build_model(self._card(settings), seed=0), height=COST_SIDE, width=COST_SIDE)
        return row.model_copy(
            update={
                "parameters": figures.parameters,
                "macs_per_pixel": figures.macs_per_pixel,
                "macs_input": f"{COST_SIDE}x{COST_SIDE}",
                "peak_activation_bytes": figures.peak_activation_bytes,
            }
        )

    def _paths(self, name: str, precision: str, seed: int) -> list[Path]:
        return [self._counts_path(name, precision, seed, fold) for fold in range(len(self.folds))]
