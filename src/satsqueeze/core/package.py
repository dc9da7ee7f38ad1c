"""The flight package: a folder that says what it is and can prove that no byte of it has changed.

Layout: ``flight.json`` (the manifest), ``flight.sha256`` (hash of the manifest), graphs, test vectors, a STAC item,
the card of the network. The manifest holds the hash of every other file, so one 32-byte value vouches for the whole.
"""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self

import pydantic

from satsqueeze.core.errors import PackageError, SettingsError
from satsqueeze.core.files import is_running, sha256, write_text
from satsqueeze.core.labels import IGNORE
from satsqueeze.core.rows import RowStream
from satsqueeze.core.scaling import Scaling

FORMAT_VERSION = 1
MANIFEST = "flight.json"
SEAL = "flight.sha256"
LARGEST_MULTIPLE = 1024
"""Of the sizes that a graph takes, pixels: ten times a pooling by two."""
LARGEST_FIELD = 65_536
"""Pixels that a graph may look around."""
LARGEST_INPUT = 4096
"""Side of an input of fixed size, pixels."""
LARGEST_BUFFER_M = 10_000.0
"""Metres that masks may be widened by."""


PackageTask = Literal["segmentation", "classification", "multi-label"]


class _Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PackageBand(_Model):
    """A band that the graph takes."""

    name: str
    wavelength_nm: float
    gsd_m: float


class PackageScaling(_Model):
    """Normalisation that is inside the graph, for the record; see :class:`satsqueeze.core.scaling.Scaling`."""

    bands: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    low: float
    high: float

    @pydantic.model_validator(mode="after")
    def _is_scaling(self) -> Self:
        try:
            Scaling(**self.model_dump())
        except SettingsError as error:
            raise ValueError(str(error)) from error
        return self

    @classmethod
    def of(cls, scaling: Scaling) -> PackageScaling:
        """The record of a scaling."""
        return cls(**scaling.to_dict())


class Graph(_Model):
    """One ONNX or OpenVINO file."""

    file: str
    precision: Literal["fp32", "int8"]
    engine: Literal["onnx", "openvino"]
    float_layers: tuple[str, ...] = ()
    """Layers of an int8 graph that stayed in float because quantising them hurt."""


class Quality(_Model):
    """A measured score with everything that makes it comparable."""

    metric: str
    value: float
    protocol: str
    """Data, split, input size, threshold and TTA in words."""
    graph: str
    seeds: int = 1


class FileRecord(_Model):
    """Size and hash of a file."""

    bytes: int
    sha256: str


