"""Normalisation of reflectance: one record, the same in training, in the exported graph and in flight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import BandError, SettingsError


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """Per band: (clip(reflectance, low, high) - mean) / std."""

    bands: tuple[str, ...]
    mean: tuple[float, ...]
    """Mean reflectance."""
    std: tuple[float, ...]
    """Standard deviation of reflectance, > 0."""
    low: float = -0.2
    """Reflectance below which values are clipped."""
    high: float = 2.0
    """Reflectance above which values are clipped."""

    def __post_init__(self) -> None:
        if not len(self.bands) == len(self.mean) == len(self.std):
            raise SettingsError(
                f"scaling needs one mean and one std per band, got {len(self.bands)} bands, "
                f"{len(self.mean)} means, {len(self.std)} stds"
            )
        if not self.std or not np.isfinite([*self.mean, *self.std]).all() or min(self.std) <= 0:
            raise SettingsError(f"scaling needs finite means and std > 0, got mean {self.mean} and std {self.std}")
        if not self.low < self.high:
            raise SettingsError(f"scaling needs low < high, got {self.low} and {self.high}")

    def apply(self, reflectance: NDArray[np.float32]) -> NDArray[np.float32]:
        """Normalise float32 reflectance (..., C, H, W).

        Raises:
            BandError: the channel count is not that of the scaling.
        """
        if reflectance.ndim < 3 or reflectance.shape[-3] != len(self.bands):
            raise BandError(
                f"scaling of {', '.join(self.bands)} needs (..., {len(self.bands)}, H, W), got {reflectance.shape}"
            )
        mean = np.asarray(self.mean, np.float32)[:, None, None]
        std = np.asarray(self.std, np.float32)[:, None, None]
        clipped = np.clip(reflectance, np.float32(self.low), np.float32(self.high))
        return ((clipped - mean) / std).astype(np.float32, copy=False)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Scaling:
        """Inverse of :meth:`to_dict`."""
        fields: dict[str, Any] = {
            key: tuple(value) if isinstance(value, Sequence) else value for key, value in record.items()
        }
        return cls(**fields)
