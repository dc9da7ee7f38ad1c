"""A run of one network, of one date or over dates, as a proven flight package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from satsqueeze.cli.stage import PACKAGES, require, run_stage
from satsqueeze.core.files import read_json
from satsqueeze.core.manifest import Quality
from satsqueeze.core.package import MANIFEST
from satsqueeze.core.run import RunFolder
from satsqueeze.data.stage import load_prepared
from satsqueeze.export.draft import FP32
from satsqueeze.export.settings import ExportSettings
from satsqueeze.export.stage import export_package
from satsqueeze.learn.training import METRICS_FILE
from satsqueeze.nets.model import load_model
from satsqueeze.nets.model_home import NETWORK

SERIES_STAGE, NETWORK_STAGE = "series", "network"
"""What ``satsqueeze train --out`` has finished: a network over dates, or of one date."""


def network_stage_of(run: RunFolder) -> str | None:
    """The stage that trained the one network of a run; None where a run has other networks, or none."""
    return next((stage for stage in (SERIES_STAGE, NETWORK_STAGE) if run.has(stage)), None)


def export_network(run: RunFolder, stage: str, settings: ExportSettings) -> Path:
    """Export the one network of a run; returns the folder of its package.

    Raises:
        ExportError: it cannot be exported.
        ParityError: its graphs differ from it by more than is allowed.
    """
    found, prepared = require(run, stage), load_prepared(run)
    model, split = load_model(run / NETWORK), prepared.folds[0]
    card, test = model.card, found["test"]
    of_dates = ", from all dates of a place" if stage == SERIES_STAGE else ""

    def work() -> dict[str, Any]:
        counted = f"{test['places']} test places" if stage == SERIES_STAGE else f"{test['images']} test images"
        protocol = f"mean over classes, {counted} on which nothing was chosen, arg-max, no test-time augmentation"
        manifest = export_package(
            model,
            prepared.cache,
            split.train,
            split.validation,
            settings,
            run / f"{PACKAGES}/{card.name}",
            name=card.name,
            description=f"{', '.join(card.classes)} from {', '.join(card.bands)}{of_dates}",
            quality=[Quality(metric="mean_jaccard", value=test["mean_jaccard"], protocol=protocol, graph=FP32)],
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
