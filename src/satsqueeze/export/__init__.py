"""From a trained model to a flight package: one graph, quantised, proven, described, sealed."""

from satsqueeze.export.deepness import DeepnessSettings
from satsqueeze.export.onnx import export_fp32, flight_graph
from satsqueeze.export.settings import ClassExportSettings, ExportSettings
from satsqueeze.export.stage import export_package

__all__ = [
    "ClassExportSettings",
    "DeepnessSettings",
    "ExportSettings",
    "export_fp32",
    "export_package",
    "flight_graph",
]
