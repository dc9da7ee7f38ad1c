"""How far a network looks: which input pixels one output pixel can depend on.

The reach is computed by walking from an output pixel back to the input, along one axis at a time, with the interval
of positions that matter at each layer. Norms count as pointwise, which instance norms are not.
"""

from __future__ import annotations

from dataclasses import dataclass

from satsqueeze.core.errors import SettingsError
from satsqueeze.nets.baselines import SmpUNetConfig
from satsqueeze.nets.classifier import ClassifierConfig
from satsqueeze.nets.encoder_unet import EncoderUNetConfig
from satsqueeze.nets.model import SegmentationModel
from satsqueeze.nets.series_unet import SeriesUNetConfig
from satsqueeze.nets.unet_config import UNetConfig


@dataclass(frozen=True)
class Span:
    """Positions first..last along one axis, both included."""

    first: int
    last: int

    def before_convolution(self, *, kernel: int, stride: int = 1, padding: int | None = None) -> Span:
        """What a convolution or a pooling reads to put this span out; `padding` is half the kernel by default."""
        pad = kernel // 2 if padding is None else padding
        return Span(self.first * stride - pad, self.last * stride - pad + kernel - 1)

    def before_upsampling(self, stride: int) -> Span:
        """What an up-sampling without overlap reads to put this span out."""
        return Span(self.first // stride, self.last // stride)

    def __or__(self, other: Span) -> Span:
        return Span(min(self.first, other.first), max(self.last, other.last))


def receptive_field(model: SegmentationModel) -> int:
    """Pixels on each side of an output pixel that can influence it, at most.

    Norms count as pointwise: for a model that is not `window_invariant` this is the reach of its convolutions only.

    Raises:
        SettingsError: the model's family has no rule.
    """
    config = model.card.config
    if isinstance(config, ClassifierConfig):
        raise SettingsError("a classifier decides on the whole image: it has no receptive field")
    if isinstance(config, SeriesUNetConfig):
        raise SettingsError("there is no rule for how far the weights of dates look")
    spans = (
        (position, _input_span(config, Span(position, position), axis))
        for position in range(config.size_multiple)
        for axis in (0, 1)
    )
    return max(max(position - span.first, span.last - position) for position, span in spans)


def _input_span(config: UNetConfig | SmpUNetConfig | EncoderUNetConfig, output: Span, axis: int) -> Span:
    if isinstance(config, UNetConfig):
        return _unet_span(config, output, axis)
    if isinstance(config, EncoderUNetConfig):
        return _unet_span(config.shape, output, axis)
    if config.encoder == "resnet34":
        return _smp_resnet34_span(output)
    raise SettingsError(f"no rule for the receptive field of smp's U-Net with encoder {config.encoder!r}")


def _unet_span(config: UNetConfig, output: Span, axis: int) -> Span:
    kernels = [kernel[axis] for kernel in config.kernel_pairs]
    strides = [stride[axis] for stride in config.stride_pairs]
    decoded = output.before_upsampling(config.stem)
    skips: dict[int, Span] = {}
    for stage, convolutions in zip(range(config.n_stages - 1), reversed(config.convs_decoder), strict=True):
        for _ in range(convolutions):
            decoded = decoded.before_convolution(kernel=kernels[stage])
        skips[stage] = decoded
        decoded = decoded.before_upsampling(strides[stage + 1])
    encoded = decoded
    for stage in reversed(range(config.n_stages)):
        encoded = encoded | skips.get(stage, encoded)
        per_block = 2 if config.encoder == "residual" else 1
        for _ in range(per_block * config.convs_encoder[stage] - 1):
            encoded = encoded.before_convolution(kernel=kernels[stage])
        encoded = _before_stride(config, encoded, kernel=kernels[stage], stride=strides[stage])
    if config.stem > 1:
        cell = 2 if config.stem_width else config.stem
        for _ in range(2 if config.stem_width else 1):
            encoded = encoded.before_convolution(kernel=2 * cell, stride=cell, padding=cell // 2)
    elif config.encoder == "residual":
        encoded = encoded.before_convolution(kernel=kernels[0])
    return encoded | output.before_convolution(kernel=3) if config.detail else encoded


def _before_stride(config: UNetConfig, span: Span, *, kernel: int, stride: int) -> Span:
    """The first convolution of a stage, with its stride or the pooling before it."""
    pooled = span.before_convolution(kernel=stride, stride=stride, padding=0)
    if config.downsample == "maxpool":
        return span.before_convolution(kernel=kernel).before_convolution(kernel=stride, stride=stride, padding=0)
    strided = span.before_convolution(kernel=kernel, stride=stride)
    # An average-pooling shortcut can look further than a short kernel.
    return strided | pooled if config.encoder == "residual" else strided


def _smp_resnet34_span(output: Span) -> Span:
    """ResNet-34: 7x7/2, 3x3/2 pooling, then 3, 4, 6, 3 blocks; decoder: up-sampling by 2, then two convolutions."""
    decoded = output.before_convolution(kernel=3)
    at_level = []
    for _ in range(5):
        decoded = decoded.before_convolution(kernel=3).before_convolution(kernel=3)
        at_level.append(decoded)
        decoded = decoded.before_upsampling(2)
    encoded = decoded
    for blocks, level in ((3, 4), (6, 3), (4, 2)):
        for _ in range(2 * blocks - 1):
            encoded = encoded.before_convolution(kernel=3)
        encoded = encoded.before_convolution(kernel=3, stride=2) | at_level[level]
    for _ in range(2 * 3):
        encoded = encoded.before_convolution(kernel=3)
    pooled = encoded.before_convolution(kernel=3, stride=2)
    return (pooled | at_level[1]).before_convolution(kernel=7, stride=2)
