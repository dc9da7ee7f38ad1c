"""The distillation stage: teachers answer once, then the ladder of students learns from the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from satsqueeze.core.errors import BudgetError, SettingsError
from satsqueeze.core.files import read_json, write_json
from satsqueeze.core.window import up
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.splits.split import Split
from satsqueeze.distill.combination import Combination, check_combination
from satsqueeze.distill.ladder import NEARLY, Rung
from satsqueeze.distill.objective import Distillation
from satsqueeze.distill.pixel_policy import PixelDistillation
from satsqueeze.distill.soft import SoftCache
from satsqueeze.distill.teachers import Asking
from satsqueeze.distill.weighting import policy_named
from satsqueeze.learn.augment.patches import AugmentSettings
from satsqueeze.learn.fit import fit
from satsqueeze.learn.losses import DiceCE
from satsqueeze.learn.settings import FitSettings
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.cost import Cost, cost
from satsqueeze.nets.model import SegmentationModel, build_model, load_model
from satsqueeze.nets.students import StudentCard, StudentFamily, student_card, student_for
from satsqueeze.plan.budget import Budget

LADDER = "ladder.json"
FAMILIES: tuple[StudentFamily, ...] = ("unet", "lite")


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
    """Who teaches whom, and how students learn."""

    teachers: tuple[str, ...] = ()
    """Teachers besides the run's own ensemble: run folders, model folders, or ONNX files with their contracts."""
    own_teacher: bool = True
    """Whether the run's own fold ensemble teaches."""
    asking: Asking = field(default_factory=Asking)
    """How teachers are asked."""
    combine: Combination = "mean"
    """How several teachers become one in every pixel: by their `mean`, or weighted by their `confidence` there."""
    policy: str = ""
    """How labels and teachers are weighed while students learn: `static`, `gated` (the published rule, for exactly two
    teachers), `confidence`, `entropy` or `margin`; by default they become one as `combine` says and have `weight`."""
    students: tuple[str, ...] = ()
    """Names of rungs to train besides those of the wanted compression, such as unet-8 or lite-16."""
    compression: float = 280.0
    """How many times fewer parameters than one network of the teacher the main students have."""
    budget: Budget = field(default_factory=Budget)
    """Limits on the student that is chosen; ``train_minutes`` is the teacher's and refused here."""
    weight: float = 0.5
    """Share of the teacher in the loss, 0 to 1."""
    temperature: float = 2.0
    """Softening of teacher and student."""
    fit: FitSettings = field(default_factory=_student_fit)
    """Training of every student."""

    def __post_init__(self) -> None:
        if not self.compression >= 1:
            raise SettingsError(f"compression must be at least 1, got {self.compression}")
        if self.budget.train_minutes is not None:
            raise SettingsError(
                f"train_minutes limits the teacher's training, not the student that is chosen; got "
                f"{self.budget.train_minutes:g} in 'budget' of the students; leave it out, or give it to the plan"
            )
        if not (self.teachers or self.own_teacher):
            raise SettingsError("distillation needs a teacher; name some in 'teachers' or keep 'own_teacher'")
        check_combination(self.combine)
        self._check_policy()
        Distillation(hard=DiceCE(), weight=self.weight, temperature=self.temperature)

    @property
    def key(self) -> dict[str, Any]:
        """What was asked for, in the form that runs from before later settings have; teachers are named by path."""
        record = asdict(self)
        if self.combine == "mean":
            del record["combine"]
        if not self.policy:
            del record["policy"]
        return record

    def _check_policy(self) -> None:
        if not self.policy:
            return
        if self.combine != "mean" or self.weight != DistillSettings.weight:
            raise SettingsError(
                f"the policy '{self.policy}' weighs labels and teachers itself, so that 'combine' and 'weight' would "
                "change nothing; leave them out"
            )
        # Asked about one pixel, so that a wrong number of teachers is not found out after their answers.
        teachers = len(self.teachers) + self.own_teacher
        policy_named(self.policy, teachers=teachers)(torch.zeros(1, teachers, 2), self.temperature)

    def objective(self, teachers: str) -> Distillation | PixelDistillation:
        """What a student minimises.

        Args:
            teachers: who answered, for the record.
        """
        if not self.policy:
            return Distillation(hard=DiceCE(), weight=self.weight, temperature=self.temperature, teachers=teachers)
        policy = policy_named(self.policy, teachers=len(self.teachers) + self.own_teacher)
        return PixelDistillation(policy=policy, temperature=self.temperature, teachers=teachers)


