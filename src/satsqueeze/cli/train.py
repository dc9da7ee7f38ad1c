"""``satsqueeze train``: the planned teacher, fold by fold; or one network on a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from satsqueeze.cli.fingerprint import prepare_stage
from satsqueeze.cli.network_run import NETWORK_STAGE
from satsqueeze.cli.series import SeriesRequest, series_stage
from satsqueeze.cli.stage import PLAN, TEACHER, console, open_run, require, run_stage
from satsqueeze.core.errors import SettingsError
from satsqueeze.core.files import read_json
from satsqueeze.core.metrics import class_jaccards, mean_jaccard
from satsqueeze.core.run import RunFolder
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.splits.label_share import share_of_labels, with_labels
from satsqueeze.data.splits.split import Split
from satsqueeze.data.stage import Prepared, PrepareSettings, load_prepared
from satsqueeze.export.series_graph import GRAPH_FILE
from satsqueeze.learn.augment.patches import AugmentSettings
from satsqueeze.learn.postprocess_choice import decide_for_folds
from satsqueeze.learn.scoring.evaluate import ScoreSettings, score
from satsqueeze.learn.settings import FitSettings
from satsqueeze.learn.stage import train_folds, train_network
from satsqueeze.nets.model import SegmentationModel, load_model, model_files
from satsqueeze.nets.model_home import NETWORK
from satsqueeze.nets.named import named_network
from satsqueeze.nets.source import Source
from satsqueeze.nets.transfer_report import TransferReport
from satsqueeze.plan.stage import TrainPlan
from satsqueeze.pretrain.card import network_card
from satsqueeze.pretrain.start import start_network

FIT = FitSettings(
    epochs=40,
    steps_per_epoch=25,
    batch_size=8,
    patch_size=(64, 64),
    learning_rate=3e-3,
    optimiser="adamw",
    schedule="onecycle",
    weight_decay=1e-2,
    augment=AugmentSettings.geometric(),
)
"""Of one network on a data set, for small networks and short runs."""
MODEL = "lite-16"


def train(
    data: str,
    *,
    out: Path | None = None,
    model: str = MODEL,
    card: str | None = None,
    bands: list[str] | None = None,
    init: Path | None = None,
    label_fraction: float = 1.0,
    series: int = 0,
    seed: int = 0,
    fit: FitSettings = FIT,
) -> int:
    """Train the planned teacher of a run folder, one network per fold; or, with --out, one network on a data set.

    Resumes where it was stopped.

    Args:
        data: run folder with a plan; with --out, a folder, zip file or YAML list of sources.
        out: run folder for one network on a data set.
        model: that network: a rung of the ladder of students, such as unet-8 or lite-16, or encoder:resnet8 or
            encoder:resnet16, a U-Net whose encoder is that classifier of the zoo and can start from a run of it.
        card: name of the dataset card, where the folder has no dataset.yaml.
        bands: common names in channel order; by default all that the sources share.
        init: run folder of 'satsqueeze pretrain' or of another training, or a flight package, to start from; what was
            matched, averaged and fresh is printed.
        label_fraction: share of the labelled training images, or with --series of the labelled places, to learn from;
            no class is left without one.
        series: with --out, train one network over dates, which reads up to so many of each place in a step, and export
            it; 0 for a network of one date.
        seed: of the split and of the labels that are drawn; the split of a planned teacher is made already.
        fit: settings of the training of one network; a teacher's are planned.
    """
    if series < 0 or (series and out is None):
        raise SettingsError(f"--series needs a number of dates of at least 1 and --out; got {series}, out {out}")
    if not 0 < label_fraction <= 1:
        raise SettingsError(f"--label_fraction is a share of the labels in (0, 1], got {label_fraction:g}")
    if out is None:
        _require_defaults(model=model, card=card, bands=bands, fit=fit, seed=0 if label_fraction < 1 else seed)
        run = Path(data)
        scores = train_stage(open_run(run), init=init, label_fraction=label_fraction, seed=seed)
        print(f"{run / TEACHER}: validation Jaccard by fold {_listed(scores)}")
        return 0
    named_network(model)  # before anything is packed
    settings = PrepareSettings(data=data, card=card, bands=tuple(bands or ()), seed=seed)
    run_folder = RunFolder(out)
    prepared = prepare_stage(settings, run_folder)
    if series:
        request = SeriesRequest(model=model, dates=series, label_fraction=label_fraction, seed=seed)
        key = _start_key(init, 1.0, seed)
        found = series_stage(run_folder, prepared, request, fit, start=_starter(init), start_key=key)
        shown, beside = "places", f"; {GRAPH_FILE} differs by at most {found['parity']['probability_difference']:.1e}"
    else:
        found = network_stage(run_folder, prepared, model, fit, init=init, label_fraction=label_fraction, seed=seed)
        shown, beside = "images", ""
    print(
        f"{out / NETWORK}: {found['labels']} labelled {shown}, mIoU {found['test']['mean_jaccard']:.4f} on "
        f"{found['test'][shown]} test {shown}{beside}"
    )
    return 0


def _require_defaults(*, model: str, card: str | None, bands: list[str] | None, fit: FitSettings, seed: int) -> None:
    """Refuse what says how one network is trained, where a teacher is, which is planned."""
    told = {
        "--model": model != MODEL,
        "--card": card is not None,
        "--bands": bool(bands),
        "--fit": fit != FIT,
        "--seed": seed != 0,
    }
    useless = [name for name, changed in told.items() if changed]
    if useless:
        raise SettingsError(
            f"{', '.join(useless)} would change nothing: a teacher is trained as it was planned. Plan it anew with "
            "'satsqueeze plan' (--seed, --plan.schedule...), or name --out to train one network on a data set"
        )


def train_stage(
    run: RunFolder, *, init: Path | None = None, label_fraction: float = 1.0, seed: int = 0
) -> list[float | None]:
    """Train all folds; returns the validation Jaccard of each."""
    require(run, "plan")
    prepared, planned = load_prepared(run), TrainPlan.read(run / PLAN)

    def work() -> dict[str, Any]:
        folds = [_fewer(prepared.cache, fold, label_fraction, seed) for fold in prepared.folds]
        results = train_folds(planned.card, prepared.cache, folds, planned.fit, run / TEACHER, start=_starter(init))
        scores = [result.best_score for result in results]
        console.print(f"teacher: validation Jaccard by fold {_listed(scores)}")
        return {
            "validation_jaccard": scores,
            "train_minutes": sum(result.seconds for result in results) / 60,
            "postprocessing": _postprocessing(run, prepared, planned, folds),
        }

    key = {**prepared.key, "plan": read_json(run / PLAN), **_start_key(init, label_fraction, seed)}
    outputs = [file for fold in range(len(prepared.folds)) for file in model_files(f"{TEACHER}/fold_{fold}")]
    return list(run_stage(run, "train", key, work, outputs=outputs)["validation_jaccard"])


def _postprocessing(run: RunFolder, prepared: Prepared, planned: TrainPlan, folds: Sequence[Split]) -> Any:
    """What is done to the teacher's masks; None where no class is the foreground."""
    cache = prepared.cache
    if not cache.foreground:
        return None
    decision = decide_for_folds(run / TEACHER, cache, folds, window=max(planned.unet.patch_size))
    told = decision.adopted.told(cache.classes) or "none, since none helps on validation"
    console.print(f"teacher: post-processing: {told}")
    return decision.to_dict()


