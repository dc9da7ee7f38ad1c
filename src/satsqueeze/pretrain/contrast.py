"""Dense contrast: matched pixels of two views agree, all others do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from satsqueeze.core.errors import SettingsError, TrainError

Negatives = Literal["all", "images", "positions"]


@dataclass(frozen=True, kw_only=True)
class ContrastSettings:
    """The objective. Where paper B is silent (it does not state the loss's settings), after DenseCL and MoCo."""

    weight: float = 1.0
    """Of the contrast between pixels."""
    temperature: float = 0.2
    """What similarities are divided by."""
    negatives: Negatives = "all"
    """Against which a pair stands: other positions of its image and other images, or one kind alone."""
    neighbour_radius: float = 0.0
    """Pixels of the image around a position within which others of the same place are no negatives."""
    width: int = 128
    """Dimensions of the embedding."""
    hidden: int = 0
    """Channels between the two layers of the projection; 0 = as many as the embedding has."""
    momentum: float | None = None
    """Share that a slowly following copy of the network, which then gives the keys, keeps of itself per step."""
    queue: int = 0
    """Keys of earlier steps, of other places, that serve as further negatives; needs momentum."""
    image_weight: float = 0.0
    """Weight of the same contrast between means of whole images, by a projection of its own; 0 = off."""

    def __post_init__(self) -> None:
        if self.temperature <= 0 or min(self.weight, self.neighbour_radius, self.image_weight) < 0:
            raise SettingsError(
                "temperature must be > 0, weight, neighbour_radius and image_weight >= 0, got "
                f"{self.temperature}, {self.weight}, {self.neighbour_radius}, {self.image_weight}"
            )
        if self.negatives not in ("all", "images", "positions"):
            raise SettingsError(f"negatives must be all, images or positions, got {self.negatives!r}")
        if self.width < 2 or min(self.hidden, self.queue) < 0:
            raise SettingsError(
                f"width must be at least 2, hidden and queue >= 0, got {self.width}, {self.hidden}, {self.queue}"
            )
        if self.momentum is not None and not 0 <= self.momentum < 1:
            raise SettingsError(f"momentum must lie in [0, 1), got {self.momentum}")
        if self.queue and self.negatives == "positions":
            raise SettingsError(
                f"a queue of {self.queue} keys holds those of other images, which negatives: positions leaves out; set "
                "negatives to all or images, or queue to 0"
            )
        if self.queue and self.momentum is None:
            raise SettingsError(
                f"a queue of {self.queue} keys needs a network that follows slowly, or its keys are stale; set "
                "momentum, such as 0.99"
            )

    @property
    def counts(self) -> bool:
        """Whether anything is compared: a projection that learns nothing tells nothing of collapse either."""
        return bool(self.weight or self.image_weight)


class Projection(nn.Sequential):
    """Two 1x1 convolutions with a ReLU between: (N, F, ...) -> (N, width, ...), not normalised.

    Args:
        features: F.
        settings: width and hidden channels.
    """

    def __init__(self, features: int, settings: ContrastSettings) -> None:
        hidden = settings.hidden or settings.width
        super().__init__(nn.Conv1d(features, hidden, 1), nn.ReLU(inplace=True), nn.Conv1d(hidden, settings.width, 1))


def embedded(projected: Tensor) -> Tensor:
    """Directions (M, P, D), float32 of unit length, of projections (M, D, P)."""
    return functional.normalize(projected.transpose(1, 2).float(), dim=-1)


def info_nce(
    queries: Tensor,
    keys: Tensor,
    *,
    temperature: float,
    banned: Tensor | None = None,
    queue: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """InfoNCE (van den Oord et al. 2018): mean of -log exp(q_i k_i / t) / sum_j exp(q_i k_j / t).

    Args:
        queries: float32 (M, D), of unit length.
        keys: float32 (M, D), of unit length; key i belongs to query i, the others are its negatives.
        temperature: t.
        banned: bool (M, M), True where key j is no negative of query i; the diagonal does not matter.
        queue: float32 (Q, D), further negatives, and bool (M, Q), True where one is no negative of a query.

    Raises:
        TrainError: no query.
    """
    if not len(queries):
        raise TrainError(
            "no pair of pixels is left in a batch; the views overlap too little on valid, cloudless ground: raise "
            "smallest_overlap, draw more positions or fewer clouds, or take larger batches"
        )
    logits = queries @ keys.T / temperature
    if banned is not None:
        own = torch.eye(len(queries), dtype=torch.bool, device=queries.device)
        logits = logits.masked_fill(banned & ~own, -torch.inf)
    if queue is not None:
        further, barred = queue
        logits = torch.cat([logits, (queries @ further.T / temperature).masked_fill(barred, -torch.inf)], dim=1)
    return functional.cross_entropy(logits, torch.arange(len(queries), device=queries.device))


def banned_negatives(
    places: Tensor, slots: Tensor, queries: Tensor, keys: Tensor, settings: ContrastSettings
) -> Tensor:
    """Which keys are no negatives: bool (M, M).

    Args:
        places: int64 (M,), the place that each pixel belongs to.
        slots: int64 (M,), the pair of views.
        queries: float32 (M, 2), where it lies in the image in the one view.
        keys: float32 (M, 2), where the pixel that it is paired with lies, in the other.
        settings: kind of negatives and radius. Even at a radius of 0, one pixel of the ground, drawn twice, is no
            negative of itself.
    """
    near = torch.cdist(queries, keys, compute_mode="donot_use_mm_for_euclid_dist") <= settings.neighbour_radius
    banned = near & (places[:, None] == places[None])
    if settings.negatives == "images":
        banned |= places[:, None] == places[None]
    elif settings.negatives == "positions":
        banned |= slots[:, None] != slots[None]
    return banned
