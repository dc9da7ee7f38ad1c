"""What runs a flight graph."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import PackageError
from satsqueeze.core.rows import RowStream
from satsqueeze.flight.engines.graph_output import GraphOutput
from satsqueeze.flight.engines.row_graph import RowGraph

EngineName = Literal["onnx", "openvino"]
INPUT = "reflectance"
DAYS = "days"
"""Second input of a graph over dates."""
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


def has_openvino() -> bool:
    """Whether OpenVINO is installed."""
    return importlib.util.find_spec("openvino") is not None


def decision_of(path: Path, inputs: list[str], outputs: list[str], *, expected: Sequence[str] = (INPUT,)) -> str:
    """The output that decides.

    Raises:
        PackageError: other inputs than the expected ones, or no outputs that decide.
    """
    found = [name for name in DECISIONS if name in outputs]
    if inputs != [*expected] or len(found) != 1 or PROBABILITIES not in outputs:
        raise PackageError(
            f"{path} is not a flight graph: it takes {inputs} and gives {outputs}, expected input "
            f"{', '.join(map(repr, expected))} and outputs {PROBABILITIES!r} and one of "
            f"{', '.join(map(repr, DECISIONS))}"
        )
    return found[0]
