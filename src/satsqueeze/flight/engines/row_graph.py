"""A graph that takes an image a few rows at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Place = Literal["first", "middle", "last"]
PLACES: tuple[Place, ...] = ("first", "middle", "last")


class RowGraph(Protocol):
    """Three graphs that share the work of one; safe to call from as many threads at once as the engine has streams.

    See :class:`satsqueeze.core.rows.RowStream`.
    """

    def run(
        self, place: Place, batch: NDArray[np.float32], carried: Sequence[NDArray[Any]]
    ) -> tuple[NDArray[np.uint8], list[NDArray[Any]]]:
        """Run float32 reflectance (1, C, h, W) after what the call before has left.

        Returns:
            The mask (h', W) of the rows that are decided now, and what is left for the next call.
        """
        ...

    def rest(self) -> None:
        """Give back the memory of calls before; none may be under way."""
        ...
