"""Engines that run a flight graph: onnxruntime always, OpenVINO where it is installed."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
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
    """Runs one graph; safe to call from as many threads at once as it has streams."""

    name: EngineName
    streams: int
    """Calls at once that share the threads. A layer is done when its slowest thread is: where other work takes turns
    on the processor, two calls of one thread each lose less than one call of two threads."""
    keeps_scratch: bool
    """Whether every stream keeps its scratch space between calls; else calls take it and give it back."""

    def run(self, batch: NDArray[np.float32], *, probabilities: bool) -> GraphOutput:
        """Run float32 reflectance (N, C, H, W), finite, H and W as the package's manifest asks for."""
        ...

    def fit(self, shape: tuple[int, ...], *, probabilities: bool) -> None:
        """Make ready for many inputs of one shape: an engine that plans for it is faster and needs less memory.

        Raises:
            PackageError: the graph does not take such inputs.
        """
        ...

    def rest(self, small: NDArray[np.float32]) -> None:
        """Run a small input and give back the memory of those before: what fits one size is lost for another."""
        ...


class OnnxEngine:
    """onnxruntime on the CPU.

    Args:
        path: an ``.onnx`` file with the flight contract (see :class:`satsqueeze.core.package.FlightManifest`).
        threads: of all calls at once; None leaves it to the engine.
        streams: calls at once.

    Raises:
        PackageError: the file is not such a graph.
    """

    name: EngineName = "onnx"
    keeps_scratch = False

    def __init__(self, path: Path, *, threads: int | None = None, streams: int = 1) -> None:
        self.streams = streams
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # With it a second input of a size is laid out anew, beside what the first has left: up to twice the memory.
        options.enable_mem_pattern = False
        if threads is not None:
            options.intra_op_num_threads = max(1, threads // streams)
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises a family of C++ errors without a common type
            raise PackageError(f"onnxruntime cannot load {path}: {error}") from error
        outputs = [output.name for output in self._session.get_outputs()]
        self._decision = _decision_of(path, [i.name for i in self._session.get_inputs()], outputs)
        self._shrinking = onnxruntime.RunOptions()
        self._shrinking.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    def run(self, batch: NDArray[np.float32], *, probabilities: bool) -> GraphOutput:
        """See :class:`Engine`."""
        wanted = [self._decision, PROBABILITIES] if probabilities else [self._decision]
        results = self._session.run(wanted, {INPUT: batch})
        return GraphOutput(mask=results[0], probabilities=results[1] if probabilities else None)

    def fit(self, shape: tuple[int, ...], *, probabilities: bool) -> None:
        """See :class:`Engine`; all shapes are alike to it."""

    def rest(self, small: NDArray[np.float32]) -> None:
        """See :class:`Engine`."""
        self._session.run([self._decision], {INPUT: small}, self._shrinking)


class OpenVinoEngine:
    """OpenVINO on the CPU, in the precision of the graph: its own choice of bfloat16 is switched off.

    Args:
        path: an ``.xml`` or ``.onnx`` file with the flight contract.
        threads: of all calls at once; None leaves it to the engine.
        streams: calls at once.

    Raises:
        MissingDependencyError: openvino is not installed.
        PackageError: the file is not such a graph.
    """

    name: EngineName = "openvino"
    keeps_scratch = True

    def __init__(self, path: Path, *, threads: int | None = None, streams: int = 1) -> None:
        self.streams = streams
        if not has_openvino():
            raise MissingDependencyError("openvino", "fast")
        import openvino

        settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": streams}
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        try:
            graph = openvino.Core().read_model(path)
            inputs, outputs = [i.any_name for i in graph.inputs], [o.any_name for o in graph.outputs]
            self._decision = _decision_of(path, inputs, outputs)
            # Probabilities cost time and memory that a mask alone does not need; most flights need no more.
            mask = openvino.Model([graph.output(self._decision)], graph.get_parameters())
            self._compile = partial(_Compiled, settings=settings, streams=streams)
            self._graphs = {False: mask, True: graph}
            self._of_any_size = {False: self._compile(mask)}
        except RuntimeError as error:
            raise PackageError(f"OpenVINO cannot load {path}: {error}") from error
        self._fitted: dict[tuple[tuple[int, ...], bool], _Compiled] = {}
        self._compiling = Lock()

    def run(self, batch: NDArray[np.float32], *, probabilities: bool) -> GraphOutput:
        """See :class:`Engine`."""
        graph = self._fitted.get((batch.shape, probabilities)) or self._any(probabilities)
        if not probabilities:
            (mask,) = graph.run(batch, self._decision)
            return GraphOutput(mask=mask, probabilities=None)
        mask, chances = graph.run(batch, self._decision, PROBABILITIES)
        return GraphOutput(mask=mask, probabilities=chances)

    def _any(self, probabilities: bool) -> _Compiled:
        """The graph for inputs of any size."""
        with self._compiling:
            if probabilities not in self._of_any_size:
                self._of_any_size[probabilities] = self._compile(self._graphs[probabilities])
            return self._of_any_size[probabilities]

    def fit(self, shape: tuple[int, ...], *, probabilities: bool) -> None:
        """See :class:`Engine`."""
        if (shape, probabilities) in self._fitted:
            return
        self._fitted.clear()
        graph = self._graphs[probabilities].clone()
        try:
            graph.reshape(list(shape))
            self._fitted[shape, probabilities] = self._compile(graph)
        except RuntimeError as error:
            raise PackageError(f"OpenVINO cannot fit the graph to inputs of {shape}: {error}") from error

    def rest(self, small: NDArray[np.float32]) -> None:
        """See :class:`Engine`."""
        for graph in (*self._of_any_size.values(), *self._fitted.values()):
            graph.release_memory()
        self.run(small, probabilities=False)


class _Compiled:
    """A graph that OpenVINO has compiled, with a request for each call at once."""

    def __init__(self, graph: Any, *, settings: dict[str, Any], streams: int) -> None:
        import openvino

        self._graph: Any = openvino.compile_model(graph, "CPU", settings)
        self._requests: SimpleQueue[Any] = SimpleQueue()
        for _ in range(streams):
            self._requests.put(self._graph.create_infer_request())

    def run(self, batch: NDArray[np.float32], *names: str) -> list[NDArray[Any]]:
        """Outputs for one batch."""
        request = self._requests.get()
        try:
            # It reads our memory and we copy from its own: nothing is copied twice.
            results = request.infer([batch], share_inputs=True, share_outputs=True)
            return [np.array(results[name]) for name in names]
        finally:
            self._requests.put(request)

    def release_memory(self) -> None:
        """Give back what fits the inputs of before; no call may be under way."""
        self._graph.release_memory()


def has_openvino() -> bool:
    """Whether OpenVINO is installed."""
    return importlib.util.find_spec("openvino") is not None


def open_engine(name: EngineName, path: Path, *, threads: int | None = None, streams: int = 1) -> Engine:
    """The engine called ``name`` with a graph loaded.

    Args:
        name: of the engine.
        path: of the graph.
        threads: of all calls at once; None leaves it to the engine.
        streams: calls at once.

    Raises:
        SettingsError: unknown engine, or a count of threads or streams that cannot be.
        MissingDependencyError: the engine is not installed.
        PackageError: the file is not a flight graph.
    """
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise SettingsError(f"threads must be 1 to {MOST_THREADS}, got {threads}")
    if not 1 <= streams <= MOST_THREADS:
        raise SettingsError(f"streams must be 1 to {MOST_THREADS}, got {streams}")
    if name == "onnx":
        return OnnxEngine(path, threads=threads, streams=streams)
    if name == "openvino":
        return OpenVinoEngine(path, threads=threads, streams=streams)
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
