"""The rules by which a 2-D U-Net is planned: one function each, each with the sentence that explains its outcome.

The arithmetic is that of nnU-Net v2.8.1 (Isensee et al., Nature Methods 18, 2021, "nnU-Net"; arXiv 2404.09556 for the
residual presets): the order of operations and rounding half to even matter, because plans are compared exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Generic, TypeVar

from satsqueeze.core.errors import BudgetError, SettingsError
from satsqueeze.plan.architecture import Architecture, Pair
from satsqueeze.plan.decision import Decision
from satsqueeze.plan.feature_maps import feature_map_elements
from satsqueeze.plan.presets import PlannerPreset
from satsqueeze.plan.topology import Size, Topology, plan_topology

T = TypeVar("T")


@dataclass(frozen=True)
class Ruled(Generic[T]):
    """What a rule decided, with its reason."""

    value: T
    decision: Decision


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A patch with the network that goes with it."""

    topology: Topology
    architecture: Architecture
    elements: int
    """Feature-map elements for one image: the proxy for memory."""


def start_patch(preset: PlannerPreset, *, shape: Size, spacing: Size) -> Ruled[Size]:
    """Rule "start-patch": a large patch that is square on the ground, no larger than the median image."""
    pixels_per_length = (1.0 / spacing[0], 1.0 / spacing[1])
    scale = (preset.start_edge**2 / (pixels_per_length[0] * pixels_per_length[1])) ** 0.5
    square = (round(pixels_per_length[0] * scale), round(pixels_per_length[1] * scale))
    patch = (min(float(square[0]), shape[0]), min(float(square[1]), shape[1]))
    reason = (
        f"{_by(square)} px cover a square on the ground at spacing {_by(spacing)} with the area of "
        f"{preset.start_edge}x{preset.start_edge} px; cut to the median image of {_by(shape)} px this leaves "
        f"{_by(patch)} px."
    )
    return Ruled(patch, Decision("start-patch", reason))


