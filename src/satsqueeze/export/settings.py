"""Settings of the export stage."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.manifest import LARGEST_BUFFER_M
from satsqueeze.export.deepness import DeepnessSettings
from satsqueeze.export.quantise import Calibration


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """How a trained model becomes a flight package."""

    int8: bool = True
    """Whether to make int8 graphs."""
    openvino: Literal["auto", "off"] = "auto"
    """``auto``: the int8 graph in OpenVINO's format too, where that is installed and passes the same gate."""
    default: Literal["int8", "fp32"] = "int8"
    """Precision of the ONNX graph that is used unless the user says otherwise."""
    sensor: Literal["sentinel-2", "landsat-8"] = "sentinel-2"
    """Whose centre wavelengths and pixel sizes are recorded for the bands."""
    buffer_m: float = 0.0
    """Metres by which masks are widened around foreground, where the size of pixels is known."""
    logit_bias: tuple[float, ...] = ()
    """Added to the logits of each class before the decision; empty for none."""
    tolerance: float = 1e-4
    """Largest difference of a probability between model and float graph, and of a logit relative to its scale."""
    jaccard_loss: float = 0.005
    """Jaccard that int8 may lose against the float graph on validation images."""
    float_share: float = 0.5
    """Share of an int8 graph's layers that may stay in float."""
    calibrations: tuple[Calibration, ...] = ("minmax", "percentile", "entropy")
    """Ways to set the ranges of activations; the one with the least drift from float is taken."""
    calibration_windows: int = 24
    """Windows of training images by which int8 is calibrated."""
    calibration_side: int = 256
    """Of calibration windows, in pixels."""
    ranking_windows: int = 4
    """Validation windows by which calibrations and layers are ranked."""
    threads: int | None = None
    """Processor threads of a prediction while graphs are judged; null leaves it to the engine."""
    seed: int = 0
    """Of the choice of calibration windows."""
    deepness: DeepnessSettings = field(default_factory=DeepnessSettings)
    """What QGIS's Deepness plugin is told in the ONNX file."""

    @property
    def allowed_loss(self) -> float:
        """Of the score that int8 is judged by."""
        return self.jaccard_loss

    def __post_init__(self) -> None:
        limits = {"tolerance": self.tolerance, "calibration_side": self.calibration_side}
        counts = {"calibration_windows": self.calibration_windows, "ranking_windows": self.ranking_windows}
        for name, value in (limits | counts).items():
            if value <= 0:
                raise SettingsError(f"export setting '{name}' must be positive, got {value}")
        if not 0 <= self.buffer_m <= LARGEST_BUFFER_M:
            raise SettingsError(
                f"export setting 'buffer_m' must lie in [0, {LARGEST_BUFFER_M:g}] metres, got {self.buffer_m}"
            )
        if not 0 <= self.float_share <= 1:
            raise SettingsError(f"export setting 'float_share' must lie in [0, 1], got {self.float_share}")
        if not self.calibrations:
            raise SettingsError("export setting 'calibrations' needs at least one of minmax, percentile, entropy")
        if self.default == "int8" and not self.int8:
            raise SettingsError("export setting 'default' is int8, but int8 is off; choose fp32")


@dataclass(frozen=True, kw_only=True)
class ClassExportSettings(ExportSettings):
    """How a trained classifier becomes a flight package; sides, biases and buffers of masks do not apply."""

    calibration_windows: int = 256
    """Training images that set the ranges of int8 activations."""
    ranking_windows: int = 64
    """Validation images by which calibrations and layers are ranked."""
    accuracy_loss: float = 0.003
    """Accuracy that int8 may lose against the float graph on validation images; micro F1 where images have any number
    of classes."""
    native_grids: bool = False
    """Whether to write the default graph once more for bands in pixels of their own size, as sensors deliver them; the
    coarser are resampled inside. Their pixels must be whole numbers of the finest."""
    thresholds: tuple[float, ...] = ()
    """Probability from which a multi-label image has each class, as training tuned it; empty: 0.5 each."""

    @property
    def allowed_loss(self) -> float:
        """Of the score that int8 is judged by."""
        return self.accuracy_loss

    @property
    def key(self) -> dict[str, Any]:
        """All that a package depends on, in the form that runs from before there were native grids have."""
        record = asdict(self)
        if not self.native_grids:
            del record["native_grids"]
        return record
