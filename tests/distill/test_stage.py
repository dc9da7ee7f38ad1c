"""Which students are trained, and what training one leaves."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from satsqueeze.core.errors import BudgetError, RunError, SettingsError
from satsqueeze.core.scaling import Scaling
from satsqueeze.data.splits.split import Split
from satsqueeze.distill.pixel_policy import PixelDistillation
from satsqueeze.distill.soft import teach
from satsqueeze.distill.stage import (
    DistillSettings,
    measure_rung,
    read_ladder,
    rungs_for,
    student_model_card,
    train_student,
    write_ladder,
)
from satsqueeze.learn.settings import FitSettings
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.model import load_model
from satsqueeze.nets.students import parameters_of, plain_student, student_card
from satsqueeze.plan.budget import Budget

from .test_soft import Known

BANDS, CLASSES = ("blue", "green", "red", "nir"), ("clear", "cloud")
TEACHER = ModelCard(
    name="teacher",
    family="unet",
    config=plain_student(8, 4, in_channels=4, classes=2),
    scaling=Scaling(bands=BANDS, mean=(0.3,) * 4, std=(0.2,) * 4),
    bands=BANDS,
    classes=CLASSES,
    foreground=(1,),
    normalisation="image",
)
FIT = FitSettings(
    epochs=1,
    steps_per_epoch=2,
    batch_size=2,
    patch_size=(32, 32),
    optimiser="adamw",
    schedule="onecycle",
    precision="fp32",
)


def names(settings, parameters=2_200_000):
    return [card.name for card in rungs_for(settings, TEACHER, parameters, side=128)]


def test_280_times_fewer_than_two_million_is_the_smallest_unet():
    first, second = names(DistillSettings())
    assert first == "unet-2"
    assert second.startswith("lite-")


def test_each_main_student_is_the_largest_that_meets_the_compression():
    settings = DistillSettings(compression=50)
    for student in rungs_for(settings, TEACHER, 2_200_000, side=128):
        assert 0.95 * 50 <= 2_200_000 / parameters_of(student.fitted(in_channels=4, classes=2)) < 100


def test_a_patch_of_the_teacher_may_be_no_size_for_a_student():
    """Images of 100 px are planned with patches of 112 px, and lite students take multiples of 32."""
    settings = DistillSettings()
    assert rungs_for(settings, TEACHER, 2_200_000, side=112) == rungs_for(settings, TEACHER, 2_200_000, side=128)


def test_further_students_are_added_once():
    assert names(DistillSettings(students=("unet-8", "unet-2")))[2:] == ["unet-8"]
    with pytest.raises(SettingsError, match="unknown student 'nonsense'"):
        names(DistillSettings(students=("nonsense",)))


@pytest.mark.parametrize(
    ("budget", "figure", "limit"),
    [
        (Budget(parameters=20_000), "parameters", 20_000),
        (Budget(macs_per_pixel=1_000), "macs_per_pixel", 1_000),
        (Budget(activation_bytes=1_000_000), "peak_activation_bytes", 1_000_000),
    ],
)
def test_main_students_meet_the_budget(budget, figure, limit):
    from satsqueeze.nets.cost import cost
    from satsqueeze.nets.model import build_model

    settings = DistillSettings(compression=10, budget=budget)
    for student in rungs_for(settings, TEACHER, 2_200_000, side=128):
        figures = cost(build_model(student_model_card(student, TEACHER), seed=0), height=128, width=128)
        assert getattr(figures, figure) <= limit


@pytest.mark.parametrize("settings", [DistillSettings(compression=1e6), DistillSettings(budget=Budget(parameters=100))])
def test_what_no_student_meets_is_refused(settings):
    with pytest.raises(BudgetError, match=r"no student meets the compression of .* from 2200000 parameters.*'lite'"):
        names(settings)


def test_a_student_takes_bands_classes_and_scaling_from_its_teacher():
    card = student_model_card(student_card("unet-4"), TEACHER)
    assert (card.name, card.bands, card.classes, card.scaling) == ("unet-4", BANDS, CLASSES, TEACHER.scaling)
    assert card.normalisation == "dataset"
    assert (card.config.in_channels, card.config.classes) == (4, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"compression": 0.5}, "compression must be at least 1, got 0.5"),
        ({"compression": float("nan")}, "compression must be at least 1"),
        ({"budget": Budget(train_minutes=5)}, "train_minutes limits the teacher's training, not the student"),
        ({"weight": 1.5}, "weight in"),
        ({"temperature": 0}, "temperature > 0"),
        ({"own_teacher": False}, "needs a teacher"),
        ({"combine": "median"}, "cannot be combined by 'median'; did you mean mean"),
        ({"policy": "gatd"}, "unknown weight policy 'gatd'; did you mean gated"),
        ({"policy": "gated"}, "exactly 2 teachers, got 1"),
        ({"policy": "static", "weight": 0.3}, "'combine' and 'weight' would change nothing"),
        ({"policy": "static", "combine": "confidence"}, "'combine' and 'weight' would change nothing"),
    ],
)
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(SettingsError, match=message):
        DistillSettings(**change)


def test_how_teachers_are_combined_counts_in_the_key_only_where_it_is_said():
    """Runs from before there was a choice stay done."""
    plain = {name: value for name, value in asdict(DistillSettings()).items() if name not in ("combine", "policy")}
    assert DistillSettings().key == plain
    assert DistillSettings(combine="confidence").key == {**plain, "combine": "confidence"}
    two = DistillSettings(teachers=("other",), policy="gated")
    assert two.key == {**plain, "teachers": ("other",), "policy": "gated"}
    assert isinstance(two.objective("both"), PixelDistillation)


@pytest.fixture(scope="module")
def split(cache):
    bare = [entry.id for entry in cache.entries if not entry.labelled]
    return Split(train=("labelled/s0", "labelled/s1", "labelled/s2", *bare), validation=("labelled/s3", "labelled/s4"))


def test_a_student_is_trained_with_unlabelled_images_too(cache, split, tmp_path):
    soft = teach([Known()], cache, split.train, tmp_path / "soft")
    settings = DistillSettings(fit=FIT)
    words = {"settings": settings, "folder": tmp_path / "students/unet-2"}
    folder = train_student(student_card("unet-2"), TEACHER, cache, split, **words, soft=soft)
    assert "distillation" in (folder / "history.csv").read_text().splitlines()[0]
    rung = measure_rung("unet-2", folder, tmp_path, teacher_parameters=2_200_000, side=32)
    coarser = measure_rung("unet-2", folder, tmp_path, teacher_parameters=2_200_000, side=28)
    assert coarser == rung, "raised to a multiple of 8"
    assert rung.folder == "students/unet-2"
    assert rung.parameters == parameters_of(load_model(folder).card.config)
    assert rung.compression == pytest.approx(2_200_000 / rung.parameters)
    write_ladder(tmp_path / "ladder.json", [rung], "unet-2")
    assert read_ladder(tmp_path / "ladder.json") == ([rung], "unet-2")


def test_a_student_of_one_teacher_is_not_taken_for_that_of_another(cache, split, tmp_path):
    settings = DistillSettings(fit=FIT)
    words = {"settings": settings, "folder": tmp_path / "student"}
    first = teach([Known("first")], cache, split.train, tmp_path / "soft")
    other = teach([Known("other")], cache, split.train, tmp_path / "soft")
    train_student(student_card("unet-2"), TEACHER, cache, split, **words, soft=first)
    with pytest.raises(RunError, match="holds a finished training with other settings"):
        train_student(student_card("unet-2"), TEACHER, cache, split, **words, soft=other)


def test_from_labels_alone(cache, split, tmp_path):
    folder = train_student(
        student_card("unet-2"),
        TEACHER,
        cache,
        split,
        settings=DistillSettings(fit=FIT),
        folder=tmp_path / "s",
        soft=None,
    )
    assert "distillation" not in (folder / "history.csv").read_text()


def test_a_student_learns_what_only_the_teacher_knows(cache, tmp_path):
    """Without labels, and taught by a known function, a student comes to agree with it."""
    bare = [entry.id for entry in cache.entries if not entry.labelled]
    teacher = Known("bright", of=lambda blue: (blue > 0.35).astype(np.float32))
    soft = teach([teacher], cache, bare, tmp_path / "soft")
    fit = replace(FIT, epochs=2, steps_per_epoch=40, batch_size=4, learning_rate=2e-2, keep="last")
    settings = DistillSettings(fit=fit, weight=1.0)
    split = Split(train=tuple(bare), validation=("labelled/s3", "labelled/s4"))
    words = {"settings": settings, "folder": tmp_path / "student"}
    folder = train_student(student_card("unet-2"), TEACHER, cache, split, **words, soft=soft)
    model, position = load_model(folder), cache.position("labelled/s3")
    image = torch.from_numpy(cache.image(position)[None, :, :40, :32].copy())
    with torch.no_grad():
        mask = model(image).argmax(1)[0].numpy()
    wanted = teacher.probabilities(cache.image(position))[1][:40, :32] > 0.5
    valid = cache.valid(position)[:40, :32]
    assert (mask == wanted)[valid].mean() > 0.95


def test_a_student_of_two_teachers_is_weighed_by_a_policy(cache, tmp_path):
    """Of two teachers, of which one knows nothing, a student comes to agree with the other."""
    bare = [entry.id for entry in cache.entries if not entry.labelled]
    teacher = Known("bright", of=lambda blue: (blue > 0.35).astype(np.float32))
    unsure = Known("unsure", of=lambda blue: np.full_like(blue, 0.5))
    soft = teach([teacher, unsure], cache, bare, tmp_path / "soft", apart=True)
    fit = replace(FIT, epochs=2, steps_per_epoch=40, batch_size=4, learning_rate=2e-2, keep="last")
    settings = DistillSettings(fit=fit, policy="confidence", teachers=("other",))
    split = Split(train=tuple(bare), validation=("labelled/s3", "labelled/s4"))
    words = {"settings": settings, "folder": tmp_path / "student"}
    folder = train_student(student_card("unet-2"), TEACHER, cache, split, **words, soft=soft)
    header, row = (tmp_path / "student/history.csv").read_text().splitlines()[:2]
    shares = dict(zip(header.split(","), row.split(","), strict=True))
    assert float(shares["share_1"]) > 0.8
    assert float(shares["share_2"]) < 0.01
    model, position = load_model(folder), cache.position("labelled/s3")
    with torch.no_grad():
        mask = model(torch.from_numpy(cache.image(position)[None, :, :40, :32].copy())).argmax(1)[0].numpy()
    wanted = teacher.probabilities(cache.image(position))[1][:40, :32] > 0.5
    assert (mask == wanted)[cache.valid(position)[:40, :32]].mean() > 0.95
