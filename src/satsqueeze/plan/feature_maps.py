"""nnU-Net's proxy for training memory: how many numbers the convolutions of a network put out for one image.

Counted per image: every convolution and transposed convolution of encoder and decoder, the 1x1 convolutions on
residual shortcuts, and the finest segmentation head. Input bands do not count, deep-supervision heads do not either.
"""

from __future__ import annotations

from satsqueeze.plan.architecture import Architecture, Pair


def feature_map_elements(architecture: Architecture, *, patch_size: Pair, labels: int) -> int:
    """Numbers put out by all convolutions of `architecture` for one image.

    Args:
        architecture: the network.
        patch_size: height and width of the image in pixels, divisible by the network's total stride.
        labels: channels of the segmentation head.
    """
    areas = [height * width for height, width in architecture.sizes(patch_size)]
    features = architecture.features_per_stage
    per_stage = [area * width for area, width in zip(areas, features, strict=True)]
    total = sum(maps * elements for maps, elements in zip(_encoder_maps(architecture), per_stage, strict=True))
    # One more map per decoder stage than it has convolutions: the transposed convolution that feeds it.
    total += sum((convolutions + 1) * per_stage[stage] for stage, convolutions in architecture.decoder_stages())
    if architecture.n_stages > 1:
        total += labels * areas[0]
    return total


def _encoder_maps(architecture: Architecture) -> tuple[int, ...]:
    """Feature maps of full stage width per encoder stage."""
    if architecture.encoder == "plain":
        return architecture.n_conv_per_stage
    stem = 1
    maps = []
    for stage, blocks in enumerate(architecture.n_conv_per_stage):
        # nnU-Net counts a shortcut map for every block that changes size, even where no convolution sits on it.
        shortcut = int(architecture.projects(stage) or architecture.strides[stage] != (1, 1))
        maps.append(2 * blocks + shortcut + (stem if stage == 0 else 0))
    return tuple(maps)