class FlightManifest(_Model):
    """Content of ``flight.json``. Graph input ``reflectance``: float32 (N, C, H, W), bands in the order of ``bands``.

    Graph outputs in segmentation: ``mask`` uint8 (N, H, W) and ``probabilities`` float32 (N, K, H, W). Where decisions
    are on whole images: ``probabilities`` float32 (N, K), and ``class`` uint8 (N,), the most probable one, or in a
    multi-label package ``classes`` uint8 (N, K), 1 where the probability reaches the class's threshold.
    """

    format_version: int = FORMAT_VERSION
    name: str
    description: str
    licence: str = "Apache-2.0"
    task: PackageTask = "segmentation"
    bands: tuple[PackageBand, ...]
    classes: tuple[str, ...]
    foreground: tuple[int, ...]
    """Class values that count as positive in the headline Jaccard."""
    scaling: PackageScaling
    size_multiple: int
    """Height and width of the graph's input must be multiples of this, in pixels."""
    receptive_field: int
    """Pixels on each side that can influence an output pixel."""
    window_invariant: bool = True
    """Whether a pixel's result depends on its receptive field alone, so that tiles give what the whole image gives.
    False for networks that take statistics over their input, such as instance normalisation."""
    input_size: tuple[int, int] | None = None
    """Height and width in pixels that the graph takes; None where it takes any multiple of ``size_multiple``."""
    buffer_m: float = 0.0
    """Metres by which foreground is widened wherever a pixel's size is known; see
    :class:`satsqueeze.core.buffer.Buffer`. Graphs do not hold it, and test vectors are answered without it."""
    thresholds: tuple[float, ...] = ()
    """Probability from which a multi-label image has each class; inside the graph, here for the record."""
    parameters: int
    macs_per_pixel: float
    macs_input: str
    """Input size at which MACs were counted, such as ``256x256``."""
    graphs: tuple[Graph, ...]
    default_graph: str
    """File of the graph to use unless the user says otherwise; one of ``graphs``."""
    stream: RowStream | None = None
    """The int8 graph for images that pass in rows; None where it has none."""
    vectors: str = ""
    """File of test vectors; empty where there are none."""
    quality: tuple[Quality, ...] = ()
    parity: dict[str, Any] = {}
    training: dict[str, Any] = {}
    versions: dict[str, str] = {}
    files: dict[str, FileRecord] = {}

    @pydantic.model_validator(mode="after")
    def _is_consistent(self) -> Self:
        names = tuple(band.name for band in self.bands)
        if names != self.scaling.bands:
            raise ValueError(f"bands are {names} but the scaling is for {self.scaling.bands}")
        if self.default_graph not in {graph.file for graph in self.graphs}:
            raise ValueError(f"default graph {self.default_graph!r} is not among the graphs")
        if not all(0 <= value < len(self.classes) for value in self.foreground):
            raise ValueError(f"foreground {self.foreground} does not fit {len(self.classes)} classes")
        if (self.task == "segmentation") != (self.input_size is None):
            raise ValueError(f"task {self.task} with input size {self.input_size}: whole images have one, others none")
        if len(self.thresholds) != (len(self.classes) if self.task == "multi-label" else 0):
            raise ValueError(f"{len(self.thresholds)} thresholds do not fit task {self.task}")
        # Inputs are padded to the size multiple, so that a huge one would ask for all the memory there is.
        if not 1 <= self.size_multiple <= LARGEST_MULTIPLE or not 0 <= self.receptive_field <= LARGEST_FIELD:
            raise ValueError(
                f"size multiple {self.size_multiple} or receptive field {self.receptive_field} is impossible; expected "
                f"1..{LARGEST_MULTIPLE} and 0..{LARGEST_FIELD} pixels"
            )
        if not 0 <= self.buffer_m <= LARGEST_BUFFER_M or (self.buffer_m and not self.window_invariant):
            raise ValueError(
                f"a buffer of {self.buffer_m} m is impossible; expected 0..{LARGEST_BUFFER_M:g} m, and 0 where "
                "tiles are blended or decisions are on whole images"
            )
        if self.stream is not None:
            self.stream.require_part_of(self.files, self.size_multiple)
        if self.input_size is not None and not all(1 <= side <= LARGEST_INPUT for side in self.input_size):
            raise ValueError(f"input size {self.input_size} is impossible; expected 1..{LARGEST_INPUT} pixels a side")
        if not self.bands or not 1 <= len(self.classes) <= IGNORE:
            raise ValueError(
                f"{len(self.bands)} bands and {len(self.classes)} classes are impossible; expected at least one band "
                f"and 1..{IGNORE} classes"
            )
        return self

    @property
    def band_names(self) -> tuple[str, ...]:
        """Names of the bands in the graph's channel order."""
        return tuple(band.name for band in self.bands)

    def graph(self, file: str) -> Graph:
        """The graph stored as ``file``.

        Raises:
            PackageError: no such graph.
        """
        for graph in self.graphs:
            if graph.file == file:
                return graph
        raise PackageError(f"the package has no graph {file!r}; it has {', '.join(g.file for g in self.graphs)}")


