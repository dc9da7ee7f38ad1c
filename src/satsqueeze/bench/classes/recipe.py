"""A recipe: the data, the teachers, the students and the ways of teaching that are compared, as read from YAML."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import torch

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.names import meant, require_folder_names, require_seeds
from satsqueeze.data.class_stage import ClassPrepareSettings
from satsqueeze.distill.weighting import Policy, policy_named
from satsqueeze.export.settings import ClassExportSettings
from satsqueeze.learn.class_settings import ClassFitSettings
from satsqueeze.nets.zoo import zoo_card

ALONE = "none"
Side = Literal["train", "train+validation"]


class _Named(Protocol):
    @property
    def name(self) -> str: ...


Part = TypeVar("Part", bound=_Named)


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network that is trained."""

    name: str
    model: str
    """A name of the zoo."""
    fit: ClassFitSettings
    """The budget of a cell of the table, or of a teacher. Its seed is one of ``seeds``, and whatever ``keep`` says, the
    last weights are kept: no held image may choose any."""
    dropout: float = 0.0
    seeds: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        if self.fit.seed and self.seeds != (self.fit.seed,):
            raise SettingsError(
                f"{self.name} has the seed {self.fit.seed} in its fit, where the seeds {list(self.seeds)} would "
                "replace it; name it in 'seeds' instead"
            )


@dataclass(frozen=True, kw_only=True)
class TrainedNetwork(Network):
    """A teacher, trained from labels alone; with several seeds, their mean teaches."""


@dataclass(frozen=True, kw_only=True)
class GivenTeacher:
    """A teacher that exists already."""

    name: str
    path: Path
    """An ONNX file with its contract beside it, a model folder, or a folder of these, whose mean teaches."""


@dataclass(frozen=True, kw_only=True)
class StudentNetwork(Network):
    """A network that is taught in every way."""

    seeds: tuple[int, ...] = (0, 1, 2)
    long: ClassFitSettings | None = None
    """The run whose weights are shipped, with seed 0; None: as a cell."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.long is not None and self.long.seed:
            raise SettingsError(
                f"{self.name} has the seed {self.long.seed} for its long run, which has the seed 0; leave it out"
            )


@dataclass(frozen=True, kw_only=True)
class Way:
    """How students are taught."""

    name: str
    policy: str = ALONE
    """``none`` for labels alone, or a weight policy: static, gated, confidence, entropy, margin."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Fields of the policy that are not as by default, such as ``{hard: 0.3}`` or ``{shares: [0.2, 0.6]}``."""
    teachers: tuple[str, ...] = ()
    temperature: float = 4.0
    label_smoothing: float | None = None
    """None: that of the training's settings."""
    calibrated: bool = False
    """Divide each teacher's logits by the temperature that suits the validation images."""
    pooled: bool = False
    """Teach every view of an image with the mean of the teacher's answers about its eight views."""
    attention: float = 0.0
    """Weight of the distance between the attention maps of student and teachers; 0 = off."""

    def __post_init__(self) -> None:
        if (self.policy == ALONE) != (not self.teachers):
            raise SettingsError(
                f"the way {self.name!r} has policy {self.policy!r} and the teachers "
                f"{', '.join(self.teachers) or 'none'}; expected policy 'none' without teachers, or a policy with at "
                "least one"
            )
        if len(set(self.teachers)) < len(self.teachers):
            raise SettingsError(f"the way {self.name!r} names a teacher twice: {', '.join(self.teachers)}")
        if not 0 < self.temperature < math.inf:
            raise SettingsError(f"the way {self.name!r} has temperature {self.temperature}; expected one above 0")
        if not 0 <= self.attention < math.inf or (self.attention and not self.teachers):
            raise SettingsError(
                f"the way {self.name!r} has attention {self.attention} and the teachers "
                f"{', '.join(self.teachers) or 'none'}; expected a weight >= 0, and teachers where it is not 0"
            )
        if not self.teachers:
            self._refuse_idle()
        rule = self.rule()
        if rule is not None:
            self._try_out(rule)

    def _try_out(self, rule: Policy) -> None:
        """Ask about one image, so that a wrong number of teachers is not found out after their training."""
        try:
            rule(torch.zeros(1, len(self.teachers), 2), self.temperature)
        except SettingsError as error:
            raise SettingsError(f"the way {self.name!r}: {error}") from error

    def _refuse_idle(self) -> None:
        """Refuse what only teachers give a meaning."""
        idle = [name for name in ("temperature", "calibrated", "pooled") if getattr(self, name) != getattr(Way, name)]
        idle += ["settings"] if self.settings else []
        if idle:
            raise SettingsError(
                f"the way {self.name!r} has no teachers, without which {', '.join(idle)} would change nothing; leave "
                "that out, or name a policy and teachers"
            )

    def rule(self) -> Policy | None:
        """What weighs labels and teachers; None without teachers.

        Raises:
            SettingsError: an unknown policy, or settings that it does not have or cannot take.
        """
        if self.policy == ALONE:
            return None
        plain: Any = policy_named(self.policy, teachers=len(self.teachers))
        values = {key: tuple(value) if isinstance(value, list) else value for key, value in self.settings.items()}
        try:
            chosen: Policy = replace(plain, **values)
        except TypeError as error:
            raise SettingsError(
                f"the way {self.name!r}: {error}; the policy {self.policy!r} is {plain} by default"
            ) from error
        return chosen