def depth(topology: Topology, *, minimum_edge: int) -> Decision:
    """Rule "depth": why the network has the stages it has."""
    edge = tuple(size // step for size, step in zip(topology.patch_size, topology.divisor, strict=True))
    reason = (
        f"{len(topology.strides)} stages halve {_by(topology.patch_size)} px {_by(_poolings(topology))} times (y x x), "
        f"down to {_by(edge)} px: an axis is halved from {2 * minimum_edge} px on, "
        f"alone from {3 * minimum_edge} px on, the finer axis first."
    )
    return Decision("depth", reason)


def divisible_patch(wanted: Size, topology: Topology) -> Decision:
    """Rule "divisible-patch": why the patch may be larger than what was wanted."""
    reason = (
        f"{_by(wanted)} px become {_by(topology.patch_size)} px, the next multiples of the total stride "
        f"{_by(topology.divisor)}."
    )
    return Decision("divisible-patch", reason)


def kernels(topology: Topology) -> Decision:
    """Rule "kernels": why some stages look along one axis only."""
    flat = sum(kernel != (3, 3) for kernel in topology.kernel_sizes)
    reason = (
        "all stages use 3x3 kernels: the spacings of both axes are within a factor of two."
        if flat == 0
        else f"the first {flat} stages use {_by(topology.kernel_sizes[0])} kernels: the coarse axis is left alone "
        f"until both spacings are within a factor of two."
    )
    return Decision("kernels", reason)


def features(preset: PlannerPreset, *, stages: int) -> Ruled[tuple[int, ...]]:
    """Rule "features": double the channels with every stage, up to a ceiling."""
    widths = tuple(min(preset.maximum_features, preset.base_features * 2**stage) for stage in range(stages))
    reason = (
        f"{preset.base_features} channels double with each of {stages} stages, up to at most "
        f"{preset.maximum_features}: {', '.join(map(str, widths))}."
    )
    return Ruled(widths, Decision("features", reason))


def blocks(preset: PlannerPreset, *, stages: int) -> Ruled[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Rule "blocks": the preset's convolutions (or residual blocks) per stage, encoder and decoder.

    Raises:
        SettingsError: if the network has more stages than the preset knows.
    """
    if stages > preset.maximum_stages:
        raise SettingsError(
            f"shape and spacing ask for {stages} stages, expected at most {preset.maximum_stages}: "
            f"give a smaller shape or a less elongated spacing"
        )
    encoder = preset.encoder_blocks[:stages]
    decoder = (preset.decoder_convs,) * (stages - 1)
    unit = "convolutions" if preset.encoder == "plain" else "residual blocks"
    reason = (
        f"the {preset.encoder} preset puts {', '.join(map(str, encoder))} {unit} into the encoder stages and "
        f"{preset.decoder_convs} convolutions into each decoder stage."
    )
    return Ruled((encoder, decoder), Decision("blocks", reason))


def memory_limit(preset: PlannerPreset, *, vram_gb: float) -> Ruled[float]:
    """Rule "memory-limit": feature-map elements per image at the reference batch, scaled to the GPU at hand."""
    limit = preset.reference_elements * (vram_gb / preset.reference_gb)
    reason = (
        f"{preset.reference_elements:,} feature-map elements fill {preset.reference_gb:g} GB at batch "
        f"{preset.reference_batch}, so {vram_gb:g} GB allow {limit:,.0f}."
    )
    return Ruled(limit, Decision("memory-limit", reason))


def draft(preset: PlannerPreset, *, patch: Size, spacing: Size, labels: int) -> Draft:
    """The network that goes with a patch, by the rules "depth", "features" and "blocks"."""
    topology = plan_topology(patch=patch, spacing=spacing, minimum_edge=preset.minimum_edge)
    stages = len(topology.strides)
    encoder_blocks, decoder_convs = blocks(preset, stages=stages).value
    architecture = Architecture(
        encoder=preset.encoder,
        features_per_stage=features(preset, stages=stages).value,
        strides=topology.strides,
        kernel_sizes=topology.kernel_sizes,
        n_conv_per_stage=encoder_blocks,
        n_conv_per_stage_decoder=decoder_convs,
    )
    elements = feature_map_elements(architecture, patch_size=topology.patch_size, labels=labels)
    return Draft(topology=topology, architecture=architecture, elements=elements)


def exceeds_memory(preset: PlannerPreset, *, elements: int, limit: float) -> bool:
    """Whether the smallest batch that the preset insists on does not fit."""
    if preset.patch_gives_way_below_batch == preset.reference_batch:
        return elements > limit
    return elements / preset.reference_batch * preset.patch_gives_way_below_batch > limit


def smaller_patch(preset: PlannerPreset, topology: Topology, *, shape: Size, spacing: Size) -> Pair:
    """One step down: shorten the axis that is longest relative to the median image; the last axis (x) on a tie.

    The step is the total stride that the network would have after a first, provisional step, so that sizes a
    shallower network can take are not skipped.
    """
    patch = topology.patch_size
    axis = 0 if patch[0] / shape[0] > patch[1] / shape[1] else 1
    provisional = list(patch)
    provisional[axis] -= topology.divisor[axis]
    step = plan_topology(
        patch=(provisional[0], provisional[1]), spacing=spacing, minimum_edge=preset.minimum_edge
    ).divisor[axis]
    smaller = list(patch)
    smaller[axis] -= step
    return smaller[0], smaller[1]


def shrink_patch(
    preset: PlannerPreset, start: Draft, *, shape: Size, spacing: Size, labels: int, limit: float
) -> Ruled[Draft]:
    """Rule "shrink-patch": shorten the patch, axis by axis, until the smallest batch fits into memory.

    Raises:
        BudgetError: if no patch fits.
    """
    current, steps = start, 0
    seen = {(start.topology.patch_size, start.topology.divisor)}
    while exceeds_memory(preset, elements=current.elements, limit=limit):
        smaller = smaller_patch(preset, current.topology, shape=shape, spacing=spacing)
        if min(smaller) < 1:
            raise BudgetError(_no_patch(current, limit))
        current = draft(preset, patch=smaller, spacing=spacing, labels=labels)
        state = (current.topology.patch_size, current.topology.divisor)
        if state in seen:
            raise BudgetError(_no_patch(current, limit))
        seen.add(state)
        steps += 1
    reason = _why_this_patch(start, current, steps=steps, batch=preset.patch_gives_way_below_batch)
    return Ruled(current, Decision("shrink-patch", reason))


def _why_this_patch(start: Draft, end: Draft, *, steps: int, batch: int) -> str:
    before, after = _by(start.topology.patch_size), _by(end.topology.patch_size)
    if steps == 0:
        return f"{before} px need {start.elements:,} elements, batch {batch} fits: the patch stays."
    return (
        f"{before} px need {start.elements:,} elements, too many for batch {batch}; shortened {steps} times, "
        f"always the axis longest relative to the median image, to {after} px and {end.elements:,} elements."
    )


def batch_size(preset: PlannerPreset, fitted: Draft, *, limit: float, shape: Size, n: int) -> Ruled[int]:
    """Rule "batch-size": what memory allows, at most a share of the data set, at least the minimum."""
    pixels = math.prod(fitted.topology.patch_size)
    fitting = round(limit / fitted.elements * preset.reference_batch)
    covered = round(shape[0] * shape[1] * n * preset.dataset_share / pixels)
    batch = max(min(fitting, covered), preset.minimum_batch)
    reason = (
        f"memory allows {fitting}, {preset.dataset_share:.0%} of {n} images is {covered} patches, "
        f"and at least {preset.minimum_batch} are wanted: {batch}."
    )
    return Ruled(batch, Decision("batch-size", reason))


def _poolings(topology: Topology) -> Pair:
    return topology.divisor[0].bit_length() - 1, topology.divisor[1].bit_length() - 1


def _by(pair: tuple[float, ...]) -> str:
    return "x".join(f"{value:.10g}" for value in pair)


def _no_patch(smallest: Draft, limit: float) -> str:
    return (
        f"vram_gb: no patch fits; {_by(smallest.topology.patch_size)} px still need {smallest.elements:,} feature-map "
        f"elements, the memory allows {limit:,.0f}: give more memory"
    )
