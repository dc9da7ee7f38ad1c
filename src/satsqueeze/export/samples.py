"""Images for calibration and validation, from a packed cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.bands import band_positions
from satsqueeze.core.errors import ExportError
from satsqueeze.core.labels import IGNORE
from satsqueeze.core.window import up


class ImageCache(Protocol):
    """What export needs of ``satsqueeze.data.cache.packed.PackedCache``."""

    @property
    def bands(self) -> Sequence[str]:
        """Names of the channels."""
        ...

    def position(self, id_: str, /) -> int:
        """Position of an item."""
        ...

    def image(self, position: int, /) -> NDArray[np.float32]:
        """Float32 reflectance (C, H, W), 0 where invalid."""
        ...

    def valid(self, position: int, /) -> NDArray[np.bool_]:
        """(H, W), True = valid."""
        ...

    def label(self, position: int, /) -> NDArray[np.uint8]:
        """uint8 (H, W), 255 = ignore."""
        ...


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One image with its label."""

    id: str
    image: NDArray[np.float32]
    """Float32 reflectance (C, H, W), bands in the model's order, 0 where invalid."""
    valid: NDArray[np.bool_]
    """(H, W), True = valid."""
    label: NDArray[np.uint8]
    """uint8 (H, W), 255 = ignore."""


@dataclass(frozen=True)
class Samples:
    """Items of a cache, read one at a time.

    Raises:
        ExportError: no items.
        BandError: the cache lacks a band.
    """

    cache: ImageCache
    ids: tuple[str, ...]
    bands: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.ids:
            raise ExportError("calibration and validation need at least one image each, got none")
        band_positions(self.cache.bands, self.bands)

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Sample]:
        channels = band_positions(self.cache.bands, self.bands)
        for id_ in self.ids:
            position = self.cache.position(id_)
            yield Sample(
                id=id_,
                image=self.cache.image(position)[channels],
                valid=self.cache.valid(position),
                label=self.cache.label(position),
            )

    @property
    def labelled(self) -> bool:
        """Whether any pixel is labelled."""
        return any((self.cache.label(self.cache.position(id_)) != IGNORE).any() for id_ in self.ids)

    def windows(self, *, count: int, side: int, multiple: int, seed: int) -> list[NDArray[np.float32]]:
        """Windows drawn from images spread over the items, the same for the same seed.

        Args:
            count: how many.
            side: of a window in pixels, raised to a multiple of ``multiple``; smaller images give smaller windows.
            multiple: every side is a multiple of this, reached by reflection where an image is smaller.
            seed: of the positions.

        Returns:
            ``count`` arrays, float32 reflectance (C, h, w).
        """
        generator = np.random.default_rng(seed)
        order = [self.ids[i] for i in np.linspace(0, len(self.ids) - 1, min(count, len(self.ids))).round().astype(int)]
        images = [sample.image for sample in Samples(self.cache, tuple(order), self.bands)]
        return [_window(images[i % len(images)], side, multiple, generator) for i in range(count)]


def _window(
    image: NDArray[np.float32], side: int, multiple: int, generator: np.random.Generator
) -> NDArray[np.float32]:
    side = up(side, multiple)
    for axis in (1, 2):
        size = image.shape[axis]
        keep = min(side, up(size, multiple))
        if keep > size:
            image = np.pad(image, [(0, keep - size if a == axis else 0) for a in range(3)], mode="reflect")
        start = int(generator.integers(0, image.shape[axis] - keep + 1))
        image = np.take(image, range(start, start + keep), axis=axis)
    return np.ascontiguousarray(image)
