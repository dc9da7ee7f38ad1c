"""The graphs for rows of a package, proven."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from satsqueeze.core.errors import ExportError, ParityError
from satsqueeze.core.manifest import FlightManifest
from satsqueeze.core.package import MANIFEST, SEAL, assembling, seal, verify
from satsqueeze.core.rows import RowStream
from satsqueeze.export.stream import write_stream
from satsqueeze.flight.engines.by_name import open_engine
from satsqueeze.flight.plans.row_flight import same_mask
from satsqueeze.flight.verify import verify_package


def proven_rows(folder: Path, graph: str, manifest: FlightManifest) -> RowStream:
    """Write the graphs for rows of an int8 ONNX graph beside it, and check that they give its masks.

    Args:
        folder: of the package.
        graph: its file.
        manifest: of the package, or what is known of it.

    Raises:
        UnstreamableError: the graph has an operator for which there is no rule.
        ExportError: the package's results depend on more than a window.
        ParityError: another mask.
    """
    if manifest.task != "segmentation" or not manifest.window_invariant:
        raise ExportError(f"{manifest.name} looks at its whole input, of which rows are a part; fly it as it is")
    multiple = manifest.size_multiple
    stream = write_stream(folder / graph, folder, multiple=multiple)
    engine = open_engine("onnx", folder / graph)
    rows, run = engine.rows(folder, stream), partial(engine.run, probabilities=False)
    shape = {"bands": len(manifest.bands), "rows": stream.least_rows, "width": 4 * multiple}
    if rows is None or not same_mask(rows, run, **shape):
        for file in stream.places.values():
            (folder / file).unlink()
        raise ParityError(f"{graph} gives another mask when an image passes in rows; report it with the package")
    return stream


def add_rows(folder: Path) -> FlightManifest:
    """Add graphs for rows to a package that has none, or make them anew; returns its manifest.

    Raises:
        PackageError: the package cannot be trusted.
        ExportError: it has no int8 ONNX graph, or none that can take rows.
        ParityError: other masks; the package stays as it was.
    """
    manifest = verify(folder)
    graph = next((g.file for g in manifest.graphs if (g.precision, g.engine) == ("int8", "onnx")), None)
    if graph is None:
        raise ExportError(f"{folder} has no int8 ONNX graph, and no other gives the same mask by rows")
    with assembling(folder) as part:
        shutil.copytree(folder, part, ignore=shutil.ignore_patterns(MANIFEST, SEAL), dirs_exist_ok=True)
        stream = proven_rows(part, graph, manifest)
        sealed = seal(part, manifest.model_copy(update={"stream": stream}))
        verify_package(part)
    return sealed
