"""Proof that a package is what was exported, and that this machine computes what the exporting machine computed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from satsqueeze.core.errors import PackageError
from satsqueeze.core.manifest import FlightManifest, Graph
from satsqueeze.core.package import verify
from satsqueeze.flight.engines.by_name import open_engine
from satsqueeze.flight.engines.engine import has_openvino
from satsqueeze.flight.native import NativeClassifier, native_engine
from satsqueeze.flight.opening import flight_model
from satsqueeze.flight.series import FlightSeries, series_engine
from satsqueeze.flight.vectors import SelfTest, TestVectors


@dataclass(frozen=True, kw_only=True)
class VerifyReport:
    """A package that passed."""

    manifest: FlightManifest
    files: int
    """Files whose hash was checked, the manifest included."""
    tests: tuple[SelfTest, ...]
    """One per graph that an installed engine can run."""
    skipped: tuple[str, ...]
    """Graphs without an installed engine, with the reason."""

    def summary(self) -> str:
        """One sentence for people, a line per graph."""
        name, count = self.manifest.name, self.files
        lines = [f"{name}: {count} files are as they were exported, and this machine reproduces the test vectors."]
        lines += [
            f"  {test.graph}: {test.mask_differences} of {test.pixels} classes differ, probabilities by "
            f"{test.max_difference:.2g} at most"
            for test in self.tests
        ]
        return "\n".join([*lines, *(f"  {reason} (not run)" for reason in self.skipped)])

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "name": self.manifest.name,
            "verified": True,
            "files": self.files,
            "tests": [asdict(test) for test in self.tests],
            "skipped": list(self.skipped),
        }


def verify_package(path: Path | str, *, threads: int | None = None) -> VerifyReport:
    """Check every hash, then run the test vectors on every graph with an installed engine.

    Raises:
        PackageError: a file is missing, added or changed, or a graph does not reproduce its vectors.
    """
    folder = Path(path)
    manifest = verify(folder)
    vectors = TestVectors.read(folder / manifest.vectors) if manifest.vectors else None
    tests, skipped = [], []
    for graph in manifest.graphs:
        if vectors is None or (graph.engine == "openvino" and not has_openvino()):
            skipped.append(f"{graph.file}: {'no test vectors' if vectors is None else 'openvino is not installed'}")
            continue
        tests.append(_tested(folder, manifest, graph, vectors, threads))
    if manifest.native is not None and vectors is None:
        skipped.append(f"{manifest.native.file}: no test vectors")
    elif manifest.native is not None and vectors is not None:
        native = NativeClassifier(manifest, native_engine(folder, manifest, threads=threads))
        tests.append(native.self_test(vectors))
    failed = [f"{test.graph}: {test.reason}" for test in tests if not test.passed]
    if failed:
        raise PackageError(
            f"{folder}: unchanged, but this machine does not reproduce its test vectors: {'; '.join(failed)}. "
            "Update the engine, or choose another graph."
        )
    return VerifyReport(manifest=manifest, files=len(manifest.files) + 1, tests=tuple(tests), skipped=tuple(skipped))


def _tested(
    folder: Path, manifest: FlightManifest, graph: Graph, vectors: TestVectors, threads: int | None
) -> SelfTest:
    if manifest.task == "series":
        series = FlightSeries(manifest, graph=graph, engine=series_engine(folder, graph, threads=threads))
        return series.self_test(vectors)
    engine = open_engine(graph.engine, folder / graph.file, threads=threads)
    return flight_model(manifest, graph=graph, engine=engine).self_test(vectors)
