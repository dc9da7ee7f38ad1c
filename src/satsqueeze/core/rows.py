"""What a package says of its graphs for images that pass in rows."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

import pydantic

Size = Annotated[int, pydantic.Field(ge=1, le=2**16)]
"""Of a tensor of a graph: memory is reserved by it, so that a huge one would ask for all there is."""


class _Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class CarriedRows(_Model):
    """What one call for rows leaves for the next: (1, channels, rows, W / stride)."""

    channels: Size
    rows: Size
    stride: Size
    """Columns of the image for one of it."""
    bytes: Size
    """Of a number."""

    @property
    def bytes_per_column(self) -> float:
        """Memory per column of the image."""
        return self.channels * self.rows * self.bytes / self.stride


class RowStream(_Model):
    """Three ONNX files that make the int8 mask of an image a few rows at a time, to the last byte.

    Every call takes rows of the image as ``reflectance`` (1, C, h, W), and what the call before left, as inputs
    ``carry_0``, ``carry_1``, ...; it gives ``mask`` (1, h', W) of the rows that are decided by then, and what it leaves
    as outputs ``carry_0_next``, ``carry_1_next``, ...
    """

    first: str
    """File for the first rows of an image, which takes no carry."""
    middle: str
    last: str
    """File for its last rows, which leaves none."""
    delay: Annotated[int, pydantic.Field(ge=0, le=2**16)]
    """Rows by which the mask is behind, until the last."""
    least_rows: Size
    """Rows that the first call must have, at least; a multiple of ``size_multiple``, as are those of every call."""
    carries: tuple[CarriedRows, ...]

    @property
    def places(self) -> dict[str, str]:
        """Files by the place of the rows that they are for."""
        return {"first": self.first, "middle": self.middle, "last": self.last}

    def require_part_of(self, files: Collection[str], multiple: int) -> None:
        """Raise ValueError where a package, if its files are known, lacks one, or takes other numbers of rows."""
        absent = [file for file in self.places.values() if files and file not in files]
        if absent or self.least_rows % multiple:
            raise ValueError(
                f"a graph for calls of {self.least_rows} rows, a multiple of {multiple}, lacks files {absent}"
            )
