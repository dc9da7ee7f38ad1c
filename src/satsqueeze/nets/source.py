"""What a network may start from: the model of a run, or that of a flight package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from satsqueeze.core.errors import RunError
from satsqueeze.core.files import sha256
from satsqueeze.nets.flight_model import FLOAT_GRAPH, is_package, load_flight_model
from satsqueeze.nets.model import WEIGHTS_FILE, SegmentationModel, load_model
from satsqueeze.nets.model_home import model_home


@dataclass(frozen=True, kw_only=True)
class Source:
    """A trained model on disk."""

    place: Path
    """Folder that holds it."""
    packaged: bool
    """Whether that is a flight package."""

    @classmethod
    def of(cls, folder: Path | str) -> Source:
        """The source in a folder: a flight package, a run folder or a model's own.

        Raises:
            RunError: there is no model.
        """
        packaged = is_package(folder)
        return cls(place=Path(folder) if packaged else model_home(folder), packaged=packaged)

    @property
    def digest(self) -> str:
        """SHA-256 of the file of weights.

        Raises:
            RunError: there is none.
        """
        path = self.place / (FLOAT_GRAPH if self.packaged else WEIGHTS_FILE)
        if not path.is_file():
            raise RunError(f"{path} does not exist; train or fetch the model again, or export the package again")
        return sha256(path)

    def load(self) -> tuple[SegmentationModel, frozenset[str]]:
        """The model in evaluation mode on the CPU, and the names of its norms without statistics of their own.

        Raises:
            PackageError, RunError: see :func:`satsqueeze.nets.flight_model.load_flight_model` and
                :func:`satsqueeze.nets.model.load_model`.
        """
        return load_flight_model(self.place) if self.packaged else (load_model(self.place), frozenset())
