"""What of a flight package can be opened as somebody asks."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Real
from pathlib import Path
from typing import Protocol, TypeVar

from satsqueeze.core.errors import MissingDependencyError, PackageError, SettingsError
from satsqueeze.core.manifest import LARGEST_BUFFER_M, FlightManifest, Graph
from satsqueeze.flight.engines.engine import EngineName, has_openvino
from satsqueeze.flight.vectors import SelfTest, TestVectors


def require_buffer(manifest: FlightManifest, buffer_m: float) -> None:
    """Refuse a buffer in metres that a package's masks cannot have.

    Raises:
        SettingsError: its width is impossible, or the package does not decide pixel by pixel.
    """
    if not isinstance(buffer_m, int | float | Real) or not 0 <= buffer_m <= LARGEST_BUFFER_M:
        raise SettingsError(f"a buffer must be from 0 to {LARGEST_BUFFER_M:g} m wide, got {buffer_m!r}; give a number")
    if buffer_m and not manifest.window_invariant:
        raise SettingsError(
            f"{manifest.name} does not decide pixel by pixel, so its mask has no buffer, got {buffer_m} m; leave it out"
        )


def candidates(manifest: FlightManifest, engine: str, precision: str) -> list[tuple[Graph, EngineName]]:
    """Graphs and engines that satisfy a request, best first.

    Raises:
        PackageError: none does.
        MissingDependencyError: it takes an engine that is not installed.
        SettingsError: an unknown engine or precision.
    """
    if engine not in ("auto", "onnx", "openvino") or precision not in ("auto", "fp32", "int8"):
        raise SettingsError(
            f"engine must be auto, onnx or openvino and precision auto, fp32 or int8; got {engine!r} and {precision!r}"
        )
    if engine == "openvino" and not has_openvino():
        raise MissingDependencyError("openvino", "fast")
    default = manifest.graph(manifest.default_graph)
    wanted = [g for g in manifest.graphs if precision in ("auto", g.precision)]
    order = sorted(wanted, key=lambda g: (g.file != default.file, g.precision != default.precision))
    pairs: list[tuple[Graph, EngineName]] = [
        (g, g.engine) for g in order if engine in ("auto", g.engine) and (g.engine == "onnx" or has_openvino())
    ]
    if engine == "openvino":
        pairs += [(g, "openvino") for g in order if g.engine == "onnx"]
        pairs.sort(key=lambda pair: pair[0].precision != default.precision)
    if not pairs:
        raise PackageError(
            f"no graph of precision {precision} for engine {engine}; the package has "
            f"{', '.join(f'{g.file} ({g.precision}, {g.engine})' for g in manifest.graphs)}"
        )
    return pairs


class Tested(Protocol):
    """A model that can tell whether this machine computes what the exporting machine computed."""

    @property
    def graph(self) -> Graph:
        """That it runs."""
        ...

    @property
    def engine(self) -> Named:
        """That runs it."""
        ...

    def try_out(self) -> None:
        """Run the graph, of which nobody knows what it should give."""
        ...

    def self_test(self, vectors: TestVectors) -> SelfTest:
        """Run the test vectors."""
        ...


class Named(Protocol):
    """An engine, by its name."""

    @property
    def name(self) -> EngineName:
        """Of the engine."""
        ...


AnyTested = TypeVar("AnyTested", bound=Tested)


def first_sound(
    models: Iterable[AnyTested], vectors: TestVectors | None, notes: list[str], *, folder: Path
) -> AnyTested:
    """The first model that reproduces the test vectors, or that runs where a package has none.

    Args:
        models: of the graphs of a package, the best first; each is opened when those before it have failed.
        vectors: of the package; None where it has none.
        notes: told of each that was passed over, and why, before the next is opened.
        folder: of the package, for the message.

    Raises:
        PackageError: there is none.
    """
    for model in models:
        if vectors is None:
            model.try_out()
            return model
        result = model.self_test(vectors)
        if result.passed:
            return model
        notes.append(f"{model.graph.file} on {model.engine.name} was passed over: {result.reason}")
    raise PackageError(
        f"{folder}: no graph reproduces the test vectors on this machine ({'; '.join(notes)}). Do not fly it: update "
        "the engine, or export the package again here."
    )
