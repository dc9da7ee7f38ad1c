"""What every network asks of its input."""

from __future__ import annotations

from torch import Tensor

from satsqueeze.core.errors import BandError, GridError
from satsqueeze.core.window import up


def check_input(x: Tensor, *, in_channels: int, multiple: int) -> None:
    """Refuse images that the network cannot take.

    Args:
        x: images (N, C, H, W).
        in_channels: what C must be.
        multiple: what H and W must be multiples of, in pixels.

    Raises:
        BandError: C is not `in_channels`, or there are not four dimensions.
        GridError: H or W is not a positive multiple of `multiple`.
    """
    if x.ndim != 4 or x.shape[1] != in_channels:
        raise BandError(
            f"the network takes images (N, {in_channels}, H, W), got {tuple(x.shape)}; select the bands by name first"
        )
    height, width = x.shape[2:]
    if min(height, width) < multiple or height % multiple or width % multiple:
        raise GridError(
            f"height and width must be multiples of {multiple} px, got {height} x {width}; "
            f"pad to {next_multiple(height, multiple)} x {next_multiple(width, multiple)}"
        )


def next_multiple(size: int, multiple: int) -> int:
    """The smallest positive multiple of `multiple` that is at least `size`."""
    return max(multiple, up(size, multiple))