@contextmanager
def assembling(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``folder`` that takes its place when the block ends well.

    On any failure nothing is left of it, and a package that was already there stays as it was.

    Raises:
        PackageError: ``folder`` exists and is not a flight package.
    """
    if folder.exists() and not (folder / MANIFEST).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise PackageError(f"{folder} exists and is not a flight package; choose another folder")
    _clear_stale(folder)
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        if folder.exists():
            folder.rename(old)
        part.rename(folder)
    except BaseException:
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _clear_stale(folder: Path) -> None:
    """Remove what killed runs have left beside a package; an older package only where there is another in its place."""
    pattern = re.compile(rf"\.{re.escape(folder.name)}\.(\d+)\.(part|old)")
    for path in folder.parent.glob(f".{glob.escape(folder.name)}.*"):
        match = pattern.fullmatch(path.name)
        if match and not is_running(int(match[1])) and (match[2] == "part" or folder.exists()):
            shutil.rmtree(path, ignore_errors=True)


def seal(folder: Path, manifest: FlightManifest) -> FlightManifest:
    """Hash every file of ``folder``, write ``flight.json`` and its seal; returns the manifest as written."""
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    files = {
        name: FileRecord(bytes=(folder / name).stat().st_size, sha256=sha256(folder / name))
        for name in names
        if name not in (MANIFEST, SEAL)
    }
    sealed = manifest.model_copy(update={"files": files})
    write_text(folder / MANIFEST, sealed.model_dump_json(indent=2) + "\n")
    write_text(folder / SEAL, sha256(folder / MANIFEST) + "\n")
    return sealed


def read_manifest(folder: Path) -> FlightManifest:
    """Read ``flight.json`` without verifying the other files.

    Raises:
        PackageError: absent, malformed, or of another format version.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise PackageError(
            f"{folder} is not a flight package: it has no {MANIFEST}. Make one with 'satsqueeze export'."
        )
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        # An unpaired surrogate could be read, but neither printed nor written.
        json.dumps(record, ensure_ascii=False).encode()
        if isinstance(record, dict) and record.get("format_version") != FORMAT_VERSION:
            raise PackageError(
                f"{path} has format {record.get('format_version')}, this satsqueeze reads {FORMAT_VERSION}; "
                "use the version that wrote it or export again"
            )
        return FlightManifest.model_validate(record)
    except (OSError, ValueError, RecursionError) as error:  # what json, the decoder and pydantic raise are ValueErrors
        raise PackageError(f"{path} is not a valid manifest: {error}. Fetch or export the package again.") from error


def verify(folder: Path) -> FlightManifest:
    """Read the manifest and check every byte of the package.

    Raises:
        PackageError: a file is missing, added or changed; the message lists all of them.
    """
    manifest = read_manifest(folder)
    seal_path = folder / SEAL
    problems = []
    if not seal_path.is_file() or seal_path.read_bytes() != (_hash(folder / MANIFEST) + "\n").encode():
        problems.append(f"{MANIFEST}: does not match {SEAL}")
    found = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_symlink() or not p.is_dir()}
    present = found.keys() - {MANIFEST, SEAL}
    problems += [f"{name}: missing" for name in sorted(manifest.files.keys() - present)]
    problems += [f"{name}: not part of the package" for name in sorted(present - manifest.files.keys())]
    problems += [
        f"{name}: changed"
        for name, record in sorted(manifest.files.items())
        if name in present and not _is_as_recorded(found[name], record)
    ]
    # A file that no hash covers, such as one outside the package, is not vouched for.
    needed = {*(graph.file for graph in manifest.graphs), manifest.vectors} - {"", *manifest.files}
    problems += [f"{name!r}: used, but without a hash" for name in sorted(needed)]
    if problems:
        raise PackageError(
            f"{folder} fails verification: {'; '.join(problems)}. Do not fly it: fetch the package again."
        )
    return manifest


def _is_as_recorded(path: Path, record: FileRecord) -> bool:
    # A pipe has no content to hash: reading it would never end.
    return path.is_file() and path.stat().st_size == record.bytes and _hash(path) == record.sha256


def _hash(path: Path) -> str:
    try:
        return sha256(path)
    except OSError as error:
        raise PackageError(f"{path} cannot be read: {error.strerror}; check its permissions") from error
