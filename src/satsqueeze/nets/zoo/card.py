"""What the zoo knows about a network before it is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from satsqueeze.core.errors import GridError


@dataclass(frozen=True, kw_only=True)
class ZooCard:
    """One named classifier, for any number of bands and classes."""

    name: str
    family: str
    """Networks of one family share their code and differ in numbers."""
    builder: str
    """A key of `builders.BUILDERS`."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments of the builder."""
    size: int = 64
    """Height and width in pixels of the images that it is meant for."""
    smallest: int = 32
    """Least height and width of an image in pixels."""
    multiple: int = 1
    """Height and width must be multiples of this, in pixels."""
    fixed: bool = False
    """Whether some weights belong to places in the image, so that it takes only the size that it was built for."""
    averages_views: bool = False
    """Whether evaluation looks at several views of an image and averages, so that its features are of no one image."""

    def check_size(self, height: int, width: int) -> None:
        """Refuse a size for which the network cannot be built.

        Raises:
            GridError: smaller than `smallest`, or not a multiple of `multiple`; or, of a network for one size, not
                square.
        """
        too_small = min(height, width) < self.smallest
        if too_small or height % self.multiple or width % self.multiple or (self.fixed and height != width):
            raise GridError(f"{self.name} takes {self.sizes()}; got {height} x {width}")

    def sizes(self) -> str:
        """The sizes that it can be built for, in words."""
        steps = f" that are multiples of {self.multiple} px" if self.multiple > 1 else ""
        return f"{'square images' if self.fixed else 'images'}{steps} of at least {self.smallest} x {self.smallest} px"
