"""Cross-validation: one model per fold, scored together on images that none of them saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from satsqueeze.core.errors import RunError, SplitError
from satsqueeze.core.files import write_json
from satsqueeze.data.cache import PackedCache
from satsqueeze.data.sampler import SoftTargets
from satsqueeze.data.splits import Split
from satsqueeze.learn.ensemble import Averaging, Ensemble
from satsqueeze.learn.evaluate import Evaluation, ScoreSettings, empty_evaluation, predictions
from satsqueeze.learn.fit import FitResult, fit
from satsqueeze.learn.losses import Objective
from satsqueeze.learn.segmenter import Segmenter
from satsqueeze.learn.settings import FitSettings
from satsqueeze.nets.model import SegmentationModel, load_model

CROSS_VALIDATION_FILE = "cross_validation.json"


@dataclass(frozen=True, kw_only=True)
class FoldsResult:
    """What cross-validation came to."""

    folder: Path
    """Holds ``fold_<k>/`` and ``cross_validation.json``."""
    folds: tuple[FitResult, ...]
    pooled: Evaluation
    """Scores over all validation images, each predicted by the model that never saw its scene."""

    def ensemble(self, *, average: Averaging = "logits") -> Ensemble:
        """The models of all folds as one."""
        return load_ensemble([result.folder for result in self.folds], average=average)


def fit_folds(
    build: Callable[[int], SegmentationModel],
    cache: PackedCache,
    splits: Sequence[Split],
    settings: FitSettings,
    folder: Path | str,
    *,
    objective: Objective | None = None,
    soft: SoftTargets | None = None,
) -> FoldsResult:
    """Train one model per fold, each resumable as :func:`~satsqueeze.learn.fit.fit` is, and score them together.

    The pooled score is honest as to scenes; with ``settings.keep="best"`` each fold has still chosen its epoch by its
    validation images, with ``"last"`` it has not.

    Args:
        build: a fresh model for a fold.
        cache: images and labels.
        splits: one per fold; no two validate with the same image.
        settings: the same for all folds, but for the seed, to which the number of the fold is added.
        folder: fold k is trained in ``fold_<k>``.
        objective: see :func:`~satsqueeze.learn.fit.fit`.
        soft: see :func:`~satsqueeze.learn.fit.fit`.

    Raises:
        SplitError: no fold, an image validated twice, or a fold that cannot be trained on.
    """
    folder = Path(folder)
    validated = [identifier for split in splits for identifier in split.validation]
    if not validated or len(set(validated)) < len(validated):
        raise SplitError(
            f"cross-validation needs every image in at most one validation side, got {len(validated)} entries for "
            f"{len(set(validated))} images; make the folds with grouped_folds"
        )
    results: list[FitResult] = []
    pooled: Evaluation | None = None
    for fold, split in enumerate(splits):
        model, seeded = build(fold), replace(settings, seed=settings.seed + fold)
        results.append(fit(model, cache, split, seeded, folder / f"fold_{fold}", objective=objective, soft=soft))
        pooled = pooled or empty_evaluation(model, cache)
        _add(pooled, model, cache, split, settings)
    if pooled is None:
        raise SplitError("cross-validation needs at least one fold")
    scores = [result.best_score for result in results]
    write_json(folder / CROSS_VALIDATION_FILE, {"folds": len(splits), "jaccard": scores, "pooled": pooled.to_dict()})
    return FoldsResult(folder=folder, folds=tuple(results), pooled=pooled)


def _add(pooled: Evaluation, model: Segmenter, cache: PackedCache, split: Split, settings: FitSettings) -> None:
    for prediction in predictions(model, cache, split.validation, ScoreSettings(window=settings.window)):
        pooled.update(prediction)


def load_ensemble(folders: Sequence[Path | str], *, average: Averaging = "logits") -> Ensemble:
    """The models saved in several folders as one.

    Raises:
        RunError: no folder, or one that holds no model.
        SettingsError: models that disagree in bands or classes.
    """
    if not folders:
        raise RunError("there is no model to load; train at least one fold first")
    return Ensemble([load_model(folder) for folder in folders], average=average)
