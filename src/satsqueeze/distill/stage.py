"""The distillation stage: teachers answer once, then the ladder of students learns from the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.files import read_json, write_json
from satsqueeze.data.cache import PackedCache
from satsqueeze.data.splits import Split
from satsqueeze.distill.ladder import Rung
from satsqueeze.distill.objective import Distillation
from satsqueeze.distill.soft import SoftCache
from satsqueeze.learn.augment import AugmentSettings
from satsqueeze.learn.fit import fit
from satsqueeze.learn.losses import DiceCE
from satsqueeze.learn.settings import FitSettings
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.cost import cost
from satsqueeze.nets.model import build_model, load_model
from satsqueeze.nets.students import StudentCard, student_card, student_for_ratio

LADDER = "ladder.json"


def _student_fit() -> FitSettings:
    return FitSettings(
        epochs=30,
        steps_per_epoch=100,
        batch_size=16,
        patch_size=(128, 128),
        learning_rate=4e-3,
        optimiser="adamw",
        schedule="onecycle",
        weight_decay=1e-2,
        augment=AugmentSettings.geometric(),
    )


@dataclass(frozen=True, kw_only=True)
class DistillSettings:
    """How students learn."""

    students: tuple[str, ...] = ()
    """Names of rungs to train besides the one of the wanted compression, such as unet-8 or lite-16."""
    compression: float = 280.0
    """How many times fewer parameters than the teacher network the main student has."""
    weight: float = 0.5
    """Share of the teacher in the loss, 0 to 1."""
    temperature: float = 2.0
    """Softening of teacher and student."""
    fit: FitSettings = field(default_factory=_student_fit)

    def __post_init__(self) -> None:
        if self.compression < 1:
            raise SettingsError(f"compression must be at least 1, got {self.compression}")


def rungs_for(settings: DistillSettings, teacher: ModelCard, teacher_parameters: int) -> list[StudentCard]:
    """The students to train: the plain and the lite one of the wanted compression, then those asked for by name.

    Raises:
        BudgetError: no student is that small.
        SettingsError: an unknown name.
    """
    sizes = {"in_channels": len(teacher.bands), "classes": len(teacher.classes)}
    main = [
        student_for_ratio(teacher_parameters, 0.97 * settings.compression, **sizes, family=family)
        for family in ("unet", "lite")
    ]
    cards = [*main, *(student_card(name) for name in settings.students)]
    return list({card.name: card for card in cards}.values())


def train_student(
    student: StudentCard,
    like: ModelCard,
    cache: PackedCache,
    split: Split,
    soft: SoftCache | None,
    settings: DistillSettings,
    folder: Path,
) -> Path:
    """Train one student; with ``soft`` None, from labels alone.

    Args:
        student: the network.
        like: teacher card whose bands, classes and scaling the student takes over.
        cache: images and labels.
        split: what to train on, and what to choose the best epoch by.
        soft: teacher outputs for every training item.
        settings: see there.
        folder: where the model goes.
    """
    config = student.fitted(in_channels=len(like.bands), classes=len(like.classes))
    card = replace(like, name=student.name, family="unet", config=config, normalisation="dataset")
    model = build_model(card, seed=settings.fit.seed)
    objective = (
        DiceCE() if soft is None else Distillation(hard=DiceCE(), weight=settings.weight, temperature=settings.temperature)
    )
    return fit(model, cache, split, settings.fit, folder, objective=objective, soft=soft).folder


def measure_rung(student: str, folder: Path, root: Path, *, teacher_parameters: int, side: int) -> Rung:
    """What a trained student costs and scores.

    Args:
        student: name of the rung.
        folder: its model folder.
        root: the run folder, to which the recorded path is relative.
        teacher_parameters: of one teacher network.
        side: height and width in pixels at which costs are counted.
    """
    figures = cost(load_model(folder), height=side, width=side)
    metrics = read_json(folder / "metrics.json")
    return Rung(
        name=student,
        folder=folder.relative_to(root).as_posix(),
        parameters=figures.parameters,
        macs_per_pixel=figures.macs_per_pixel,
        activation_bytes=figures.peak_activation_bytes,
        jaccard=float(metrics["validation"]["jaccard"] or 0.0),
        compression=teacher_parameters / figures.parameters,
        train_minutes=metrics["seconds"] / 60,
    )


def write_ladder(path: Path, rungs: Sequence[Rung], chosen: str) -> None:
    """Write ``ladder.json``."""
    write_json(path, {"chosen": chosen, "rungs": [rung.to_dict() for rung in rungs]})


def read_ladder(path: Path) -> tuple[list[Rung], str]:
    """The rungs and the name of the chosen one.

    Raises:
        RunError: the stage has not finished.
    """
    record = read_json(path)
    return [Rung.from_dict(rung) for rung in record["rungs"]], record["chosen"]
