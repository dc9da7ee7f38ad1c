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

from satsqueeze.bench.init_recipe import DISTILLED, InitRecipe, Region, Start
from satsqueeze.bench.init_row import InitRow, read_init_rows, write_init_rows
from satsqueeze.bench.init_teacher import answers_of, distilling, teacher_recipe
from satsqueeze.bench.machine import this_machine
from satsqueeze.core.metrics import class_jaccards, mean_jaccard
from satsqueeze.core.run import RunFolder, fingerprint_of
from satsqueeze.data.cache import pack
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.label_share import share_of_labels
from satsqueeze.data.made_folder import claim
from satsqueeze.data.packed import PackedCache
from satsqueeze.data.parts import named_split
from satsqueeze.data.place_share import share_of_places
from satsqueeze.data.series import series_of
from satsqueeze.data.splits import Split, ThreeWaySplit
from satsqueeze.data.synth.landcover_writer import write_land_cover
from satsqueeze.distill.known import Known
from satsqueeze.learn.evaluate import ScoreSettings, score
from satsqueeze.learn.series_evaluate import score_series
from satsqueeze.learn.settings import FitSettings
from satsqueeze.learn.stage import Start as Begin
from satsqueeze.learn.stage import train_network, train_series
from satsqueeze.learn.training import FitResult
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.cost import count_parameters
from satsqueeze.nets.model import SegmentationModel, build_model, load_model
from satsqueeze.nets.transfer_report import TransferReport
from satsqueeze.pretrain.card import network_card, over_dates, unlabelled
from satsqueeze.pretrain.pretraining import pretrain
from satsqueeze.pretrain.start import start_network

ROWS = "init-grid.jsonl"


