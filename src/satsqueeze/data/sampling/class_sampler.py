"""Shuffled whole images from a packed cache; each batch is a pure function of the seed and the step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import SettingsError
from satsqueeze.data.cache.packed import PackedCache, dequantise
from satsqueeze.data.sampling.dihedral import VIEWS, views_of

_ORDER, _VIEW = 0, 1  # separate the two streams of draws


class Answers(Protocol):
    """Cached logits of teachers, for every view of every image."""

    def rows(self, positions: NDArray[np.int64], views: NDArray[np.int64]) -> NDArray[np.float32]:
        """Logits float32 (N, T, K) of T teachers for cache positions (N,) in views (N,)."""
        ...


class Maps(Protocol):
    """Cached attention maps of teachers, for every view of every image."""

    def rows(self, positions: NDArray[np.int64], views: NDArray[np.int64]) -> tuple[NDArray[np.float32], ...]:
        """Of each teacher, float32 maps (N, h, w) for cache positions (N,) in views (N,)."""
        ...


@dataclass(frozen=True, kw_only=True)
class ImageBatch:
    """N whole images."""

    images: NDArray[np.float32]
    """Reflectance (N, C, H, W), 0 where invalid."""
    targets: NDArray[np.float32]
    """(N, K): 1 for each class of an image, else 0."""
    answers: NDArray[np.float32] | None
    """Logits of teachers (N, T, K)."""
    positions: NDArray[np.int64]
    """(N,) places in the cache's entries."""
    views: NDArray[np.int64]
    """(N,) how each image is laid; see :mod:`satsqueeze.data.sampling.dihedral`."""
    maps: tuple[NDArray[np.float32], ...] = ()
    """Attention maps (N, h, w) of each teacher."""


class ClassSampler:
    """Deals images from one shuffled deck after another, each image once per deck.

    Batches follow each other through the decks without a gap, so that none is short and no image is left out: where a
    deck ends within a batch, the next one begins.

    Args:
        cache: images of one size, with the classes of each.
        ids: images to deal.
        batch_size: images per batch.
        seed: of the shuffling and the views.
        views: whether each image is laid in one of its 8 views at random (4 where it is not square); else always as it
            is.
        answers: teachers' logits to deal alongside.
        maps: teachers' attention maps to deal alongside.

    Raises:
        SettingsError: no images, a batch size below 1, or a negative seed.
        DataError: an image is not in the cache.
        GridError: the images differ in size.
    """

    def __init__(
        self,
        cache: PackedCache,
        ids: Sequence[str],
        *,
        batch_size: int,
        seed: int,
        views: bool = True,
        answers: Answers | None = None,
        maps: Maps | None = None,
    ) -> None:
        if not ids or batch_size < 1 or seed < 0:
            raise SettingsError(
                f"sampling needs images, a batch size of at least 1 and a seed >= 0; got {len(ids)}, {batch_size} and "
                f"{seed}"
            )
        self.cache, self.batch_size, self.seed = cache, batch_size, seed
        self._positions = np.array([cache.position(item_id) for item_id in ids], np.int64)
        height, width = cache.stack.shape[2:]
        self._views = (VIEWS if height == width else VIEWS // 2) if views else 1
        self._answers, self._maps = answers, maps

    def __len__(self) -> int:
        return len(self._positions)

    def batch(self, step: int) -> ImageBatch:
        """The batch of a step; the same for the same seed, whatever was dealt before.

        Args:
            step: counted from 0.
        """
        positions = self.dealt(step)
        views = self._generator(_VIEW, step).integers(self._views, size=len(positions))
        return ImageBatch(
            images=reflectance(views_of(self.cache.stack[positions], views)),
            targets=self.cache.targets[positions],
            answers=None if self._answers is None else self._answers.rows(positions, views),
            positions=positions,
            views=views,
            maps=() if self._maps is None else self._maps.rows(positions, views),
        )

    def dealt(self, step: int) -> NDArray[np.int64]:
        """Places in the cache of the images of a step, (batch_size,)."""
        count = len(self._positions)
        decks, places = np.divmod(np.arange(step * self.batch_size, (step + 1) * self.batch_size), count)
        dealt = np.empty(self.batch_size, np.int64)
        for deck in range(decks[0], decks[-1] + 1):
            order = self._generator(_ORDER, deck).permutation(count)
            dealt[decks == deck] = order[places[decks == deck]]
        return self._positions[dealt]

    def _generator(self, stream: int, number: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(np.random.SeedSequence((self.seed, stream, number))))


def reflectance(stored: NDArray[np.int16]) -> NDArray[np.float32]:
    """Stored int16 images (N, C, H, W) of one size as reflectance, 0 where invalid."""
    images = np.empty(stored.shape, np.float32)
    dequantise(stored.swapaxes(0, 1), images.swapaxes(0, 1))
    return images
