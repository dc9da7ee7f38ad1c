"""Clean-up of masks by connected components."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


@dataclass(frozen=True, kw_only=True)
class PostProcessing:
    """Steps on a mask, in this order; by default none."""

    largest_foreground: bool = False
    """Keep only the largest component of all foreground classes together."""
    largest_of: tuple[int, ...] = ()
    """Classes of which only the largest component is kept."""
    min_pixels: int = 0
    """Components of any foreground class smaller than this become class 0."""

    def apply(self, mask: NDArray[np.uint8], foreground: Sequence[int]) -> NDArray[np.uint8]:
        """A cleaned copy; removed pixels become class 0. Pixels touch by their sides.

        Args:
            mask: uint8 (H, W).
            foreground: classes that count as foreground.
        """
        cleaned = mask.copy()
        if self.largest_foreground:
            cleaned[_all_but_largest(np.isin(cleaned, foreground))] = 0
        for value in self.largest_of:
            cleaned[_all_but_largest(cleaned == value)] = 0
        if self.min_pixels > 1:
            for value in foreground:
                cleaned[_smaller_than(cleaned == value, self.min_pixels)] = 0
        return cleaned

    def __add__(self, other: PostProcessing) -> PostProcessing:
        """The steps of both."""
        return PostProcessing(
            largest_foreground=self.largest_foreground or other.largest_foreground,
            largest_of=self.largest_of + other.largest_of,
            min_pixels=max(self.min_pixels, other.min_pixels),
        )

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> PostProcessing:
        """Read back what ``dataclasses.asdict`` gave and JSON kept."""
        return cls(**{**record, "largest_of": tuple(record["largest_of"])})

    def told(self, classes: Sequence[str]) -> str:
        """In words; empty where there is no step.

        Args:
            classes: names of all classes.
        """
        kept = ["only the largest component of the foreground"] if self.largest_foreground else []
        kept += [f"only the largest component of {classes[value]}" for value in self.largest_of]
        kept += [f"no component below {self.min_pixels} pixels"] if self.min_pixels else []
        return ", ".join(kept)


def _all_but_largest(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labels, sizes = _components(region)
    if len(sizes) < 2:
        return np.zeros_like(region)
    return np.asarray(region & (labels != 1 + int(sizes.argmax())), np.bool_)


def _smaller_than(region: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    labels, sizes = _components(region)
    small = np.concatenate([[False], sizes < pixels])
    return np.asarray(small[labels], np.bool_)


def _components(region: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    labels, count = ndimage.label(region)
    return labels, np.bincount(labels.ravel(), minlength=count + 1)[1:]
