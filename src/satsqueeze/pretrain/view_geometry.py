"""Where a view lies in its image: exact both ways, so that pixels of two views are matched by coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.window import Window
from satsqueeze.learn.augment.geometry import CERTAIN_HALF

Points = NDArray[np.float64]
"""(..., 2) coordinates (row, col) in pixels; whole numbers are centres of pixels."""


@dataclass(frozen=True, kw_only=True)
class ViewGeometry:
    """A square window of an image, resampled to ``size`` pixels, then flipped, then transposed.

    The order is that of :func:`satsqueeze.learn.augment.geometry.oriented`; together the three switches are all quarter
    turns and their mirror images.

    Raises:
        SettingsError: a window or view without a pixel.
    """

    row: int
    """First row of the window in the image."""
    col: int
    """First column."""
    side: int
    """Rows and columns of the window, pixels of the image."""
    size: int
    """Rows and columns of the view; the view magnifies by ``size / side``."""
    upside_down: bool = False
    """Whether the rows are reversed."""
    sideways: bool = False
    """Whether the columns are reversed."""
    transposed: bool = False
    """Whether rows and columns are swapped after that."""

    def __post_init__(self) -> None:
        if min(self.side, self.size) < 1 or min(self.row, self.col) < 0:
            raise SettingsError(
                f"a view needs a window of at least 1 px inside its image and a size of at least 1 px, got row "
                f"{self.row}, col {self.col}, side {self.side} and size {self.size}"
            )

    @property
    def window(self) -> Window:
        """Of the image."""
        return Window(row=self.row, col=self.col, height=self.side, width=self.side)

    def to_image(self, points: Points) -> Points:
        """Points of the view as points of the image."""
        resampled = points[..., ::-1] if self.transposed else points
        turned = np.where(self._reversed, self.size - 1 - resampled, resampled)
        # Resampling maps the window's area onto the view's: corners onto corners, not outermost centres.
        return self._origin + (turned + 0.5) * (self.side / self.size) - 0.5

    def from_image(self, points: Points) -> Points:
        """Points of the image as points of the view; the inverse of :meth:`to_image`."""
        resampled = (points - self._origin + 0.5) * (self.size / self.side) - 0.5
        turned = np.where(self._reversed, self.size - 1 - resampled, resampled)
        return turned[..., ::-1] if self.transposed else turned

    def shared(self, other: ViewGeometry) -> Points:
        """Pixels of the image that both windows hold, float64 (n, 2); none where they do not overlap."""
        axes = [
            np.arange(max(first, second), min(first + self.side, second + other.side), dtype=np.float64)
            for first, second in ((self.row, other.row), (self.col, other.col))
        ]
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)

    def cut(self, window: Tensor, valid: Tensor) -> Tensor:
        """The view of a window's pixels.

        Resampled bilinearly. Invalid pixels carry no weight; a pixel of the view that is mostly invalid becomes so.

        Args:
            window: float32 (C, side, side), 0 where invalid.
            valid: bool (side, side).

        Returns:
            Float32 (C, size, size), 0 where invalid.
        """
        values = window
        if self.side != self.size:
            weight = valid.to(window.dtype)[None]
            planes = torch.cat([window * weight, weight])[None]
            size = (self.size, self.size)
            # Without antialiasing, whose weights are not exactly centred on the pixel of the view.
            resampled = functional.interpolate(planes, size=size, mode="bilinear", align_corners=False)[0]
            share = resampled[-1:]
            values = torch.where(share >= CERTAIN_HALF, resampled[:-1] / share.clamp(min=CERTAIN_HALF), 0.0)
        turned = values.flip([axis for axis, back in ((-2, self.upside_down), (-1, self.sideways)) if back])
        return turned.transpose(-1, -2) if self.transposed else turned

    @property
    def _origin(self) -> Points:
        return np.array([self.row, self.col], np.float64)

    @property
    def _reversed(self) -> NDArray[np.bool_]:
        return np.array([self.upside_down, self.sideways])


def at_points(maps: Tensor, points: Tensor) -> Tensor:
    """Values of maps (M, 1, h, w) at the nearest pixels to points (M, P, 2): (M, P)."""
    height, width = maps.shape[-2:]
    limits = torch.tensor([height - 1, width - 1], device=maps.device)
    nearest = points.round().long().clamp(min=0).minimum(limits)
    flat = nearest[..., 0] * width + nearest[..., 1]
    return maps.flatten(1).gather(1, flat)
