"""Static int8 quantisation with onnxruntime: uint8 activations, int8 weights per channel."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import CalibrationDataReader, TensorsData, create_calibrator
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from satsqueeze.core.files import replacing
from satsqueeze.export.onnx import is_layer_of_network
from satsqueeze.export.silence import quiet
from satsqueeze.flight.engines.engine import INPUT
from satsqueeze.flight.engines.onnx_engine import OnnxInputs

Calibration = Literal["minmax", "percentile", "entropy"]
Feed = Mapping[str, NDArray[np.float32]]
"""What a graph is given, by the names of its inputs; one image or series of a batch."""
LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Concat", "LeakyRelu")
"""Operations that round what they take and give: the layers of the search for what stays in float."""
_CARRIERS = ("Relu", "MaxPool", "AveragePool", "Resize", "DepthToSpace")
"""Operations that pass integers on where they get integers, so that engines need not go back to float."""
_METHODS: dict[str, tuple[CalibrationMethod, dict[str, Any]]] = {
    "minmax": (CalibrationMethod.MinMax, {}),
    "percentile": (CalibrationMethod.Percentile, {"percentile": 99.99, "num_bins": 2048}),
    "entropy": (CalibrationMethod.Entropy, {"num_bins": 128, "num_quantized_bins": 128}),
}


def feeds(images: Iterable[NDArray[np.float32]]) -> list[Feed]:
    """What a graph is given of images (C, h, w), one after another."""
    return [{INPUT: image[None]} for image in images]


class Quantiser:
    """Quantises one float graph again and again, with different layers left in float.

    Scaling and decision stay in float: cheap, and sensitive. Activations are unsigned, weights signed
    (u8s8): signed activations are up to three times slower on processors with VNNI.

    Args:
        path: float graph, batch normalisation folded.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._model = onnx.shape_inference.infer_shapes(onnx.load(path))

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that can be quantised, in order of execution."""
        nodes = self._model.graph.node
        return tuple(node.name for node in nodes if node.op_type in LAYERS and is_layer_of_network(node.name))

    @property
    def _always_float(self) -> list[str]:
        return [node.name for node in self._model.graph.node if not is_layer_of_network(node.name)]

    def calibrate(self, windows: Sequence[Feed], method: Calibration) -> TensorsData:
        """Ranges of all activations over calibration windows.

        Args:
            windows: what the graph is given, one after another.
            method: ``minmax`` keeps every value, ``percentile`` cuts 0.01 %, ``entropy`` cuts where the loss of
                information is least (Migacz, 8-bit inference with TensorRT, 2017).
        """
        kind, options = _METHODS[method]
        with quiet(), tempfile.TemporaryDirectory(prefix="satsqueeze-") as folder:
            calibrator = create_calibrator(
                self._path,
                [*LAYERS, *_CARRIERS],
                augmented_model_path=str(Path(folder) / "augmented.onnx"),
                calibrate_method=kind,
                extra_options=options,
            )
            for window in windows:
                calibrator.collect_data(_OneFeed(window))
            return calibrator.compute_data()

    def write(self, path: Path, ranges: TensorsData, float_layers: Sequence[str] = ()) -> None:
        """Write an int8 graph in which ``float_layers`` stay in float, whole or not at all."""
        with quiet():
            quantizer = QDQQuantizer(
                copy.deepcopy(self._model),
                per_channel=True,
                reduce_range=False,
                weight_qType=QuantType.QInt8,
                activation_qType=QuantType.QUInt8,
                tensors_range=ranges,
                nodes_to_quantize=[],
                nodes_to_exclude=[*self._always_float, *float_layers],
                op_types_to_quantize=[*LAYERS, *_CARRIERS],
                extra_options={"ActivationSymmetric": False, "WeightSymmetric": True},
            )
            quantizer.quantize_model()
        # The quantiser appends its operators after those that read them, which other runtimes than its own refuse.
        quantizer.model.topological_sort()
        proto = quantizer.model.model
        proto.producer_name, proto.producer_version = self._model.producer_name, self._model.producer_version
        onnx.checker.check_model(proto)
        with replacing(path) as temporary:
            onnx.save(proto, temporary)


class Drift:
    """Distance of graphs from the float graph on a few windows.

    Args:
        path: float graph.
        windows: what graphs are given.
        threads: of one run; None leaves it to the engine.
    """

    def __init__(self, path: Path, windows: Sequence[Feed], *, threads: int | None = None) -> None:
        self._windows = windows
        self._threads = threads
        self._reference = list(self._probabilities(path))

    def of(self, path: Path) -> float:
        """Root mean square difference of class probabilities."""
        pairs = zip(self._probabilities(path), self._reference, strict=True)
        squares = [np.square(a - b, dtype=np.float64).mean() for a, b in pairs]
        return float(np.sqrt(np.mean(squares)))

    def _probabilities(self, path: Path) -> Iterator[NDArray[np.float32]]:
        engine = OnnxInputs(path, inputs=list(self._windows[0]), threads=self._threads)
        for window in self._windows:
            found = engine.run(window).probabilities
            if found is not None:
                yield found


class _OneFeed(CalibrationDataReader):  # type: ignore[misc]
    """Feeds one window, so that the calibrator's memory does not grow with their number."""

    def __init__(self, feed: Feed) -> None:
        self._left = [feed]

    def get_next(self) -> Feed | None:
        """The window, then None."""
        return self._left.pop() if self._left else None
