"""``satsqueeze train --series``: one network over dates, trained, scored and exported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from satsqueeze.cli.network_run import SERIES_STAGE
from satsqueeze.cli.stage import run_stage
from satsqueeze.core.metrics import class_jaccards, mean_jaccard
from satsqueeze.core.run import RunFolder
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.series import series_of
from satsqueeze.data.splits.place_share import places_with_labels, share_of_places
from satsqueeze.data.splits.split import Split
from satsqueeze.data.stage import Prepared
from satsqueeze.export.series_graph import GRAPH_FILE, export_series
from satsqueeze.learn.fit_series import fit_series
from satsqueeze.learn.scoring.evaluate import ScoreSettings
from satsqueeze.learn.scoring.series import score_series
from satsqueeze.learn.settings import FitSettings
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.model import SegmentationModel, build_model, load_model, model_files
from satsqueeze.nets.model_home import NETWORK
from satsqueeze.nets.transfer_report import TransferReport
from satsqueeze.pretrain.card import network_card, over_dates


@dataclass(frozen=True, kw_only=True)
class SeriesRequest:
    """What to train on series."""

    model: str
    """A rung of the ladder of students, whose encoder and decoder it is."""
    dates: int
    """Largest number of dates that a step reads of a place."""
    label_fraction: float = 1.0
    """Share of the labelled places to learn from."""
    seed: int = 0
    """Of the places that are drawn."""


def series_stage(
    run: RunFolder,
    prepared: Prepared,
    request: SeriesRequest,
    fit: FitSettings,
    *,
    start: Callable[[SegmentationModel], TransferReport] | None = None,
    start_key: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Train a network over dates on the first fold, score it once on the test places, export it.

    Args:
        run: holds the result in ``network/``.
        prepared: a data set that makes series.
        request: what to train.
        fit: settings of training.
        start: gives the network the weights it starts from.
        start_key: what they depend on.
    """
    cache, fold = prepared.cache, prepared.folds[0]
    card = series_card(request.model, cache, fold)

    def work() -> dict[str, Any]:
        split = _fewer(cache, fold, request)
        model = build_model(card, seed=fit.seed)
        origin = None if start is None else start(model)
        result = fit_series(model, cache, split, fit, run / NETWORK, dates=request.dates, origin=origin)
        trained = load_model(run / NETWORK)
        metrics = score_series(trained, cache, prepared.test, settings=ScoreSettings(window=fit.window)).metrics
        jaccards = zip(cache.classes, class_jaccards(metrics.matrix).tolist(), strict=True)
        return {
            "start": None if origin is None else origin.to_dict(),
            "labels": len(series_of(cache, places_with_labels(cache, split.train))),
            "validation": result.best_score,
            "test": {
                "mean_jaccard": mean_jaccard(metrics),
                "jaccard": dict(jaccards),
                "places": len(metrics.per_image()),
            },
            "parity": asdict(export_series(trained, run / NETWORK)),
            "train_minutes": result.seconds / 60,
        }

    key = {**prepared.key, "card": card.to_dict(), "fit": fit.to_dict(), "request": request, **(start_key or {})}
    return run_stage(run, SERIES_STAGE, key, work, outputs=(*model_files(NETWORK), f"{NETWORK}/{GRAPH_FILE}"))


def series_card(model: str, cache: PackedCache, split: Split) -> ModelCard:
    """The card of a student over dates, with the statistics of the training images.

    Raises:
        SettingsError: no such student.
        DataError: no valid pixel.
    """
    return over_dates(network_card(model, cache, split.train, classes=cache.classes, foreground=cache.foreground))


def _fewer(cache: PackedCache, split: Split, request: SeriesRequest) -> Split:
    if request.label_fraction == 1:
        return split
    return replace(split, train=share_of_places(cache, split.train, share=request.label_fraction, seed=request.seed))
