"""The ladder of students, from 8 thousand to 31 million parameters, and how to find one of a given size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Literal, get_args

import torch

from satsqueeze.core.errors import BudgetError, SettingsError
from satsqueeze.core.names import named
from satsqueeze.nets.cost import count_parameters
from satsqueeze.nets.unet import UNet
from satsqueeze.nets.unet_config import UNetConfig

StudentFamily = Literal["unet", "lite", "coarse"]
_NEARLY = 0.9


@dataclass(frozen=True, kw_only=True)
class StudentCard:
    """A rung of the ladder."""

    name: str
    config: UNetConfig
    """For 4 bands and 2 classes; see `fitted`."""

    def fitted(self, *, in_channels: int, classes: int) -> UNetConfig:
        """The same network for another number of bands and classes."""
        return replace(self.config, in_channels=in_channels, classes=classes)


def _widths(base: int, levels: int) -> tuple[int, ...]:
    return tuple(base << level for level in range(levels))


def plain_student(base: int, levels: int, *, in_channels: int = 4, classes: int = 2) -> UNetConfig:
    """Double 3x3 convolution + BatchNorm + ReLU, max-pooling, 2x2 transposed convolution."""
    return UNetConfig(
        in_channels=in_channels,
        classes=classes,
        features=_widths(base, levels),
        strides=(1,) + (2,) * (levels - 1),
        convs_encoder=(2,) * levels,
        convs_decoder=(2,) * (levels - 1),
        norm="batch",
        activation="relu",
        downsample="maxpool",
    )


def lite_student(base: int, *, in_channels: int = 4, classes: int = 2) -> UNetConfig:
    """Our cheaper design: at equal cost more channels, more levels and three times the reach of a plain student.

    - It works on cells of 2 x 2 pixels, read by one strided convolution and turned back into pixels by one transposed
      convolution: the two full-resolution levels, which cost a plain U-Net most of its time and memory, are gone.
    - Widths grow 1, 1.5, 2, 3, 4 instead of 1, 2, 4, 8: the fifth level, with its reach of 154 px, costs few
      parameters, and the fine levels, which decide the outline, get more of them.
    - Strided convolutions instead of pooling, one convolution per decoder level, skips that are added instead of
      concatenated, and nearest-neighbour up-sampling of a 1x1 convolution: all but the last layer have int8 kernels.
    - Full convolutions and widths in multiples of 4: processors run depthwise or odd ones far below their speed.

    Args:
        base: width of the finest level before rounding to a multiple of 4.
        in_channels: bands.
        classes: logits per pixel.
    """
    return UNetConfig(
        in_channels=in_channels,
        classes=classes,
        features=tuple(max(4, 4 * int(base * growth / 4 + 0.5)) for growth in (1, 1.5, 2, 3, 4)),
        strides=(1, 2, 2, 2, 2),
        convs_encoder=(1, 2, 2, 2, 2),
        convs_decoder=(1, 1, 1, 1),
        norm="batch",
        activation="relu",
        stem=2,
        skip="add",
        upsample="nearest",
    )


def coarse_student(base: int, *, in_channels: int = 4, classes: int = 2) -> UNetConfig:
    """The lite design on cells of 4 x 4 pixels, which gives up detail of the outline for speed.

    Passing features through memory costs a small network on a processor more than its sums do; at a quarter of the
    resolution there are a quarter as many as at half of it, where only the first step of the stem looks, in few
    channels. Widths are multiples of 16, the vectors of processors, and grow 1, 4/3, 2, 8/3: four levels reach nearly
    as far as the five of `lite_student`.

    Args:
        base: width of the finest level before rounding to a multiple of 16.
        in_channels: bands.
        classes: logits per pixel.
    """
    return replace(
        lite_student(base, in_channels=in_channels, classes=classes),
        features=tuple(16 * max(1, int(base * growth / 16 + 0.5)) for growth in (1, 4 / 3, 2, 8 / 3)),
        strides=(1, 2, 2, 2),
        convs_encoder=(1, 2, 2, 2),
        convs_decoder=(1, 1, 1),
        stem=4,
        stem_width=16,
    )


def _plain(name: str, base: int, levels: int) -> StudentCard:
    return StudentCard(name=name, config=plain_student(base, levels))


def _lite(base: int) -> StudentCard:
    return StudentCard(name=f"lite-{base}", config=lite_student(base))


def _coarse(base: int) -> StudentCard:
    return StudentCard(name=f"coarse-{base}", config=coarse_student(base))


STUDENTS: dict[str, StudentCard] = {
    card.name: card
    for card in (
        _plain("unet-2", 2, 4),
        _plain("unet-4", 4, 4),
        _plain("unet-6", 6, 4),
        _plain("unet-16x3", 16, 3),
        _plain("unet-8", 8, 4),
        _plain("unet-4x5", 4, 5),
        _plain("unet-9", 9, 4),
        _plain("unet-10", 10, 4),
        _plain("unet-16", 16, 4),
        _plain("unet-8x5", 8, 5),
        _plain("unet-16x5", 16, 5),
        _lite(4),
        _lite(8),
        _lite(12),
        _lite(16),
        _lite(24),
        _lite(32),
        _coarse(16),
        _coarse(32),
        _coarse(48),
        _coarse(64),
    )
}
"""By name. ``unet-8``: double-convolution U-Net of widths 8, 16, 32, 64; ``x5``: five levels instead of four.
``lite-16``: widths 16, 24, 32, 48, 64 on cells of 2 x 2 pixels. ``coarse-48``: widths 48, 64, 96, 128 on cells of
4 x 4 pixels."""


def _coarse_bases() -> tuple[int, ...]:
    """One base of each network, that of a rung where it is one: rounded to vectors, many bases are the same."""
    rungs_last = sorted(range(8, 129), key=lambda base: (base % 16 == 0, -base))
    return tuple({coarse_student(base).features: base for base in rungs_last}.values())


def student_card(name: str) -> StudentCard:
    """The student called `name`: a rung of the ladder, or one between, such as `lite-6`, which a budget may choose.

    Raises:
        SettingsError: there is none; the message lists the rungs.
    """
    return student_between(name) or named(STUDENTS, name, "student")


def student_between(name: str) -> StudentCard | None:
    """The student called `name` that a budget may choose, for 4 bands and 2 classes; None where there is none."""
    return next((card for family in get_args(StudentFamily) for card in _scan(4, 2, family) if card.name == name), None)


def student_for(parameters: int, *, in_channels: int, classes: int, family: StudentFamily = "unet") -> StudentCard:
    """The largest student of at most `parameters` parameters, within 10 percent.

    Looked for among plain ones of base widths 2..32 and 4 or 5 levels, lite ones of base widths 2..64, or coarse ones
    of base widths 8..128. Where a shallower one is nearly as large, it is preferred: its parameters work at a finer
    resolution.

    Raises:
        BudgetError: even the smallest is larger.
        SettingsError: unknown family.
    """
    sizes = {card.name: (count, card) for card, count in _candidates(in_channels, classes, family)}
    fitting = [(count, card) for count, card in sizes.values() if count <= parameters]
    if not fitting:
        smallest = min(count for count, _ in sizes.values())
        raise BudgetError(
            f"no student of family '{family}' has at most {parameters} parameters: the smallest has {smallest}. "
            "Allow more parameters, or ask for less compression"
        )
    largest = max(count for count, _ in fitting)
    close = [(count, card) for count, card in fitting if count >= _NEARLY * largest]
    return min(close, key=lambda entry: (entry[1].config.n_stages, -entry[0]))[1]


def student_for_ratio(
    teacher_parameters: int, ratio: float, *, in_channels: int, classes: int, family: StudentFamily = "unet"
) -> StudentCard:
    """The largest student at least `ratio` times smaller than its teacher, both counted in parameters.

    Raises:
        BudgetError: even the smallest is larger.
        SettingsError: a ratio below 1, or an unknown family.
    """
    if not ratio >= 1:
        raise SettingsError(f"compression: got {ratio}, expected at least 1")
    return student_for(int(teacher_parameters / ratio), in_channels=in_channels, classes=classes, family=family)


def parameters_of(config: UNetConfig) -> int:
    """Trainable parameters of the network that `config` describes, without allocating it."""
    with torch.device("meta"):
        return count_parameters(UNet(config))


@lru_cache(maxsize=16)
def _candidates(in_channels: int, classes: int, family: str) -> tuple[tuple[StudentCard, int], ...]:
    return tuple((card, parameters_of(card.config)) for card in _scan(in_channels, classes, family))


def _scan(in_channels: int, classes: int, family: str) -> Iterator[StudentCard]:
    if family == "lite":
        for base in range(2, 65):
            yield StudentCard(name=f"lite-{base}", config=lite_student(base, in_channels=in_channels, classes=classes))
    elif family == "coarse":
        for base in _coarse_bases():
            yield StudentCard(
                name=f"coarse-{base}", config=coarse_student(base, in_channels=in_channels, classes=classes)
            )
    elif family == "unet":
        for levels, base in product((4, 5), range(2, 33)):
            name = f"unet-{base}" if levels == 4 else f"unet-{base}x{levels}"
            yield StudentCard(name=name, config=plain_student(base, levels, in_channels=in_channels, classes=classes))
    else:
        raise SettingsError(f"unknown student family {family!r}; known: unet, lite, coarse")
