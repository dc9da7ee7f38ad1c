"""Starts of students of two sizes, distilled ones among them, on a tiny generated country."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import yaml

from satsqueeze.bench.starts.grid import InitGrid
from satsqueeze.bench.starts.recipe import InitRecipe
from satsqueeze.bench.starts.row import InitRow
from satsqueeze.bench.starts.students import StudentsRecipe, compare_students, draw_students, students_table
from satsqueeze.bench.starts.teacher import distilling, teacher_recipe
from satsqueeze.bench.tables import make_tables
from satsqueeze.cli.main import main
from satsqueeze.core.errors import DataError, SettingsError
from satsqueeze.core.run import RunFolder
from satsqueeze.distill.known import Known

from .test_grid import FIT, TINY

STARTS = ("random", "same-region", "distilled", "same-region-distilled")
RECIPE = replace(TINY, starts=STARTS, fractions=(0.5,), rates=(0.01,), teacher="unet-4", teach=FIT)
MODELS = ("unet-2", "unet-6")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("students") / "run"
    said = []
    return folder, compare_students(RECIPE, MODELS, RunFolder(folder), said.append), said


def grid_in(folder, recipe=RECIPE):
    return InitGrid(
        recipe, RunFolder(folder / "students/unet-2"), lambda _: None, regions=folder / "regions",
        teachers=folder / "teachers",
    )  # fmt: skip


def test_every_student_has_every_start(done):
    folder, rows, _ = done
    assert [(row.model, row.start, row.seed) for row in rows] == [
        (model, start, seed) for model in MODELS for start in STARTS for seed in (0, 1)
    ]
    assert {row.labels for row in rows} == {2}
    assert [rows[0].parameters, rows[-1].parameters] == sorted({row.parameters for row in rows})
    assert {row.source for row in rows if row.start == "same-region-distilled"} == {"alba"}
    assert {row.source for row in rows if row.start == "distilled"} == {""}
    trained = list((folder / "teachers/trials").glob("**/metrics.json"))
    assert len(trained) == len(RECIPE.seeds), "one teacher per draw of labels, for all students"


def test_a_second_call_trains_nothing(done):
    folder, rows, _ = done
    said = []
    assert compare_students(RECIPE, MODELS, RunFolder(folder), said.append) == rows
    assert said == list(MODELS)


def test_students_of_another_teacher_are_others(done):
    folder, _, _ = done
    grid = grid_in(folder)
    first, second = (grid.answers("alba", 0.5, seed) for seed in (0, 1))
    assert first.described == grid.answers("alba", 0.5, 0).described
    assert first.described != second.described
    assert first.described in repr(distilling(first))


@pytest.mark.parametrize("start", ["same-region", "distilled", "same-region-distilled"])
def test_what_a_pre_training_saw_tells_rows_apart(done, start):
    folder, _, _ = done
    few = grid_in(folder, replace(RECIPE, unlabelled=0.5))
    assert few._fingerprint("alba", start, 0.5, 0) != grid_in(folder)._fingerprint("alba", start, 0.5, 0)


def test_a_teacher_answers_for_images_whose_labels_stay_unseen(done):
    folder, _, _ = done
    grid = grid_in(folder)
    known, land = grid.answers("alba", 0.5, 0), grid.land("alba")
    assert isinstance(known, Known)
    assert known.labelled == set(land.drawn(0.5, 0))
    assert set(known.answers.record["files"]) == set(land.split.train)
    assert known.labelled < set(land.split.train)


def test_hidden_labels_do_not_draw_patches(done):
    folder, _, _ = done
    assert FIT.foreground_share > 0
    told = {path: json.loads(path.read_text())["settings"] for path in (folder / "students").glob("**/metrics.json")}
    assert {settings["foreground_share"] for path, settings in told.items() if "distilled" in str(path)} == {0.0}


def test_a_teacher_changes_what_is_learnt(done):
    _, rows, _ = done
    test = {start: [row.test for row in rows if (row.model, row.start) == ("unet-2", start)] for start in STARTS}
    assert not np.array_equal(test["random"], test["distilled"])
    assert not np.array_equal(test["distilled"], test["same-region-distilled"])


@pytest.mark.parametrize("changes", [{"teacher": ""}, {"teach": None}, {"series": 2}])
def test_distilled_starts_need_a_teacher_and_networks_of_one_date(changes):
    if "series" in changes:
        changes = {
            **changes,
            "pretrain": replace(RECIPE.pretrain, views=replace(RECIPE.pretrain.views, place="", series=2)),
        }
    with pytest.raises(SettingsError, match="starts that are distilled need networks of one date, 'teacher'"):
        replace(RECIPE, **changes)


def test_a_recipe_without_a_teacher_has_none():
    with pytest.raises(SettingsError, match="needs 'teach', the training of its teacher"):
        teacher_recipe(TINY)


def test_the_teacher_is_a_known_network():
    with pytest.raises(SettingsError, match="unknown student 'unet-999'"):
        replace(RECIPE, teacher="unet-999")


def test_an_unknown_student_is_refused_before_the_others_train(tmp_path):
    said = []
    with pytest.raises(SettingsError, match="unknown student 'unet-999'"):
        compare_students(RECIPE, ("unet-2", "unet-999"), RunFolder(tmp_path), say=said.append)
    assert not said


@pytest.mark.parametrize("models", [(), ("unet-2", "unet-2")])
def test_students_differ(models):
    with pytest.raises(SettingsError, match="needs different models"):
        StudentsRecipe(grid="grid.yaml", models=models)


def test_table_and_figure(done, tmp_path):
    _, rows, _ = done
    lines = students_table(rows).splitlines()
    assert lines[0] == f"| student | parameters | target | labels | {' | '.join(STARTS)} |"
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| unet-2", "| unet-6"]
    draw_students(rows, tmp_path / "found.png")
    assert (tmp_path / "found.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(DataError, match="nothing to draw"):
        draw_students([row.model_copy(update={"parameters": None}) for row in rows], tmp_path / "none.png")
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps(row.to_dict()) for row in rows))
    (tmp_path / "tables.yaml").write_text("found: {file: rows.jsonl, table: students}\n")
    assert make_tables(tmp_path / "tables.yaml")["found"] == students_table(rows) + "\n"


def test_the_command(done, tmp_path, capsys):
    fit = {
        "epochs": 1, "steps_per_epoch": 1, "batch_size": 2, "patch_size": [16, 16], "precision": "fp32",
        "optimiser": "adamw", "keep": "last", "progress": False,
    }  # fmt: skip
    grid = {
        "regions": [{"name": "alba", "continent": "north"}],
        "starts": ["random", "same-region"],
        "land": {"country": "alba", "places": [4, 1, 1], "dates": 1, "size": 16, "seed": 1},
        "pretrain": {
            "epochs": 1, "steps_per_epoch": 1, "batch_size": 2, "precision": "fp32", "progress": False,
            "views": {"size": 16, "positions": 8, "place": r"(p\d+)_d"}, "contrast": {"width": 4}, "monitor_pixels": 0,
        },
        "fit": fit, "supervised": fit, "fractions": [0.5], "seeds": [0], "rates": [0.01],
    }  # fmt: skip
    recipe = {
        "grid": "grid.yaml", "models": ["unet-2"],
        "changes": {"starts": ["random", "distilled"], "teacher": "unet-4", "teach": fit},
    }  # fmt: skip
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(grid))
    (tmp_path / "students.yaml").write_text(yaml.safe_dump(recipe))
    words = ["bench", "init-students", str(tmp_path / "students.yaml"), "--out", str(tmp_path / "run")]
    assert main([*words, "--rows", str(tmp_path / "rows.jsonl"), "--figure", str(tmp_path / "found.png")]) == 0
    assert "| unet-2 |" in capsys.readouterr().out
    assert [row.start for row in InitRow.read(tmp_path / "rows.jsonl")] == ["random", "distilled"]
    assert (tmp_path / "found.png").is_file()


def test_the_default_starts_need_no_teacher():
    assert InitRecipe.__dataclass_fields__["starts"].default == (
        "random", "same-region", "other-region", "other-continent", "supervised",
    )  # fmt: skip
