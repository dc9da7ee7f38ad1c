"""What a planned U-Net costs, counted from its shape alone: parameters and multiply-accumulates.

The network counted is nnU-Net's: 3x3 convolutions with bias and affine instance norm, strided convolutions down,
transposed convolutions (kernel = stride) up, concatenated skips, a 1x1 segmentation head on every decoder stage. The
residual encoder has a stem and ResNet-D basic blocks (He et al., arXiv 1812.01187): where the width changes, the
shortcut is an average pool and a 1x1 convolution without bias. Norms, activations and pooling count as no
multiply-accumulates.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from satsqueeze.core.errors import SettingsError
from satsqueeze.plan.architecture import Architecture, Pair


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """One convolution of a network."""

    inputs: int
    """Channels in."""
    outputs: int
    """Channels out."""
    kernel: Pair
    outputs_per_pixel: float
    """Output positions per pixel of the network's input."""
    bias: bool = True
    norm: bool = True
    """Whether an affine norm follows: two more parameters per channel."""
    transposed: bool = False
    """Transposed with kernel = stride: each output position sees a single kernel tap."""
    deep_supervision: bool = False
    """An auxiliary head that is used in training only."""

    @property
    def parameters(self) -> int:
        """Trainable parameters, those of a following norm included."""
        weights = math.prod(self.kernel) * self.inputs * self.outputs
        return weights + self.outputs * (int(self.bias) + 2 * int(self.norm))

    @property
    def macs_per_pixel(self) -> float:
        """Multiply-accumulates per pixel of the network's input."""
        taps = 1 if self.transposed else math.prod(self.kernel)
        return taps * self.inputs * self.outputs * self.outputs_per_pixel


def convolutions(architecture: Architecture, *, channels: int, labels: int) -> Iterator[Convolution]:
    """Yield every convolution of the network in the order in which it runs.

    Args:
        architecture: the network.
        channels: bands of the input image.
        labels: channels of the segmentation heads.

    Raises:
        SettingsError: if `channels` or `labels` is below 1.
    """
    check_positive(channels=channels, labels=labels)
    shares = _shares(architecture)
    if architecture.encoder == "residual":
        yield Convolution(
            inputs=channels,
            outputs=architecture.features_per_stage[0],
            kernel=architecture.kernel_sizes[0],
            outputs_per_pixel=1.0,
        )
    for stage, inputs in enumerate(architecture.block_inputs(channels)):
        yield from _encoder_stage(architecture, stage=stage, inputs=inputs, share=shares[stage])
    for stage, repeats in architecture.decoder_stages():
        yield from _decoder_stage(architecture, stage=stage, repeats=repeats, share=shares[stage], labels=labels)


def _encoder_stage(architecture: Architecture, *, stage: int, inputs: int, share: float) -> Iterator[Convolution]:
    width, kernel = architecture.features_per_stage[stage], architecture.kernel_sizes[stage]
    per_block = 1 if architecture.encoder == "plain" else 2
    first = Convolution(inputs=inputs, outputs=width, kernel=kernel, outputs_per_pixel=share)
    again = Convolution(inputs=width, outputs=width, kernel=kernel, outputs_per_pixel=share)
    yield first
    if architecture.encoder == "residual" and architecture.projects(stage):
        yield Convolution(inputs=inputs, outputs=width, kernel=(1, 1), outputs_per_pixel=share, bias=False)
    for _ in range(per_block * architecture.n_conv_per_stage[stage] - 1):
        yield again


def _decoder_stage(
    architecture: Architecture, *, stage: int, repeats: int, share: float, labels: int
) -> Iterator[Convolution]:
    width, kernel = architecture.features_per_stage[stage], architecture.kernel_sizes[stage]
    yield Convolution(
        inputs=architecture.features_per_stage[stage + 1],
        outputs=width,
        kernel=architecture.strides[stage + 1],
        outputs_per_pixel=share,
        norm=False,
        transposed=True,
    )
    for repeat in range(repeats):
        inputs = 2 * width if repeat == 0 else width
        yield Convolution(inputs=inputs, outputs=width, kernel=kernel, outputs_per_pixel=share)
    yield Convolution(
        inputs=width,
        outputs=labels,
        kernel=(1, 1),
        outputs_per_pixel=share,
        norm=False,
        deep_supervision=stage > 0,
    )


def parameter_count(architecture: Architecture, *, channels: int, labels: int, deep_supervision: bool = True) -> int:
    """Trainable parameters.

    Args:
        architecture: the network.
        channels: bands of the input image.
        labels: channels of the segmentation heads.
        deep_supervision: count the auxiliary heads too, as nnU-Net's networks always carry them.

    Raises:
        SettingsError: if `channels` or `labels` is below 1.
    """
    layers = convolutions(architecture, channels=channels, labels=labels)
    return sum(layer.parameters for layer in layers if deep_supervision or not layer.deep_supervision)


def macs_per_pixel(architecture: Architecture, *, channels: int, labels: int) -> float:
    """Convolution multiply-accumulates of one inference pass, per pixel of the input (auxiliary heads left out).

    Raises:
        SettingsError: if `channels` or `labels` is below 1.
    """
    layers = convolutions(architecture, channels=channels, labels=labels)
    return sum(layer.macs_per_pixel for layer in layers if not layer.deep_supervision)


def _shares(architecture: Architecture) -> list[float]:
    """Positions of every stage per pixel of the input."""
    shares, share = [], 1.0
    for stride in architecture.strides:
        share /= math.prod(stride)
        shares.append(share)
    return shares


def check_positive(**values: int) -> None:
    """Refuse any value below 1, by name.

    Raises:
        SettingsError: if a value is below 1.
    """
    for name, value in values.items():
        if value < 1:
            raise SettingsError(f"{name}: got {value}, expected at least 1")
