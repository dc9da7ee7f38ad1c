"""A run of one network, of one date or over dates, as a proven flight package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from satsqueeze.bench.evaluation import judged
from satsqueeze.cli.scores import WHOLE_IMAGES, protocol, score_graph
from satsqueeze.cli.stage import PACKAGES, require, run_stage
from satsqueeze.core.errors import RunError
from satsqueeze.core.files import read_json
from satsqueeze.core.manifest import Quality
from satsqueeze.core.package import MANIFEST
from satsqueeze.core.run import RunFolder, plain
from satsqueeze.data.stage import Prepared, load_prepared
from satsqueeze.export.draft import FP32
from satsqueeze.export.settings import ExportSettings
from satsqueeze.export.stage import export_package
from satsqueeze.learn.scoring.series import score_series
from satsqueeze.learn.training import METRICS_FILE
from satsqueeze.nets.card import SERIES_FAMILY, ModelCard
from satsqueeze.nets.model import SegmentationModel, load_model
from satsqueeze.nets.model_home import NETWORK

SERIES_STAGE, NETWORK_STAGE = "series", "network"
"""What ``satsqueeze train --out`` has finished: a network over dates, or of one date."""


def has_network(run: RunFolder) -> bool:
    """Whether a run is about one network, which ``satsqueeze train --out`` has trained, and not about students."""
    return any(run.has(stage) for stage in (SERIES_STAGE, NETWORK_STAGE)) and not run.has("distill")


def export_network(run: RunFolder, settings: ExportSettings) -> Path:
    """Export the one network of a run; returns the folder of its package.

    Raises:
        RunError: the network is not the one whose training was finished.
        ExportError: it cannot be exported.
        ParityError: its graphs differ from it by more than is allowed.
    """
    prepared, model = load_prepared(run), load_model(run / NETWORK)
    card, split = model.card, prepared.folds[0]
    stage = SERIES_STAGE if card.family == SERIES_FAMILY else NETWORK_STAGE
    found = require(run, stage)
    if run.settings(stage).get("card") != plain(card.to_dict()):
        raise RunError(
            f"{run / NETWORK} holds another network than the one whose training was finished; train it in a folder of "
            "its own"
        )

    def work() -> dict[str, Any]:
        manifest = export_package(
            model,
            prepared.cache,
            split.train,
            split.validation,
            settings,
            run / f"{PACKAGES}/{card.name}",
            name=card.name,
            description=described(card),
            quality=_quality(model, settings, prepared),
            training={
                "settings": read_json(run / NETWORK / METRICS_FILE)["settings"],
                "labels": found["labels"],
                "minutes": found["train_minutes"],
                "data": prepared.fingerprint.to_dict(),
            },
        )
        return {"package": f"{PACKAGES}/{card.name}", "graphs": [graph.file for graph in manifest.graphs]}

    key = {**prepared.key, "card": card.to_dict(), "result": found, "export": settings}
    outputs = (f"{PACKAGES}/{card.name}/{MANIFEST}",)
    return run / str(run_stage(run, "export", key, work, outputs=outputs)["package"])


def described(card: ModelCard) -> str:
    """What a network tells, and from what, in a sentence."""
    told = " + ".join(card.classes[value] for value in card.foreground) or ", ".join(card.classes)
    of_dates = ", from all dates of a place" if card.family == SERIES_FAMILY else ""
    return f"{told} from {', '.join(card.bands)}{of_dates}"


def _quality(model: SegmentationModel, settings: ExportSettings, prepared: Prepared) -> list[Quality]:
    """The score of the float graph on the test images, or places; none where there is nothing to score."""
    if model.card.family == SERIES_FAMILY:
        metrics = score_series(model, prepared.cache, prepared.test, settings=WHOLE_IMAGES).metrics
        value, how = metrics.overall().jaccard, _places_protocol(prepared, len(metrics.images))
    else:
        found = score_graph(model, settings, prepared)["jaccard"]
        value, how = (np.nan if found is None else float(found)), protocol(prepared)
    return [] if np.isnan(value) else [Quality(metric="jaccard", value=value, protocol=how, graph=FP32)]


def _places_protocol(prepared: Prepared, places: int) -> str:
    cache = prepared.cache
    return (
        f"{judged(cache.classes, cache.foreground)} over {places} test places that nothing was trained or chosen on, "
        "each from all of its dates; pixels without label or data do not count; whole places, arg-max; no test-time "
        "augmentation"
    )
