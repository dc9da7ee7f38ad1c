"""Whether an embedding is any good while it is learnt: alignment, uniformity, and what frozen features tell."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_RIDGE = 1e-2  # of the linear probe, on standardised features


def alignment(first: Tensor, second: Tensor) -> float:
    """Mean squared distance of matched embeddings (M, D) of unit length: 0 where pairs agree, 2 where unrelated.

    Wang and Isola, "Understanding Contrastive Representation Learning through Alignment and Uniformity on the
    Hypersphere", ICML 2020.
    """
    return float((first - second).square().sum(dim=1).mean())


def uniformity(embeddings: Tensor) -> float:
    """Log of the mean of exp(-2 |x - y|^2) over pairs of embeddings (M, D) of unit length; as in :func:`alignment`.

    0 where all are one point (collapse); near -4 where they are spread over a sphere of many dimensions.
    """
    squares = torch.pdist(embeddings.double()).square()
    return float(squares.mul(-2).exp().mean().log())


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Frozen features of labelled pixels."""

    features: Tensor
    """Float32 (M, F)."""
    classes: Tensor
    """Int64 (M,)."""


def knn_score(known: Labelled, asked: Labelled, *, neighbours: int = 10) -> float:
    """Mean over classes of the share of pixels whose nearest known ones, by cosine, mostly are of their class."""
    similar = functional.normalize(asked.features, dim=1) @ functional.normalize(known.features, dim=1).T
    nearest = similar.topk(min(neighbours, len(known.classes)), dim=1).indices
    count = int(torch.cat([known.classes, asked.classes]).max()) + 1
    votes = functional.one_hot(known.classes[nearest], count).sum(dim=1)
    return _mean_recall(votes.argmax(dim=1), asked.classes)


def probe_score(known: Labelled, asked: Labelled) -> float:
    """The same by a linear probe: ridge regression to classes, each class weighing alike, solved exactly."""
    mean, std = known.features.double().mean(dim=0), known.features.double().std(dim=0).clamp(min=1e-6)
    count = int(torch.cat([known.classes, asked.classes]).max()) + 1
    inputs, targets = _with_one((known.features.double() - mean) / std), functional.one_hot(known.classes, count)
    weight = 1 / targets.sum(dim=0).clamp(min=1).double()[known.classes]
    weight = weight / weight.sum()
    gram = inputs.T @ (inputs * weight[:, None])
    gram += _RIDGE * torch.eye(len(gram), dtype=gram.dtype)
    solution = torch.linalg.solve(gram, inputs.T @ (targets.double() * weight[:, None]))
    answers = _with_one((asked.features.double() - mean) / std) @ solution
    return _mean_recall(answers.argmax(dim=1), asked.classes)


def _with_one(features: Tensor) -> Tensor:
    return torch.cat([features, torch.ones(len(features), 1, dtype=features.dtype)], dim=1)


def _mean_recall(answers: Tensor, classes: Tensor) -> float:
    right = (answers == classes).double()
    return float(torch.stack([right[classes == value].mean() for value in sorted(set(classes.tolist()))]).mean())
