"""What pre-training is worth with few labels; resumable at every training.

Labels are drawn by the seed, the same ones for every start. Every start and fraction gets the same learning rates to
choose from, the same steps and the same number of trainings; validation images choose, and test images are scored at
the chosen rate alone. Validation and test places are in no part of what any start learns from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

import numpy as np

from satsqueeze.bench.machine import this_machine
from satsqueeze.bench.row_file import write_rows
from satsqueeze.bench.starts.land import Land, prepare_land
from satsqueeze.bench.starts.recipe import DISTILLED, InitRecipe, Start
from satsqueeze.bench.starts.row import InitRow
from satsqueeze.bench.starts.teacher import answers_of, distilling, teacher_recipe
from satsqueeze.core.metrics import class_jaccards, mean_jaccard
from satsqueeze.core.run import RunFolder, fingerprint_of
from satsqueeze.data.splits.split import Split
from satsqueeze.distill.known import Known
from satsqueeze.learn.scoring.evaluate import ScoreSettings, score
from satsqueeze.learn.scoring.series import score_series
from satsqueeze.learn.settings import FitSettings
from satsqueeze.learn.stage import Start as Begin
from satsqueeze.learn.stage import train_network, train_series
from satsqueeze.learn.training import FitResult
from satsqueeze.nets.cost import count_parameters
from satsqueeze.nets.model import SegmentationModel, build_model, load_model
from satsqueeze.nets.source import Source
from satsqueeze.nets.transfer_report import TransferReport
from satsqueeze.pretrain.card import unlabelled
from satsqueeze.pretrain.pretraining import pretrain
from satsqueeze.pretrain.start import start_network

ROWS = "init-grid.jsonl"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One training on a target."""

    target: str
    start: Start
    fraction: float
    seed: int
    rate: float

    @property
    def place(self) -> Path:
        """Folder within the run."""
        cell = Path("trials") / self.target / self.start / f"labels_{self.fraction:g}"
        return cell / f"rate_{self.rate:g}" / f"seed_{self.seed}"

    def settings(self, fit: FitSettings) -> FitSettings:
        """What the training is told."""
        return replace(fit, learning_rate=self.rate, seed=self.seed)


