"""Run folders of classifiers: prepared data, a trained network, a flight package."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from satsqueeze.cli.progress import progress
from satsqueeze.cli.stage import CLASSIFIER, PACKAGES, console, require, run_stage, tell_packed
from satsqueeze.core.errors import SettingsError
from satsqueeze.core.files import read_json
from satsqueeze.core.manifest import Quality
from satsqueeze.core.package import MANIFEST
from satsqueeze.core.run import RunFolder, fingerprint_of
from satsqueeze.data.class_stage import (
    STAGE,
    ClassPrepared,
    ClassPrepareSettings,
    few_labels,
    load_classes,
    prepare_classes,
)
from satsqueeze.export.draft import FP32
from satsqueeze.export.settings import ClassExportSettings, ExportSettings
from satsqueeze.export.stage import export_package
from satsqueeze.learn.class_settings import ClassFitSettings
from satsqueeze.learn.class_stage import classifier_card, score_on_test, thresholds_of, train_classifier
from satsqueeze.learn.training import METRICS_FILE
from satsqueeze.nets.model import load_model, model_files
from satsqueeze.nets.source import Source
from satsqueeze.nets.transfer import TransferReport
from satsqueeze.nets.zoo import zoo_card

TEST = "test images, on which nothing was chosen"


def is_class_run(run: RunFolder) -> bool:
    """Whether a run folder is about a classifier."""
    return run.has(STAGE)


def train_run(
    run: RunFolder,
    prepare: ClassPrepareSettings,
    model: str,
    fit: ClassFitSettings,
    *,
    dropout: float,
    init: Path | None = None,
    label_fraction: float = 1.0,
) -> dict[str, Any]:
    """Prepare the data and train; returns the scores on validation and test images.

    Args:
        run: where everything goes.
        prepare: the data and its split.
        model: a name of the zoo.
        fit: settings of the training.
        dropout: see :class:`satsqueeze.nets.classifier.ClassifierConfig`.
        init: run whose weights are taken over where they fit.
        label_fraction: share of the training images whose labels are used, of every class alike.

    Raises:
        SettingsError: an unknown network, or one that ``init`` does not fit.
        BandError: no band has a counterpart in ``init``.
        SplitError: a fraction that leaves a class without an image.
        RunError: the folder is about other data, or there is no model in ``init``.
    """
    zoo_card(model)  # an unknown name is refused before anything is packed
    with progress("packing") as advance:
        prepared = few_labels(prepare_classes(prepare, run, advance), share=label_fraction, seed=prepare.seed)
    tell_packed(prepared.cache)
    card = classifier_card(model, prepared, dropout=dropout)
    started: list[TransferReport] = []

    def tell(report: TransferReport) -> None:
        console.print(str(report), markup=False)
        started.append(report)

    def work() -> dict[str, Any]:
        result = train_classifier(card, prepared, fit, run / CLASSIFIER, init=init, on_start=tell)
        record: dict[str, Any] = {"start": started[0].to_dict()} if started else {}
        record |= {
            "validation_score": result.best_score,
            "best_epoch": result.best_epoch,
            "train_minutes": result.seconds / 60,
            "images_per_second": result.images_per_second,
            "train_images": len(prepared.split.train),
        }
        return record | ({"test": score_on_test(run / CLASSIFIER, prepared)} if prepared.split.test else {})

    key: dict[str, Any] = {"data": fingerprint_of(prepared.key), "card": card.to_dict(), "fit": fit.to_dict()}
    if init is not None:
        key["init"] = Source.of(init).digest
    return run_stage(run, "classifier", key, work, outputs=model_files(CLASSIFIER))


def export_run(run: RunFolder, settings: ExportSettings, *, accuracy_loss: float, native_grids: bool) -> Path:
    """Export the trained classifier; returns the folder of its package.

    Args:
        run: with a trained classifier.
        settings: what was asked for.
        accuracy_loss: see :class:`ClassExportSettings`.
        native_grids: see :class:`ClassExportSettings`.

    Raises:
        ExportError: it cannot be exported.
        ParityError: its graphs differ from it by more than is allowed.
        RunError: nothing has been trained.
    """
    scores = require(run, "classifier")
    prepared, folder = load_classes(run), run / CLASSIFIER
    model = load_model(folder)
    name = model.card.name
    chosen = replace(
        _class_settings(settings),
        accuracy_loss=accuracy_loss,
        thresholds=thresholds_of(folder),
        native_grids=native_grids,
    )

    def work() -> dict[str, Any]:
        manifest = export_package(
            model,
            prepared.cache,
            prepared.split.train,
            prepared.split.validation,
            chosen,
            run / f"{PACKAGES}/{name}",
            name=name,
            description=f"{len(model.card.classes)} classes of whole images from {', '.join(model.card.bands)}",
            quality=_quality(scores.get("test"), prepared),
            training={
                "scores": scores,
                "settings": read_json(folder / METRICS_FILE)["settings"],
                "images": scores.get("train_images"),
            },
        )
        return {"package": f"{PACKAGES}/{name}", "graphs": [graph.file for graph in manifest.graphs]}

    key = {"data": fingerprint_of(prepared.key), "scores": scores, "card": model.card.to_dict(), "export": chosen.key}
    outputs = (f"{PACKAGES}/{name}/{MANIFEST}",)
    return run / str(run_stage(run, "export", key, work, outputs=outputs)["package"])


def _class_settings(settings: ExportSettings) -> ClassExportSettings:
    """What was asked for, and for the rest what suits classifiers."""
    plain = ExportSettings()
    asked = {
        entry.name: getattr(settings, entry.name)
        for entry in fields(ExportSettings)
        if getattr(settings, entry.name) != getattr(plain, entry.name)
    }
    if "logit_bias" in asked or "jaccard_loss" in asked:
        raise SettingsError("logit_bias and jaccard_loss are about masks; for a classifier use --accuracy_loss")
    return ClassExportSettings(**asked)


def _quality(test: dict[str, Any] | None, prepared: ClassPrepared) -> list[Quality]:
    names = (
        ("accuracy", "f1_macro") if prepared.cache.task == "classification" else ("mean_average_precision", "f1_micro")
    )
    protocol = f"{len(prepared.split.test)} {TEST}; whole images, no test-time augmentation"
    found = {name: (test or {}).get(name) for name in names}
    return [
        Quality(metric=name, value=float(value), protocol=protocol, graph=FP32)
        for name, value in found.items()
        if value is not None
    ]
