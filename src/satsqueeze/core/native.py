"""What a package says of its graph for bands in pixels of their own size."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

import pydantic

LARGEST_INPUT = 4096
"""Side of an input of fixed size, pixels."""
Side = Annotated[int, pydantic.Field(ge=1, le=LARGEST_INPUT)]
"""Of an image in pixels: memory is reserved by it, so that a huge one would ask for all there is."""


class _Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class NativeGrid(_Model):
    """Bands of one pixel size, which are one input of the graph."""

    input: str
    """Its name; float32 (N, C, H, W) reflectance, NaN where missing."""
    bands: tuple[str, ...]
    """Names of the C channels."""
    size: tuple[Side, Side]
    """Height and width in pixels."""


class NativeImages(_Model):
    """A graph for bands as a sensor delivers them: the coarser ones are resampled to the finest inside.

    It is the package's default graph with bilinear interpolation before it; pixel centres are where the areas of pixels
    say, as GDAL has it. What is interpolated from a missing pixel is missing, and counts as 0 in all bands.
    """

    file: str
    grids: tuple[NativeGrid, ...]
    """From the finest to the coarsest."""

    def require_part_of(self, files: Collection[str], bands: Collection[str], size: tuple[int, int] | None) -> None:
        """Raise ValueError where a package, if its files are known, lacks the graph, or has other bands or sizes."""
        held = [band for grid in self.grids for band in grid.bands]
        fits = size is not None and all(
            large % small == 0 for grid in self.grids for large, small in zip(size, grid.size, strict=True)
        )
        if (files and self.file not in files) or sorted(held) != sorted(bands) or not fits:
            raise ValueError(
                f"a graph {self.file!r} for bands in their own sizes does not fit: it takes {held} in "
                f"{[grid.size for grid in self.grids]} pixels, the package {list(bands)} in {size}"
            )