class InitGrid:
    """One comparison, kept in a run folder.

    Args:
        recipe: what to compare.
        run: where everything is kept.
        say: told what is being done, and each score.
        regions: folder of the regions' images, which several comparisons may share; by default in the run folder.
        teachers: folder of the teachers, likewise.
    """

    def __init__(
        self,
        recipe: InitRecipe,
        run: RunFolder,
        say: Callable[[str], None] = print,
        *,
        regions: Path | None = None,
        teachers: Path | None = None,
    ) -> None:
        self.recipe, self.run, self.say = recipe, run, say
        self.regions, self.teachers = regions or run / "regions", teachers or run / "teachers"
        self.land = cache(self._land)
        self.answers = cache(self._answers)
        self.source = cache(self._source)

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """Names of the regions that are learnt and tested on."""
        return self.recipe.targets or tuple(region.name for region in self.recipe.regions)

    def execute(self) -> tuple[InitRow, ...]:
        """Train and score what is missing; returns all rows, in the recipe's order.

        Raises:
            SplitError: a fraction leaves a class without an image, or names that state no parts.
            SettingsError, DataError, BandError: see :func:`satsqueeze.pretrain.pretraining.pretrain` and
                :func:`satsqueeze.pretrain.start.start_network`.
            RunError: a training was made with other settings.
        """
        recipe = self.recipe
        for target in self.targets:
            # Before any training: a fraction that cannot be drawn ends the comparison at once.
            for fraction in recipe.fractions:
                for seed in recipe.seeds:
                    self.land(target).labelled(fraction, seed)
        for target in self.targets:
            for fraction in recipe.fractions:
                for start in recipe.starts:
                    self._complete(target, start, fraction)
        return self.rows()

    def rows(self) -> tuple[InitRow, ...]:
        """What has been scored as the recipe says, in its order."""
        known = {row.fingerprint: row for row in InitRow.read(self.run / ROWS)}
        recipe = self.recipe
        keys = [
            self._fingerprint(target, start, fraction, seed)
            for target in self.targets
            for fraction in recipe.fractions
            for start in recipe.starts
            for seed in recipe.seeds
        ]
        return tuple(known[key] for key in keys if key in known)

    def _land(self, name: str) -> Land:
        return prepare_land(self.recipe, name, self.regions / name, self.say)

    def _source(self, name: str, *, supervised: bool) -> tuple[Path, FitResult]:
        """Folder and result of the network that others start from."""
        recipe, land = self.recipe, self.land(name)
        kind = "supervised" if supervised else "pretrained"
        place = self.run / f"sources/{kind}/{name}"
        card = land.card(recipe.model)
        self.say(f"{name}: {kind} on {len(land.split.train)} images")
        if supervised:
            split = Split(train=land.split.train, validation=land.split.validation)
            return place, self._fitted(land, split, recipe.supervised, place)
        settings, ids = recipe.pretrain, land.split.train
        if recipe.unlabelled < 1:
            ids = land.drawn(recipe.unlabelled, settings.seed)
        model = build_model(unlabelled(card, land.cache, ids), seed=settings.seed)
        return place, pretrain(model, land.cache, ids, settings, place)

    def _complete(self, target: str, start: Start, fraction: float) -> None:
        """Train all seeds of a target, start and fraction at every rate, and add the rows of the best one."""
        recipe = self.recipe
        keys = {seed: self._fingerprint(target, start, fraction, seed) for seed in recipe.seeds}
        # Rows of other recipes, such as one with fewer targets, stay.
        known = InitRow.read(self.run / ROWS)
        if {row.fingerprint for row in known}.issuperset(keys.values()):
            return
        tried: dict[float, float] = {}
        # The lower rate wins among equals.
        for rate in sorted(recipe.rates):
            trials = [
                Trial(target=target, start=start, fraction=fraction, seed=seed, rate=rate) for seed in recipe.seeds
            ]
            tried[rate] = float(np.mean([self._train(trial).best_score or 0.0 for trial in trials]))
            self.say(f"{target}, {start}, {100 * fraction:g} % of labels, rate {rate:g}: validation {tried[rate]:.4f}")
        best = max(tried, key=tried.__getitem__)
        for seed, key in keys.items():
            trial = Trial(target=target, start=start, fraction=fraction, seed=seed, rate=best)
            row = self._row(trial, key, tried)
            known = (*(old for old in known if old.key != row.key), row)
        write_rows(self.run / ROWS, known)

    def _train(self, trial: Trial) -> FitResult:
        """Train, or take what has been trained."""
        land = self.land(trial.target)
        split = land.labelled(trial.fraction, trial.seed)
        settings = trial.settings(self.recipe.fit)
        region = self.recipe.source(trial.target, trial.start)

        def start(model: SegmentationModel) -> TransferReport:
            if region is None:
                return start_network(self.recipe.given, model)
            folder, _ = self.source(region.name, supervised=trial.start == "supervised")
            return start_network(folder, model)

        begin, place = start if region or trial.start == "given" else None, self.run / str(trial.place)
        if trial.start not in DISTILLED:
            return self._fitted(land, split, settings, place, begin)
        known = self.answers(trial.target, trial.fraction, trial.seed)
        everything = Split(train=land.split.train, validation=split.validation)
        objective = distilling(known)
        # Patches that are drawn around a class would tell of labels that are to stay unseen.
        blind = replace(settings, foreground_share=0.0)
        card = land.card(self.recipe.model)
        return train_network(card, land.cache, everything, blind, place, start=begin, objective=objective, soft=known)

    def _answers(self, target: str, fraction: float, seed: int) -> Known:
        """What is known of the target's training images: some labels, and what a teacher of these says of the rest."""
        recipe, land = teacher_recipe(self.recipe), self.land(target)
        teachers = InitGrid(recipe, RunFolder(self.teachers), self.say, regions=self.regions)
        trial = Trial(target=target, start="same-region", fraction=fraction, seed=seed, rate=recipe.rates[0])
        labelled = land.drawn(fraction, seed)
        taught = teachers._train(trial).folder
        return answers_of(taught, land.cache, land.split.train, labelled, self.teachers)

    def _fitted(
        self, land: Land, split: Split, settings: FitSettings, folder: Path, start: Begin | None = None
    ) -> FitResult:
        card, dates = land.card(self.recipe.model), self.recipe.series
        if dates:
            return train_series(card, land.cache, split, settings, folder, dates=dates, start=start)
        return train_network(card, land.cache, split, settings, folder, start=start)

    def _row(self, trial: Trial, key: str, tried: dict[float, float]) -> InitRow:
        result, land, recipe = self._train(trial), self.land(trial.target), self.recipe
        settings = ScoreSettings(window=recipe.fit.window)
        ask = score_series if recipe.series else score
        model = load_model(result.folder)
        metrics = ask(model, land.cache, land.split.test, settings=settings).metrics
        jaccards = class_jaccards(metrics.matrix).tolist()
        region = recipe.source(trial.target, trial.start)
        return InitRow(
            target=trial.target,
            start=trial.start,
            source=region.name if region else recipe.given if trial.start == "given" else "",
            fraction=trial.fraction,
            seed=trial.seed,
            fingerprint=key,
            model=recipe.model,
            parameters=count_parameters(model),
            labels=land.count(land.drawn(trial.fraction, trial.seed)),
            rate=trial.rate,
            tried={f"{rate:g}": value for rate, value in tried.items()},
            validation=result.best_score or 0.0,
            test=mean_jaccard(metrics),
            test_classes={
                name: None if np.isnan(value) else value
                for name, value in zip(land.cache.classes, jaccards, strict=True)
            },
            test_images=len(metrics.images),
            steps=recipe.fit.steps,
            seconds=result.seconds,
            source_seconds=0.0
            if region is None
            else self.source(region.name, supervised=trial.start == "supervised")[1].seconds,
            machine=this_machine(),
        )

    def _fingerprint(self, target: str, start: Start, fraction: float, seed: int) -> str:
        """Of all that a row depends on."""
        recipe, land = self.recipe, self.land(target)
        region = recipe.source(target, start)
        source: list[object] = []
        if region is not None:
            source = [self.land(region.name).cache.fingerprint, self._source_settings(start)]
        elif start == "given":
            source = [Source.of(recipe.given).digest]
        trials: list[object] = [recipe.model, recipe.fit.to_dict(), sorted(recipe.rates), sorted(recipe.seeds)]
        if recipe.series:
            # Only where it is on, so that rows from before it was there stay valid.
            trials = [*trials, recipe.series]
        if start in DISTILLED and recipe.teach is not None:
            trials = [*trials, recipe.teacher, recipe.teach.to_dict(), self._pretraining()]
        return fingerprint_of([land.cache.fingerprint, source, trials, target, start, fraction, seed])

    def _source_settings(self, start: Start) -> dict[str, object]:
        if start == "supervised":
            return self.recipe.supervised.to_dict()
        return self._pretraining()

    def _pretraining(self) -> dict[str, object]:
        # The share only where it is less than all, so that rows from before it was there stay valid.
        share = {} if self.recipe.unlabelled == 1 else {"unlabelled": self.recipe.unlabelled}
        return self.recipe.pretrain.to_dict() | share
