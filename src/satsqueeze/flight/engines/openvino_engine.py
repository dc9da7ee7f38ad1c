"""OpenVINO on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import MissingDependencyError, PackageError
from satsqueeze.core.rows import RowStream
from satsqueeze.flight.engines.engine import PROBABILITIES, EngineName, decision_of, has_openvino
from satsqueeze.flight.engines.graph_output import GraphOutput
from satsqueeze.flight.engines.row_graph import RowGraph

T = TypeVar("T")


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
            self._decision = decision_of(path, inputs, outputs)
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

        def answer(results: Any) -> GraphOutput:
            chances = np.array(results[PROBABILITIES]) if probabilities else None
            return GraphOutput(mask=np.array(results[self._decision]), probabilities=chances)

        return graph.run([batch], answer)

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

    def rows(self, folder: Path, stream: RowStream) -> RowGraph | None:
        """See :class:`Engine`; it flies tiles."""


class _Compiled:
    """A graph that OpenVINO has compiled, with a request for each call at once."""

    def __init__(self, graph: Any, *, settings: dict[str, Any], streams: int) -> None:
        import openvino

        self._graph: Any = openvino.compile_model(graph, "CPU", settings)
        self._requests: SimpleQueue[Any] = SimpleQueue()
        for _ in range(streams):
            self._requests.put(self._graph.create_infer_request())

    def run(self, inputs: list[NDArray[Any]], take: Callable[[Any], T]) -> T:
        """What ``take`` makes of the outputs, by name: arrays of the engine's, gone when it returns."""
        request = self._requests.get()
        try:
            # It reads our memory, and we read its own: nothing is copied that is not kept.
            return take(request.infer(inputs, share_inputs=True, share_outputs=True))
        finally:
            self._requests.put(request)

    def release_memory(self) -> None:
        """Give back what fits the inputs of before; no call may be under way."""
        self._graph.release_memory()
