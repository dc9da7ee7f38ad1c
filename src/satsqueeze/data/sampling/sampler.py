"""Random patches from a packed cache; each batch is a pure function of the seed and the step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.labels import IGNORE
from satsqueeze.core.window import Window
from satsqueeze.data.cache.packed import SEGMENTATION, PackedCache, dequantise


class SoftTargets(Protocol):
    """Cached teacher probabilities."""

    def window(self, id: str, window: Window) -> NDArray[np.uint8]:  # noqa: A002 - the name of the field
        """Probabilities * 255, uint8 (K, h, w), of a window inside the image; 0 everywhere = no target.

        Of several teachers that are kept apart, (T, K, h, w).
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Batch:
    """N patches."""

    images: NDArray[np.float32]
    """Reflectance (N, C, h, w), 0 where invalid or outside of the image."""
    labels: NDArray[np.uint8]
    """Classes (N, h, w), 255 = ignore."""
    soft: NDArray[np.uint8] | None
    """Teacher probabilities * 255 (N, K, h, w), or (N, T, K, h, w) of teachers kept apart; 0 everywhere = no target."""
    ids: tuple[str, ...]
    windows: tuple[Window, ...]
    """Where each patch lies; may cross the border of its image."""


class PatchSampler:
    """Draws patches.

    Cases are drawn uniformly within a source, sources by weight. The last ``foreground_share`` of each batch is
    centred, as far as the image allows, on a pixel of a class drawn uniformly among those of the case but class 0, as
    nnU-Net does (``nnUNetDataLoader``, oversample_foreground_percent); cases without any are cut at random.

    Args:
        cache: what to draw from.
        ids: items to draw.
        patch_size: rows and columns.
        batch_size: patches per batch.
        foreground_share: share of forced patches, in [0, 1].
        seed: of all draws.
        source_weights: relative weight of every source; by default sources count by their number of items.
        soft: teacher probabilities to cut alongside.

    Raises:
        SettingsError: sizes or shares out of range, no items, or weights that do not name the sources.
        DataError: an item is not in the cache.
    """

    def __init__(
        self,
        cache: PackedCache,
        ids: Sequence[str],
        *,
        patch_size: tuple[int, int],
        batch_size: int,
        foreground_share: float = 1 / 3,
        seed: int,
        source_weights: Mapping[str, float] | None = None,
        soft: SoftTargets | None = None,
    ) -> None:
        if min(patch_size) < 1 or batch_size < 1 or not 0 <= foreground_share <= 1 or seed < 0 or not ids:
            raise SettingsError(
                f"sampling needs items, a patch size and a batch size of at least 1, a foreground share in [0, 1] and "
                f"a seed >= 0; got {len(ids)} items, {patch_size}, {batch_size}, {foreground_share}, {seed}"
            )
        self.cache = cache
        self.patch_size = (int(patch_size[0]), int(patch_size[1]))
        self.batch_size = batch_size
        self.seed = seed
        self._soft = soft
        self._first_forced = round(batch_size * (1 - foreground_share))
        positions = [cache.position(item_id) for item_id in ids]
        sources = _by_source(cache, positions)
        self._sources = list(sources.values())
        self._shares = _shares(sources, source_weights)

    def batch(self, step: int) -> Batch:
        """The batch of a step; the same for the same seed, whatever was drawn before.

        Args:
            step: counted from 0.
        """
        generator = np.random.Generator(np.random.Philox(key=[self.seed, step]))
        chosen = [self._draw(generator, forced=slot >= self._first_forced) for slot in range(self.batch_size)]
        shape = (self.batch_size, len(self.cache.bands), *self.patch_size)
        images = np.zeros(shape, np.float32)
        labels = np.full((self.batch_size, *self.patch_size), IGNORE, np.uint8)
        soft = None
        for slot, (position, window) in enumerate(chosen):
            inner = clipped(window, self.cache.entries[position].height, self.cache.entries[position].width)
            place = place_of(window, inner)
            dequantise(self.cache.stored(position, inner), images[slot][:, *place])
            labels[slot][place] = self.cache.label(position, inner)
            if self._soft is not None:
                found = self._soft.window(self.cache.entries[position].id, inner)
                if soft is None:
                    soft = np.zeros((self.batch_size, *found.shape[:-2], *self.patch_size), np.uint8)
                soft[slot][..., *place] = found
        return Batch(
            images=images,
            labels=labels,
            soft=soft,
            ids=tuple(self.cache.entries[position].id for position, _ in chosen),
            windows=tuple(window for _, window in chosen),
        )

    def _draw(self, generator: np.random.Generator, *, forced: bool) -> tuple[int, Window]:
        source = self._sources[int(generator.choice(len(self._sources), p=self._shares))]
        position = int(source[int(generator.integers(len(source)))])
        entry = self.cache.entries[position]
        present = [value for value, count in enumerate(entry.class_pixels) if value and count]
        centre = None
        if forced and present and self.cache.task == SEGMENTATION:
            places = self.cache.locations(position, present[int(generator.integers(len(present)))])
            centre = divmod(int(places[int(generator.integers(len(places)))]), entry.width)
        starts = [
            _start(generator, size, patch, None if centre is None else centre[axis])
            for axis, (size, patch) in enumerate(zip((entry.height, entry.width), self.patch_size, strict=True))
        ]
        return position, Window(row=starts[0], col=starts[1], height=self.patch_size[0], width=self.patch_size[1])


def _start(generator: np.random.Generator, size: int, patch: int, centre: int | None) -> int:
    if size <= patch:
        return -((patch - size) // 2)
    if centre is None:
        return int(generator.integers(size - patch + 1))
    return min(max(centre - patch // 2, 0), size - patch)


def _by_source(cache: PackedCache, positions: Sequence[int]) -> dict[str, NDArray[np.int64]]:
    members: dict[str, list[int]] = {}
    for position in positions:
        members.setdefault(cache.entries[position].source, []).append(position)
    return {source: np.array(found, dtype=np.int64) for source, found in members.items()}


def _shares(sources: Mapping[str, NDArray[np.int64]], weights: Mapping[str, float] | None) -> NDArray[np.float64]:
    if weights is None:
        weights = {source: len(positions) for source, positions in sources.items()}
    missing = [source for source in sources if source not in weights]
    found = np.array([weights.get(source, 0.0) for source in sources], dtype=np.float64)
    if missing or (found < 0).any() or not found.sum() > 0:
        raise SettingsError(
            f"source weights must name every source ({', '.join(sources)}) with numbers >= 0, not all 0; got "
            f"{dict(weights)}"
        )
    shares: NDArray[np.float64] = found / found.sum()
    return shares


def clipped(window: Window, height: int, width: int) -> Window:
    """The part of a window that lies inside an image."""
    row, col = max(window.row, 0), max(window.col, 0)
    return Window(row=row, col=col, height=min(window.stop_row, height) - row, width=min(window.stop_col, width) - col)


def place_of(window: Window, inner: Window) -> tuple[slice, slice]:
    """Where a part of a window lies in it: rows and columns."""
    row, col = inner.row - window.row, inner.col - window.col
    return slice(row, row + inner.height), slice(col, col + inner.width)
