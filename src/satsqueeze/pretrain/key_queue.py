"""Keys of earlier steps, as further negatives: He et al. 2020 (MoCo), with the place that each is of."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from satsqueeze.pretrain.contrast import embedded

_NOWHERE = -1


class KeyQueue(nn.Module):
    """The newest keys, at first random directions of no place.

    Args:
        size: number of keys Q.
        width: dimensions D.
    """

    keys: Tensor
    places: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        # Row by row in memory, as `push` leaves them: laid out otherwise, the same keys give products that round
        # otherwise, and a resumed run, whose keys are copied into these, would end in other weights.
        self.register_buffer("keys", embedded(torch.randn(1, width, size))[0].contiguous())
        self.register_buffer("places", torch.full((size,), _NOWHERE))

    def negatives(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Keys (Q, D), and bool (M, Q), True where a key is of the place of a query, of which it may be the same pixel.

        Args:
            places: int64 (M,), of the queries.
        """
        return self.keys.clone(), places[:, None] == self.places[None]

    def push(self, keys: Tensor, places: Tensor) -> None:
        """Take in keys (M, D) of places (M,), as many as there is room for, and let the oldest go."""
        size = len(self.keys)
        drawn = torch.randperm(len(keys))[:size].to(keys.device)
        self.keys = torch.cat([keys[drawn].detach(), self.keys])[:size]
        self.places = torch.cat([places[drawn], self.places])[:size]
