"""What starting from another data set is worth with few labels; resumable at every training.

Labels are drawn by the seed, the same ones for every start. Every start and fraction gets the same learning rates to
choose from and the same number of trainings; validation images choose, and test images are scored at the chosen rate
alone. Tiles of the target that also are among the source's images, under whatever bands, are told by their group and
are in no part of what the source learns from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from satsqueeze.bench.classes.row import METRICS
from satsqueeze.bench.machine import this_machine
from satsqueeze.bench.row_file import write_rows
from satsqueeze.bench.transfer.recipe import TransferRecipe, TransferStart
from satsqueeze.bench.transfer.row import TransferRow
from satsqueeze.core.errors import SplitError
from satsqueeze.core.run import RunFolder, fingerprint_of
from satsqueeze.data.cache.band_statistics import scaling_of
from satsqueeze.data.class_stage import ClassPrepared, few_labels, prepare_classes
from satsqueeze.data.splits.class_split import apart_from
from satsqueeze.learn.class_settings import ClassFitSettings
from satsqueeze.learn.class_stage import classifier_card, score_on_test, train_classifier
from satsqueeze.learn.training import FitResult
from satsqueeze.nets.transfer import TransferReport
from satsqueeze.nets.zoo import zoo_card

ROWS = "transfer.jsonl"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One training on the target."""

    start: TransferStart
    fraction: float
    seed: int
    rate: float

    @property
    def place(self) -> Path:
        """Folder within the run."""
        return (
            Path("trials") / self.start.name / f"labels_{self.fraction:g}" / f"rate_{self.rate:g}" / f"seed_{self.seed}"
        )

    def settings(self, fit: ClassFitSettings) -> ClassFitSettings:
        """What the training is told."""
        return replace(fit, learning_rate=self.rate, seed=self.seed, freeze_epochs=self.start.freeze_epochs)


