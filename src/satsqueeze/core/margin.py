"""How clearly a class is the best."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def margin(probabilities: NDArray[np.float32], *, axis: int) -> NDArray[np.float32]:
    """By how much the largest leads the second largest along an axis of classes, which goes; 1 where there is but one.

    Args:
        probabilities: float32, any shape.
        axis: that of the classes.
    """
    classes = np.moveaxis(probabilities, axis, 0)
    if len(classes) < 2:
        return np.ones(classes.shape[1:], np.float32)
    second, best = np.partition(classes, -2, axis=0)[-2:]
    lead: NDArray[np.float32] = best - second
    return lead
