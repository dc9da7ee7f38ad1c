"""onnxruntime on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, RuntimeException

from satsqueeze.core.errors import PackageError
from satsqueeze.core.rows import RowStream
from satsqueeze.flight.engines.engine import INPUT, PROBABILITIES, EngineName, decision_of
from satsqueeze.flight.engines.graph_output import GraphOutput
from satsqueeze.flight.engines.row_graph import PLACES, Place, RowGraph


@contextmanager
def memory_told() -> Iterator[None]:
    """Raise ``MemoryError`` where the engine ran out of memory, which it tells in its own words alone."""
    try:
        yield
    except (Fail, RuntimeException) as error:
        if "bad_alloc" in str(error) or "allocate memory" in str(error):
            raise MemoryError(f"the engine cannot allocate: {error}") from error
        raise


class OnnxEngine:
    """onnxruntime on the CPU.

    Args:
        path: an ``.onnx`` file with the flight contract (see :class:`satsqueeze.core.manifest.FlightManifest`).
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
        with memory_told():
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


class OnnxInputs:
    """A graph that takes more than one input, on the CPU.

    Args:
        path: an ``.onnx`` file with the outputs of the flight contract.
        inputs: names of the inputs that it must have, in order.
        threads: of a call; None leaves it to the engine.

    Raises:
        PackageError: the file is not such a graph.
    """

    name: EngineName = "onnx"

    def __init__(self, path: Path, *, inputs: Sequence[str], threads: int | None = None) -> None:
        self._session = _session(path, threads=threads)
        outputs = [output.name for output in self._session.get_outputs()]
        self._decision = decision_of(path, [i.name for i in self._session.get_inputs()], outputs, expected=inputs)

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> GraphOutput:
        """Run a batch of each input, all of N."""
        with memory_told():
            decision, probabilities = self._session.run([self._decision, PROBABILITIES], dict(inputs))
        return GraphOutput(mask=decision, probabilities=probabilities)


class OnnxRows:
    """See :class:`satsqueeze.flight.engines.row_graph.RowGraph`.

    Args:
        loaders: of the three graphs.
    """

    def __init__(self, loaders: Mapping[Place, Callable[[], onnxruntime.InferenceSession]]) -> None:
        self._loaders = loaders
        self.rest()

    def rest(self) -> None:
        """See :class:`satsqueeze.flight.engines.row_graph.RowGraph`; sessions keep what their largest call took."""
        self._sessions = {place: load() for place, load in self._loaders.items()}
        self._inputs = {place: [i.name for i in found.get_inputs()] for place, found in self._sessions.items()}
        self._outputs = {place: [o.name for o in found.get_outputs()] for place, found in self._sessions.items()}

    def run(
        self, place: Place, batch: NDArray[np.float32], carried: Sequence[NDArray[Any]]
    ) -> tuple[NDArray[np.uint8], list[NDArray[Any]]]:
        """See :class:`satsqueeze.flight.engines.row_graph.RowGraph`."""
        given = dict(zip(self._inputs[place], [batch, *carried], strict=True))
        # Each session has scratch space of its own, and the first and the last are needed once in a column.
        once = None if place == "middle" else _shrinking()
        with memory_told():
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
