"""What teachers show the students of a comparison: answers about images, and where in them they look."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from satsqueeze.bench.classes.cell import Cell
from satsqueeze.core.errors import SettingsError
from satsqueeze.core.run import RunFolder
from satsqueeze.data.class_stage import ClassPrepared
from satsqueeze.distill.answers import TeacherAnswers, answer
from satsqueeze.distill.attention import AttentionTransfer
from satsqueeze.distill.attention_layer import feature_layer
from satsqueeze.distill.attention_maps import ask_maps
from satsqueeze.distill.calibration import calibrate_teachers
from satsqueeze.distill.class_objective import ClassDistillation
from satsqueeze.distill.class_teachers import ClassModelTeacher, ClassTeacher
from satsqueeze.nets.card import Task
from satsqueeze.nets.model import SegmentationModel


class ClassTeaching:
    """The teachers of one comparison, who are asked once, whatever the number of students.

    Args:
        prepared: images with their split.
        run: where answers and maps are kept.
        teacher: gives a teacher by its name, trained where it is not.
        say: told what is being done.
    """

    def __init__(
        self,
        prepared: ClassPrepared,
        run: RunFolder,
        teacher: Callable[[str], ClassTeacher],
        say: Callable[[str], None],
    ) -> None:
        self._prepared, self._run, self._teacher, self._say = prepared, run, teacher, say
        self._asked: dict[tuple[str, ...], TeacherAnswers] = {}

    def taught(self, cell: Cell) -> tuple[ClassDistillation, TeacherAnswers]:
        """What a student minimises, and what its teachers say.

        Raises:
            SettingsError: its way has no policy.
            RunError: a teacher that cannot be trained.
        """
        way, rule = cell.way, cell.way.rule()
        if rule is None:
            raise SettingsError(f"the way {way.name!r} has teachers but no policy")
        answers = self._answers(way.teachers)
        if way.pooled:
            answers = TeacherAnswers(answers.folders, answers.cache, pooled=True)
        fitted = calibrate_teachers(answers, self._prepared.split.validation) if way.calibrated else ()
        return ClassDistillation(
            policy=rule,
            temperature=way.temperature,
            label_smoothing=cell.settings.label_smoothing,
            teacher_temperatures=tuple(found.temperature for found in fitted),
            task=cast("Task", self._prepared.cache.task),
            teachers=answers.described,
        ), answers

    def guide(self, cell: Cell, model: SegmentationModel, ids: Sequence[str]) -> AttentionTransfer:
        """What the student's features follow: the attention of its teachers, in the images that it learns from.

        Raises:
            RunError: a teacher that cannot be trained.
        """
        names = cell.way.teachers
        self._say(f"looking with {', '.join(names)}")
        # The recipe refuses teachers that show no features.
        teachers = [one for one in map(self._teacher, names) if isinstance(one, ClassModelTeacher)]
        maps = ask_maps(teachers, self._prepared.cache, ids, self._run / "attention")
        layer = feature_layer(model).name
        return AttentionTransfer(weight=cell.way.attention, layer=layer, maps=maps, teachers=maps.described)

    def _answers(self, names: tuple[str, ...]) -> TeacherAnswers:
        """Of the teachers about training and validation images."""
        if names not in self._asked:
            split, teachers = self._prepared.split, [self._teacher(name) for name in names]
            self._say(f"asking {', '.join(names)}")
            ids = (*split.train, *split.validation)
            self._asked[names] = answer(teachers, self._prepared.cache, ids, self._run / "answers")
        return self._asked[names]
