"""Pixel-wise knowledge distillation.

L = (1 - w) * hard(student, labels) + w * T^2 * KL(teacher_T || student_T), after Hinton et al. 2015 (eq. 4).
The exact form of the "Squeezing nnU-Nets" paper is not public: this is our reading.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from satsqueeze.core.errors import SettingsError
from satsqueeze.learn.losses import Objective

QUANTUM = 1 / 255
"""Resolution of the cached teacher probabilities."""


def soften(probabilities: Tensor, temperature: float) -> Tensor:
    """Probabilities at a temperature: p^(1/T), renormalised, which equals softmax(logits / T).

    Args:
        probabilities: float (N, K, H, W), summing to 1 over K.
        temperature: > 0.

    Returns:
        Float (N, K, H, W). Probabilities below half a cache quantum are lifted to it, so that T acts on them.
    """
    return _target(probabilities, temperature)[0]


def distillation_loss(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 * KL(teacher_T || student_T), the mean over pixels that have a teacher. The only place of T^2.

    Args:
        logits: student logits (N, K, H, W).
        teacher: teacher probabilities (N, K, H, W) at temperature 1; pixels summing to 0 have no teacher.
        temperature: > 0.

    Returns:
        Scalar; 0 if no pixel has a teacher.
    """
    with torch.no_grad():
        taught = (teacher.sum(dim=1, keepdim=True) > 0.5).float()
        target, negative_entropy = _target(teacher, temperature)
        constant = (negative_entropy * taught).sum()
        target *= taught
    student = F.log_softmax(logits.float() / temperature, dim=1)
    # One dot product instead of maps of every pixel's divergence: a third of what a teacher costs a step.
    agreement = torch.dot(target.flatten(), student.flatten())
    return temperature**2 * (constant - agreement) / taught.sum().clamp_min(1.0)


def _target(probabilities: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Softened probabilities (N, K, H, W) and the sum over K of p log p of them (N, 1, H, W)."""
    scaled = probabilities.clamp_min(QUANTUM / 2).log_().div_(temperature)
    powers = scaled.exp()
    total = powers.sum(dim=1, keepdim=True)
    softened = powers.div_(total)
    return softened, (scaled.mul_(softened)).sum(dim=1, keepdim=True) - total.log()


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """An objective that mixes labels and teacher; usable wherever a plain objective is.

    Attributes:
        hard: loss on labels.
        weight: share of the teacher, 0 (labels only) to 1 (teacher only).
        temperature: softening of both distributions, > 0.
        teachers: who gave the soft targets, for the record.
    """

    hard: Objective
    weight: float
    temperature: float
    teachers: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1 or self.temperature <= 0:
            raise SettingsError(
                f"distillation needs a weight in [0, 1] and a temperature > 0, got {self.weight} and {self.temperature}"
            )

    def __call__(self, logits: Tensor | list[Tensor], labels: Tensor, soft: Tensor | None) -> dict[str, Tensor]:
        """Loss parts: ``loss``, ``distillation`` and the parts of the hard loss.

        Args:
            logits: (N, K, H, W), or a list of them with the finest first (deep supervision).
            labels: (N, H, W), 255 = ignore.
            soft: teacher probabilities (N, K, H, W), or None where the batch has no teacher.
        """
        parts = self.hard(logits, labels, None)
        finest = logits[0] if isinstance(logits, list) else logits
        taught = distillation_loss(finest, soft, self.temperature) if soft is not None else finest.new_zeros(())
        return {
            **parts,
            "distillation": taught,
            "loss": (1 - self.weight) * parts["loss"] + self.weight * taught,
        }
