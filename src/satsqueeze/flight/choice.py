"""What of a flight package can be opened as somebody asks."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from pathlib import Path

from satsqueeze.core.errors import MissingDependencyError, PackageError, SettingsError
from satsqueeze.core.manifest import LARGEST_BUFFER_M, FlightManifest, Graph
from satsqueeze.flight.engine import EngineName, has_openvino


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


def none_passed(folder: Path, notes: Sequence[str]) -> PackageError:
    """What to say of a package of which no graph reproduces its test vectors; notes say why each was passed over."""
    return PackageError(
        f"{folder}: no graph reproduces the test vectors on this machine ({'; '.join(notes)}). Do not fly it: update "
        "the engine, or export the package again here."
    )
