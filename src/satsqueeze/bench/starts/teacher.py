"""The teacher of a comparison of starts: a larger network learns from the same few labels and answers for the rest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from satsqueeze.bench.starts.recipe import InitRecipe
from satsqueeze.core.errors import SettingsError
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.distill.known import Known
from satsqueeze.distill.objective import Distillation
from satsqueeze.distill.soft import teach
from satsqueeze.distill.teachers import ModelTeacher
from satsqueeze.learn.losses import DiceCE
from satsqueeze.nets.model import load_model

TEMPERATURE = 1.0
"""Certain labels and answers alike are learnt as they are."""


def teacher_recipe(recipe: InitRecipe) -> InitRecipe:
    """The comparison whose one start, pre-trained at home, makes the teachers of a recipe that names one.

    Raises:
        SettingsError: it names none.
    """
    if recipe.teach is None:
        raise SettingsError("a recipe needs 'teach', the training of its teacher, to have one; add it")
    return replace(
        recipe, model=recipe.teacher, fit=recipe.teach, rates=(recipe.teach.learning_rate,), starts=("same-region",)
    )


def answers_of(teacher: Path, cache: PackedCache, ids: tuple[str, ...], labelled: tuple[str, ...], run: Path) -> Known:
    """What is known of some images: labels, and answers of a trained teacher, which are kept in the run folder."""
    model = ModelTeacher("teacher", [load_model(teacher)], window=256)
    return Known(teach([model], cache, ids, run / "soft"), cache, labelled)


def distilling(known: Known) -> Distillation:
    """The objective that learns from what is known alone."""
    return Distillation(hard=DiceCE(), weight=1.0, temperature=TEMPERATURE, teachers=known.described)
