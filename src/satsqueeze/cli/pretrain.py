"""``satsqueeze pretrain``: dense features from images without labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from satsqueeze.bench.history import read_history
from satsqueeze.cli.embedding import draw_pretraining
from satsqueeze.cli.progress import progress
from satsqueeze.cli.stage import PLAN, TEACHER, console, run_stage, tell_packed
from satsqueeze.core.errors import DataError, RunError, SettingsError
from satsqueeze.core.run import RunFolder
from satsqueeze.data.cache.pack import pack
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.stage import Prepared, load_prepared
from satsqueeze.learn.progress import HISTORY_FILE
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.model import build_model, model_files
from satsqueeze.nets.model_home import PRETRAINED
from satsqueeze.nets.named import named_network
from satsqueeze.plan.stage import TrainPlan
from satsqueeze.pretrain.card import CLASSES, network_card, over_dates, unlabelled
from satsqueeze.pretrain.pretraining import pretrain as train_without_labels
from satsqueeze.pretrain.settings import PretrainSettings
from satsqueeze.pretrain.teacher import TeacherPretraining

CACHE = "data/cache"
MODEL = "lite-16"
_SHOWN = ("loss", "alignment", "uniformity", "knn", "probe")


def pretrain(
    data: str,
    *,
    model: str = MODEL,
    out: Path = Path("runs/pretrained"),
    card: str | None = None,
    bands: list[str] | None = None,
    plan: Path | None = None,
    series: int = 0,
    fit: PretrainSettings = PretrainSettings(),  # noqa: B008 - frozen, and shown as the default
) -> int:
    """Pre-train a segmentation network by dense contrast of two views; labels are not needed. Resumes where stopped.

    All images are learnt from, also those that 'satsqueeze train' tests on later, whose labels stay unseen; with --plan
    none of a scene that the plan has set aside for its test.

    Args:
        data: folder, zip file or YAML list of sources; labels, where there are any, only serve to watch.
        model: a rung of the ladder of students, such as unet-8 or lite-16, or encoder:resnet8 or encoder:resnet16, a
            U-Net whose encoder is that classifier of the zoo.
        out: run folder; hand it to 'satsqueeze train --init'.
        card: name of the dataset card, where the folder has no dataset.yaml.
        bands: common names in channel order; by default all that the sources share.
        plan: run folder of 'satsqueeze plan', whose network is trained instead of a student.
        series: dates of a view, of which the other view of the place has none; the network then is one over dates, for
            'satsqueeze train --series'.
        fit: settings of views, objective and training.
    """
    if plan is None:
        named_network(model)  # before anything is packed
    elif model != MODEL:
        raise SettingsError(f"--model {model} would change nothing, since --plan names the network; leave one out")
    run = RunFolder(out)
    with progress("reading images") as advance:
        cache = pack(
            open_dataset(data, card=card), run / CACHE, bands=bands or None, on_progress=advance, overwrite=False
        )
    tell_packed(cache)
    if series:
        fit = replace(fit, views=replace(fit.views, series=series))
    ids = None if plan is None else _untested(cache, plan)
    network = _card(model, plan, cache, ids or cache.ids)
    told = pretrain_stage(run, cache, over_dates(network) if fit.views.series else network, fit, ids=ids)
    draw_pretraining(run, cache, ids or cache.ids)
    last = ", ".join(f"{name} {value:.3f}" for name in _SHOWN if (value := told["last"].get(name)) is not None)
    print(f"{out / PRETRAINED}: {told['images']} images, {last}; start from it with --init {out}")
    return 0


def pretrain_stage(
    run: RunFolder,
    cache: PackedCache,
    card: ModelCard,
    settings: PretrainSettings,
    *,
    ids: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Pre-train on images of a cache, by default on all; returns what the last epoch came to."""
    chosen = cache.ids if ids is None else tuple(ids)

    def work() -> dict[str, Any]:
        result = train_without_labels(build_model(card, seed=settings.seed), cache, chosen, settings, run / PRETRAINED)
        last = read_history(run / PRETRAINED / HISTORY_FILE)[-1]
        return {
            "images": len(chosen),
            "last": {name: last[name] for name in _SHOWN if last.get(name) is not None},
            "train_minutes": result.seconds / 60,
            "pairs_per_second": result.images_per_second,
        }

    key = {"data": cache.fingerprint, "card": card.to_dict(), "fit": settings.to_dict()}
    key |= {} if ids is None else {"images": chosen}
    return run_stage(run, "pretrain", key, work, outputs=model_files(PRETRAINED))


def teacher_pretrain_stage(
    settings: TeacherPretraining, run: RunFolder, prepared: Prepared, planned: TrainPlan
) -> Path | None:
    """Pre-train the planned network on all images but the test's; returns what the folds start from, None where off.

    Raises:
        RunError: a teacher has been trained without it in this folder.
    """
    cache, ids, card = prepared.cache, prepared.learnable, planned.card
    if not settings.epochs:
        bare = sum(not cache.entries[cache.position(name)].labelled for name in ids)
        if bare:
            console.print(f"pretrain off; {bare} images have no labels: --pretrain.epochs 20 learns from them, too")
        return None
    if (run / TEACHER).exists() and not run.has("pretrain"):
        raise RunError(
            f"{run.path} holds a teacher that was trained without pre-training; choose a new --out folder, or remove "
            f"{run / TEACHER} to train anew"
        )
    found = [card.classes[value] for value in card.foreground]
    multiple = build_model(card, seed=0).size_multiple
    told = settings.told(classes=found, multiple=multiple, seed=planned.fit.seed)
    pretrain_stage(run, cache, unlabelled(card, cache, ids), told, ids=ids)
    draw_pretraining(run, cache, prepared.folds[0].validation)
    return run / PRETRAINED


def _untested(cache: PackedCache, plan: Path) -> tuple[str, ...]:
    """Images of no scene that a plan tests on."""
    prepared = load_prepared(RunFolder(plan))
    tested = {group for name in prepared.test for group in prepared.cache.entries[prepared.cache.position(name)].groups}
    kept = tuple(entry.id for entry in cache.entries if tested.isdisjoint(entry.groups))
    if not kept:
        raise DataError(f"every image is of a scene that {plan} tests on; name images of others")
    if len(kept) < len(cache):
        console.print(f"{len(cache) - len(kept)} images are left out: {plan} tests on their scenes")
    return kept


def _card(model: str, plan: Path | None, cache: PackedCache, ids: Sequence[str]) -> ModelCard:
    if plan is None:
        return network_card(model, cache, ids, classes=CLASSES)
    return unlabelled(TrainPlan.read(plan / PLAN).card, cache, ids)
