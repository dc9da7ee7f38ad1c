"""Pictures of a run: test images with label, teacher and student."""

from __future__ import annotations

import numpy as np

from satsqueeze.bench.drawing.pictures import Case, Panel, pick_cases
from satsqueeze.cli.distill import own_teacher
from satsqueeze.cli.stage import PACKAGES, PLAN, TEACHER
from satsqueeze.core.bands import band_positions
from satsqueeze.core.labels import IGNORE
from satsqueeze.core.run import RunFolder
from satsqueeze.data.stage import Prepared
from satsqueeze.distill.stage import DistillSettings
from satsqueeze.distill.teachers import ModelTeacher
from satsqueeze.flight.opening import open_package
from satsqueeze.flight.outputs.quicklook import true_colour
from satsqueeze.flight.runtime import FlightModel
from satsqueeze.plan.stage import TrainPlan


def worst_and_best(run: RunFolder, prepared: Prepared, chosen: str, *, each: int = 2) -> list[Panel]:
    """The chosen student's worst, typical and best test images, by the Jaccard of its float graph; ``each`` of them."""
    scores = run.result(f"score/{chosen}-fp32")["per_image"]
    names = list(scores)
    student = open_package(run / f"{PACKAGES}/{chosen}", precision="fp32")
    teacher = own_teacher(run, TrainPlan.read(run / PLAN), DistillSettings()) if (run / TEACHER).exists() else None
    return [
        _panel(prepared, names[place], student, teacher, score=scores[names[place]], case=case)
        for place, case in pick_cases([scores[name] for name in names], each=each)
    ]


def _panel(
    prepared: Prepared, name: str, student: FlightModel, teacher: ModelTeacher | None, *, score: float, case: Case
) -> Panel:
    cache = prepared.cache
    place = cache.position(name)
    image, label, valid = cache.image(place), cache.label(place), cache.valid(place)
    answer = None
    if teacher is not None:
        chances = teacher.probabilities(image[band_positions(cache.bands, teacher.bands)])
        answer = np.where(valid, chances.argmax(axis=0), IGNORE).astype(np.uint8)
    return Panel(
        image=true_colour(image, cache.bands).astype(np.uint8),
        label=label,
        student=student.predict(image, cache.bands, valid=valid),
        teacher=answer,
        caption=name,
        score=score,
        case=case,
    )
