"""The int8 graph in OpenVINO's own format."""

from __future__ import annotations

from pathlib import Path

from satsqueeze.core.errors import MissingDependencyError
from satsqueeze.export.silence import quiet
from satsqueeze.flight.engine import has_openvino


def write_openvino(graph: Path, path: Path) -> None:
    """Convert an ONNX graph to OpenVINO's ``.xml`` and ``.bin``.

    Quantisers within it stay as they are, so OpenVINO rounds where onnxruntime does. Quantising anew by NNCF was no
    better and slower: what it leaves in float are the layers on whole pixels, where the time goes.

    Args:
        graph: int8 or float ONNX graph.
        path: ``.xml`` to write; the weights lie beside it as ``.bin``.

    Raises:
        MissingDependencyError: openvino is not installed.
    """
    if not has_openvino():
        raise MissingDependencyError("openvino", "fast")
    with quiet():
        import openvino

        openvino.save_model(openvino.Core().read_model(graph), path, compress_to_fp16=False)
