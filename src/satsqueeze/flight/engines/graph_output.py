"""What a flight graph says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class GraphOutput:
    """What a graph says about a batch."""

    mask: NDArray[np.uint8]
    """uint8 (N, H, W), class values; of whole images (N,), or in a multi-label package (N, K), 1 = present."""
    probabilities: NDArray[np.float32] | None
    """float32 (N, K, H, W), of whole images (N, K), summing to 1 over K unless multi-label; None if not asked for."""
