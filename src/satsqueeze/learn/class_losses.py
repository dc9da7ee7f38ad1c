"""What training on whole images minimises, without a teacher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from satsqueeze.core.errors import SettingsError


class ClassObjective(Protocol):
    """What training on whole images minimises."""

    def __call__(self, logits: Tensor, targets: Tensor, answers: Tensor | None) -> dict[str, Tensor]:
        """Loss of a batch.

        Args:
            logits: float (N, K).
            targets: float32 (N, K), share of each class in an image.
            answers: float32 logits of teachers (N, T, K); None without any.

        Returns:
            Scalars by name; ``loss`` is minimised, the others are recorded in the history.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class LabelLoss:
    """Cross-entropy, or with several labels per image the mean binary cross-entropy of all classes.

    Args:
        multi_label: whether an image has any number of classes.
        smoothing: share of the targets that is spread over the K classes (Szegedy et al. 2016), or with several labels
            over present and absent.

    Raises:
        SettingsError: a smoothing outside [0, 1).
    """

    multi_label: bool = False
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 1:
            raise SettingsError(f"label smoothing must lie in [0, 1), got {self.smoothing}")

    def __call__(self, logits: Tensor, targets: Tensor, answers: Tensor | None = None) -> dict[str, Tensor]:  # noqa: ARG002
        """See :class:`ClassObjective`; teachers are not listened to."""
        parts = 2 if self.multi_label else targets.shape[1]
        smoothed = targets * (1 - self.smoothing) + self.smoothing / parts
        if self.multi_label:
            return {"loss": functional.binary_cross_entropy_with_logits(logits.float(), smoothed)}
        return {"loss": -(smoothed * torch.log_softmax(logits.float(), dim=1)).sum(dim=1).mean()}