@dataclass(frozen=True, kw_only=True)
class ClassRecipe:
    """What is compared: students x ways of teaching x seeds."""

    images: ClassPrepareSettings
    """The data set and its split."""
    teachers: tuple[TrainedNetwork, ...] = ()
    given: tuple[GivenTeacher, ...] = ()
    """Teachers that are not trained here."""
    students: tuple[StudentNetwork, ...]
    ways: tuple[Way, ...]
    baseline: str = "alone"
    """The way with which the others are compared image by image."""
    long_on: Side = "train"
    """Images of the long run. Validation images then still judge int8, though the weights saw them."""
    export: ClassExportSettings = field(default_factory=ClassExportSettings)

    def __post_init__(self) -> None:
        names = self.names
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SettingsError(f"teachers, students and ways need different names; repeated: {', '.join(twice)}")
        require_folder_names(names)
        self.way(self.baseline)
        for way in self.ways:
            for teacher in map(self.teacher, way.teachers):
                if way.attention:
                    _check_attention(way, teacher)
            if way.attention:
                _check_guided(way, self.students)
        for network in self.networks:
            require_seeds(network.seeds, of=network.name)

    @property
    def networks(self) -> tuple[Network, ...]:
        """Teachers and students."""
        return (*self.teachers, *self.students)

    @property
    def names(self) -> tuple[str, ...]:
        """Of teachers, students and ways."""
        teachers = (*(network.name for network in self.networks), *(teacher.name for teacher in self.given))
        return (*teachers, *(way.name for way in self.ways))

    def teacher(self, name: str) -> TrainedNetwork | GivenTeacher:
        """The teacher called ``name``.

        Raises:
            SettingsError: there is none; the message names the closest.
        """
        known: tuple[TrainedNetwork | GivenTeacher, ...] = (*self.teachers, *self.given)
        return _named(known, name, "teacher")

    def student(self, name: str) -> StudentNetwork:
        """The student called ``name``; see :meth:`teacher`."""
        return _named(self.students, name, "student")

    def way(self, name: str) -> Way:
        """The way called ``name``; see :meth:`teacher`."""
        return _named(self.ways, name, "way of teaching")

    def chosen(
        self, only: Sequence[str]
    ) -> tuple[tuple[TrainedNetwork, ...], tuple[StudentNetwork, ...], tuple[Way, ...]]:
        """The parts that names ask for.

        Nothing named is everything. Students alone are taught in all ways, and ways alone are for all students; with
        teachers alone, no student is trained.

        Raises:
            SettingsError: an unknown name; the message names the closest.
        """
        for name in only:
            if name not in self.names:
                raise SettingsError(f"the recipe has no {name!r}; {_hint(name, self.names)}")
        if not only:
            return self.teachers, self.students, self.ways
        teachers = tuple(part for part in self.teachers if part.name in only)
        students = tuple(part for part in self.students if part.name in only)
        ways = tuple(part for part in self.ways if part.name in only)
        if students or ways:
            return teachers, students or self.students, ways or self.ways
        return teachers, (), ()


def _check_attention(way: Way, teacher: TrainedNetwork | GivenTeacher) -> None:
    """Refuse a teacher that is known to show no features of the image that it looks at."""
    if isinstance(teacher, GivenTeacher):
        if teacher.path.suffix == ".onnx":
            raise SettingsError(
                f"the way {way.name!r} has attention, but {teacher.name} is an ONNX file, which shows no features; "
                "name a teacher that is trained, or a model folder"
            )
    elif zoo_card(teacher.model).averages_views:
        raise SettingsError(
            f"the way {way.name!r} has attention, but {teacher.name} is a {teacher.model}, which averages views of an "
            "image and shows no features of one; name a teacher of another network, or set attention to 0"
        )


def _check_guided(way: Way, students: Iterable[StudentNetwork]) -> None:
    """Refuse trainings that cannot look at one image's features, before the teachers are trained and asked."""
    for student in students:
        for fit in (student.fit, student.long or student.fit):
            if fit.compile or fit.augment.mixup:
                raise SettingsError(
                    f"the way {way.name!r} has attention, for which {student.name} cannot be compiled, nor trained on "
                    "mixed images; set compile to false and augment.mixup to 0 in its fit, or attention to 0"
                )


def _named(parts: Iterable[Part], name: str, kind: str) -> Part:
    known = {part.name: part for part in parts}
    if name not in known:
        raise SettingsError(f"the recipe has no {kind} {name!r}; {_hint(name, tuple(known))}")
    return known[name]


def _hint(name: str, known: Sequence[str]) -> str:
    return f"{meant(name, known)}it has {', '.join(known) or 'none'}"
