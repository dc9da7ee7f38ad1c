"""A sweep over the zoo: every network trained under the same stated budget, one row each; resumable."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from satsqueeze.bench.energy import Meter
from satsqueeze.bench.row_file import record_row
from satsqueeze.bench.throughput import Throughput
from satsqueeze.bench.zoo.row import ZooRow
from satsqueeze.bench.zoo.speed import SpeedTrial, ZooSpeed, precisions, trained_in, training_rate
from satsqueeze.core.errors import RunError, SatsqueezeError, SettingsError
from satsqueeze.core.files import read_json, write_json
from satsqueeze.core.names import require_seeds
from satsqueeze.core.run import fingerprint_of, plain
from satsqueeze.data.class_stage import ClassPrepared
from satsqueeze.export.class_graph import class_graph
from satsqueeze.export.draft import FP32
from satsqueeze.export.onnx import export_fp32
from satsqueeze.learn.checkpoint import LAST_FILE
from satsqueeze.learn.class_settings import DECK, ClassFitSettings
from satsqueeze.learn.class_stage import classifier_card, score_on_test, train_classifier
from satsqueeze.learn.training import METRICS_FILE, FitResult
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.cost import cost
from satsqueeze.nets.model import load_model
from satsqueeze.nets.zoo import ZOO, zoo_card

ROWS, BUDGET = "zoo.jsonl", "budget.json"
# Networks of others raise what they like; the sweep is about the rest, too.
_FAILURES = (SatsqueezeError, RuntimeError, MemoryError, ValueError)


@dataclass(frozen=True, kw_only=True)
class SweepSettings:
    """What a sweep trains and measures."""

    models: tuple[str, ...] = ()
    """Names of the zoo; empty: all."""
    seeds: tuple[int, ...] = (0,)
    """Of weights and training; each is a row."""
    minutes: float = 0.0
    """Training time of each network, from which its number of epochs follows by a short trial, and its precision where
    that is ``auto``; 0: ``fit.epochs``."""
    fit: ClassFitSettings = field(default_factory=ClassFitSettings)
    """Training of every network alike; the steps follow from the minutes."""
    batch: int = 64
    """Images of a call in inference."""
    threads: int = 1
    """Of inference."""
    repeats: int = 10
    """Timed batches in inference."""

    def __post_init__(self) -> None:
        require_seeds(self.seeds, of="sweep")
        if self.minutes < 0 or min(self.batch, self.threads, self.repeats) < 1:
            raise SettingsError(
                "a sweep needs minutes >= 0, and a batch, threads and repeats of at least 1; got "
                f"{self.minutes}, {self.batch}, {self.threads} and {self.repeats}"
            )
        if len(set(self.models)) < len(self.models):
            # Its scores would count twice.
            raise SettingsError(f"a sweep: name each network once, got {', '.join(self.models)}")
        for name in self.models:
            zoo_card(name)


@dataclass(frozen=True)
class ZooSweep:
    """One sweep.

    Args:
        prepared: images and their split.
        settings: see there.
        folder: of results; each network trains in a folder of its own.
        meter: of energy; None: the best that this machine has.
    """

    prepared: ClassPrepared
    settings: SweepSettings
    folder: Path
    meter: Meter | None = None

    def run(
        self, on_row: Callable[[ZooRow], None] = lambda _: None, on_timed: Callable[[str], None] = lambda _: None
    ) -> tuple[ZooRow, ...]:
        """Time all networks, one after another, then train what has no row yet.

        Hours of training see other work come and go; what compares networks by their speed, and shares the minutes
        among them, is over before. A network that fails gets a row that says why, and is tried again the next time.

        Args:
            on_row: called with each row, whether new or from before.
            on_timed: called with the name of each network that was timed.

        Raises:
            RunError: figures in the folder come from other settings or data, or the length of a training there was
                chosen for others; nothing is trained then.
        """
        asked = [(name, seed) for name in self.settings.models or tuple(ZOO) for seed in self.settings.seeds]
        missing = [(name, seed) for name, seed in asked if self._measured_before(name, seed) is None]
        for name, seed in missing:
            self._require_same_training(name, seed)
            self._require_same_budget(self._place(name, seed), seed)
        for name, seed in missing:
            with suppress(*_FAILURES):  # they come again, and are told, when its turn to train comes
                self._timed(name, seed)
                on_timed(name)
        rows = []
        for name, seed in asked:
            rows.append(self._row(name, seed))
            on_row(rows[-1])
        return tuple(rows)

    def _place(self, name: str, seed: int) -> Path:
        return self.folder / name / f"seed_{seed}"

    def _require_same_training(self, name: str, seed: int) -> None:
        """Refuse to lose figures of another training; they may only be measured anew."""
        row = self._known(name, seed)
        if row is not None and row.fingerprint != self._key(name, seed, row.inference):
            raise RunError(
                f"{self.folder / ROWS} holds figures of {name} (seed {seed}) that was trained with other settings or "
                "on other data; choose another --out, or ask for the same settings"
            )

    def _require_same_budget(self, place: Path, seed: int) -> None:
        """Refuse to go on with a training whose length was chosen for something else."""
        found = _budget_in(place)
        begun = any((place / name).is_file() for name in (LAST_FILE, METRICS_FILE))
        if begun and found and found.get("fingerprint") != self._budget_key(replace(self.settings.fit, seed=seed)):
            raise RunError(
                f"{place} holds a training for other minutes, settings or data, or by an older satsqueeze: its length "
                f"was chosen for {found.get('minutes', 0):g} minutes, {self.settings.minutes:g} are asked for; choose "
                "a new --out, ask for the same, or remove that folder"
            )

    def _budget_key(self, fit: ClassFitSettings) -> str:
        return fingerprint_of([self.prepared.key, self.settings.minutes, fit.to_dict()])

    def _known(self, name: str, seed: int) -> ZooRow | None:
        """The row with figures of a network, whatever it was trained with."""
        rows = ZooRow.read(self.folder / ROWS)
        return next((row for row in rows if row.key == (name, seed) and not row.failure), None)

    def _measured_before(self, name: str, seed: int) -> ZooRow | None:
        """The row of the same training and measurement, with its figures."""
        known = self._known(name, seed)
        return known if known is not None and known.fingerprint == self._key(name, seed) else None

    def _key(self, name: str, seed: int, measured: Throughput | None = None) -> str:
        """Of all that the figures depend on, as they are asked for or as they were measured."""
        alike = self._alike(seed)
        if measured is not None:
            alike |= {"batch": measured.batch, "threads": measured.threads, "repeats": measured.repeats}
        return fingerprint_of([self.prepared.key, name, alike])

    def _row(self, name: str, seed: int) -> ZooRow:
        known = self._measured_before(name, seed)
        if known is not None:
            return known
        key = self._key(name, seed)
        try:
            row = self._measured(name, seed, key)
        except _FAILURES as error:
            row = ZooRow(model=name, seed=seed, fingerprint=key, failure=f"{type(error).__name__}: {error}")
            if self._known(name, seed) is not None:
                return row  # figures of an earlier measurement are worth more than why this one failed
        record_row(self.folder / ROWS, row)
        return row

    def _alike(self, seed: int) -> dict[str, Any]:
        """What the figures of a network depend on, in the form that rows from before later settings have."""
        fit = replace(self.settings.fit, seed=seed)
        alike: dict[str, Any] = plain(replace(self.settings, models=(), seeds=(seed,)))
        return alike | {"fit": {**fit.to_dict(), "progress": fit.progress}}

    def _timed(self, name: str, seed: int) -> tuple[ClassFitSettings, ZooSpeed]:
        """Settings of the training that fits the budget, and how fast the network is; measured once."""
        place, card = self._place(name, seed), classifier_card(name, self.prepared)
        asked = self.settings
        trial = SpeedTrial(batch=asked.batch, threads=asked.threads, repeats=asked.repeats, meter=self.meter)
        return self._budgeted(card, replace(asked.fit, seed=seed), place), trial.speed(card, place)

    def _measured(self, name: str, seed: int, key: str) -> ZooRow:
        place = self._place(name, seed)
        card = classifier_card(name, self.prepared)
        fit, speed = self._timed(name, seed)
        result = train_classifier(card, self.prepared, fit, place)
        model, size = load_model(place), card.config.to_dict()["size"]
        found = cost(model, height=size, width=size)
        export_fp32(class_graph(model), place / FP32)
        steps = fit.for_images(len(self.prepared.split.train)).steps
        return ZooRow(
            model=name,
            seed=seed,
            fingerprint=key,
            family=zoo_card(name).family,
            parameters=found.parameters,
            macs=found.macs,
            size=size,
            fp32_bytes=(place / FP32).stat().st_size,
            epochs=result.epochs,
            steps=steps,
            train_batch=fit.batch_size,
            train_threads=torch.get_num_threads(),
            train_precision=trained_in(fit.precision),
            train_minutes=result.seconds / 60,
            train_images_per_second=_budget_in(place).get("images_per_second", result.images_per_second),
            inference=speed.inference,
            energy=speed.energy,
            machine=speed.machine,
            **self._scores(result, place),
        )

    def _scores(self, result: FitResult, place: Path) -> dict[str, Any]:
        metric = "accuracy" if self.prepared.cache.task == "classification" else "mean_average_precision"
        tested = score_on_test(place, self.prepared)[metric] if self.prepared.split.test else None
        return {"metric": metric, "validation": result.best_score, "test": tested}

    def _budgeted(self, card: ModelCard, fit: ClassFitSettings, place: Path) -> ClassFitSettings:
        """Settings of the training that fits the budget; decided once, so that a killed sweep resumes the same one."""
        if not self.settings.minutes:
            (place / BUDGET).unlink(missing_ok=True)  # of a sweep that was stopped before it trained
            return fit
        chosen, key = _budget_in(place), self._budget_key(fit)
        if chosen.get("fingerprint") != key:
            chosen = {"fingerprint": key, **self._chosen(card, fit, place)}
            write_json(place / BUDGET, chosen)
        # A length that was chosen before there was a choice of precision has none.
        precision = chosen.get("precision", fit.precision)
        return replace(fit, epochs=chosen["epochs"], steps_per_epoch=chosen["steps_per_epoch"], precision=precision)

    def _chosen(self, card: ModelCard, fit: ClassFitSettings, place: Path) -> dict[str, Any]:
        """What the minutes are enough for, by short trials; each network has the precision that it is faster in."""
        rates = {
            precision: training_rate(card, self.prepared, replace(fit, precision=precision), place / "trial")
            for precision in precisions(fit.precision)
        }
        precision, minutes = max(rates, key=lambda tried: rates[tried]), self.settings.minutes
        return {
            "minutes": minutes,
            "precision": precision,
            "images_per_second": rates[precision],
            **_within(minutes, rates[precision], fit, self.prepared),
        }


def _budget_in(place: Path) -> dict[str, Any]:
    """What was chosen for a training; empty before."""
    found: dict[str, Any] = read_json(place / BUDGET) if (place / BUDGET).is_file() else {}
    return found


def _within(minutes: float, speed: float, fit: ClassFitSettings, prepared: ClassPrepared) -> dict[str, int]:
    """Epochs, and steps of each, that take about so many minutes."""
    steps = max(1, math.floor(minutes * 60 * speed / fit.batch_size))
    deck = replace(fit, steps_per_epoch=DECK).for_images(len(prepared.split.train)).steps_per_epoch
    epochs = max(1, round(steps / deck))
    return {"epochs": epochs, "steps_per_epoch": max(1, steps // epochs)}


def failures(rows: Sequence[ZooRow]) -> tuple[ZooRow, ...]:
    """Rows without figures."""
    return tuple(row for row in rows if row.failure)
