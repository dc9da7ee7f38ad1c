"""A small search for the factors of compound scaling: rules of equal cost, trained alike, judged by validation images.

EfficientNet (arXiv 1905.11946) searches alpha, beta and gamma at phi = 1 under alpha * beta^2 * gamma^2 = 2. Here depth
and resolution are a grid, and the width follows from the cost; see :mod:`satsqueeze.bench.scaling.trials`. Its result
says how a growing cost is best shared among the three; ``CompoundScaling.at_cost`` turns that into steps of any cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from satsqueeze.bench.row_file import write_rows
from satsqueeze.bench.scaling.row import ScalingRow
from satsqueeze.bench.scaling.settings import ScalingSettings
from satsqueeze.bench.scaling.trials import trials
from satsqueeze.core.errors import SatsqueezeError, SplitError
from satsqueeze.core.run import fingerprint_of
from satsqueeze.data.class_stage import ClassPrepared
from satsqueeze.learn.class_settings import ClassFitSettings
from satsqueeze.learn.class_stage import classifier_card, train_classifier
from satsqueeze.nets.cost import cost
from satsqueeze.nets.model import load_model
from satsqueeze.nets.zoo.scaling import SCALING, CompoundScaling
from satsqueeze.nets.zoo.scaling_config import BASE_MODEL, SCALED_FAMILY, ScaledConfig

ROWS = "scaling.jsonl"


@dataclass(frozen=True)
class ScalingSearch:
    """One search.

    Args:
        prepared: images and their split, of which the test part is not looked at.
        settings: see there.
        folder: of results; each trial trains in a folder of its own.

    Raises:
        SplitError: no validation images, which decide.
    """

    prepared: ClassPrepared
    settings: ScalingSettings
    folder: Path

    def __post_init__(self) -> None:
        if not self.prepared.split.validation:
            raise SplitError("a search is decided by validation images; give that part of the split a share")

    def run(self, on_row: Callable[[ScalingRow], None] = lambda _: None) -> tuple[ScalingRow, ...]:
        """Train what has no row yet; a trial that fails gets a row that says why, and is tried again the next time.

        Args:
            on_row: called with each row, whether new or from before.

        Raises:
            SettingsError: nothing of the grid can keep to the cost.
        """
        rows = []
        for seed, scaling in product(self.settings.seeds, trials(self.settings, self._config(SCALING))):
            rows.append(self._row(scaling, seed))
            on_row(rows[-1])
        return tuple(rows)

    def _row(self, scaling: CompoundScaling, seed: int) -> ScalingRow:
        fit, config = replace(self.settings.fit, seed=seed), self._config(scaling)
        key = fingerprint_of([self.prepared.key, config.to_dict(), fit.to_dict()])
        known = {row.fingerprint: row for row in ScalingRow.read(self.folder / ROWS)}
        if key in known and not known[key].failure:
            return known[key]
        place = self.folder / key[:12]
        try:
            row = ScalingRow(**asdict(scaling), seed=seed, fingerprint=key, **self._measured(config, fit, place))
        except (SatsqueezeError, RuntimeError, MemoryError) as error:
            failure = f"{type(error).__name__}: {error}"
            row = ScalingRow(**asdict(scaling), seed=seed, fingerprint=key, failure=failure)
        write_rows(self.folder / ROWS, tuple((known | {key: row}).values()))
        return row

    def _config(self, scaling: CompoundScaling) -> ScaledConfig:
        fields = classifier_card(BASE_MODEL, self.prepared).config.to_dict()
        return ScaledConfig(**fields, scaling=scaling)

    def _measured(self, config: ScaledConfig, fit: ClassFitSettings, place: Path) -> dict[str, Any]:
        plain = classifier_card(BASE_MODEL, self.prepared)
        card = replace(plain, name="scaled", family=SCALED_FAMILY, config=config)
        result = train_classifier(card, self.prepared, fit, place)
        found = cost(load_model(place), height=config.size, width=config.size)
        scaling, counted = config.scaling, fit.for_images(len(self.prepared.split.train))
        return {
            "blocks": scaling.blocks(config.phi),
            "widths": scaling.widths(config.phi),
            "side": scaling.side(config.size, config.phi),
            "parameters": found.parameters,
            "macs": found.macs,
            "size": config.size,
            "metric": "accuracy" if card.task == "classification" else "mean_average_precision",
            "validation": result.best_score,
            "epochs": result.epochs,
            "images": counted.steps * counted.batch_size,
            "train_minutes": result.seconds / 60,
        }