def rungs_for(settings: DistillSettings, like: ModelCard, teacher_parameters: int, *, side: int) -> list[StudentCard]:
    """The students to train: of each family the largest that meets compression and budget, then those asked for.

    Args:
        settings: see there.
        like: teacher card whose bands and classes the students take over.
        teacher_parameters: of one network of the teacher.
        side: height and width in pixels at which activations are counted, raised to what a student takes.

    Raises:
        BudgetError: no student is that small.
        SettingsError: an unknown name.
    """
    limit = int(teacher_parameters / (NEARLY * settings.compression))
    found: list[StudentCard] = []
    reasons: list[str] = []
    for family in FAMILIES:
        try:
            found.append(_largest(family, limit, settings.budget, like, side=side))
        except BudgetError as error:
            reasons.append(str(error))
    if not found:
        raise BudgetError(
            f"no student meets the compression of {settings.compression:g} from {teacher_parameters} parameters and "
            f"the budget: {'; '.join(reasons)}"
        )
    cards = [*found, *(student_card(name) for name in settings.students)]
    return list({card.name: card for card in cards}.values())


def _largest(family: StudentFamily, limit: int, budget: Budget, like: ModelCard, *, side: int) -> StudentCard:
    limit = min(limit, budget.parameters or limit)
    above = ""
    while True:
        try:
            student = student_for(limit, in_channels=len(like.bands), classes=len(like.classes), family=family)
        except BudgetError as error:
            # Where larger ones were tried, it is not for their parameters that none is left.
            raise BudgetError(above or str(error)) from error
        figures = _figures(build_model(student_model_card(student, like), seed=0), side)
        rung = rung_of(student.name, figures)
        exceeded = rung.exceeded(budget)
        if not exceeded:
            return student
        least = ", ".join(f"{getattr(rung, name):g} {name}, above {getattr(budget, name):g}" for name in exceeded)
        above = f"the smallest student of family '{family}', {student.name}, has {least}. Raise the limit"
        limit = figures.parameters - 1


def _figures(model: SegmentationModel, side: int) -> Cost:
    # The patch of a shallower teacher may be no size for a student.
    side = up(side, model.size_multiple)
    return cost(model, height=side, width=side)


def student_model_card(student: StudentCard, like: ModelCard) -> ModelCard:
    """The card of a student with the bands, classes and scaling of its teacher."""
    config = student.fitted(in_channels=len(like.bands), classes=len(like.classes))
    return replace(like, name=student.name, family="unet", config=config, normalisation="dataset")


def train_student(
    student: StudentCard,
    like: ModelCard,
    cache: PackedCache,
    split: Split,
    *,
    settings: DistillSettings,
    folder: Path,
    soft: SoftCache | None,
) -> Path:
    """Train one student; with ``soft`` None, from labels alone.

    Args:
        student: the network.
        like: teacher card whose bands, classes and scaling the student takes over.
        cache: images and labels.
        split: what to train on, and what to choose the best epoch by.
        settings: see there.
        folder: where the model goes.
        soft: teacher outputs for every training item.

    Raises:
        TrainError: see :func:`satsqueeze.learn.fit.fit`.
    """
    model = build_model(student_model_card(student, like), seed=settings.fit.seed)
    objective = DiceCE() if soft is None else settings.objective(soft.teachers)
    return fit(model, cache, split, settings.fit, folder, objective=objective, soft=soft).folder


def rung_of(name: str, figures: Cost, **measured: Any) -> Rung:
    """A rung of which only the cost is known, or also what was measured."""
    unknown: dict[str, Any] = {"folder": "", "jaccard": 0.0, "compression": 0.0, "train_minutes": 0.0}
    return Rung(
        name=name,
        parameters=figures.parameters,
        macs_per_pixel=figures.macs_per_pixel,
        activation_bytes=figures.peak_activation_bytes,
        **{**unknown, **measured},
    )


def measure_rung(student: str, folder: Path, root: Path, *, teacher_parameters: int, side: int) -> Rung:
    """What a trained student costs and scores.

    Args:
        student: name of the rung.
        folder: its model folder.
        root: the run folder, to which the recorded path is relative.
        teacher_parameters: of one teacher network.
        side: height and width in pixels at which costs are counted, raised to what the student takes.
    """
    figures = _figures(load_model(folder), side)
    metrics = read_json(folder / "metrics.json")
    return rung_of(
        student,
        figures,
        folder=folder.relative_to(root).as_posix(),
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
