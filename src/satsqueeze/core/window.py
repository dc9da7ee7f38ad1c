"""A rectangle of pixels."""

from __future__ import annotations

from dataclasses import dataclass

from satsqueeze.core.errors import GridError


@dataclass(frozen=True, kw_only=True)
class Window:
    """A rectangle in pixels: top-left corner and size, inside or across the border of an image."""

    row: int
    col: int
    height: int
    width: int

    def __post_init__(self) -> None:
        if self.height <= 0 or self.width <= 0:
            raise GridError(f"a window needs a positive size, got height {self.height}, width {self.width}")

    @property
    def stop_row(self) -> int:
        """First row below the window."""
        return self.row + self.height

    @property
    def stop_col(self) -> int:
        """First column right of the window."""
        return self.col + self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices for an array whose corner is (0, 0).

        Raises:
            GridError: the window starts outside of the array, where a slice would wrap around.
        """
        if self.row < 0 or self.col < 0:
            raise GridError(
                f"cannot slice a window that starts at row {self.row}, column {self.col}; pad or clip first"
            )
        return slice(self.row, self.stop_row), slice(self.col, self.stop_col)


def cover(*, height: int, width: int, window: int, overlap: float = 0.5) -> list[Window]:
    """Square windows that cover an image, evenly spread, none leaving it where the image is large enough.

    The step is at most ``window * (1 - overlap)``, as nnU-Net spreads its tiles.

    Raises:
        GridError: sizes that are not positive, or an overlap outside [0, 1).
    """
    if min(height, width, window) <= 0 or not 0 <= overlap < 1:
        raise GridError(f"cannot cover {height} x {width} px with windows of {window} px and overlap {overlap}")
    rows, cols = (_starts(size, window, overlap) for size in (height, width))
    return [
        Window(row=row, col=col, height=min(window, height), width=min(window, width)) for row in rows for col in cols
    ]


def _starts(size: int, window: int, overlap: float) -> list[int]:
    if size <= window:
        return [0]
    step = max(1.0, round(window * (1 - overlap), 6))
    count = int(-(-(size - window) // step)) + 1
    return [round(i * (size - window) / (count - 1)) for i in range(count)]


def up(size: int, multiple: int) -> int:
    """The next multiple, in pixels."""
    return -(-size // multiple) * multiple
