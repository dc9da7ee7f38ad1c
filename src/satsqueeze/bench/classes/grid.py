"""Students x ways of teaching x seeds on one data set, resumable at every training.

Networks learn from the training images alone and keep their last weights, so that nothing in a cell is chosen by a held
image: validation images stay for the calibration of teachers and for choosing recipes, and test images are scored once,
when a training ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np

from satsqueeze.bench.classes.cell import HELD, RECORD, Cell
from satsqueeze.bench.classes.distillation_figure import draw_distillation
from satsqueeze.bench.classes.held import HeldAnswers, HeldTruth
from satsqueeze.bench.classes.paired import Paired, mcnemar
from satsqueeze.bench.classes.recipe import (
    ClassRecipe,
    GivenTeacher,
    Network,
    Side,
    StudentNetwork,
    TrainedNetwork,
    Way,
)
from satsqueeze.bench.classes.row import (
    GridRow,
    mean_metrics,
    metrics_of,
    metrics_spread,
)
from satsqueeze.bench.classes.teaching import ClassTeaching
from satsqueeze.bench.drawing.curves import CURVES_FILE
from satsqueeze.bench.history import FILE, read_history
from satsqueeze.bench.row_file import write_rows
from satsqueeze.core.errors import RunError, SatsqueezeError, SplitError
from satsqueeze.core.files import write_json
from satsqueeze.core.run import RunFolder, fingerprint_of
from satsqueeze.data.class_stage import ClassPrepared, prepare_classes
from satsqueeze.data.splits.split import Split
from satsqueeze.distill.class_teachers import ClassModelTeacher, ClassTeacher, open_class_teacher
from satsqueeze.learn.class_stage import classifier_card
from satsqueeze.learn.fit_classifier import fit_classifier
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.classifier import ClassifierConfig
from satsqueeze.nets.cost import Cost, cost
from satsqueeze.nets.model import build_model, load_model
from satsqueeze.nets.zoo import zoo_card

ROWS, SHIPPED = "grid.jsonl", "shipped.jsonl"


class ClassGrid:
    """One comparison, kept in a run folder.

    Args:
        recipe: what to compare.
        run: where everything is kept.
        say: told what is being done, and each score.

    Raises:
        SettingsError: a network that the zoo does not have.
    """

    def __init__(self, recipe: ClassRecipe, run: RunFolder, say: Callable[[str], None] = print) -> None:
        for network in recipe.networks:
            zoo_card(network.model)
        self.recipe, self.run, self.say = recipe, run, say
        self._costs: dict[str, Cost] = {}
        self._given: dict[Path, str] = {}
        self.failures: dict[str, str] = {}
        """Why trainings failed, by their titles."""

    @cached_property
    def prepared(self) -> ClassPrepared:
        """Packed images with their split, which is written to the run folder.

        Raises:
            SplitError: validation or test images are lacking.
        """
        prepared = prepare_classes(self.recipe.images, self.run)
        if not prepared.split.validation or not prepared.split.test:
            raise SplitError("a comparison needs validation and test images; give both parts of the split a share")
        return prepared

    @cached_property
    def truth(self) -> HeldTruth:
        """The right answers for validation and test images."""
        return HeldTruth(self.prepared)

    @cached_property
    def _teaching(self) -> ClassTeaching:
        return ClassTeaching(self.prepared, self.run, self._teacher, self.say)

    @cached_property
    def _data_key(self) -> str:
        return fingerprint_of(self.prepared.key)

    def execute(self, only: Sequence[str] = ()) -> tuple[GridRow, ...]:
        """Train and score what is missing; returns a row for all that has been scored, now or before.

        A training that fails is told and noted in ``failures``, the others go on; it is tried again the next time.

        Args:
            only: names of teachers, students or ways; see :meth:`ClassRecipe.chosen`. Teachers that a way needs are
                trained, too.

        Raises:
            SettingsError: an unknown name.
            RunError: a training was made with other settings; nothing is trained then.
        """
        cells = self._chosen(only)
        self._refuse_others(cells)
        self.failures.clear()
        for cell in cells:
            self._attempt(cell)
            write_rows(self.run / ROWS, self.rows())
        rows = self.rows()
        write_rows(self.run / ROWS, rows)
        return rows

    def _chosen(self, only: Sequence[str]) -> list[Cell]:
        """Trainings that names ask for: teachers, then students."""
        teachers, students, ways = self.recipe.chosen(only)
        taught = [
            self.student_cell(student, way, seed)
            # Seeds outermost, so that a table of one seed is there early.
            for seed in sorted({seed for student in students for seed in student.seeds})
            for student in students
            if seed in student.seeds
            for way in ways
        ]
        return [*(cell for teacher in teachers for cell in self.teacher_cells(teacher)), *taught]

    def _refuse_others(self, cells: Sequence[Cell]) -> None:
        """Refuse what was trained otherwise, and teachers that are not there, before any network is trained."""
        names = dict.fromkeys(name for cell in cells for name in cell.way.teachers)
        taught_by = [self.recipe.teacher(name) for name in names]
        for teacher in taught_by:
            self._making(teacher)  # opens the given ones
        trained = [teacher for teacher in taught_by if isinstance(teacher, TrainedNetwork)]
        for cell in (*cells, *(cell for teacher in trained for cell in self.teacher_cells(teacher))):
            self._is_done(cell)

    def _attempt(self, cell: Cell) -> None:
        """Train and score, once in a call of the comparison; what goes wrong is noted."""
        if cell.title in self.failures:
            return
        try:
            self.train(cell)
        except SatsqueezeError as error:
            self.failures[cell.title] = f"{type(error).__name__}: {error}"
            self.say(f"{cell.title} failed: {self.failures[cell.title]}")

    def teacher_cells(self, teacher: TrainedNetwork) -> list[Cell]:
        """The trainings of a teacher."""
        home = self.run / "teachers" / teacher.name
        return [
            Cell(network=teacher, seed=seed, place=home / f"seed_{seed}", fit=teacher.fit) for seed in teacher.seeds
        ]

    def student_cell(self, student: StudentNetwork, way: Way, seed: int) -> Cell:
        """One cell of the table."""
        place = self.run / "students" / student.name / way.name / f"seed_{seed}"
        return Cell(network=student, way=way, seed=seed, place=place, fit=student.fit)

    def train(self, cell: Cell) -> None:
        """Train a network and score it, unless that is done; what teachers did is drawn beside its history.

        Raises:
            RunError: it was done with other settings.
        """
        if self._is_done(cell):
            return
        self.say(f"training {cell.title}")
        model = build_model(self.card(cell.network), seed=cell.seed)
        # Only the loss on labels reads the smoothing from the settings; distillation has it in its objective.
        objective, answers = self._teaching.taught(cell) if cell.way.teachers else (None, None)
        ids = self.learnt_from(cell.side)
        guide = self._teaching.guide(cell, model, ids) if cell.way.attention else None
        result = fit_classifier(
            model,
            self.prepared.cache,
            Split(train=ids, validation=()),
            cell.settings,
            cell.place,
            objective=objective,
            answers=answers,
            guide=guide,
        )
        held = HeldAnswers.of(model, self.prepared)
        held.write(cell.place / HELD)
        found = {
            "validation": metrics_of(self.truth.validation(held)),
            "test": metrics_of(self.truth.test(held)),
        }
        record = {
            "fingerprint": self._fingerprint(cell),
            "way": cell.way.name,
            "epochs": result.epochs,
            "seconds": result.seconds,
            "images_per_second": result.images_per_second,
            **found,
        }
        write_json(cell.place / RECORD, record)
        scores = ", ".join(f"{name} {value['accuracy'] or 0:.4f}" for name, value in found.items())
        if cell.way.teachers:
            history = read_history(cell.place / FILE)
            draw_distillation(history, cell.place / CURVES_FILE, teachers=cell.way.teachers)
        self.say(f"{cell.title}: accuracy {scores}, {result.seconds / 60:.1f} min")

    def learnt_from(self, side: Side) -> tuple[str, ...]:
        """Images of a side."""
        split = self.prepared.split
        return split.train if side == "train" else (*split.train, *split.validation)

    def card(self, network: Network) -> ModelCard:
        """What a network of the recipe is, on this data."""
        return classifier_card(network.model, self.prepared, dropout=network.dropout, name=network.name)

    def cost(self, network: Network) -> Cost:
        """What it costs at the size of the images."""
        if network.name not in self._costs:
            card = self.card(network)
            side = cast("ClassifierConfig", card.config).size
            self._costs[network.name] = cost(build_model(card, seed=0), height=side, width=side)
        return self._costs[network.name]

    def rows(self) -> tuple[GridRow, ...]:
        """Teachers, then students in all ways that have been scored, then what was shipped."""
        found = [self._row(self.teacher_cells(teacher), "teacher") for teacher in self.recipe.teachers]
        found += [
            self._row([self.student_cell(student, way, seed) for seed in student.seeds], "student")
            for student in self.recipe.students
            for way in self.recipe.ways
        ]
        return (*(row for row in found if row is not None), *GridRow.read(self.run / SHIPPED))

    def _row(self, cells: Sequence[Cell], kind: Any) -> GridRow | None:
        done = [cell for cell in cells if self._is_valid(cell)]
        if not done:
            return None
        records, network, way = [cell.record for cell in done], done[0].network, done[0].way
        figures, paired = self.cost(network), self._paired(done)
        return GridRow(
            name=network.name,
            kind=kind,
            way="" if done[0].is_teacher else way.name,
            teachers=way.teachers,
            model=network.model,
            test=mean_metrics([record["test"] for record in records]),
            test_spread=metrics_spread([record["test"] for record in records]),
            validation=mean_metrics([record["validation"] for record in records]),
            seeds=tuple(cell.seed for cell in done),
            images=len(self.prepared.split.test),
            versus=self.recipe.baseline if paired else "",
            paired=paired,
            parameters=figures.parameters,
            macs=figures.macs,
            size=figures.height,
            epochs=records[0]["epochs"],
            train_minutes=float(np.mean([record["seconds"] for record in records])) / 60,
            train_images_per_second=float(np.mean([record["images_per_second"] for record in records])),
        )

    def _paired(self, done: Sequence[Cell]) -> Paired | None:
        """A student's cells against the baseline's of the same seeds."""
        network, way = done[0].network, done[0].way
        baseline = self.recipe.way(self.recipe.baseline)
        if not isinstance(network, StudentNetwork) or way == baseline:
            return None
        ours, theirs = [], []
        for cell in done:
            other = self.student_cell(network, baseline, cell.seed)
            if self._is_valid(other):
                ours.append(self.truth.right(HeldAnswers.read(cell.place / HELD)))
                theirs.append(self.truth.right(HeldAnswers.read(other.place / HELD)))
        return mcnemar(np.concatenate(ours), np.concatenate(theirs)) if ours else None

    def _teacher(self, name: str) -> ClassTeacher:
        """As given, or as trained, now or before."""
        found = self.recipe.teacher(name)
        if isinstance(found, GivenTeacher):
            return open_class_teacher(found.path)
        cells = self.teacher_cells(found)
        for cell in cells:
            self._attempt(cell)
            if cell.title in self.failures:
                raise RunError(f"the teacher {cell.title} failed ({self.failures[cell.title]}); mend it first")
        return ClassModelTeacher(name, [load_model(cell.place) for cell in cells])

    def _fingerprint(self, cell: Cell) -> str:
        """Of all that the scores depend on."""
        taught = [self._making(self.recipe.teacher(name)) for name in cell.way.teachers]
        return fingerprint_of([self._data_key, cell.key, taught])

    def _making(self, teacher: TrainedNetwork | GivenTeacher) -> list[object]:
        """What a teacher's answers depend on, besides the data; a given one is opened once, not for every cell."""
        if isinstance(teacher, GivenTeacher):
            if teacher.path not in self._given:
                self._given[teacher.path] = open_class_teacher(teacher.path).fingerprint
            return [self._given[teacher.path]]
        return [teacher.model, teacher.dropout, teacher.seeds, teacher.fit.to_dict()]

    def _is_valid(self, cell: Cell) -> bool:
        """Whether it has been trained and scored as the recipe says."""
        return cell.record.get("fingerprint") == self._fingerprint(cell)

    def _is_done(self, cell: Cell) -> bool:
        if cell.record and not self._is_valid(cell):
            raise RunError(
                f"{cell.place} holds {cell.title} trained with other settings, data or teachers than the recipe's; "
                "remove the folder to train it anew, or choose another --out"
            )
        return bool(cell.record)