class TransferGrid:
    """One experiment, kept in a run folder.

    Args:
        recipe: what to compare.
        run: where everything is kept.
        say: told what is being done, and each score.

    Raises:
        SettingsError: a network that the zoo does not have.
    """

    def __init__(self, recipe: TransferRecipe, run: RunFolder, say: Callable[[str], None] = print) -> None:
        zoo_card(recipe.model)
        self.recipe, self.run, self.say = recipe, run, say

    @cached_property
    def target(self) -> ClassPrepared:
        """Images with few labels.

        Raises:
            SplitError: validation or test images are lacking.
        """
        prepared = prepare_classes(self.recipe.target, RunFolder(self.run / "target"))
        if not prepared.split.validation or not prepared.split.test:
            raise SplitError("the target needs validation and test images; give both parts of the split a share")
        return prepared

    @cached_property
    def source(self) -> ClassPrepared:
        """Images of the source without the places that the target shows, with statistics of their own.

        Raises:
            SplitError: the target shows all places of a part, or all of a class.
        """
        prepared = prepare_classes(self.recipe.source, RunFolder(self.run / "source"))
        split = apart_from(prepared.cache, prepared.split, self.target.cache)
        return replace(prepared, split=split, scaling=scaling_of(prepared.cache, split.train))

    @cached_property
    def left_out(self) -> int:
        """Images of the source that show a place of the target."""
        places = {group for entry in self.target.cache.entries for group in entry.groups}
        return sum(not places.isdisjoint(entry.groups) for entry in self.source.cache.entries)

    def execute(self) -> tuple[TransferRow, ...]:
        """Train and score what is missing; returns all rows, in the recipe's order.

        Raises:
            SplitError: a fraction leaves a class without an image, or the target leaves the source without images.
            SettingsError, BandError: the source does not fit the target.
            RunError: a training was made with other settings.
        """
        recipe = self.recipe
        # Before any training: a source without images, or a fraction that cannot be drawn, ends the experiment at once.
        if any(start.transferred for start in recipe.starts):
            _ = self.source
        for fraction in recipe.fractions:
            for seed in recipe.seeds:
                self.labelled(fraction, seed)
        for fraction in recipe.fractions:
            for start in recipe.starts:
                self._complete(start, fraction)
        return self.rows()

    def rows(self) -> tuple[TransferRow, ...]:
        """What has been scored as the recipe says, in its order."""
        known = {row.fingerprint: row for row in TransferRow.read(self.run / ROWS)}
        recipe = self.recipe
        keys = [
            self._fingerprint(start, fraction, seed)
            for fraction in recipe.fractions
            for start in recipe.starts
            for seed in recipe.seeds
        ]
        return tuple(known[key] for key in keys if key in known)

    def labelled(self, fraction: float, seed: int) -> ClassPrepared:
        """The target with a share of its training labels."""
        return few_labels(self.target, share=fraction, seed=seed)

    @cached_property
    def source_run(self) -> tuple[Path, FitResult]:
        """Folder of the trained source, and how well it does.

        Raises:
            RunError: it was trained with other settings.
        """
        recipe, source, place = self.recipe, self.source, self.run / "source" / "classifier"
        self.say(
            f"source: {len(source.split.train)} images to train on; {self.left_out} that the target shows are left out"
        )
        return place, train_classifier(classifier_card(recipe.model, source), source, recipe.source_fit, place)

    def _complete(self, start: TransferStart, fraction: float) -> None:
        """Train all seeds of a start and fraction at every rate, and add the rows of the best one."""
        recipe = self.recipe
        keys = {seed: self._fingerprint(start, fraction, seed) for seed in recipe.seeds}
        # Rows of other recipes, such as one with fewer starts, stay.
        known = TransferRow.read(self.run / ROWS)
        if {row.fingerprint for row in known}.issuperset(keys.values()):
            return
        tried: dict[float, float] = {}
        # The lower rate wins among equals.
        for rate in sorted(recipe.rates):
            trials = [Trial(start=start, fraction=fraction, seed=seed, rate=rate) for seed in recipe.seeds]
            tried[rate] = float(np.mean([self._train(trial)[0].best_score or 0.0 for trial in trials]))
            self.say(f"{start.name}, {100 * fraction:g} % of labels, rate {rate:g}: validation {tried[rate]:.4f}")
        best = max(tried, key=tried.__getitem__)
        for seed, key in keys.items():
            row = self._row(Trial(start=start, fraction=fraction, seed=seed, rate=best), key, tried)
            known = (*(old for old in known if old.key != row.key), row)
        write_rows(self.run / ROWS, known)

    def _train(self, trial: Trial) -> tuple[FitResult, TransferReport | None]:
        """Train, or take what has been trained."""
        prepared, reports = self.labelled(trial.fraction, trial.seed), list[TransferReport]()
        result = train_classifier(
            classifier_card(self.recipe.model, prepared),
            prepared,
            trial.settings(self.recipe.fit),
            self.run / str(trial.place),
            init=self.source_run[0] if trial.start.transferred else None,
            tolerance_nm=self.recipe.tolerance_nm,
            on_start=reports.append,
        )
        return result, reports[0] if reports else None

    def _row(self, trial: Trial, key: str, tried: dict[float, float]) -> TransferRow:
        result, report = self._train(trial)
        prepared = self.labelled(trial.fraction, trial.seed)
        tested = score_on_test(result.folder, prepared)
        fit = trial.settings(self.recipe.fit).for_images(len(prepared.split.train))
        bands = prepared.cache.bands
        hows: list[str] = ["fresh"] * len(bands) if report is None else [band.how for band in report.bands]
        return TransferRow(
            start=trial.start.name,
            fraction=trial.fraction,
            seed=trial.seed,
            fingerprint=key,
            model=self.recipe.model,
            freeze_epochs=trial.start.freeze_epochs,
            labels=len(prepared.split.train),
            rate=trial.rate,
            tried={f"{rate:g}": score for rate, score in tried.items()},
            validation=result.best_score or 0.0,
            validation_images=len(prepared.split.validation),
            test={name: tested[name] for name in METRICS},
            test_images=len(prepared.split.test),
            epochs=result.epochs,
            steps=fit.steps,
            seconds=result.seconds,
            bands={how: hows.count(how) for how in ("matched", "averaged", "fresh")},
            source=self._source_record() if trial.start.transferred else {},
            machine=this_machine(),
        )

    def _source_record(self) -> dict[str, float]:
        return {
            "images": len(self.source.split.train),
            "validation": self.source_run[1].best_score or 0.0,
            "left_out": self.left_out,
        }

    def _fingerprint(self, start: TransferStart, fraction: float, seed: int) -> str:
        """Of all that a row depends on."""
        recipe = self.recipe
        source = [self.source.key, recipe.source_fit.to_dict(), recipe.tolerance_nm] if start.transferred else []
        trials = [recipe.model, recipe.fit.to_dict(), sorted(recipe.rates), sorted(recipe.seeds)]
        return fingerprint_of([self.labelled(fraction, seed).key, source, trials, start.freeze_epochs, fraction, seed])
