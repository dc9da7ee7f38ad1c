"""The planner: from a data set's geometry to a U-Net, its patch and its batch, each decision with its reason."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from numbers import Real
from typing import Any

from satsqueeze.core.count import LARGEST_COUNT, is_count
from satsqueeze.core.errors import SettingsError
from satsqueeze.plan import rules
from satsqueeze.plan.architecture import Architecture, EncoderKind, Pair
from satsqueeze.plan.decision import Decision
from satsqueeze.plan.presets import PlannerPreset, planner_preset
from satsqueeze.plan.topology import Size


@dataclass(frozen=True, kw_only=True)
class UNetPlan:
    """A planned 2-D U-Net. Plans compare by what was decided, not by the wording of the reasons.

    Raises:
        SettingsError: if the parts do not describe one network, or the patch is not divisible by its strides.
    """

    patch_size: Pair
    """Height and width of a training patch in pixels."""
    batch_size: int
    """Patches per training step."""
    n_stages: int
    """Resolutions of the network, the bottleneck included."""
    features_per_stage: tuple[int, ...]
    """Channels of every stage, finest first."""
    strides: tuple[Pair, ...]
    """Down-sampling (y, x) on entering every stage."""
    kernel_sizes: tuple[Pair, ...]
    """Convolution kernel (y, x) of every stage."""
    n_conv_per_stage: tuple[int, ...]
    """Convolutions (plain) or residual blocks (residual) of every encoder stage."""
    n_conv_per_stage_decoder: tuple[int, ...]
    """Convolutions of every decoder stage, deepest first."""
    encoder: EncoderKind = "plain"
    """``"plain"`` or ``"residual"``."""
    reasons: tuple[Decision, ...] = field(default=(), compare=False, repr=False)
    """Why the plan is as it is, in the order in which it was decided."""

    def __post_init__(self) -> None:
        architecture = self.architecture
        if architecture.n_stages != self.n_stages:
            raise SettingsError(f"n_stages: got {self.n_stages}, expected {architecture.n_stages} as in the features")
        if self.batch_size < 1:
            raise SettingsError(f"batch_size: got {self.batch_size}, expected at least 1")
        divisor = tuple(math.prod(stride[axis] for stride in self.strides) for axis in (0, 1))
        if min(self.patch_size) < 1 or any(edge % step for edge, step in zip(self.patch_size, divisor, strict=True)):
            raise SettingsError(f"patch_size: got {self.patch_size}, expected positive multiples of {divisor}")

    @property
    def architecture(self) -> Architecture:
        """The network without patch and batch."""
        return Architecture(
            encoder=self.encoder,
            features_per_stage=self.features_per_stage,
            strides=self.strides,
            kernel_sizes=self.kernel_sizes,
            n_conv_per_stage=self.n_conv_per_stage,
            n_conv_per_stage_decoder=self.n_conv_per_stage_decoder,
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` is its inverse."""
        return {
            **{name: _as_json(value) for name, value in asdict(self).items() if name != "reasons"},
            "reasons": [decision.to_dict() for decision in self.reasons],
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> UNetPlan:
        """Read what `to_dict` wrote. Keys that no plan has are ignored; `encoder` and `reasons` may be absent.

        Raises:
            SettingsError: if a key is missing.
        """
        names = [item.name for item in fields(cls) if item.name != "reasons"]
        missing = [name for name in names if name not in record and name != "encoder"]
        if missing:
            raise SettingsError(f"plan: {', '.join(missing)} missing, got {', '.join(record) or 'nothing'}")
        values = {name: _as_tuples(record[name]) for name in names if name in record}
        reasons = tuple(Decision(**decision) for decision in record.get("reasons", ()))
        return cls(**values, reasons=reasons)


LARGEST_SIDE = 2**24
"""Of an image, in pixels."""
LARGEST_RATIO = 1e7
"""Of the spacings of an image: beyond it the start patch, square on the ground, is not one pixel wide."""
LARGEST_SPACING = 1e100
"""And its reciprocal the smallest, in any unit: their products stay numbers."""


@dataclass(frozen=True, kw_only=True)
class _Request:
    """What is asked of the planner, checked."""

    shape: Size
    spacing: Size
    channels: int
    labels: int
    n: int
    vram_gb: float

    def __post_init__(self) -> None:
        for name in ("shape", "spacing"):
            pair = getattr(self, name)
            if not all(math.isfinite(value) and value > 0 for value in pair):
                raise SettingsError(f"{name}: got {pair}, expected two positive numbers (y, x)")
        if min(self.shape) < 1:
            raise SettingsError(f"shape: got {self.shape}, expected at least one pixel along each axis")
        finest, coarsest = min(self.spacing), max(self.spacing)
        if max(self.shape) > LARGEST_SIDE or coarsest / finest > LARGEST_RATIO:
            raise SettingsError(
                f"shape and spacing: got {self.shape} and {self.spacing}, expected sides up to {LARGEST_SIDE} px and "
                f"spacings that differ by up to {LARGEST_RATIO:g} times"
            )
        if finest < 1 / LARGEST_SPACING or coarsest > LARGEST_SPACING:
            raise SettingsError(
                f"spacing: got {self.spacing}, expected numbers from {1 / LARGEST_SPACING:g} to {LARGEST_SPACING:g}; "
                "give it in another unit"
            )


def plan_unet(
    *,
    shape: Size,
    spacing: Size = (1.0, 1.0),
    channels: int,
    labels: int,
    n: int,
    planner: str = "ExperimentPlanner",
    vram_gb: float | None = None,
) -> UNetPlan:
    """Plan a 2-D U-Net exactly as nnU-Net v2.8.1 does.

    Args:
        shape: median height and width in pixels of the cases, resampled to `spacing`; may be half-integers.
        spacing: ground distance (y, x) per pixel, in any one unit.
        channels: bands of an image. They do not change the plan: nnU-Net's memory proxy counts outputs only.
        labels: entries of the label table, background included, and the ignore label too if it has an entry.
        n: number of training cases.
        planner: ``"ExperimentPlanner"`` (plain encoder), or one of the residual presets ``"nnUNetPlannerResEncM"``,
            ``"nnUNetPlannerResEncL"``, ``"nnUNetPlannerResEncXL"``.
        vram_gb: GPU memory to plan for; by default what the planner was made for (8, 8, 24 and 40 GB).

    Raises:
        SettingsError: if an argument is out of range or the planner is unknown.
        BudgetError: if no patch fits into the memory.
    """
    preset = planner_preset(planner)
    request = _Request(
        shape=_pair("shape", shape),
        spacing=_pair("spacing", spacing),
        channels=_whole("channels", channels),
        labels=_whole("labels", labels),
        n=_whole("n", n),
        vram_gb=preset.reference_gb if vram_gb is None else _memory(vram_gb),
    )
    return _planned(preset, request)


def _planned(preset: PlannerPreset, request: _Request) -> UNetPlan:
    """Each decision with its reason, in nnU-Net's order."""
    size, distance, labels = request.shape, request.spacing, request.labels
    start = rules.start_patch(preset, shape=size, spacing=distance)
    limit = rules.memory_limit(preset, vram_gb=request.vram_gb)
    first = rules.draft(preset, patch=start.value, spacing=distance, labels=labels)
    fitted = rules.shrink_patch(preset, first, shape=size, spacing=distance, labels=labels, limit=limit.value)
    batch = rules.batch_size(preset, fitted.value, limit=limit.value, shape=size, n=request.n)
    topology, architecture = fitted.value.topology, fitted.value.architecture
    return UNetPlan(
        patch_size=topology.patch_size,
        batch_size=batch.value,
        n_stages=architecture.n_stages,
        features_per_stage=architecture.features_per_stage,
        strides=architecture.strides,
        kernel_sizes=architecture.kernel_sizes,
        n_conv_per_stage=architecture.n_conv_per_stage,
        n_conv_per_stage_decoder=architecture.n_conv_per_stage_decoder,
        encoder=architecture.encoder,
        reasons=(
            start.decision,
            rules.divisible_patch(start.value, first.topology),
            limit.decision,
            fitted.decision,
            rules.depth(topology, minimum_edge=preset.minimum_edge),
            rules.kernels(topology),
            rules.features(preset, stages=architecture.n_stages).decision,
            rules.blocks(preset, stages=architecture.n_stages).decision,
            batch.decision,
        ),
    )


def _pair(name: str, values: Size) -> Size:
    try:
        first, second = (float(value) for value in values)
    except (TypeError, ValueError, OverflowError) as error:
        count = f"{len(values)} values" if isinstance(values, tuple | list) else repr(values)
        raise SettingsError(f"{name}: got {count}, expected two numbers (y, x)") from error
    return first, second


def _whole(name: str, value: int) -> int:
    """A count as Python's own integer: those of NumPy overflow in silence."""
    if not is_count(value):
        raise SettingsError(f"{name}: got {value}, expected at least 1, a whole number up to {LARGEST_COUNT}")
    return int(value)


def _memory(value: object) -> float:
    try:
        number = float(value) if isinstance(value, int | float | Real) else math.nan
    except OverflowError:
        number = math.inf
    if not 0 < number <= LARGEST_COUNT:
        raise SettingsError(f"vram_gb: got {value!r}, expected a positive number of GB up to {LARGEST_COUNT}")
    return number


def _as_json(value: Any) -> Any:
    return [_as_json(item) for item in value] if isinstance(value, tuple) else value


def _as_tuples(value: Any) -> Any:
    return tuple(_as_tuples(item) for item in value) if isinstance(value, (list, tuple)) else value
