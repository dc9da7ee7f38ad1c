"""The int8 graph in OpenVINO's own format."""

from __future__ import annotations

from pathlib import Path

from satsqueeze.core.errors import ExportError, MissingDependencyError
from satsqueeze.export.silence import quiet
from satsqueeze.flight.engines.engine import has_openvino


def write_openvino(graph: Path, path: Path) -> None:
    """Convert an ONNX graph to OpenVINO's ``.xml`` and ``.bin``.

    Quantisers within it stay as they are, so OpenVINO rounds where onnxruntime does.

    Args:
        graph: int8 or float ONNX graph.
        path: ``.xml`` to write; the weights lie beside it as ``.bin``.

    Raises:
        MissingDependencyError: openvino is not installed.
        ExportError: OpenVINO cannot read the graph.
    """
    if not has_openvino():
        raise MissingDependencyError("openvino", "fast")
    with quiet():
        import openvino

        try:
            openvino.save_model(openvino.Core().read_model(graph), path, compress_to_fp16=False)
        except RuntimeError as error:
            raise ExportError(f"OpenVINO cannot convert {graph}: {error}") from error
