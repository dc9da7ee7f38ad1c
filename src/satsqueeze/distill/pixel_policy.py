"""Distillation of masks from several teachers that a policy weighs pixel by pixel, or batch by batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from satsqueeze.distill.class_objective import ClassDistillation
from satsqueeze.distill.objective import QUANTUM
from satsqueeze.distill.weighting import Policy
from satsqueeze.learn.losses import DiceCE, cross_entropy, soft_dice

_CERTAIN_HALF = 0.5
"""Of a target: less than that is none."""


@dataclass(frozen=True, kw_only=True)
class PixelDistillation:
    """Every pixel that all teachers have seen is a sample of
    :class:`satsqueeze.distill.class_objective.ClassDistillation`.

    Dice, which is of all labelled pixels of the batch, counts by the mean weight of the labels. Without teachers it is
    Dice and cross-entropy of all labelled pixels.
    """  # noqa: D205

    policy: Policy
    temperature: float
    """Softening of teachers and student, > 0."""
    teachers: str = ""
    """Who answered, for the record."""

    def __call__(self, logits: Tensor | list[Tensor], labels: Tensor, soft: Tensor | None) -> dict[str, Tensor]:
        """Loss parts: those of the samples, and ``dice``.

        Args:
            logits: (N, K, H, W), or a list of them with the finest first, of which that one is taught.
            labels: (N, H, W), 255 = ignore.
            soft: probabilities of each teacher (N, T, K, H, W), 0 where there are none; None without teachers.

        Raises:
            SettingsError: a number of teachers that the policy does not serve.
        """
        if soft is None:
            return DiceCE()(logits, labels, None)
        finest = logits[0] if isinstance(logits, list) else logits
        taught = (soft.sum(dim=2) > _CERTAIN_HALF).all(dim=1)
        classes = torch.arange(finest.shape[1], device=labels.device)[:, None, None]
        targets = (labels[:, None] == classes).float()
        answers = soft.clamp_min(QUANTUM / 2).log()
        samples = finest
        if not bool(taught.all()):
            samples, targets = (maps.permute(0, 2, 3, 1)[taught] for maps in (finest, targets))
            answers = answers.permute(0, 3, 4, 1, 2)[taught]
        dice = 1 - soft_dice(torch.softmax(finest.float(), dim=1), labels)
        if not len(samples):
            return self._untaught(finest, labels, dice, teachers=soft.shape[1])
        parts = ClassDistillation(policy=self.policy, temperature=self.temperature)(samples, targets, answers)
        return {**parts, "dice": dice.detach(), "loss": parts["loss"] + parts["share_hard"] * dice}

    @staticmethod
    def _untaught(finest: Tensor, labels: Tensor, dice: Tensor, *, teachers: int) -> dict[str, Tensor]:
        """The same parts for a batch of which no teacher saw anything."""
        entropy = cross_entropy(torch.log_softmax(finest.float(), dim=1), labels)
        nothing = dice.new_zeros(())
        shares = {f"share_{number}": nothing for number in range(1, teachers + 1)}
        parts = {"hard": entropy.detach(), "distillation": nothing, "share_hard": dice.new_ones(()), **shares}
        return {**parts, "dice": dice.detach(), "loss": entropy + dice}
