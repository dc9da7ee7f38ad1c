"""Teacher answers that exact labels put right."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.labels import IGNORE
from satsqueeze.core.window import Window
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.distill.soft import SoftCache


class Corrected:
    """Teacher answers without their false alarms, where labels are exact.

    A teacher is heard even there: where thin cloud ends, say, it knows better than a threshold of opacity. But the snow
    that it takes for cloud would teach students to doubt.

    Args:
        answers: of the teachers.
        cache: the images that they were asked about.
        sources: with exact labels.
    """

    def __init__(self, answers: SoftCache, cache: PackedCache, sources: Collection[str]) -> None:
        self.answers, self.cache, self.sources = answers, cache, frozenset(sources)

    def window(self, id: str, window: Window) -> NDArray[np.uint8]:  # noqa: A002 - the sampler's protocol
        """See :class:`satsqueeze.data.sampling.sampler.SoftTargets`: the label's class where it alone is background."""
        soft = self.answers.window(id, window)
        position = self.cache.position(id)
        if self.cache.entries[position].source not in self.sources:
            return soft
        label = self.cache.label(position, window)
        foreground = list(self.cache.foreground)
        alarm = soft[foreground].sum(axis=0, dtype=np.uint16) > 127
        false_alarm = alarm & ~np.isin(label, [*foreground, IGNORE])
        certain = np.eye(len(soft), dtype=np.uint8)[:, label[false_alarm]] * np.uint8(255)
        soft[:, false_alarm] = certain
        return soft
