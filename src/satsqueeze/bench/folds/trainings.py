"""Trainings of a cross-validation: what its networks start from, who teaches them, and what they learn from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from satsqueeze.bench.folds.contender import network_config
from satsqueeze.bench.folds.recipe import NetworkSettings, Recipe
from satsqueeze.core.run import RunFolder
from satsqueeze.core.scaling import Scaling
from satsqueeze.data.cache.fingerprint import fingerprint
from satsqueeze.data.cache.pack import pack
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.sampling.sampler import SoftTargets
from satsqueeze.data.splits.split import Split, grouped_folds
from satsqueeze.distill.corrected import Corrected
from satsqueeze.distill.objective import Distillation
from satsqueeze.distill.soft import Teacher, teach
from satsqueeze.distill.teachers import ModelTeacher, OnnxContract, OnnxTeacher
from satsqueeze.learn.fit import fit
from satsqueeze.learn.losses import DiceCE, Objective
from satsqueeze.learn.settings import FitSettings
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.model import SegmentationModel, build_model, load_model
from satsqueeze.nets.onnx_weights import start_from_onnx
from satsqueeze.nets.unet_config import UNetConfig

_WINDOW = 256  # pixels, in which networks of the recipe answer as teachers


class FoldTrainings:
    """The trainings of a recipe, each kept in the run folder and resumable.

    Args:
        recipe: what to train.
        run: where everything is kept.
        say: told what is being done.
    """

    def __init__(self, recipe: Recipe, run: RunFolder, say: Callable[[str], None]) -> None:
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

    def claim(self, settings: NetworkSettings) -> None:
        """Keep a network's name for trainings and scores of this recipe.

        Raises:
            RunError: another recipe left some under the same name.
        """
        place = f"network/{settings.name}"
        asked = self.recipe.making(settings) | {"data": self.cache.fingerprint}
        refusal = (
            f"{self.run.path} holds '{settings.name}' as another recipe or other data made it; choose a new --out, or "
            "give the network another name"
        )
        if self.run.is_due(place, asked, refusal=refusal):
            self.run.finish(place, asked, {}, seconds=0.0)

    def trained(self, settings: NetworkSettings, seed: int, fold: int | None) -> SegmentationModel:
        """The network trained without the validation scenes of a fold; with fold None, on everything.

        Raises:
            RunError: the run folder holds a network of that name that was trained otherwise.
        """
        self.claim(settings)
        if settings.fit is None:
            return self._started(settings, seed, fold)
        ids = self.cache.ids if fold is None else self.folds[fold].train
        place = self.run / ("all" if fold is None else f"fold_{fold}") / settings.name / f"seed_{seed}"
        if (place / "metrics.json").exists():
            return load_model(place)
        soft = self._answers(settings, fold) if settings.teacher_share else None
        model = self._started(settings, seed, fold)
        self.say(f"training {settings.name}, seed {seed}, {'all scenes' if fold is None else f'fold {fold}'}")
        how = replace(settings.fit, seed=settings.fit.seed + seed)
        self._fit(model, ids, settings, how, place, soft)
        return model

    def card(self, settings: NetworkSettings, fold: int | None = None) -> ModelCard:
        """What a network of the recipe is, on this data; with fold None, for all of it."""
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
            scaling=self._scaling(settings, fold),
            normalisation=settings.normalisation,
            bands=self.cache.bands,
            classes=self.cache.classes,
            foreground=self.cache.foreground,
        )

    def _started(self, settings: NetworkSettings, seed: int, fold: int | None) -> SegmentationModel:
        """A network as its start leaves it, for the training of a fold."""
        self.claim(settings)
        place = self.run / "start" / settings.name / f"seed_{seed}"
        if settings.start is not None and (place / "metrics.json").exists():
            return load_model(place)
        model = build_model(self.card(settings, fold), seed=seed)
        if settings.onnx_start is not None:
            start_from_onnx(model.net.net, settings.onnx_start)  # type: ignore[arg-type]
        if settings.continues:
            model.load_state_dict(self._started(self.recipe.network(settings.continues), seed, fold).state_dict())
        if settings.start is None:
            return model
        taught = settings.teacher_share > 0
        soft = self._taught(settings, self._teachers(settings, folds=()), self.cache.ids) if taught else None
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
        objective: Objective = DiceCE()
        if soft is not None:
            share, temperature = settings.teacher_share, self.recipe.temperature
            objective = Distillation(hard=objective, weight=share, temperature=temperature)
        how = replace(how, keep="last")
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
            (f"{n.name}-seed-{seed}", self._started(n, seed, None)) for n in named if n.fit is None for seed in n.seeds
        ]
        fitted = [(f"{n.name}-{k}", self.trained(n, n.seeds[0], k)) for n in named if n.fit is not None for k in folds]
        learnt = [ModelTeacher(name, [model], window=_WINDOW) for name, model in (*started, *fitted)]
        return [*learnt, *self.frozen_teachers]

    def _taught(self, settings: NetworkSettings, teachers: Sequence[Teacher], ids: Sequence[str]) -> SoftTargets | None:
        if not teachers:
            return None
        answers = teach(teachers, self.cache, ids, self.run / "soft")
        return Corrected(answers, self.cache, settings.exact) if settings.exact else answers

    def _scaling(self, settings: NetworkSettings, fold: int | None) -> Scaling:
        """Statistics of what no fold touches, since one network starts all; else of the fold's training side."""
        if settings.onnx_scaling:
            contract = OnnxContract.read(self.recipe.teacher_files[0].contract)
            return Scaling(bands=contract.bands, mean=contract.mean, std=contract.std)
        ids = self.untouched or (self.cache.ids if fold is None else self.folds[fold].train)
        return fingerprint(self.cache, ids).scaling()
