"""Distillation of decisions from any number of teachers, per image or per pixel.

L = mean over labelled samples of [ h * CE(labels, student) ] + mean over all samples of [ T^2 * sum_i w_i *
KL(teacher_i at T || student at T) ], with h and w_i from a policy (:mod:`satsqueeze.distill.weighting`); labels weigh
as much where a batch has few of them. Hinton et al. 2015 for T^2; Le et al. 2024 for two teachers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from satsqueeze.core.errors import SettingsError
from satsqueeze.distill.weighting import Policy
from satsqueeze.nets.card import TASKS, Task


@dataclass(frozen=True, kw_only=True)
class ClassDistillation:
    """What a student minimises; with ``answers`` None it is the plain loss on labels.

    A class of a multi-label image is a sample of its own with two classes, absent and present: binary cross-entropy
    and binary KL, weighted class by class, means over images and classes.

    Raises:
        SettingsError: a setting out of range.
    """

    policy: Policy
    temperature: float = 4.0
    """Softening of teachers and student, > 0."""
    label_smoothing: float = 0.0
    """Share of the labels that is spread over all classes, in [0, 1)."""
    teacher_temperatures: tuple[float, ...] = ()
    """Calibration of each teacher: its logits are divided by this before they are weighed or taught. Empty = all 1."""
    task: Task = "classification"
    """``segmentation`` is the same for every pixel."""
    power: int = 2
    """Exponent of T in front of the divergence. 2 keeps its gradient in proportion to that of the labels at any T;
    notes on Le et al. print -2, their code has 2."""
    teachers: str = ""
    """Who answers, for the record: ``TeacherAnswers.described``."""

    def __post_init__(self) -> None:
        if self.temperature <= 0 or not 0 <= self.label_smoothing < 1 or min(self.teacher_temperatures, default=1) <= 0:
            raise SettingsError(
                "distillation needs temperatures > 0 and label smoothing in [0, 1), got "
                f"{self.temperature}, {self.teacher_temperatures} and {self.label_smoothing}"
            )
        if self.task not in TASKS:
            raise SettingsError(f"unknown task {self.task!r}; known: {', '.join(TASKS)}")

    def __call__(self, logits: Tensor, targets: Tensor, answers: Tensor | None) -> dict[str, Tensor]:
        """Loss of a batch.

        Args:
            logits: of the student, float (N, K), or (N, K, H, W) for maps.
            targets: float of the same shape: class shares summing to 1, or all 0 for a sample without a label, which
                only teachers teach; 0 and 1 for multi-label.
            answers: teacher logits, float (N, T, K) or (N, T, K, H, W); None without a teacher.

        Returns:
            Scalars: ``loss``; ``hard``, the unweighted cross-entropy; ``distillation``, the teachers' part of the loss;
            ``share_hard`` and ``share_1`` to ``share_T``, the mean weights.

        Raises:
            SettingsError: shapes that do not fit, or a number of teachers that does not fit policy or calibration.
        """
        _check_shapes(logits, targets, answers)
        if self.task == "multi-label":
            logits, targets, answers = _as_pairs(logits, targets, answers)
        entropy, counted = self._hard(logits, targets)
        labels = counted.sum().clamp_min(1)
        hard = entropy.sum() / labels
        if answers is None:
            return {"loss": hard, "hard": hard.detach(), "distillation": hard.new_zeros(())}
        answers = self._calibrated(answers)
        weights = self.policy(answers, self.temperature)
        divergence = self.temperature**self.power * divergences(logits, answers, self.temperature)
        distillation = (weights.teachers * divergence).sum(dim=1).mean()
        shares = weights.teachers.transpose(0, 1).flatten(1).mean(dim=1)
        return {
            "loss": (weights.hard * entropy).sum() / labels + distillation,
            "hard": hard.detach(),
            "distillation": distillation.detach(),
            "share_hard": weights.hard.mean(),
            **{f"share_{number}": share for number, share in enumerate(shares, start=1)},
        }

    def _hard(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy of each sample, 0 without a label, and whether it has one: float (N, ...) both."""
        counted = (targets.sum(dim=1) > 0).float()
        smoothed = (1 - self.label_smoothing) * targets.float() + self.label_smoothing / targets.shape[1]
        return -(smoothed * torch.log_softmax(logits.float(), dim=1)).sum(dim=1) * counted, counted

    def _calibrated(self, answers: Tensor) -> Tensor:
        if not self.teacher_temperatures:
            return answers.float()
        teachers = answers.shape[1]
        if len(self.teacher_temperatures) != teachers:
            raise SettingsError(
                f"there are {len(self.teacher_temperatures)} calibration temperatures and answers of {teachers} "
                "teacher(s); give one temperature each"
            )
        temperatures = answers.new_tensor(self.teacher_temperatures, dtype=torch.float32)
        return answers.float() / temperatures.reshape(1, teachers, *(1 for _ in answers.shape[2:]))


def divergences(logits: Tensor, answers: Tensor, temperature: float) -> Tensor:
    """KL(teacher || student), both at a temperature, without T^2.

    Args:
        logits: of the student (N, K, ...).
        answers: teacher logits (N, T, K, ...).
        temperature: > 0.

    Returns:
        Float32 (N, T, ...), nats.
    """
    with torch.no_grad():
        taught = torch.log_softmax(answers.float() / temperature, dim=2)
        probabilities = taught.exp()
    student = torch.log_softmax(logits.float() / temperature, dim=1)[:, None]
    return (probabilities * (taught - student)).sum(dim=2)


def _as_pairs(logits: Tensor, targets: Tensor, answers: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Sigmoid logits z as softmax logits (0, z): K classes become K samples of two classes."""
    return (
        torch.stack([torch.zeros_like(logits), logits], dim=1),
        torch.stack([1 - targets, targets], dim=1),
        None if answers is None else torch.stack([torch.zeros_like(answers), answers], dim=2),
    )


def _check_shapes(logits: Tensor, targets: Tensor, answers: Tensor | None) -> None:
    if logits.ndim < 2 or logits.shape != targets.shape:
        raise SettingsError(
            f"logits and targets must be (samples, classes) alike, got {tuple(logits.shape)} and {tuple(targets.shape)}"
        )
    if answers is not None and (
        answers.ndim != logits.ndim + 1 or (answers.shape[0], *answers.shape[2:]) != tuple(logits.shape)
    ):
        samples, *rest = logits.shape
        raise SettingsError(
            f"teacher answers must be ({', '.join(map(str, [samples, 'teachers', *rest]))}) for logits "
            f"{tuple(logits.shape)}, got {tuple(answers.shape)}; teachers and student must have the same classes"
        )
