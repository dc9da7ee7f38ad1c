"""Engines that run a flight graph: onnxruntime always, OpenVINO where it is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from satsqueeze.core.errors import PackageError, SettingsError
from satsqueeze.core.package import RowStream
from satsqueeze.flight.graph_output import GraphOutput
from satsqueeze.flight.row_stream import PLACES, Place, RowGraph

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

    def rows(self, folder: Path, stream: RowStream) -> RowGraph | None:
        """The graphs of a folder that take an image a few rows at a time; None where tiles are as good.

        Raises:
            PackageError: they are not such graphs.
        """
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
        self._load = partial(_session, threads=None if threads is None else max(1, threads // streams))
        self._session = self._load(path)
        outputs = [output.name for output in self._session.get_outputs()]
        self._decision = decision_of(path, [i.name for i in self._session.get_inputs()], outputs)

    def run(self, batch: NDArray[np.float32], *, probabilities: bool) -> GraphOutput:
        """See :class:`Engine`."""
        wanted = [self._decision, PROBABILITIES] if probabilities else [self._decision]
        results = self._session.run(wanted, {INPUT: batch})
        return GraphOutput(mask=results[0], probabilities=results[1] if probabilities else None)

    def fit(self, shape: tuple[int, ...], *, probabilities: bool) -> None:
        """See :class:`Engine`; all shapes are alike to it."""

    def rest(self, small: NDArray[np.float32]) -> None:
        """See :class:`Engine`."""
        self._session.run([self._decision], {INPUT: small}, _shrinking())

    def rows(self, folder: Path, stream: RowStream) -> RowGraph | None:
        """See :class:`Engine`."""
        return OnnxRows({place: partial(self._load, folder / stream.places[place]) for place in PLACES})


class OnnxRows:
    """See :class:`satsqueeze.flight.row_stream.RowGraph`.

    Args:
        loaders: of the three graphs.
    """

    def __init__(self, loaders: Mapping[Place, Callable[[], onnxruntime.InferenceSession]]) -> None:
        self._loaders = loaders
        self.rest()

    def rest(self) -> None:
        """See :class:`satsqueeze.flight.row_stream.RowGraph`; sessions keep what their largest call took."""
        self._sessions = {place: load() for place, load in self._loaders.items()}
        self._inputs = {place: [i.name for i in found.get_inputs()] for place, found in self._sessions.items()}
        self._outputs = {place: [o.name for o in found.get_outputs()] for place, found in self._sessions.items()}

    def fit(self, rows: Sequence[int], width: int) -> None:
        """See :class:`satsqueeze.flight.row_stream.RowGraph`; all shapes are alike to it."""

    def run(
        self, place: Place, batch: NDArray[np.float32], carried: Sequence[NDArray[Any]]
    ) -> tuple[NDArray[np.uint8], list[NDArray[Any]]]:
        """See :class:`satsqueeze.flight.row_stream.RowGraph`."""
        given = dict(zip(self._inputs[place], [batch, *carried], strict=True))
        # Each session has scratch space of its own, and the first and the last are needed once in a column.
        once = None if place == "middle" else _shrinking()
        mask, *left = self._sessions[place].run(self._outputs[place], given, once)
        return mask[0], left


def _shrinking() -> onnxruntime.RunOptions:
    """How a session is told to give its scratch space back after a run."""
    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


def _session(path: Path, *, threads: int | None) -> onnxruntime.InferenceSession:
    """A graph that onnxruntime has loaded.

    Raises:
        PackageError: it cannot.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # With it a second input of a size is laid out anew, beside what the first has left: up to twice the memory.
    options.enable_mem_pattern = False
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a family of C++ errors without a common type
        raise PackageError(f"onnxruntime cannot load {path}: {error}") from error


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
        from satsqueeze.flight.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(path, threads=threads, streams=streams)
    raise SettingsError(f"unknown engine {name!r}; known: onnx, openvino")


def decision_of(path: Path, inputs: list[str], outputs: list[str]) -> str:
    """The output that decides."""
    found = [name for name in DECISIONS if name in outputs]
    if inputs != [INPUT] or len(found) != 1 or PROBABILITIES not in outputs:
        raise PackageError(
            f"{path} is not a flight graph: it takes {inputs} and gives {outputs}, expected input {INPUT!r} and "
            f"outputs {PROBABILITIES!r} and one of {', '.join(map(repr, DECISIONS))}"
        )
    return found[0]