def network_stage(
    run: RunFolder,
    prepared: Prepared,
    model: str,
    fit: FitSettings,
    *,
    init: Path | None = None,
    label_fraction: float = 1.0,
    seed: int = 0,
) -> dict[str, Any]:
    """Train one network on the first fold and score it once on the test images."""
    cache, fold = prepared.cache, prepared.folds[0]
    card = network_card(model, cache, fold.train, classes=cache.classes, foreground=cache.foreground)
    started: list[TransferReport] = []

    def work() -> dict[str, Any]:
        split = _fewer(cache, fold, label_fraction, seed)
        result = train_network(card, cache, split, fit, run / NETWORK, start=_starter(init, started.append))
        metrics = score(
            load_model(run / NETWORK), cache, prepared.test, settings=ScoreSettings(window=fit.window)
        ).metrics
        jaccards = zip(cache.classes, class_jaccards(metrics.matrix).tolist(), strict=True)
        return {
            "start": started[0].to_dict() if started else None,
            "labels": len(with_labels(cache, split.train)),
            "validation": result.best_score,
            "test": {
                "mean_jaccard": mean_jaccard(metrics),
                "jaccard": dict(jaccards),
                "images": len(prepared.test),
            },
            "train_minutes": result.seconds / 60,
        }

    key = {**prepared.key, "card": card.to_dict(), "fit": fit.to_dict(), **_start_key(init, label_fraction, seed)}
    return run_stage(run, NETWORK_STAGE, key, work, outputs=model_files(NETWORK))


def _fewer(cache: PackedCache, split: Split, label_fraction: float, seed: int) -> Split:
    if label_fraction == 1:
        return split
    return replace(split, train=share_of_labels(cache, split.train, share=label_fraction, seed=seed))


def _starter(
    init: Path | None, on_start: Callable[[TransferReport], None] = lambda _: None
) -> Callable[[SegmentationModel], TransferReport] | None:
    if init is None:
        return None

    def start(model: SegmentationModel) -> TransferReport:
        report = start_network(init, model)
        console.print(str(report), markup=False)
        on_start(report)
        return report

    return start


def _start_key(init: Path | None, label_fraction: float, seed: int) -> dict[str, Any]:
    """Left out where it says nothing new: older runs were made without it."""
    found: dict[str, Any] = {} if init is None else {"init": Source.of(init).digest}
    return found if label_fraction == 1 else found | {"label_fraction": label_fraction, "label_seed": seed}


def _listed(scores: list[float | None]) -> str:
    return ", ".join("undefined" if score is None else f"{score:.3f}" for score in scores)
