"""What a U-Net is made of: the one record from which teachers and students are built."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from satsqueeze.core.errors import SettingsError

Pair = tuple[int, int]
"""Two integers along (y, x), in that order."""
EncoderKind = Literal["plain", "residual"]
NormKind = Literal["instance", "batch"]
ActivationKind = Literal["leaky", "relu"]
DownsampleKind = Literal["stride", "maxpool"]
UpsampleKind = Literal["transposed", "nearest"]
SkipKind = Literal["concat", "add"]

_CHOICES: dict[str, tuple[object, ...]] = {
    "encoder": ("plain", "residual"),
    "norm": ("instance", "batch"),
    "activation": ("leaky", "relu"),
    "downsample": ("stride", "maxpool"),
    "upsample": ("transposed", "nearest"),
    "skip": ("concat", "add"),
    "stem": (1, 2, 4),
}


@dataclass(frozen=True, kw_only=True)
class UNetConfig:
    """A 2-D U-Net; stage 0 is the finest. Defaults are nnU-Net v2's plain network, less deep supervision.

    Raises:
        SettingsError: tuples that do not describe the same number of stages, or a value outside its choices.
    """

    in_channels: int
    """Bands of an image."""
    classes: int
    """Logits per pixel."""
    features: tuple[int, ...]
    """Channels of every stage."""
    strides: tuple[int | Pair, ...]
    """Down-sampling on entering every stage, one number or (y, x); the first is 1."""
    convs_encoder: tuple[int, ...]
    """Convolutions (plain) or residual blocks (residual) of every encoder stage."""
    convs_decoder: tuple[int, ...]
    """Convolutions of every decoder stage, deepest first; one entry fewer than there are stages."""
    kernels: tuple[int | Pair, ...] = ()
    """Odd convolution kernel of every stage, one number or (y, x); empty means 3 everywhere."""
    encoder: EncoderKind = "plain"
    norm: NormKind = "instance"
    activation: ActivationKind = "leaky"
    """LeakyReLU of slope 0.01, or ReLU."""
    downsample: DownsampleKind = "stride"
    """Plain encoders only: the first convolution strides, or a max-pooling goes before it."""
    upsample: UpsampleKind = "transposed"
    """Transposed convolution of kernel = stride, or a 1x1 convolution repeated to its neighbours."""
    skip: SkipKind = "concat"
    """How the decoder takes the encoder's features in."""
    stem: int = 1
    """Pixels along each side of a stem cell: 2 and 4 work at 1/2 and 1/4 of the resolution and up-sample the result."""
    stem_width: int = 0
    """Channels at half the resolution, from which a stem of 4 goes on by a second convolution; 0 for a single one."""
    detail: int = 0
    """Full-resolution channels that by-pass a stem of 2 or 4 to the head; 0 for none."""
    separable: bool = False
    """Depthwise-separable instead of full convolutions, but for the first."""
    deep_supervision: bool = False
    """A 1x1 segmentation head on every decoder stage, not only on the finest."""

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise SettingsError(f"{name}: got {getattr(self, name)!r}, expected one of {choices}")
        stages = len(self.features)
        lengths = {"features": max(stages, 2), "strides": stages, "convs_encoder": stages, "convs_decoder": stages - 1}
        if self.kernels:
            lengths["kernels"] = stages
        for name, length in lengths.items():
            values = getattr(self, name)
            if len(values) != length:
                raise SettingsError(f"{name}: got {len(values)} entries, expected {length} for {stages} stages")
            if any(number < 1 for value in values for number in pair(value)):
                raise SettingsError(f"{name}: got {values}, expected whole numbers of at least 1")
        self._check_scalars()

    def _check_scalars(self) -> None:
        if min(self.in_channels, self.classes) < 1 or self.detail < 0:
            raise SettingsError(
                f"in_channels and classes must be at least 1 and detail at least 0, "
                f"got {self.in_channels}, {self.classes} and {self.detail}"
            )
        if pair(self.strides[0]) != (1, 1):
            raise SettingsError(
                f"strides: the first stage cannot stride, got {self.strides}; use stem to start coarser"
            )
        if any(number % 2 == 0 for value in self.kernels for number in pair(value)):
            raise SettingsError(f"kernels: got {self.kernels}, expected odd numbers, so that padding keeps the size")
        if self.stem == 1 and self.detail:
            raise SettingsError(f"detail: got {self.detail} with a stem of 1, which already works at full resolution")
        if self.stem_width < 0 or (self.stem_width and self.stem != 4):
            raise SettingsError(f"stem_width: got {self.stem_width} with a stem of {self.stem}; it needs one of 4")
        if self.stem > 1 and self.deep_supervision:
            raise SettingsError(f"deep_supervision needs a stem of 1, got {self.stem}")
        if self.encoder == "residual" and (self.separable or self.downsample == "maxpool"):
            raise SettingsError("a residual encoder strides with full convolutions; drop separable and maxpool")

    @property
    def n_stages(self) -> int:
        """Number of resolutions, the bottleneck included."""
        return len(self.features)

    @property
    def stride_pairs(self) -> tuple[Pair, ...]:
        """Strides (y, x) of every stage."""
        return tuple(pair(stride) for stride in self.strides)

    @property
    def kernel_pairs(self) -> tuple[Pair, ...]:
        """Kernels (y, x) of every stage."""
        return tuple(pair(kernel) for kernel in self.kernels) or ((3, 3),) * self.n_stages

    @property
    def size_multiple(self) -> int:
        """Height and width of the input must be multiples of this, in pixels."""
        return self.stem * math.lcm(*(math.prod(stride[axis] for stride in self.stride_pairs) for axis in (0, 1)))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` is its inverse."""
        record = {item.name: _as_lists(getattr(self, item.name)) for item in fields(self)}
        if not self.stem_width:
            del record["stem_width"]  # records from before it was there stay what they are
        return record

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> UNetConfig:
        """Read what `to_dict` wrote.

        Raises:
            SettingsError: unknown or missing keys.
        """
        known = {item.name for item in fields(cls)}
        if unknown := sorted(set(record) - known):
            raise SettingsError(f"a U-Net has no setting {', '.join(unknown)}; it has {', '.join(sorted(known))}")
        try:
            return cls(**{name: _as_tuples(value) for name, value in record.items()})
        except TypeError as error:
            raise SettingsError(f"not a U-Net configuration: {error}") from error


def pair(value: int | Pair) -> Pair:
    """One number for both axes, or (y, x) as it is.

    Raises:
        SettingsError: neither.
    """
    if isinstance(value, int):
        return value, value
    if len(value) != 2:
        raise SettingsError(f"expected one number or two (y, x), got {value}")
    return value[0], value[1]


def _as_lists(value: Any) -> Any:
    return [_as_lists(item) for item in value] if isinstance(value, tuple) else value


def _as_tuples(value: Any) -> Any:
    return tuple(_as_tuples(item) for item in value) if isinstance(value, list | tuple) else value
