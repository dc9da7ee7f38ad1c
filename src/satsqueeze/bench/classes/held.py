"""What a trained classifier says about the images that it did not learn from, and how right it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.class_metrics import ClassMetrics, one_hot
from satsqueeze.core.class_thresholds import best_thresholds
from satsqueeze.core.errors import RunError
from satsqueeze.core.files import replacing
from satsqueeze.data.class_stage import ClassPrepared
from satsqueeze.learn.scoring.classify import Classifier, class_logits, class_probabilities


@dataclass(frozen=True, kw_only=True)
class HeldAnswers:
    """Logits for the validation and test images of a split, in its order."""

    validation: NDArray[np.float32]
    """(V, K)."""
    test: NDArray[np.float32]
    """(T, K)."""

    @classmethod
    def of(cls, model: Classifier, prepared: ClassPrepared) -> Self:
        """Ask a model, in fp32 and about each image once, as it lies."""
        parts = (prepared.split.validation, prepared.split.test)
        validation, test = (class_logits(model, prepared.cache, ids, precision="fp32") for ids in parts)
        return cls(validation=validation, test=test)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Inverse of :meth:`write`.

        Raises:
            RunError: absent or damaged.
        """
        try:
            with np.load(path) as arrays:
                return cls(validation=arrays["validation"], test=arrays["test"])
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise RunError(f"{path} is not readable ({error}); remove {path.parent} and train again") from error

    def write(self, path: Path) -> None:
        """Keep them, whole or not at all."""
        with replacing(path) as temporary, temporary.open("wb") as handle:
            np.savez(handle, validation=self.validation, test=self.test)


class HeldTruth:
    """The right answers.

    Args:
        prepared: images and their split.
    """

    def __init__(self, prepared: ClassPrepared) -> None:
        cache, split = prepared.cache, prepared.split
        self.classes, self.multi_label = cache.classes, cache.task == "multi-label"
        self._validation, self._test = (
            cache.targets[[cache.position(item) for item in ids]] for ids in (split.validation, split.test)
        )

    def thresholds(self, answers: HeldAnswers) -> tuple[float, ...]:
        """Of each class, tuned on the validation images; none where an image has one class."""
        return best_thresholds(self._validation, self._chances(answers.validation)) if self.multi_label else ()

    def validation(self, answers: HeldAnswers) -> ClassMetrics:
        """Scores on the validation images; with several labels flattered by thresholds that were tuned on them."""
        return self._metrics(self._validation, answers.validation, self.thresholds(answers))

    def test(self, answers: HeldAnswers) -> ClassMetrics:
        """Scores on the test images."""
        return self._metrics(self._test, answers.test, self.thresholds(answers))

    def right(self, answers: HeldAnswers) -> NDArray[np.bool_]:
        """For each test image (T,) whether its class, or all its classes, are right."""
        decided = self._decided(answers.test, self.thresholds(answers))
        right: NDArray[np.bool_] = (decided == self._test.astype(bool)).all(axis=1)
        return right

    def _metrics(
        self, truth: NDArray[np.float32], logits: NDArray[np.float32], thresholds: tuple[float, ...]
    ) -> ClassMetrics:
        metrics = ClassMetrics(self.classes, multi_label=self.multi_label)
        metrics.update(truth, self._chances(logits), predicted=self._decided(logits, thresholds))
        return metrics

    def _decided(self, logits: NDArray[np.float32], thresholds: tuple[float, ...]) -> NDArray[np.bool_]:
        chances = self._chances(logits)
        if self.multi_label:
            return chances >= np.array(thresholds, np.float32)
        return one_hot(chances.argmax(axis=1), len(self.classes))

    def _chances(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        return class_probabilities(logits, multi_label=self.multi_label)
