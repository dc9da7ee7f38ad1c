"""Teacher answers for part of the items."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.window import Window
from satsqueeze.distill.soft import SoftCache


class Selected:
    """Teacher answers for some items, none for the others.

    Args:
        answers: for the items in ``ids``.
        ids: items with answers.
        classes: number of classes.
    """

    def __init__(self, answers: SoftCache, ids: Sequence[str], classes: int) -> None:
        self.answers, self.ids, self.classes = answers, frozenset(ids), classes

    def window(self, id: str, window: Window) -> NDArray[np.uint8]:  # noqa: A002 - the sampler's protocol
        """See :class:`satsqueeze.data.sampler.SoftTargets`."""
        if id in self.ids:
            return self.answers.window(id, window)
        return np.zeros((self.classes, window.height, window.width), np.uint8)
