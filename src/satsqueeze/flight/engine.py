"""Engines that run a flight graph: onnxruntime always, OpenVINO where it is installed."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from satsqueeze.core.errors import MissingDependencyError, PackageError, SettingsError

EngineName = Literal["onnx", "openvino"]
INPUT = "reflectance"
MASK = "mask"
CLASS = "class"
CLASSES = "classes"
PROBABILITIES = "probabilities"
_IN_PLACE = {"share_inputs": True, "share_outputs": True}
"""OpenVINO reads our memory and we copy from its own: nothing is copied twice."""
MOST_THREADS = 256
"""Of one call; more than processors have, and far more than any gains from."""
DECISIONS = (MASK, CLASS, CLASSES)
"""Names of the output that decides: on pixels, on images with one class each, or with any number."""


@dataclass(frozen=True, kw_only=True)
class GraphOutput:
    """What a graph says about a batch."""

    mask: NDArray[np.uint8]
    """uint8 (N, H, W), class values; of whole images (N,), or in a multi-label package (N, K), 1 = present."""
    probabilities: NDArray[np.float32] | None
    """float32 (N, K, H, W), of whole images (N, K), summing to 1 over K unless multi-label; None if not asked for."""


class Engine(Protocol):
    """Runs one graph; safe to call again and again, not from two threads at once."""

    name: EngineName

    def run(self, batch: NDArray[np.float32], *, probabilities: bool) -> GraphOutput:
        """Run float32 reflectance (N, C, H, W), finite, H and W as the package's manifest asks for."""
        ...

    def rest(self, small: NDArray[np.float32]) -> None:
        """Run a small input and give back the memory of those before: what fits one size is lost for another."""
        ...


class OnnxEngine:
    """onnxruntime on the CPU.

    Args:
        path: an ``.onnx`` file with the flight contract (see :class:`satsqueeze.core.package.FlightManifest`).
        threads: of one call; None leaves it to the engine.

    Raises:
        PackageError: the file is not such a graph.
    """

    name: EngineName = "onnx"

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # With it a second input of a size is laid out anew, beside what the first has left: up to twice the memory.
        options.enable_mem_pattern = False
        if threads is not None:
            options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises a family of C++ errors without a common type
            raise PackageError(f"onnxruntime cannot load {path}: {error}") from error
        outputs = [output.name for output in self._session.get_outputs()]
        self._decision = _decision_of(path, [i.name for i in self._session.get_inputs()], outputs)
        self._mask_only = onnxruntime.RunOptions()
        self._mask_only.only_execute_path_to_fetches = True
        self._shrinking = onnxruntime.RunOptions()
        self._shrinking.only_execute_path_to_fetches = True
        self._shrinking.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    def run(self, batch: NDArray[np.float32], *, probabilities: bool) -> GraphOutput:
        """See :class:`Engine`."""
        wanted = [self._decision, PROBABILITIES] if probabilities else [self._decision]
        results = self._session.run(wanted, {INPUT: batch}, None if probabilities else self._mask_only)
        return GraphOutput(mask=results[0], probabilities=results[1] if probabilities else None)

    def rest(self, small: NDArray[np.float32]) -> None:
        """See :class:`Engine`."""
        self._session.run([self._decision], {INPUT: small}, self._shrinking)


class OpenVinoEngine:
    """OpenVINO on the CPU, in the precision of the graph: its own choice of bfloat16 is switched off.

    Args:
        path: an ``.xml`` or ``.onnx`` file with the flight contract.
        threads: of one call; None leaves it to the engine.

    Raises:
        MissingDependencyError: openvino is not installed.
        PackageError: the file is not such a graph.
    """

    name: EngineName = "openvino"

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        if not has_openvino():
            raise MissingDependencyError("openvino", "fast")
        import openvino

        settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        try:
            graph = openvino.Core().read_model(path)
            inputs, outputs = [i.any_name for i in graph.inputs], [o.any_name for o in graph.outputs]
            self._decision = _decision_of(path, inputs, outputs)
            # Probabilities cost time and memory that a mask alone does not need; most flights need no more.
            mask = openvino.Model([graph.output(self._decision)], graph.get_parameters())
            self._mask_only = openvino.compile_model(mask, "CPU", settings)
        except RuntimeError as error:
            raise PackageError(f"OpenVINO cannot load {path}: {error}") from error
        self._compile_full = partial(openvino.compile_model, graph, "CPU", settings)
        self._full: Any = None

    def run(self, batch: NDArray[np.float32], *, probabilities: bool) -> GraphOutput:
        """See :class:`Engine`."""
        if not probabilities:
            return GraphOutput(mask=np.array(self._mask_only(batch, **_IN_PLACE)[self._decision]), probabilities=None)
        if self._full is None:
            self._full = self._compile_full()
        results = self._full(batch, **_IN_PLACE)
        return GraphOutput(mask=np.array(results[self._decision]), probabilities=np.array(results[PROBABILITIES]))

    def rest(self, small: NDArray[np.float32]) -> None:
        """See :class:`Engine`."""
        for graph in (self._mask_only, self._full):
            if graph is not None:
                graph.release_memory()
        self.run(small, probabilities=False)


def has_openvino() -> bool:
    """Whether OpenVINO is installed."""
    return importlib.util.find_spec("openvino") is not None


def open_engine(name: EngineName, path: Path, *, threads: int | None = None) -> Engine:
    """The engine called ``name`` with a graph loaded.

    Raises:
        SettingsError: unknown engine, or a thread count below 1.
        MissingDependencyError: the engine is not installed.
        PackageError: the file is not a flight graph.
    """
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise SettingsError(f"threads must be 1 to {MOST_THREADS}, got {threads}")
    if name == "onnx":
        return OnnxEngine(path, threads=threads)
    if name == "openvino":
        return OpenVinoEngine(path, threads=threads)
    raise SettingsError(f"unknown engine {name!r}; known: onnx, openvino")


def _decision_of(path: Path, inputs: list[str], outputs: list[str]) -> str:
    """The output that decides."""
    found = [name for name in DECISIONS if name in outputs]
    if inputs != [INPUT] or len(found) != 1 or PROBABILITIES not in outputs:
        raise PackageError(
            f"{path} is not a flight graph: it takes {inputs} and gives {outputs}, expected input {INPUT!r} and "
            f"outputs {PROBABILITIES!r} and one of {', '.join(map(repr, DECISIONS))}"
        )
    return found[0]
