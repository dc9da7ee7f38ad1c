"""How much memory the feature maps of a planned U-Net take at inference, counted from its shape alone.

The network is written down as a list of steps; a map lives from the step that writes it to the last step that reads it.
Norms, activations and residual additions work in place, concatenation copies, and the work space inside a convolution
is not counted: this is what a runtime without operator fusion tricks has to hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from satsqueeze.plan.architecture import Architecture, Pair
from satsqueeze.plan.cost_model import check_positive


@dataclass(frozen=True, kw_only=True)
class Step:
    """One operation of a network."""

    reads: tuple[str, ...]
    """Names of the maps it needs."""
    writes: str | None
    """Name of the map it makes; None where it works in place."""
    values: int = 0
    """Numbers in the map it makes."""


def peak_values(steps: Iterable[Step], *, image: int) -> int:
    """Most numbers held at one time while `steps` run on a map called ``"image"`` of `image` numbers."""
    order = list(steps)
    last_read = {name: index for index, step in enumerate(order) for name in step.reads}
    sizes = {"image": image}
    peak = image
    for index, step in enumerate(order):
        if step.writes is not None:
            sizes[step.writes] = step.values
        peak = max(peak, sum(sizes.values()))
        # What nobody reads again is dropped; the map just written stays at least until its first reader.
        for name in [name for name in sizes if name != step.writes and last_read.get(name, -1) <= index]:
            del sizes[name]
    return peak


def peak_activation_bytes(
    architecture: Architecture, *, channels: int, labels: int, patch_size: Pair, bytes_per_value: int = 4
) -> int:
    """Largest memory that feature maps hold at one time during inference on one patch, weights not included.

    Args:
        architecture: the network.
        channels: bands of the input image.
        labels: channels of the segmentation head.
        patch_size: height and width of the patch in pixels, divisible by the network's total stride.
        bytes_per_value: 4 for float32, 1 for int8.

    Raises:
        SettingsError: if an argument is below 1.
    """
    height, width = patch_size
    check_positive(channels=channels, labels=labels, height=height, width=width, bytes_per_value=bytes_per_value)
    areas = [rows * columns for rows, columns in architecture.sizes(patch_size)]
    encoder = _plain_encoder if architecture.encoder == "plain" else _residual_encoder
    steps = [*encoder(architecture, areas), *_decoder(architecture, areas, labels)]
    return peak_values(steps, image=channels * height * width) * bytes_per_value


def _plain_encoder(architecture: Architecture, areas: list[int]) -> Iterator[Step]:
    current = "image"
    for stage, repeats in enumerate(architecture.n_conv_per_stage):
        values = areas[stage] * architecture.features_per_stage[stage]
        for repeat in range(repeats):
            name = f"encoder{stage}.{repeat}" if repeat < repeats - 1 else f"skip{stage}"
            yield Step(reads=(current,), writes=name, values=values)
            current = name


def _residual_encoder(architecture: Architecture, areas: list[int]) -> Iterator[Step]:
    features = architecture.features_per_stage
    yield Step(reads=("image",), writes="stem", values=areas[0] * features[0])
    current = "stem"
    for stage, blocks in enumerate(architecture.n_conv_per_stage):
        values = areas[stage] * features[stage]
        for block in range(blocks):
            name = f"encoder{stage}.{block}" if block < blocks - 1 else f"skip{stage}"
            shortcut = current
            if block == 0 and architecture.strides[stage] != (1, 1):
                pooled = areas[stage] * features[stage - 1]
                yield Step(reads=(shortcut,), writes=f"pooled{stage}", values=pooled)
                shortcut = f"pooled{stage}"
            if block == 0 and architecture.projects(stage):
                yield Step(reads=(shortcut,), writes=f"projected{stage}", values=values)
                shortcut = f"projected{stage}"
            yield Step(reads=(current,), writes=f"{name}.inner", values=values)
            yield Step(reads=(f"{name}.inner",), writes=name, values=values)
            yield Step(reads=(name, shortcut), writes=None)
            current = name


def _decoder(architecture: Architecture, areas: list[int], labels: int) -> Iterator[Step]:
    current = f"skip{architecture.n_stages - 1}"
    for stage, repeats in architecture.decoder_stages():
        values = areas[stage] * architecture.features_per_stage[stage]
        yield Step(reads=(current,), writes=f"up{stage}", values=values)
        yield Step(reads=(f"skip{stage}", f"up{stage}"), writes=f"joined{stage}", values=2 * values)
        current = f"joined{stage}"
        for repeat in range(repeats):
            name = f"decoder{stage}.{repeat}"
            yield Step(reads=(current,), writes=name, values=values)
            current = name
    if architecture.n_stages > 1:
        yield Step(reads=(current,), writes="logits", values=labels * areas[0])
