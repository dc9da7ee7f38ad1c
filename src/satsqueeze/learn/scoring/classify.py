"""What models decide on whole images of a cache, and how well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from satsqueeze.core.class_metrics import ClassMetrics
from satsqueeze.core.class_thresholds import best_thresholds
from satsqueeze.core.errors import LabelError, TrainError
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.sampling.class_sampler import reflectance
from satsqueeze.data.sampling.dihedral import view_of
from satsqueeze.learn.scoring.evaluate import channels
from satsqueeze.learn.scoring.segmenter import Precision, classes_of, inference

Classifier = Callable[[Tensor], Any]
"""Reflectance (N, C, H, W), 0 where invalid, to logits (N, K)."""
_BATCH = 256


def class_logits(
    model: Classifier, cache: PackedCache, ids: Sequence[str], *, view: int = 0, precision: Precision = "fp32"
) -> NDArray[np.float32]:
    """Logits float32 (N, K) of a model for whole images.

    Args:
        model: a network or an ensemble; bands are handed over by name.
        cache: images of one size.
        ids: which of them.
        view: how each image is laid; see :mod:`satsqueeze.data.sampling.dihedral`.
        precision: of the computation.

    Raises:
        DataError: an image is not in the cache.
        GridError: the images differ in size.
        BandError: the model needs a band that the cache lacks.
    """
    positions, bands = [cache.position(item_id) for item_id in ids], channels(model, cache)
    found = []
    with inference(model, precision) as device:
        for start in range(0, len(positions), _BATCH):
            stored = view_of(cache.stack[positions[start : start + _BATCH]], view)
            images = reflectance(stored if bands is None else stored[:, bands])
            # Later batches are cut while a GPU still works on this one: only the end waits.
            found.append(model(torch.from_numpy(images).to(device)).float())
        return torch.cat(found).cpu().numpy() if found else np.zeros((0, len(cache.classes)), np.float32)


def class_probabilities(logits: NDArray[np.float32], *, multi_label: bool) -> NDArray[np.float32]:
    """Probabilities (N, K) of logits (N, K): softmax, or of each class on its own."""
    values = torch.from_numpy(logits)
    probabilities: NDArray[np.float32] = (values.sigmoid() if multi_label else values.softmax(dim=1)).numpy()
    return probabilities


def score_classes(
    model: Classifier,
    cache: PackedCache,
    ids: Sequence[str],
    *,
    precision: Precision = "fp32",
    thresholds: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Metrics of a model on whole images: :meth:`satsqueeze.core.class_metrics.ClassMetrics.to_dict`.

    With several labels per image, decisions are by thresholds, which the record states. Unless they are given, they are
    tuned on these very images, which is for validation images only: it flatters the model a little.

    Raises:
        LabelError: the model has other classes than the cache.
        TrainError: the model's answers are not finite.
        DataError, GridError, BandError: see :func:`class_logits`.
    """
    classes = classes_of(model)
    if classes is not None and classes != cache.classes:
        raise LabelError(
            f"the model decides among {', '.join(classes)}, the images are of {', '.join(cache.classes)}; expected the "
            "same classes in the same order"
        )
    multi_label = cache.task == "multi-label"
    truth = cache.targets[[cache.position(item_id) for item_id in ids]]
    logits = class_logits(model, cache, ids, precision=precision)
    lost = ~np.isfinite(logits).all(axis=1)
    if lost.any():  # packed images are finite
        raise TrainError(
            f"the network answers {lost.sum()} of {len(ids)} images with NaN or infinity: its training has diverged. "
            "Lower the learning rate, or set the precision to fp32"
        )
    probabilities = class_probabilities(logits, multi_label=multi_label)
    metrics = ClassMetrics(cache.classes, multi_label=multi_label)
    if not multi_label:
        metrics.update(truth, probabilities)
        return metrics.to_dict()
    chosen = best_thresholds(truth, probabilities) if thresholds is None else tuple(thresholds)
    metrics.update(truth, probabilities, predicted=probabilities >= np.array(chosen, np.float32))
    return metrics.to_dict() | {"thresholds": list(chosen)}
