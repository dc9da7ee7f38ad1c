"""What is known of an image as soft targets: its label where there is one, else what a teacher says."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.labels import IGNORE
from satsqueeze.core.run import fingerprint_of
from satsqueeze.core.window import Window
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.distill.soft import SoftCache


class Known:
    """Labels of some images as certain answers, a teacher's answers for all others, whose labels stay unseen.

    Args:
        answers: of the teacher.
        cache: the images that it was asked about.
        labelled: images whose labels are known.
    """

    def __init__(self, answers: SoftCache, cache: PackedCache, labelled: Collection[str]) -> None:
        self.answers, self.cache, self.labelled = answers, cache, frozenset(labelled)
        classes = len(cache.classes)
        self._certain = np.zeros((classes, IGNORE + 1), np.uint8)
        self._certain[:, :classes] = np.eye(classes, dtype=np.uint8) * 255

    @property
    def described(self) -> str:
        """Who answered and whose labels are known, for the record."""
        return f"{self.answers.teachers}, labels {fingerprint_of(sorted(self.labelled))[:12]}"

    def window(self, id: str, window: Window) -> NDArray[np.uint8]:  # noqa: A002 - the sampler's protocol
        """See :class:`satsqueeze.data.sampling.sampler.SoftTargets`: 0 everywhere where a known label is 255."""
        if id not in self.labelled:
            return self.answers.window(id, window)
        found: NDArray[np.uint8] = self._certain[:, self.cache.label(self.cache.position(id), window)]
        return found