@dataclass(frozen=True, kw_only=True)
class Land:
    """The packed images of a region."""

    region: Region
    cache: PackedCache
    split: ThreeWaySplit


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
                    self.labelled(target, fraction, seed)
        for target in self.targets:
            for fraction in recipe.fractions:
                for start in recipe.starts:
                    self._complete(target, start, fraction)
        return self.rows()

    def rows(self) -> tuple[InitRow, ...]:
        """What has been scored as the recipe says, in its order."""
        known = {row.fingerprint: row for row in read_init_rows(self.run / ROWS)}
        recipe = self.recipe
        keys = [
            self._fingerprint(target, start, fraction, seed)
            for target in self.targets
            for fraction in recipe.fractions
            for start in recipe.starts
            for seed in recipe.seeds
        ]
        return tuple(known[key] for key in keys if key in known)

    def labelled(self, target: str, fraction: float, seed: int) -> Split:
        """A share of the target's training labels, and its validation images."""
        land = self.land(target)
        return Split(train=self._drawn(land, fraction, seed), validation=land.split.validation)

    def _drawn(self, land: Land, share: float, seed: int) -> tuple[str, ...]:
        """A share of the training images, or places."""
        draw = share_of_places if self.recipe.series else share_of_labels
        return draw(land.cache, land.split.train, share=share, seed=seed)

    def _land(self, name: str) -> Land:
        region, place = self.recipe.region(name), self.regions / name
        data = region.data
        if not data:
            data = str(place / "data")
            settings = replace(self.recipe.land, country=name)
            claim(place / "data", settings)
            # The card is written last, and its absence tells of an interrupted generation.
            if not (place / "data/dataset.yaml").is_file():
                self.say(f"{name}: generating {sum(settings.places)} places at {settings.dates} dates")
                write_land_cover(settings, place / "data")
        packed = pack(open_dataset(data), place / "cache")
        return Land(region=region, cache=packed, split=named_split(packed.entries))

    def _source(self, name: str, *, supervised: bool) -> tuple[Path, FitResult]:
        """Folder and result of the network that others start from."""
        recipe, land = self.recipe, self.land(name)
        kind = "supervised" if supervised else "pretrained"
        place = self.run / f"sources/{kind}/{name}"
        card = self._card(land)
        self.say(f"{name}: {kind} on {len(land.split.train)} images")
        if supervised:
            split = Split(train=land.split.train, validation=land.split.validation)
            return place, self._fitted(land, split, recipe.supervised, place)
        settings, ids = recipe.pretrain, land.split.train
        if recipe.unlabelled < 1:
            ids = self._drawn(land, recipe.unlabelled, settings.seed)
        model = build_model(unlabelled(card, land.cache, ids), seed=settings.seed)
        return place, pretrain(model, land.cache, ids, settings, place)

    def _complete(self, target: str, start: Start, fraction: float) -> None:
        """Train all seeds of a target, start and fraction at every rate, and add the rows of the best one."""
        recipe = self.recipe
        keys = {seed: self._fingerprint(target, start, fraction, seed) for seed in recipe.seeds}
        # Rows of other recipes, such as one with fewer targets, stay.
        known = read_init_rows(self.run / ROWS)
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
        write_init_rows(self.run / ROWS, known)

    def _train(self, trial: Trial) -> FitResult:
        """Train, or take what has been trained."""
        land, split = self.land(trial.target), self.labelled(trial.target, trial.fraction, trial.seed)
        settings = trial.settings(self.recipe.fit)
        region = self.recipe.source(trial.target, trial.start)

        def start(model: SegmentationModel) -> TransferReport:
            folder, _ = self.source(region.name if region else "", supervised=trial.start == "supervised")
            return start_network(folder, model)

        begin, place = start if region else None, self.run / str(trial.place)
        if trial.start not in DISTILLED:
            return self._fitted(land, split, settings, place, begin)
        known = self.answers(trial.target, trial.fraction, trial.seed)
        everything = Split(train=land.split.train, validation=split.validation)
        objective = distilling(known)
        # Patches that are drawn around a class would tell of labels that are to stay unseen.
        blind = replace(settings, foreground_share=0.0)
        return train_network(
            self._card(land), land.cache, everything, blind, place, start=begin, objective=objective, soft=known
        )

    def _answers(self, target: str, fraction: float, seed: int) -> Known:
        """What is known of the target's training images: some labels, and what a teacher of these says of the rest."""
        recipe, land = teacher_recipe(self.recipe), self.land(target)
        teachers = InitGrid(recipe, RunFolder(self.teachers), self.say, regions=self.regions)
        trial = Trial(target=target, start="same-region", fraction=fraction, seed=seed, rate=recipe.rates[0])
        labelled = self.labelled(target, fraction, seed).train
        taught = teachers._train(trial).folder
        return answers_of(taught, land.cache, land.split.train, labelled, self.teachers)

    def _fitted(
        self, land: Land, split: Split, settings: FitSettings, folder: Path, start: Begin | None = None
    ) -> FitResult:
        card, dates = self._card(land), self.recipe.series
        if dates:
            return train_series(card, land.cache, split, settings, folder, dates=dates, start=start)
        return train_network(card, land.cache, split, settings, folder, start=start)

    def _card(self, land: Land) -> ModelCard:
        ids, classes = land.split.train, land.cache.classes
        card = network_card(self.recipe.model, land.cache, ids, classes=classes, foreground=land.cache.foreground)
        return over_dates(card) if self.recipe.series else card

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
            source=region.name if region else "",
            fraction=trial.fraction,
            seed=trial.seed,
            fingerprint=key,
            model=recipe.model,
            parameters=count_parameters(model),
            labels=self._count(land, self.labelled(trial.target, trial.fraction, trial.seed).train),
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

    def _count(self, land: Land, ids: tuple[str, ...]) -> int:
        """Of images, or places."""
        return len(series_of(land.cache, ids)) if self.recipe.series else len(ids)

    def _fingerprint(self, target: str, start: Start, fraction: float, seed: int) -> str:
        """Of all that a row depends on."""
        recipe, land = self.recipe, self.land(target)
        region = recipe.source(target, start)
        source = [] if region is None else [self.land(region.name).cache.fingerprint, self._source_settings(start)]
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
