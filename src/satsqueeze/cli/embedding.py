"""Pictures of a pre-training: its curves, and the features of a few images."""

from __future__ import annotations

from collections.abc import Sequence

from satsqueeze.bench.drawing.curves import CURVES_FILE
from satsqueeze.bench.history import read_history
from satsqueeze.bench.report.embedding import embedding
from satsqueeze.bench.report.pretraining import EMBEDDING_FILE, PretrainingView, draw_curves, draw_embedding
from satsqueeze.core.run import RunFolder
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.learn.progress import HISTORY_FILE
from satsqueeze.nets.model import load_model
from satsqueeze.nets.model_home import PRETRAINED


def pretraining_view(run: RunFolder, cache: PackedCache, ids: Sequence[str]) -> PretrainingView:
    """What a run's finished pre-training came to, shown on a few of some images.

    Raises:
        RunError: it has not finished.
    """
    fit = run.settings("pretrain")["fit"]
    found = embedding(
        load_model(run / PRETRAINED), cache, ids, seed=fit["seed"], scope=fit["scope"], place=fit["views"]["place"]
    )
    return PretrainingView(
        history=read_history(run / PRETRAINED / HISTORY_FILE),
        images=run.result("pretrain")["images"],
        embedding=found,
        classes=cache.classes,
    )


def draw_pretraining(run: RunFolder, cache: PackedCache, ids: Sequence[str]) -> None:
    """Write ``curves.png`` and ``embedding.png`` beside the pre-trained network, unless they are there.

    Raises:
        RunError: it has not finished, or a file cannot be written.
    """
    curves, pictures = run / PRETRAINED / CURVES_FILE, run / PRETRAINED / EMBEDDING_FILE
    if curves.is_file() and pictures.is_file():
        return
    view = pretraining_view(run, cache, ids)
    draw_curves(view.history, curves)
    draw_embedding(view.embedding, pictures, classes=view.classes)
