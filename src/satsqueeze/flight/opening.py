"""Opening a flight package: every byte checked, and no graph taken that does not reproduce its test vectors."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Literal

from satsqueeze.core.errors import PackageError
from satsqueeze.core.manifest import FlightManifest, Graph
from satsqueeze.core.package import verify
from satsqueeze.flight.choice import candidates, first_sound, require_buffer
from satsqueeze.flight.classifier import FlightClassifier
from satsqueeze.flight.engines.by_name import open_engine
from satsqueeze.flight.engines.engine import Engine, EngineName
from satsqueeze.flight.runtime import DEFAULT_WINDOW, FlightModel
from satsqueeze.flight.vectors import TestVectors


def open_package(
    path: Path | str,
    *,
    engine: Literal["auto", "onnx", "openvino"] = "auto",
    precision: Literal["auto", "fp32", "int8"] = "auto",
    threads: int | None = None,
    streams: int = 1,
    window: int = DEFAULT_WINDOW,
    buffer_m: float | None = None,
) -> FlightModel:
    """Verify a flight package and open it.

    Every byte is checked against the package's hashes, then the test vectors are run: a graph that does not
    reproduce them on this machine is passed over for the next one, and :attr:`FlightModel.notes` says so.

    A package that decides on whole images gives a :class:`satsqueeze.flight.classifier.FlightClassifier`, which has
    ``classify`` in place of ``predict``; see also :func:`open_classifier`.

    Args:
        path: folder of the package.
        engine: ``auto`` takes the one of the package's default graph where it is installed, else onnxruntime.
        precision: ``auto`` takes the package's default.
        threads: of all predictions at once; None leaves it to the engine.
        streams: tiles of a scene that are computed at once; one where a package looks at its whole input.
        window: images above this size are run in tiles of about this size, in pixels.
        buffer_m: metres by which foreground is widened where a pixel's size is known; None for the package's.

    Raises:
        PackageError: not a package, changed, or no graph reproduces the test vectors here.
        MissingDependencyError: the engine asked for is not installed.
        SettingsError: an unknown engine or precision, an impossible buffer, or a count or window that is no whole
            number of at least 1.
    """
    if not isinstance(path, str | PathLike):
        raise PackageError(f"a package is opened by the path of its folder, got {path!r}; give a path or a text")
    folder = Path(path)
    manifest = verify(folder)
    if buffer_m is not None:
        require_buffer(manifest, buffer_m)
    if manifest.task == "series":
        raise PackageError(f"{folder} is a package for series of dates; use open_series and predict")
    vectors = TestVectors.read(folder / manifest.vectors) if manifest.vectors else None
    notes: list[str] = []
    if manifest.task == "segmentation" and not manifest.window_invariant:
        notes.append("not window-invariant: large images are blended from overlapping tiles")
    streams = streams if manifest.window_invariant else 1

    def opened(graph: Graph, name: EngineName) -> FlightModel:
        found = open_engine(name, folder / graph.file, threads=threads, streams=streams)
        return flight_model(manifest, graph=graph, engine=found, window=window, notes=notes, buffer_m=buffer_m)

    models = (opened(graph, name) for graph, name in candidates(manifest, engine, precision))
    return first_sound(models, vectors, notes, folder=folder)


def flight_model(
    manifest: FlightManifest,
    *,
    graph: Graph,
    engine: Engine,
    window: int = DEFAULT_WINDOW,
    notes: Sequence[str] = (),
    buffer_m: float | None = None,
) -> FlightModel:
    """The model for the task of a package; arguments as for :class:`FlightModel`."""
    if manifest.task == "segmentation":
        return FlightModel(manifest, graph=graph, engine=engine, window=window, notes=notes, buffer_m=buffer_m)
    return FlightClassifier(manifest, graph=graph, engine=engine, notes=notes)


def open_classifier(
    path: Path | str,
    *,
    engine: Literal["auto", "onnx", "openvino"] = "auto",
    precision: Literal["auto", "fp32", "int8"] = "auto",
    threads: int | None = None,
) -> FlightClassifier:
    """:func:`open_package` for a package that decides on whole images.

    Raises:
        PackageError: the package is for segmentation; and see there.
    """
    model = open_package(path, engine=engine, precision=precision, threads=threads)
    if not isinstance(model, FlightClassifier):
        raise PackageError(f"{path} is a {model.manifest.task} package; use open_package and predict")
    return model
