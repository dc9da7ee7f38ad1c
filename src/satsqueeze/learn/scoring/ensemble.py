"""Several models as one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from satsqueeze.core.errors import SettingsError
from satsqueeze.learn.scoring.segmenter import bands_of, classes_of, foreground_of

Averaging = Literal["logits", "probabilities"]


class Ensemble(nn.Module):
    """The mean of several models, callable as one of them.

    Args:
        models: at least one; all with the same bands and classes.
        average: ``logits`` as nnU-Net averages its folds, or ``probabilities``, whose logarithm is then returned.

    Raises:
        SettingsError: no model, an unknown average, or models that disagree in bands or classes.
    """

    def __init__(self, models: Sequence[nn.Module], *, average: Averaging = "logits") -> None:
        super().__init__()
        if not models or average not in ("logits", "probabilities"):
            raise SettingsError(
                f"an ensemble averages logits or probabilities of models; got {len(models)}, {average!r}"
            )
        for name, found in (("bands", {bands_of(m) for m in models}), ("classes", {classes_of(m) for m in models})):
            if len(found) > 1:
                raise SettingsError(
                    f"the models of an ensemble must agree in their {name}, got {sorted(map(str, found))}"
                )
        self.models = nn.ModuleList(models)
        self.average = average
        first = models[0]
        self.bands, self.classes, self.foreground = bands_of(first), classes_of(first), foreground_of(first)

    @property
    def size_multiple(self) -> int:
        """Height and width must be multiples of this, in pixels, for every member."""
        return math.lcm(*(int(getattr(model, "size_multiple", 1)) for model in self.models))

    def forward(self, reflectance: Tensor) -> Tensor:
        """Reflectance (N, C, H, W), 0 where invalid, to logits float32 (N, K, H, W)."""
        outputs = (model(reflectance).float() for model in self.models)
        if self.average == "logits":
            return torch.stack(list(outputs)).mean(dim=0)
        return torch.stack([output.softmax(dim=1) for output in outputs]).mean(dim=0).clamp(min=1e-12).log()
