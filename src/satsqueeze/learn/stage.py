"""The training stage: one teacher per fold, which together are the ensemble."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from satsqueeze.core.errors import RunError
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.sampling.sampler import SoftTargets
from satsqueeze.data.splits.split import Split
from satsqueeze.learn.fit import FitResult, fit
from satsqueeze.learn.fit_series import fit_series
from satsqueeze.learn.losses import Objective
from satsqueeze.learn.settings import FitSettings
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.model import SegmentationModel, build_model, load_model
from satsqueeze.nets.transfer_report import TransferReport

Start = Callable[[SegmentationModel], TransferReport]
"""Gives a freshly drawn model the weights it starts from."""


def train_network(
    card: ModelCard,
    cache: PackedCache,
    split: Split,
    settings: FitSettings,
    folder: Path,
    *,
    start: Start | None = None,
    objective: Objective | None = None,
    soft: SoftTargets | None = None,
) -> FitResult:
    """Train one model, drawn by the settings' seed and started from elsewhere if told; resumes.

    Args as those of :func:`satsqueeze.learn.fit.fit`.

    Raises:
        TrainError: see :func:`satsqueeze.learn.fit.fit`.
    """
    model = build_model(card, seed=settings.seed)
    origin = None if start is None else start(model)
    return fit(model, cache, split, settings, folder, origin=origin, objective=objective, soft=soft)


def train_series(
    card: ModelCard,
    cache: PackedCache,
    split: Split,
    settings: FitSettings,
    folder: Path,
    *,
    dates: int,
    start: Start | None = None,
) -> FitResult:
    """The same for a network over dates, which reads up to ``dates`` of a place in a step.

    Raises:
        TrainError: see :func:`satsqueeze.learn.fit_series.fit_series`.
    """
    model = build_model(card, seed=settings.seed)
    origin = None if start is None else start(model)
    return fit_series(model, cache, split, settings, folder, dates=dates, origin=origin)


def train_folds(
    card: ModelCard,
    cache: PackedCache,
    folds: Sequence[Split],
    settings: FitSettings,
    folder: Path,
    *,
    start: Start | None = None,
) -> list[FitResult]:
    """Train one model per fold in ``fold_0``, ``fold_1``, ...; finished folds are kept, a killed one resumes.

    Raises:
        TrainError: see :func:`satsqueeze.learn.fit.fit`.
    """
    results = []
    for number, split in enumerate(folds):
        seeded = replace(settings, seed=settings.seed + number)
        named = replace(card, name=f"{card.name}-fold-{number}")
        results.append(train_network(named, cache, split, seeded, folder / f"fold_{number}", start=start))
    return results


def load_folds(folder: Path) -> list[SegmentationModel]:
    """The trained models of all folds, in order.

    Raises:
        RunError: a fold is incomplete, or there is none.
    """
    # By number: as text, fold_10 comes before fold_2.
    paths = sorted(folder.glob("fold_*"), key=lambda path: (len(path.name), path.name))
    if not paths:
        raise RunError(
            f"{folder} holds no teacher, expected fold_0 and so on; train it with 'satsqueeze train {folder.parent}'"
        )
    return [load_model(path) for path in paths]
