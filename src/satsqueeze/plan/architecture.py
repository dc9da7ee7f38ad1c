"""The shape of a U-Net, free of any framework: what a plan decides and a cost model counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from satsqueeze.core.errors import SettingsError

Pair = tuple[int, int]
"""Two integers along (y, x), in that order."""
EncoderKind = Literal["plain", "residual"]


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A 2-D U-Net, stage 0 being the finest.

    Raises:
        SettingsError: if the tuples do not describe the same number of stages, or hold numbers below 1.
    """

    encoder: EncoderKind
    """``"plain"``: stacked convolutions; ``"residual"``: a stem, then residual basic blocks."""
    features_per_stage: tuple[int, ...]
    """Channels of every stage, finest first."""
    strides: tuple[Pair, ...]
    """Down-sampling (y, x) on entering every stage; the first is (1, 1)."""
    kernel_sizes: tuple[Pair, ...]
    """Convolution kernel (y, x) of every stage."""
    n_conv_per_stage: tuple[int, ...]
    """Convolutions (plain) or residual blocks (residual) of every encoder stage."""
    n_conv_per_stage_decoder: tuple[int, ...]
    """Convolutions of every decoder stage, deepest first; one entry fewer than there are stages."""

    def __post_init__(self) -> None:
        if self.encoder not in ("plain", "residual"):
            raise SettingsError(f"encoder: got {self.encoder!r}, expected 'plain' or 'residual'")
        stages = len(self.features_per_stage)
        expected = {
            "features_per_stage": max(stages, 1),
            "strides": stages,
            "kernel_sizes": stages,
            "n_conv_per_stage": stages,
            "n_conv_per_stage_decoder": stages - 1,
        }
        for name, length in expected.items():
            values = getattr(self, name)
            if len(values) != length:
                raise SettingsError(f"{name}: got {len(values)} entries, expected {length} for {stages} stages")
            flat = [number for value in values for number in (value if isinstance(value, tuple) else (value,))]
            if any(not isinstance(number, int) or number < 1 for number in flat):
                raise SettingsError(f"{name}: got {values}, expected whole numbers of at least 1")

    @property
    def n_stages(self) -> int:
        """Number of resolutions, the bottleneck included."""
        return len(self.features_per_stage)

    def sizes(self, patch_size: Pair) -> tuple[Pair, ...]:
        """Height and width in pixels of every stage for an input of `patch_size`, finest first."""
        height, width = patch_size
        sizes = []
        for stride_y, stride_x in self.strides:
            height, width = height // stride_y, width // stride_x
            sizes.append((height, width))
        return tuple(sizes)

    def decoder_stages(self) -> Iterator[tuple[int, int]]:
        """Yield (stage index, convolutions) in the order in which the decoder runs: deepest first."""
        yield from zip(range(self.n_stages - 2, -1, -1), self.n_conv_per_stage_decoder, strict=True)

    def block_inputs(self, channels: int) -> tuple[int, ...]:
        """Channels that enter every encoder stage, for an image of `channels` bands."""
        first = channels if self.encoder == "plain" else self.features_per_stage[0]
        return (first, *(before for before, _ in pairwise(self.features_per_stage)))

    def projects(self, stage: int) -> bool:
        """Whether the first residual block of `stage` needs a 1x1 convolution on its shortcut."""
        return stage > 0 and self.features_per_stage[stage - 1] != self.features_per_stage[stage]
