"""One pass over the data: all that a planner needs to know about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import DataError
from satsqueeze.core.scaling import Scaling
from satsqueeze.data.cache.packed import INVALID, STEP, PackedCache

_BINS = 1 << 16
UNKNOWN_SPACING = 1.0
"""Of images whose pixel size nothing tells: rules of planning look at ratios of spacings alone."""
_SMALLEST_STD = 1e-3


@dataclass(frozen=True, kw_only=True)
class BandStatistics:
    """Reflectance of one band over all valid pixels."""

    mean: float
    std: float
    p005: float
    """Percentile 0.5."""
    p50: float
    p995: float
    """Percentile 99.5."""


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """What the data are like. Pixel counts are over labelled pixels, statistics over valid ones."""

    cases: int
    median_shape: tuple[float, float]
    """Rows and columns; halves where an even number of images differ, as nnU-Net plans from them."""
    spacing: tuple[float, float]
    """Median pixel size in metres, rows and columns; ``UNKNOWN_SPACING`` where nothing tells any."""
    channels: int
    bands: tuple[str, ...]
    classes: tuple[str, ...]
    foreground: tuple[int, ...]
    class_share: tuple[float, ...]
    """Share of each class in all labelled pixels; zeros where nothing is labelled."""
    statistics: dict[str, BandStatistics]
    """By band name."""
    groups: int
    """Distinct scenes or locations."""
    sources: dict[str, int]
    """Cases of each source."""
    labelled: int
    """Cases with a mask."""
    valid_share: float
    """Share of valid pixels."""

    def scaling(self) -> Scaling:
        """Normalisation by the mean and standard deviation of the whole data set."""
        rows = [self.statistics[band] for band in self.bands]
        return Scaling(
            bands=self.bands,
            mean=tuple(row.mean for row in rows),
            std=tuple(max(row.std, _SMALLEST_STD) for row in rows),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Fingerprint:
        """Inverse of :meth:`to_dict`."""
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in record.items()
        }
        fields["statistics"] = {band: BandStatistics(**row) for band, row in record["statistics"].items()}
        return cls(**fields)


def fingerprint(cache: PackedCache, ids: Sequence[str] | None = None) -> Fingerprint:
    """Exact statistics of the items called ``ids``, by default all, in one pass and constant memory.

    Raises:
        DataError: no item, or one that is not in the cache.
    """
    positions = [cache.position(item_id) for item_id in (cache.ids if ids is None else ids)]
    if not positions:
        raise DataError("a fingerprint needs at least one item, got none; check the split or the data set")
    entries = [cache.entries[position] for position in positions]
    counts = np.zeros((len(cache.bands), _BINS), dtype=np.int64)
    for position in positions:
        for band, stored in enumerate(cache.stored(position)):
            counts[band] += np.bincount(stored.ravel().view(np.uint16), minlength=_BINS)
    known = [entry.gsd_m for entry in entries if entry.gsd_m is not None]
    labelled = np.sum([entry.class_pixels for entry in entries], axis=0)
    total = max(int(labelled.sum()), 1)
    return Fingerprint(
        cases=len(entries),
        median_shape=(_median([entry.height for entry in entries]), _median([entry.width for entry in entries])),
        spacing=(float(np.median(known)) if known else UNKNOWN_SPACING,) * 2,
        channels=len(cache.bands),
        bands=cache.bands,
        classes=cache.classes,
        foreground=cache.foreground,
        class_share=tuple(float(count) / total for count in labelled),
        statistics={band: _statistics(row) for band, row in zip(cache.bands, counts, strict=True)},
        groups=len({group for entry in entries for group in entry.groups}),
        sources=_counted([entry.source for entry in entries]),
        labelled=sum(entry.labelled for entry in entries),
        valid_share=sum(entry.valid_pixels for entry in entries) / sum(entry.pixels for entry in entries),
    )


def _statistics(counts: NDArray[np.int64]) -> BandStatistics:
    """From counts by stored value, whose unsigned bit pattern is the index."""
    ordered = np.roll(counts, _BINS // 2)
    values = np.arange(-_BINS // 2, _BINS // 2, dtype=np.float64)
    ordered[values == INVALID] = 0
    total = int(ordered.sum())
    mean = float(values @ ordered) / total
    variance = float(((values - mean) ** 2) @ ordered) / total
    cumulative = np.cumsum(ordered)
    low, middle, high = (
        float(values[np.searchsorted(cumulative, share * total, side="left")]) for share in (0.005, 0.5, 0.995)
    )
    return BandStatistics(
        mean=mean * STEP, std=variance**0.5 * STEP, p005=low * STEP, p50=middle * STEP, p995=high * STEP
    )


def _median(values: Sequence[int]) -> float:
    found = float(np.median(values))
    return int(found) if found.is_integer() else found


def _counted(names: Sequence[str]) -> dict[str, int]:
    return {name: names.count(name) for name in dict.fromkeys(names)}
