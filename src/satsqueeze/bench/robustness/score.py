"""How a flight package that decides on whole images fares when something is wrong with them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from satsqueeze.bench.classes.image_pass import ClassPass, Progress
from satsqueeze.bench.classes.images import ScoredImage, decisions_of, truth_of
from satsqueeze.bench.robustness.row import CLEAN, RobustnessRow
from satsqueeze.core.class_metrics import ClassMetrics
from satsqueeze.core.errors import PackageError, SettingsError
from satsqueeze.data.corruptions import CORRUPTIONS, SEVERITIES, Corruption, corrupted
from satsqueeze.data.dataset import Dataset
from satsqueeze.flight.classifier import FlightClassifier
from satsqueeze.flight.opening import open_package


@dataclass(frozen=True, kw_only=True)
class RobustnessSettings:
    """What is done to the images."""

    corruptions: tuple[Corruption, ...] = CORRUPTIONS
    """What is done to images, one at a time."""
    severities: tuple[int, ...] = SEVERITIES
    """1 (mild) to 5 (severe)."""
    seed: int = 0
    """Of all draws; an image is hit the same way whatever others there are."""

    def __post_init__(self) -> None:
        wrong = [kind for kind in self.corruptions if kind not in CORRUPTIONS]
        if wrong or not self.corruptions:
            raise SettingsError(f"unknown corruption(s) {', '.join(wrong) or 'none'}; known: {', '.join(CORRUPTIONS)}")
        if not self.severities or not set(self.severities) <= set(SEVERITIES) or self.seed < 0:
            raise SettingsError(f"severities are 1 to 5 and the seed >= 0, got {self.severities} and {self.seed}")
        for label, values in (("corruptions", self.corruptions), ("severities", self.severities)):
            if len(set(values)) < len(values):
                said = ", ".join(map(str, values))
                raise SettingsError(f"{label} are scored once each, got {said}; name each of them once")

    @property
    def cells(self) -> tuple[tuple[Corruption, int], ...]:
        """Each corruption at each severity."""
        return tuple((kind, severity) for kind in self.corruptions for severity in self.severities)


@dataclass(frozen=True, kw_only=True)
class Robustness:
    """What came out."""

    rows: tuple[RobustnessRow, ...]
    """The clean images first, then one per corruption and severity."""
    quarantined: tuple[dict[str, str], ...]
    """Images that were left out of all rows, with ``file``, ``item`` and ``reason``."""


def robustness(
    package: Path | str,
    dataset: Dataset,
    *,
    settings: RobustnessSettings = RobustnessSettings(),
    ids: Collection[str] | None = None,
    limit: int | None = None,
    precision: Literal["auto", "fp32", "int8"] = "auto",
    threads: int | None = None,
    on_progress: Progress | None = None,
) -> Robustness:
    """Score a package on clean images and on the same images under every corruption and severity.

    Images are read once, in batches, so memory does not grow with their number. One that cannot be read or does not fit
    is left out of every row and listed, and the job goes on.

    Args:
        package: folder of a flight package that decides on whole images.
        dataset: its labels.
        settings: see there.
        ids: score only these images, such as the test part of a split; by default all.
        limit: score the first ``limit`` images only.
        precision: which graph.
        threads: of one call; None leaves it to the engine.
        on_progress: called with (done, all) after each image.

    Raises:
        PackageError: the package cannot be trusted, or is for segmentation.
        LabelError: labels for another task, or classes that the package does not know.
        BandError: haze over a band whose wavelength is not known.
        DataError: no image, none that could be scored, or one of ``ids`` that the data set lacks.
        SettingsError: a limit below 1.
    """
    if limit is not None and limit < 1:
        raise SettingsError(f"limit must be at least 1, got {limit}")
    model = open_package(package, precision=precision, threads=threads)
    if not isinstance(model, FlightClassifier):
        raise PackageError(
            f"{package} is a segmentation package; robustness is measured for packages that decide on whole images. "
            "Score it with 'satsqueeze evaluate'"
        )
    images = ClassPass(model, dataset, ids=ids, limit=limit)
    tally = _Tally(model, settings)
    for batch in images.batches(on_progress):
        tally.count_corrupted(images.counted(batch, tally.count_clean))
    return Robustness(rows=tally.rows(left_out=len(images.quarantined)), quarantined=tuple(images.quarantined))


@dataclass
class _Tally:
    model: FlightClassifier
    settings: RobustnessSettings
    _cards: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.clean = self._empty()
        self._cells = {cell: self._empty() for cell in self.settings.cells}
        scaling = self.model.manifest.scaling
        self._fill = [scaling.mean[scaling.bands.index(band)] for band in self.model.bands]

    def count_clean(self, images: Sequence[ScoredImage]) -> None:
        """Score images as they are."""
        self._count(self.clean, images, [image.values for image in images])

    def count_corrupted(self, images: Sequence[ScoredImage]) -> None:
        """Score images that the package takes, in every cell."""
        self._cards |= {image.item.card.name for image in images}
        for (kind, severity), metrics in self._cells.items() if images else ():
            self._count(metrics, images, [self._corrupted(image, kind, severity) for image in images])

    def rows(self, *, left_out: int) -> tuple[RobustnessRow, ...]:
        """One per cell, after that of the clean images."""
        cells = (self._row(kind, severity, metrics, left_out) for (kind, severity), metrics in self._cells.items())
        return (self._row(CLEAN, 0, self.clean, left_out), *cells)

    def _corrupted(self, image: ScoredImage, kind: Corruption, severity: int) -> NDArray[np.float32]:
        return corrupted(
            image.values,
            kind=kind,
            severity=severity,
            bands=self.model.bands,
            fill=self._fill,
            seed=self.settings.seed,
            key=image.item.id,
            valid=image.valid,
        )

    def _count(
        self, metrics: ClassMetrics, images: Sequence[ScoredImage], values: Sequence[NDArray[np.float32]]
    ) -> None:
        valid = np.stack([image.valid for image in images])
        found = self.model.classify(np.stack(values), self.model.bands, valid=valid)
        truth = truth_of(images, len(self.model.classes))
        metrics.update(truth, found.probabilities, predicted=decisions_of(found, self.model))

    def _row(self, kind: str, severity: int, metrics: ClassMetrics, left_out: int) -> RobustnessRow:
        record, model = metrics.to_dict(), self.model
        settings = model.manifest.training.get("settings", {})
        return RobustnessRow(
            package=model.manifest.name,
            precision=model.graph.precision,
            engine=model.engine.name,
            corruption=kind,
            severity=severity,
            accuracy=metrics.accuracy,
            f1_macro=record["f1_macro"],
            clean_accuracy=self.clean.accuracy,
            images=metrics.images,
            left_out=left_out,
            cards=tuple(sorted(self._cards)),
            seed=self.settings.seed,
            corrupted_share=settings.get("augment", {}).get("corrupt", 0.0),
            training_seed=settings.get("seed", 0),
        )

    def _empty(self) -> ClassMetrics:
        return ClassMetrics(self.model.classes, multi_label=self.model.is_multi_label)
