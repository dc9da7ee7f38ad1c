"""Transposed convolutions without overlap as what engines compute faster."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

from satsqueeze.nets.unet import CellHead

_Model = TypeVar("_Model", bound=nn.Module)


def shuffle_transposed(model: _Model) -> _Model:
    """Replace, in place, each transposed convolution whose kernel is its stride by a 1x1 convolution and a shuffle.

    Every output pixel comes from one input pixel there, so the values of a cell are channels first and are laid out as
    pixels then (Shi et al. 2016, sub-pixel convolution): the same sums. onnxruntime has no int8 transposed convolution.

    Args:
        model: any module; those with other kernels, padding or groups are left alone.

    Returns:
        The model.
    """
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.ConvTranspose2d) and _is_plain(module):
            model.set_submodule(name, _shuffled(module))
    return model


def take_last_shuffle(network: nn.Module) -> int:
    """Take off, in place, the shuffle that turns cells into pixels, where it is the last layer of a U-Net.

    Returns:
        Pixels along each side of a cell: the network now gives them as channels, class by class. 1 where nothing was
        taken off.
    """
    head = getattr(network, "cells_to_pixels", None)
    if not isinstance(head, CellHead) or head.detail is not None:
        return 1
    layers = head.upsample[0]
    if not isinstance(layers, nn.Sequential) or not isinstance(layers[-1], nn.PixelShuffle):
        return 1
    side = int(layers[-1].upscale_factor)
    layers[-1] = nn.Identity()
    return side


def _is_plain(layer: nn.ConvTranspose2d) -> bool:
    height, width = layer.kernel_size
    return (
        height == width
        and layer.kernel_size == layer.stride
        and layer.groups == 1
        and not any((*layer.padding, *layer.output_padding))
        and layer.dilation == (1, 1)
    )


def _shuffled(layer: nn.ConvTranspose2d) -> nn.Sequential:
    side = layer.kernel_size[0]
    convolution = nn.Conv2d(layer.in_channels, layer.out_channels * side**2, 1, bias=layer.bias is not None)
    with torch.no_grad():
        # (inputs, outputs, row, col) of the kernel: a shuffle takes channels in the order outputs, row, col.
        convolution.weight.copy_(layer.weight.permute(1, 2, 3, 0).reshape(convolution.weight.shape))
        if convolution.bias is not None and layer.bias is not None:
            convolution.bias.copy_(layer.bias.repeat_interleave(side**2))
    return nn.Sequential(convolution, nn.PixelShuffle(side))
