"""The planners of nnU-Net v2 whose 2-D plans we reproduce, as a literal table.

Source: nnU-Net v2.8.1, its default planner and its three residual-encoder presets (Isensee et al., "nnU-Net
Revisited", MICCAI 2024, arXiv 2404.09556).
"""

from __future__ import annotations

from dataclasses import dataclass

from satsqueeze.core.errors import SettingsError
from satsqueeze.plan.architecture import EncoderKind


@dataclass(frozen=True, kw_only=True)
class PlannerPreset:
    """The constants that tell one planner from another."""

    encoder: EncoderKind
    reference_elements: int
    """Feature-map elements of a network that fills `reference_gb` at `reference_batch`."""
    reference_gb: float
    """GPU memory in GB for which `reference_elements` was measured, and the default target."""
    reference_batch: int = 12
    minimum_batch: int = 2
    patch_gives_way_below_batch: int
    """The patch is shrunk until at least this batch fits into memory."""
    dataset_share: float
    """A batch holds at most this share of the data set's pixels."""
    encoder_blocks: tuple[int, ...]
    """Convolutions or residual blocks per encoder stage, for as many stages as the planner knows."""
    decoder_convs: int

    base_features: int = 32
    maximum_features: int = 512
    minimum_edge: int = 4
    """No feature map gets an edge shorter than this by pooling, in pixels."""
    start_edge: int = 2048
    """The first patch has the area of a square of this edge, in pixels."""

    @property
    def maximum_stages(self) -> int:
        """Stages for which the planner states a number of blocks."""
        return len(self.encoder_blocks)


def _residual(*, reference_elements: int, reference_gb: float) -> PlannerPreset:
    return PlannerPreset(
        encoder="residual",
        reference_elements=reference_elements,
        reference_gb=reference_gb,
        # Unlike the default planner, these insist on the whole reference batch before they spare the patch.
        patch_gives_way_below_batch=12,
        dataset_share=1.0,
        encoder_blocks=(1, 3, 4, *(6,) * 10),
        decoder_convs=1,
    )


PLANNERS: dict[str, PlannerPreset] = {
    "ExperimentPlanner": PlannerPreset(
        encoder="plain",
        reference_elements=85_000_000,
        reference_gb=8.0,
        patch_gives_way_below_batch=2,
        dataset_share=0.05,
        encoder_blocks=(2,) * 14,
        decoder_convs=2,
    ),
    "nnUNetPlannerResEncM": _residual(reference_elements=135_000_000, reference_gb=8.0),
    "nnUNetPlannerResEncL": _residual(reference_elements=380_000_000, reference_gb=24.0),
    "nnUNetPlannerResEncXL": _residual(reference_elements=560_000_000, reference_gb=40.0),
}


def planner_preset(name: str) -> PlannerPreset:
    """Look up a planner by nnU-Net's own name for it.

    Raises:
        SettingsError: if there is no such planner.
    """
    try:
        return PLANNERS[name]
    except (KeyError, TypeError):  # TypeError: what cannot be a key, such as a list
        raise SettingsError(f"planner: got {name!r}, expected one of {', '.join(PLANNERS)}") from None
