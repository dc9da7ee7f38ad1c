"""One line per model: quality, cost, speed and energy, with what makes them comparable."""

from __future__ import annotations

from typing import Literal, Self

import pydantic

from satsqueeze.bench.energy import Energy, NotMeasured
from satsqueeze.bench.latency import Latency
from satsqueeze.bench.machine import Machine
from satsqueeze.bench.row_file import KeyedRow
from satsqueeze.core.errors import RunError

Kind = Literal["threshold", "baseline", "teacher", "student"]
KINDS: tuple[Kind, ...] = ("threshold", "baseline", "teacher", "student")
ALL_SOURCES = "all"


class Score(pydantic.BaseModel):
    """Quality under one protocol on one source of images."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="null")

    protocol: str
    """Short name of how it was scored, such as ``validation`` or ``5-fold``; its sentence stands in the report."""
    source: str = ALL_SOURCES
    """Name of the source, or ``all``."""
    jaccard: float | None
    """Global Jaccard of the foreground; the mean where several seeds were trained. None where undefined."""
    spread: float | None = None
    """Standard deviation of the Jaccard over seeds."""
    seeds: int = 1
    images: int | None = None
    further: dict[str, float | None] = {}
    """Other metrics as fractions, such as ``precision`` or ``jaccard_per_image_mean``."""


class BenchRow(KeyedRow):
    """What is known about one model at one precision; None means not known."""

    called = "benchmark row"
    made_by = "'satsqueeze bench'"

    name: str
    kind: Kind
    precision: str = "fp32"
    """``fp32``, ``int8`` or ``bf16``."""
    scores: tuple[Score, ...] = ()
    """The first is the headline."""
    parameters: int | None = None
    """Of all networks together, for an ensemble."""
    macs_per_pixel: float | None = None
    macs_input: str = ""
    """Input size at which MACs and activations were counted, such as ``256x256``."""
    fp32_bytes: int | None = None
    """Size of the fp32 graph or weights."""
    int8_bytes: int | None = None
    """Size of the int8 graph."""
    peak_activation_bytes: int | None = None
    """Most bytes of float32 activations alive at once."""
    latency: Latency | None = None
    """Of the whole prediction, reflectance to mask."""
    network_latency: Latency | None = None
    """Of the bare network."""
    energy: Energy | NotMeasured = NotMeasured("nobody asked for it")
    """Per million pixels of input, idle draw included."""
    train_minutes: float | None = None
    """Of all its networks and seeds, own training only."""
    seeds: int = 1
    """Trainings behind the scores."""
    machine: Machine | None = None
    """Where latency and energy were measured."""
    notes: tuple[str, ...] = ()
    fingerprint: str = ""
    """Hash of what the row was made from; a rerun with the same one is skipped."""

    @property
    def key(self) -> tuple[str, str]:
        """What a rerun replaces."""
        return self.name, self.precision

    @property
    def jaccard(self) -> float | None:
        """Of the first score."""
        return self.scores[0].jaccard if self.scores else None

    def score(self, protocol: str, source: str = ALL_SOURCES) -> Score | None:
        """The score under a protocol on a source, if there is one."""
        return next((s for s in self.scores if (s.protocol, s.source) == (protocol, source)), None)

    @classmethod
    def from_dict(cls, record: object) -> Self:
        """Inverse of :meth:`to_dict`.

        Raises:
            RunError: not such a record.
        """
        try:
            return cls.model_validate(record)
        except pydantic.ValidationError as error:
            raise RunError(f"not a benchmark row: {error}. Remove its line and measure the model again") from error
