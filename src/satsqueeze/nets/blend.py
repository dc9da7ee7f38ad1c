"""Weights between those of a network before and after it was trained on."""

from __future__ import annotations

import torch

from satsqueeze.nets.model import SegmentationModel


@torch.no_grad()
def blended(before: SegmentationModel, after: SegmentationModel, *, share: float) -> SegmentationModel:
    """Move the weights of ``after`` back towards ``before``, on the straight line between them.

    What a network learns anew costs some of what it knew; between the two it keeps most of both, at no cost in flight
    (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", arXiv 2109.01903, WiSE-FT).

    Args:
        before: what training went on from; its statistics of batch norms must be those of ``after``.
        after: what it ended in; changed in place.
        share: of ``after``, in [0, 1]; 1 changes nothing.

    Returns:
        ``after``.
    """
    if share == 1:
        return after
    for start, end in zip(before.parameters(), after.parameters(), strict=True):
        end.copy_(torch.lerp(start, end, share))
    return after
