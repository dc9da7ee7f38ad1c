"""Which bands of one network stand for which of another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from satsqueeze.core.bands import wavelength_of
from satsqueeze.core.errors import SettingsError

TOLERANCE_NM = 50.0
"""Nanometres by which centre wavelengths may differ: blue stands for the coastal band, red for the first red edge."""


@dataclass(frozen=True, kw_only=True)
class BandStart:
    """Where the first layer's weights of one band come from."""

    name: str
    how: Literal["matched", "averaged", "fresh"]
    """``averaged``: the mean of several bands; ``fresh``: drawn anew."""
    sources: tuple[str, ...] = ()
    """Bands of the source."""

    def __str__(self) -> str:
        if not self.sources:
            return f"{self.name} {self.how}"
        alike = self.sources == (self.name,)
        return f"{self.name} {self.how}" if alike else f"{self.name} {self.how} from {' and '.join(self.sources)}"


def match_bands(
    have: Sequence[str], want: Sequence[str], *, tolerance_nm: float = TOLERANCE_NM
) -> tuple[BandStart, ...]:
    """For each wanted band the one of that name, else all within a tolerance of its centre wavelength.

    Args:
        have: names of the source's bands.
        want: names of the bands to start.
        tolerance_nm: largest difference of centre wavelengths in nanometres, inclusive.

    Raises:
        SettingsError: a negative tolerance.
    """
    if tolerance_nm < 0:
        raise SettingsError(f"the tolerance of wavelengths must be >= 0 nm, got {tolerance_nm}")
    return tuple(_match(name, have, tolerance_nm) for name in want)


def _match(name: str, have: Sequence[str], tolerance_nm: float) -> BandStart:
    if name in have:
        return BandStart(name=name, how="matched", sources=(name,))
    centre = wavelength_of(name)
    if centre is None:
        return BandStart(name=name, how="fresh")
    known = {other: wavelength for other in have if (wavelength := wavelength_of(other)) is not None}
    near = tuple(other for other, wavelength in known.items() if abs(wavelength - centre) <= tolerance_nm)
    how: Literal["matched", "averaged", "fresh"] = "fresh" if not near else "matched" if len(near) == 1 else "averaged"
    return BandStart(name=name, how=how, sources=near)


def mixing(starts: Sequence[BandStart], have: Sequence[str]) -> Tensor:
    """Share of each source band in each started one, float64 (bands, source bands); rows of fresh bands are 0.

    A source band that several bands start from counts in full for each of them.
    """
    shares = torch.zeros(len(starts), len(have), dtype=torch.float64)
    for row, start in zip(shares, starts, strict=True):
        for name in start.sources:
            row[list(have).index(name)] = 1 / len(start.sources)
    return shares
