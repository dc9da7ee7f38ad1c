"""Engines by name: onnxruntime always, OpenVINO where it is installed."""

from __future__ import annotations

from pathlib import Path

from satsqueeze.core.count import is_count
from satsqueeze.core.errors import SettingsError
from satsqueeze.flight.engines.engine import MOST_THREADS, Engine, EngineName
from satsqueeze.flight.engines.onnx_engine import OnnxEngine
from satsqueeze.flight.engines.openvino_engine import OpenVinoEngine


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
    for what, count in (("threads", 1 if threads is None else threads), ("streams", streams)):
        if not is_count(count, most=MOST_THREADS):
            raise SettingsError(f"{what} must be 1 to {MOST_THREADS}, got {count!r}; give a whole number in that range")
    if name == "onnx":
        return OnnxEngine(path, threads=threads, streams=streams)
    if name == "openvino":
        return OpenVinoEngine(path, threads=threads, streams=streams)
    raise SettingsError(f"unknown engine {name!r}; known: onnx, openvino")
