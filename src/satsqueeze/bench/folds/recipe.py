"""A recipe: the data, the folds and the networks of a cross-validation, as read from YAML."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from satsqueeze.bench.row import Kind
from satsqueeze.core.errors import SettingsError
from satsqueeze.core.names import require_folder_names, require_seeds
from satsqueeze.export.settings import ExportSettings
from satsqueeze.learn.settings import FitSettings
from satsqueeze.nets.card import Normalisation
from satsqueeze.nets.onnx_weights import OnnxStart


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """A network that is trained in every fold."""

    name: str
    """In tables and run folders."""
    network: str
    """``planned`` (nnU-Net's plan, with its instance norm) or ``planned:batch``, ``smp:<encoder>``, ``student:<rung>``,
    ``compressed:<ratio>``, ``lite:<ratio>`` or ``coarse:<ratio>``: the student that many times smaller than the planned
    network."""
    kind: Kind
    """`teacher`, `student` or `baseline`."""
    fit: FitSettings | None = None
    """Training on a fold, together with everything that no fold touches; None for a network that learns from its start
    alone, hence from no labelled image that is ever scored, and is the same in every fold."""
    start: FitSettings | None = None
    """Training before that, on what no fold touches; None for none."""
    continues: str = ""
    """Another network of the recipe whose start, of the same seed, comes before this one's."""
    onnx_start: OnnxStart | None = None
    """Weights of an ONNX file to start from."""
    normalisation: Normalisation = "dataset"
    """By statistics of the data set, which keeps absolute reflectance, or of each image."""
    onnx_scaling: bool = False
    """Normalise as the first ONNX teacher does, since the weights were made for it."""
    teacher_share: float = 0.0
    """Weight of the teachers in the loss; 0 learns from labels alone."""
    teachers: tuple[str, ...] = ()
    """Networks of the recipe that teach it, beside the ONNX files. A start is taught only by those without ``fit``."""
    exact: tuple[str, ...] = ()
    """Sources with exact labels, by which false alarms of its teachers are put right."""
    seeds: tuple[int, ...] = (0,)
    """Of its own trainings, added to the seeds of ``fit`` and ``start``; one without ``fit`` teaches with all of them,
    any other with the first."""

    def __post_init__(self) -> None:
        if self.fit is None and self.start is None:
            raise SettingsError(f"network {self.name!r} has neither 'fit' nor 'start'; give it one to be trained by")
        if self.continues and self.onnx_start is not None:
            raise SettingsError(
                f"network {self.name!r} both continues {self.continues!r} and starts from an ONNX file; leave one out"
            )


@dataclass(frozen=True, kw_only=True)
class TeacherFile:
    """A frozen ONNX teacher."""

    path: Path
    contract: Path


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is cross-validated."""

    data: str
    description: str = ""
    """What a shipped package does, in a sentence; empty: its classes and bands."""
    bands: tuple[str, ...] = ("blue", "green", "red", "nir")
    folds: int = 3
    seed: int = 0
    """Of the folds."""
    planned_shape: tuple[int, int] = (256, 256)
    """Height and width in pixels for which nnU-Net's rules plan."""
    teacher_files: tuple[TeacherFile, ...] = ()
    networks: tuple[NetworkSettings, ...] = ()
    """In order; teachers before their students."""
    temperature: float = 2.0
    export: ExportSettings = field(default_factory=ExportSettings)
    int8_seeds: int = 1
    """Seeds of each student that are also scored in int8."""

    def __post_init__(self) -> None:
        require_folder_names(settings.name for settings in self.networks)
        kinds: dict[str, str] = {}
        for settings in self.networks:
            require_seeds(settings.seeds, of=settings.name)
            if settings.continues and kinds.get(settings.continues) != settings.network:
                raise SettingsError(
                    f"network {settings.name!r} continues {settings.continues!r}; expected a network before it with "
                    f"the same 'network', {settings.network!r}"
                )
            kinds[settings.name] = settings.network

    def making(self, settings: NetworkSettings) -> dict[str, object]:
        """All that a network comes from but the data; more seeds of it are of the same making."""
        return {
            "network": replace(settings, seeds=()),
            "continues": self.making(self.network(settings.continues)) if settings.continues else None,
            "teachers": [(self.making(teacher), teacher.seeds) for teacher in map(self.network, settings.teachers)],
            "teacher_files": self.teacher_files,
            "folds": (self.folds, self.seed),
            "planned_shape": self.planned_shape,
            "temperature": self.temperature,
        }

    def network(self, name: str) -> NetworkSettings:
        """The network called ``name``.

        Raises:
            SettingsError: there is none.
        """
        for settings in self.networks:
            if settings.name == name:
                return settings
        raise SettingsError(f"the recipe has no network {name!r}; it has {', '.join(n.name for n in self.networks)}")
