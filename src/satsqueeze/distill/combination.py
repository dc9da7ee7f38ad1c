"""How the answers of several teachers about a pixel become one."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.names import meant
from satsqueeze.distill.weighting import Confidence

Combination = Literal["mean", "confidence"]
COMBINATIONS: tuple[Combination, ...] = get_args(Combination)

_ALIKE = np.float32(1)
_CONFIDENCE = Confidence()


def check_combination(name: str) -> None:
    """Refuse what is no way to combine teachers.

    Raises:
        SettingsError: an unknown name; the message names the closest ones.
    """
    if name not in COMBINATIONS:
        raise SettingsError(
            f"teachers cannot be combined by {name!r}; {meant(name, COMBINATIONS)}known: {', '.join(COMBINATIONS)}"
        )


def teacher_weight(probabilities: NDArray[np.float32], combine: Combination) -> NDArray[np.float32] | np.float32:
    """What a teacher's answer counts against those of others: the combined answer is their weighted mean.

    Args:
        probabilities: float32 (K, H, W).
        combine: ``mean`` for all teachers alike, or ``confidence`` for certainty^2 of each pixel, where
            certainty = (K * max p - 1) / (K - 1), as :class:`satsqueeze.distill.weighting.Confidence` weighs teachers.

    Returns:
        Float32 (H, W), > 0; or 1 of any shape.

    Raises:
        SettingsError: an unknown way to combine.
    """
    check_combination(combine)
    if combine == "mean":
        return _ALIKE
    found: NDArray[np.float32] = _CONFIDENCE.preference(torch.from_numpy(probabilities)[None, None])[0, 0].numpy()
    return found
