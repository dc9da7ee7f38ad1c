"""How much labels and teachers count, from the teachers' own answers.

A policy is a frozen value with one call. Samples are images, or pixels: logits (N, T, K) of T teachers for N images,
or (N, T, K, H, W) for maps, go through the same lines.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.names import named

Measure = Literal["confidence", "entropy", "margin"]

_SURELY_UNSURE = 1e-6
"""Certainty below which teachers are not told apart."""


class TeacherWeights(NamedTuple):
    """Weights of the terms of a distillation loss, one set per sample; no gradient flows through them."""

    hard: Tensor
    """Float32 (N, ...): weight of the cross-entropy with the labels, in [0, 1]."""
    teachers: Tensor
    """Float32 (N, T, ...): weight of the divergence from each teacher, in [0, 1]."""


class Policy(Protocol):
    """A rule that weighs labels and teachers."""

    def __call__(self, teacher_logits: Tensor, temperature: float) -> TeacherWeights:
        """Weigh a batch.

        Args:
            teacher_logits: float (N, T, K) or (N, T, K, H, W), calibrated where calibration is used.
            temperature: of the distillation, > 0.

        Raises:
            SettingsError: a number of teachers that the rule does not serve, or logits of another rank.
        """
        ...


def _check(teacher_logits: Tensor) -> None:
    if teacher_logits.ndim < 3 or teacher_logits.shape[1] < 1 or teacher_logits.shape[2] < 2:
        raise SettingsError(
            "teacher logits must be (samples, teachers, classes) or (samples, teachers, classes, height, width) with "
            f"at least 1 teacher and 2 classes, got {tuple(teacher_logits.shape)}"
        )


@dataclass(frozen=True)
class Static:
    """The same weights for every sample: each teacher its share, the labels the rest.

    Raises:
        SettingsError: no share, a negative one, or a sum above 1.
    """

    shares: tuple[float, ...]
    """Of each teacher."""

    def __post_init__(self) -> None:
        if not self.shares or min(self.shares) < 0 or math.fsum(self.shares) > 1 + 1e-9:
            raise SettingsError(f"shares of the teachers must be >= 0 with a sum of at most 1, got {self.shares}")

    @classmethod
    def equal(cls, share: float, *, teachers: int) -> Static:
        """Teachers that divide a share equally."""
        return cls(shares=(share / max(teachers, 1),) * teachers)

    def __call__(self, teacher_logits: Tensor, temperature: float) -> TeacherWeights:  # noqa: ARG002
        """See :class:`Policy`."""
        _check(teacher_logits)
        samples, teachers, _, *space = teacher_logits.shape
        if teachers != len(self.shares):
            raise SettingsError(
                f"there are shares for {len(self.shares)} teacher(s) and answers of {teachers}; give one share each"
            )
        shares = torch.tensor(self.shares, dtype=torch.float32, device=teacher_logits.device)
        spread = shares.reshape(1, teachers, *(1 for _ in space)).expand(samples, teachers, *space)
        return TeacherWeights(hard=(1 - shares.sum()).clamp_min(0).expand(samples, *space), teachers=spread)


@dataclass(frozen=True, kw_only=True)
class Gated:
    """The published rule for two teachers (Le et al., arXiv 2411.00209).

    C_i is the mean over the batch of teacher i's highest probability at the temperature of the distillation.

    - both C < ``floor``: (a, b) = (0, 0);
    - else both < ``delta``: a = max(0.5 - (delta - C_1), ``least``), b likewise;
    - else only C_1 < ``delta``: (0.3, 0.7); only C_2: (0.7, 0.3); neither: (0.5, 0.5).

    The labels weigh 1 - (a + b) / 2, teacher 1 (a + b) / 2 * a, teacher 2 (a + b) / 2 * b: the teachers never get
    more than half, and at a high temperature few teachers pass ``delta``.

    Raises:
        SettingsError: thresholds out of order.
    """

    floor: float = 0.4
    delta: float = 0.6
    least: float = 0.1
    """Smallest share of a teacher between the thresholds (their w_min)."""
    per_sample: bool = False
    """An ablation: every sample is gated by its own confidence instead of the batch's."""
    softened: bool = True
    """False, an ablation: confidence at temperature 1."""

    def __post_init__(self) -> None:
        if not (0 <= self.floor <= self.delta <= 1 and 0 <= self.least <= 0.5):
            raise SettingsError(
                "the gate needs 0 <= floor <= delta <= 1 and least in [0, 0.5], got "
                f"{self.floor}, {self.delta} and {self.least}"
            )

    def __call__(self, teacher_logits: Tensor, temperature: float) -> TeacherWeights:
        """See :class:`Policy`."""
        _check(teacher_logits)
        if teacher_logits.shape[1] != 2:
            raise SettingsError(
                f"the gated rule is for exactly 2 teachers, got {teacher_logits.shape[1]}; use the policy 'confidence' "
                "or 'static' for another number"
            )
        with torch.no_grad():
            logits = teacher_logits.float() / (temperature if self.softened else 1.0)
            confidence = torch.softmax(logits, dim=2).amax(dim=2)
            if not self.per_sample:
                others = [axis for axis in range(confidence.ndim) if axis != 1]
                confidence = confidence.mean(dim=others, keepdim=True).expand_as(confidence)
            shares = self._shares(confidence)
            half = shares.sum(dim=1) / 2
            return TeacherWeights(hard=1 - half, teachers=half[:, None] * shares)

    def _shares(self, confidence: Tensor) -> Tensor:
        """(a, b) of confidences (N, 2, ...)."""
        unsure = confidence < self.delta
        eased = (0.5 - (self.delta - confidence)).clamp_min(self.least)
        uneven = torch.where(unsure, 0.3, 0.7)
        even = torch.full_like(confidence, 0.5)
        shares = torch.where(unsure.any(dim=1, keepdim=True), uneven, even)
        shares = torch.where(unsure.all(dim=1, keepdim=True), eased, shares)
        return torch.where((confidence < self.floor).all(dim=1, keepdim=True), torch.zeros_like(shares), shares)


