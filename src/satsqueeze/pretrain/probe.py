"""What frozen features tell of labels, where there are some: asked after every epoch, never learnt from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from satsqueeze.core.labels import IGNORE
from satsqueeze.core.window import Window
from satsqueeze.data.cache.packed import SEGMENTATION, PackedCache
from satsqueeze.pretrain.features import Backbone, sampled
from satsqueeze.pretrain.monitors import Labelled, knn_score, probe_score

_PER_IMAGE = 50


class Probe:
    """Asks k-NN and a linear probe for the classes of labelled pixels, by what other images know.

    Pixels are drawn from whole groups of images that take turns in knowing and being asked, so that no scene answers
    for itself.

    Args:
        cache: images, some with labels.
        ids: those to draw from.
        size: rows and columns of the windows, as of the views.
        pixels: how many pixels in all.
        seed: of what is drawn.
        channels: which bands to take and in which order; None = all as they are.
    """

    def __init__(
        self,
        cache: PackedCache,
        ids: Sequence[str],
        *,
        size: int,
        pixels: int,
        seed: int,
        channels: list[int] | None = None,
    ) -> None:
        self._cache, self._size, self._channels = cache, size, channels
        generator = np.random.default_rng([seed, 1])
        positions = [cache.position(item_id) for item_id in ids]
        labelled = [p for p in positions if cache.entries[p].labelled and self._fits(p)]
        # In the order of their names, so that it does not matter in which they were packed.
        groups = sorted({cache.entries[p].groups for p in labelled})
        parts: list[list[int]] = [[], []]
        for number in generator.permutation(len(groups)).tolist():
            smaller = min(parts, key=len)
            smaller.extend(p for p in labelled if cache.entries[p].groups == groups[number])
        wanted = max(pixels // (2 * _PER_IMAGE), 1)
        self._draws = [[self._draw(generator, p) for p in part[:wanted]] for part in parts]

    @property
    def askable(self) -> bool:
        """Whether there is anything to know and to ask."""
        return all(any(len(labels) > 0 for _, _, labels in part) for part in self._draws)

    def __call__(self, backbone: Backbone) -> dict[str, float | None]:
        """``knn`` and ``probe``: mean over classes of the share of pixels that were told rightly."""
        known, asked = (self._features(backbone, part) for part in self._draws)
        return {"knn": knn_score(known, asked), "probe": probe_score(known, asked)}

    def _fits(self, position: int) -> bool:
        entry = self._cache.entries[position]
        return self._cache.task == SEGMENTATION and min(entry.height, entry.width) >= self._size

    def _draw(self, generator: np.random.Generator, position: int) -> tuple[Tensor, Tensor, Tensor]:
        """A window (C, size, size), points (p, 2) in it, and their classes (p,)."""
        entry, size = self._cache.entries[position], self._size
        row, col = (int(generator.integers(extent - size + 1)) for extent in (entry.height, entry.width))
        window = Window(row=row, col=col, height=size, width=size)
        label = self._cache.label(position, window)
        places = np.flatnonzero((label != IGNORE) & self._cache.valid(position, window))
        chosen = np.sort(generator.choice(places, min(_PER_IMAGE, len(places)), replace=False))
        image = self._cache.image(position, window)
        image = image if self._channels is None else image[self._channels]
        points = np.stack(np.divmod(chosen, size), axis=1).astype(np.float32)
        classes = label.ravel()[chosen].astype(np.int64)
        return torch.from_numpy(np.ascontiguousarray(image)), torch.from_numpy(points), torch.from_numpy(classes)

    def _features(self, backbone: Backbone, part: list[tuple[Tensor, Tensor, Tensor]]) -> Labelled:
        device = backbone.model.mean.device
        features = [
            sampled(backbone(image[None].to(device)).float(), points[None].to(device), size=self._size)[0].T.cpu()
            for image, points, _ in part
        ]
        return Labelled(features=torch.cat(features), classes=torch.cat([classes for _, _, classes in part]))
