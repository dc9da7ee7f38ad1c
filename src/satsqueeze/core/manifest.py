"""What a flight package says about itself: the network's bands and classes, its graphs, and the hash of every file."""

from __future__ import annotations

from typing import Any, Literal, Self

import pydantic

from satsqueeze.core.errors import PackageError, SettingsError
from satsqueeze.core.labels import IGNORE
from satsqueeze.core.native import LARGEST_INPUT, NativeImages
from satsqueeze.core.rows import RowStream
from satsqueeze.core.scaling import Scaling

FORMAT_VERSION = 1
LARGEST_MULTIPLE = 1024
"""Of the sizes that a graph takes, pixels: ten times a pooling by two."""
LARGEST_FIELD = 65_536
"""Pixels that a graph may look around."""
LARGEST_BUFFER_M = 10_000.0
"""Metres that masks may be widened by."""

PackageTask = Literal["segmentation", "series", "classification", "multi-label"]
"""``series``: segmentation of places at several dates."""


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

    A package for series takes (N, T, C, H, W), 0 in all bands where a date does not count, and a second input ``days``,
    float32 (N, T), the day of the year of each date.

    Graph outputs in segmentation, of series too: ``mask`` uint8 (N, H, W) and ``probabilities`` float32 (N, K, H, W).
    Where decisions are on whole images: ``probabilities`` float32 (N, K), and ``class`` uint8 (N,), the most probable
    one, or in a multi-label package ``classes`` uint8 (N, K), 1 where the probability reaches the class's threshold.
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
    native: NativeImages | None = None
    """The default graph for bands in pixels of their own size; None where it has none."""
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
        if (self.task in ("segmentation", "series")) != (self.input_size is None):
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
        if self.native is not None:
            self.native.require_part_of(self.files, names, self.input_size)
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

    @property
    def gsd_m(self) -> float:
        """Side of a pixel of the graph's input, in metres: that of the finest band, to which others are resampled."""
        return min(band.gsd_m for band in self.bands)

    def graph(self, file: str) -> Graph:
        """The graph stored as ``file``.

        Raises:
            PackageError: no such graph.
        """
        for graph in self.graphs:
            if graph.file == file:
                return graph
        raise PackageError(f"the package has no graph {file!r}; it has {', '.join(g.file for g in self.graphs)}")