@dataclass(frozen=True, kw_only=True)
class Confidence:
    """Every sample has its own weights, smooth in the certainty of any number of teachers.

    With c_i in [0, 1] the certainty of teacher i, 0 for uniform and 1 for one-hot probabilities:
    v = softmax_i(sharpness * log c_i), c = sum_i v_i c_i, teachers = (1 - hard) c v, labels = 1 - (1 - hard) c.
    The weights sum to 1. Ours; the smooth counterpart of :class:`Gated`.

    Raises:
        SettingsError: an unknown measure, a share out of [0, 1], or a negative sharpness.
    """

    sharpness: float = 2.0
    """0 divides the share equally, a large value gives it to the surest teacher."""
    hard: float = 0.1
    """Weight of the labels where the teachers are certain; it rises to 1 where they know nothing."""
    measure: Measure = "confidence"
    """Highest probability, entropy, or distance of the two highest probabilities."""
    softened: bool = False
    """True: certainty at the temperature of the distillation instead of 1, where calibration holds."""

    def __post_init__(self) -> None:
        if self.measure not in MEASURES:
            raise SettingsError(f"unknown measure {self.measure!r} of certainty; known: {', '.join(MEASURES)}")
        if not (0 <= self.hard <= 1 and 0 <= self.sharpness < math.inf):
            raise SettingsError(
                f"confidence needs hard in [0, 1] and a finite sharpness >= 0, got {self.hard} and {self.sharpness}"
            )

    def __call__(self, teacher_logits: Tensor, temperature: float) -> TeacherWeights:
        """See :class:`Policy`."""
        _check(teacher_logits)
        with torch.no_grad():
            logits = teacher_logits.float() / (temperature if self.softened else 1.0)
            certainty = MEASURES[self.measure](torch.softmax(logits, dim=2))
            preference = torch.softmax(self._leaning(certainty), dim=1)
            taught = (1 - self.hard) * (preference * certainty).sum(dim=1)
            return TeacherWeights(hard=1 - taught, teachers=taught[:, None] * preference)

    def preference(self, probabilities: Tensor) -> Tensor:
        """What each teacher counts against the others, float (N, T, ...) of probabilities (N, T, K, ...).

        It is c_i ^ sharpness, to which v_i is proportional; so teachers can be weighed one after the other.
        """
        return self._leaning(MEASURES[self.measure](probabilities)).exp()

    def _leaning(self, certainty: Tensor) -> Tensor:
        return self.sharpness * certainty.clamp_min(_SURELY_UNSURE).log()


def _highest(probabilities: Tensor) -> Tensor:
    classes = probabilities.shape[2]
    return ((classes * probabilities.amax(dim=2) - 1) / (classes - 1)).clamp(0, 1)


def _low_entropy(probabilities: Tensor) -> Tensor:
    entropy: Tensor = torch.special.entr(probabilities).sum(dim=2)
    return (1 - entropy / math.log(probabilities.shape[2])).clamp(0, 1)


def _margin(probabilities: Tensor) -> Tensor:
    highest = probabilities.topk(2, dim=2).values
    return highest[:, :, 0] - highest[:, :, 1]


MEASURES: Mapping[Measure, Callable[[Tensor], Tensor]] = MappingProxyType(
    {"confidence": _highest, "entropy": _low_entropy, "margin": _margin}
)
"""Certainty (N, T, ...) in [0, 1] of probabilities (N, T, K, ...)."""

POLICIES: Mapping[str, Callable[[int], Policy]] = MappingProxyType(
    {
        "static": lambda teachers: Static.equal(0.5, teachers=teachers),
        "gated": lambda _: Gated(),
        "confidence": lambda _: Confidence(),
        "entropy": lambda _: Confidence(measure="entropy"),
        "margin": lambda _: Confidence(measure="margin"),
    }
)
"""Policies by name with their default settings, for a number of teachers."""


def policy_named(name: str, *, teachers: int) -> Policy:
    """The policy called ``name`` with its default settings.

    Raises:
        SettingsError: an unknown name; the message names the closest ones.
    """
    return named(POLICIES, name, "weight policy")(teachers)
