"""A whole comparison on generated tiles, in seconds."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from matplotlib.image import imread
from onnx import TensorProto, helper, numpy_helper
from scipy.stats import binom

from satsqueeze.bench.classes import grid as class_grid
from satsqueeze.bench.classes.cell import HELD, RECORD
from satsqueeze.bench.classes.evaluate import tallied
from satsqueeze.bench.classes.grid import ROWS, SHIPPED, ClassGrid
from satsqueeze.bench.classes.held import HeldAnswers
from satsqueeze.bench.classes.image_pass import ClassPass
from satsqueeze.bench.classes.paired import mcnemar
from satsqueeze.bench.classes.recipe import (
    ClassRecipe,
    GivenTeacher,
    StudentNetwork,
    TrainedNetwork,
    Way,
)
from satsqueeze.bench.classes.row import GridRow, record_grid_rows
from satsqueeze.bench.classes.ship import long_cell, rescore, ship
from satsqueeze.bench.drawing.curves import CURVES_FILE
from satsqueeze.bench.evaluate import evaluate
from satsqueeze.bench.row_file import write_rows
from satsqueeze.cli.flags import read_settings
from satsqueeze.cli.main import main
from satsqueeze.core.errors import DataError, RunError, SettingsError, TrainError
from satsqueeze.core.run import RunFolder
from satsqueeze.data.class_stage import ClassPrepareSettings
from satsqueeze.data.dataset import open_dataset
from satsqueeze.distill.weighting import Confidence, Gated, Static
from satsqueeze.export.settings import ClassExportSettings
from satsqueeze.flight.opening import open_package
from satsqueeze.learn.class_settings import ClassFitSettings
from satsqueeze.learn.fit_classifier import fit_classifier

SIDE = 16
FIT = ClassFitSettings(epochs=1, batch_size=8, learning_rate=0.02, precision="fp32", progress=False)
WAYS = (
    Way(name="alone"),
    Way(name="gated", policy="gated", teachers=("big", "wide")),
    Way(name="confidence", policy="confidence", teachers=("big", "wide"), calibrated=True, settings={"hard": 0.3}),
)


@pytest.fixture(autouse=True)
def _small_networks(small_zoo):
    small_zoo({"resnet8": 4, "resnet16": 8}.__getitem__)


@pytest.fixture(scope="module")
def tiles(tmp_path_factory, write_tiles):
    """Eight tiles of each of three classes that differ a little in colour."""
    return write_tiles(tmp_path_factory.mktemp("tiles") / "tiles", side=SIDE, each=8, spread=300, gain=400)


@pytest.fixture(scope="module")
def recipe(tiles):
    return ClassRecipe(
        images=ClassPrepareSettings(data=str(tiles), shares=(0.5, 0.25, 0.25)),
        teachers=(
            TrainedNetwork(name="big", model="resnet16", fit=FIT),
            TrainedNetwork(name="wide", model="resnet16", fit=FIT, seeds=(1, 2)),
        ),
        students=(StudentNetwork(name="small", model="resnet8", fit=FIT, long=replace(FIT, epochs=2), seeds=(0, 1)),),
        ways=WAYS,
        export=ClassExportSettings(openvino="off", calibrations=("minmax",), accuracy_loss=1.0, threads=1),
    )


@pytest.fixture
def work(recipe, run_folder):
    grid = ClassGrid(recipe, RunFolder(run_folder), say=lambda _: None)
    return grid, grid.execute()


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """Shared, since what is trained stays trained."""
    return tmp_path_factory.mktemp("runs") / "run"


def test_a_row_for_each_teacher_and_each_student_in_each_way(work):
    grid, rows = work
    assert [(row.name, row.kind, row.way, row.seeds) for row in rows if row.kind != "shipped"] == [
        ("big", "teacher", "", (0,)),
        ("wide", "teacher", "", (1, 2)),
        ("small", "student", "alone", (0, 1)),
        ("small", "student", "gated", (0, 1)),
        ("small", "student", "confidence", (0, 1)),
    ]
    assert GridRow.read(grid.run / ROWS) == rows
    split = grid.prepared.split
    assert [len(part) for part in (split.train, split.validation, split.test)] == [12, 6, 6]
    alone, gated = rows[2], rows[3]
    assert (alone.images, alone.size, alone.epochs, alone.teachers) == (6, SIDE, 1, ())
    assert alone.parameters == 3 * 4 * 9 + 2 * 4 + 3 * (16 + 1)
    assert alone.macs == 3 * 9 * 4 * SIDE**2 + 16 * 3
    assert alone.train_minutes > 0
    assert (alone.paired, alone.versus) == (None, "")
    assert (gated.teachers, gated.versus, gated.paired.decisions) == (("big", "wide"), "alone", 12)
    assert gated.paired.gain == pytest.approx(gated.test["accuracy"] - alone.test["accuracy"])


def test_scores_are_those_of_the_kept_logits(work, recipe):
    grid, rows = work
    accuracies = []
    for seed in (0, 1):
        place = grid.student_cell(recipe.student("small"), WAYS[1], seed).place
        held = HeldAnswers.read(place / HELD)
        truth = grid.prepared.cache.targets[[grid.prepared.cache.position(i) for i in grid.prepared.split.test]]
        accuracies.append(float((held.test.argmax(axis=1) == truth.argmax(axis=1)).mean()))
        # Nothing was validated in training: the last weights stay.
        assert json.loads((place / "metrics.json").read_text())["validation"] is None
    assert rows[3].test["accuracy"] == pytest.approx(np.mean(accuracies))
    assert rows[3].test_spread["accuracy"] == pytest.approx(np.std(accuracies, ddof=1))


def test_students_that_have_teachers_leave_curves(work, recipe):
    grid, _ = work
    places = [grid.student_cell(recipe.student("small"), way, 0).place for way in WAYS]
    assert [(place / CURVES_FILE).exists() for place in places] == [False, True, True]
    assert imread(places[1] / CURVES_FILE).std() > 0


def test_a_second_call_trains_nothing(work, recipe):
    grid, rows = work
    said = []
    again = ClassGrid(recipe, grid.run, say=said.append)
    assert again.execute() == rows
    assert said == []


def test_a_cell_that_was_killed_before_its_scores_is_taken_up(work, recipe):
    grid, rows = work
    place = grid.student_cell(recipe.student("small"), WAYS[2], 1).place
    weights = (place / "weights.safetensors").stat().st_mtime_ns
    (place / RECORD).unlink()
    again = ClassGrid(recipe, grid.run, say=lambda _: None)
    assert [row.seeds for row in again.rows() if row.way == "confidence" and row.kind == "student"] == [(0,)]
    assert [row.test for row in again.execute(["confidence"])] == [row.test for row in rows]
    assert (place / "weights.safetensors").stat().st_mtime_ns == weights


def test_other_settings_are_refused_and_only_for_what_is_asked(work, recipe):
    grid, _ = work
    longer = replace(recipe.student("small"), fit=replace(FIT, epochs=3))
    changed = ClassGrid(replace(recipe, students=(longer,)), grid.run, say=lambda _: None)
    with pytest.raises(RunError, match=r"small, alone, seed 0 trained with other settings.*remove the folder"):
        changed.execute()
    assert [row.name for row in changed.execute(["big"]) if row.kind != "shipped"] == ["big", "wide"]


def test_a_failure_is_listed_and_the_others_go_on(recipe, tmp_path, monkeypatch):
    """A teacher that fails is tried once; whom it teaches fails with its reason, whom it does not is scored."""
    tried = []

    def failing(model, *words, **named):
        tried.append(model.card.name)
        if model.card.name == "wide":
            raise TrainError("the loss is not finite")
        return fit_classifier(model, *words, **named)

    monkeypatch.setattr(class_grid, "fit_classifier", failing)
    student = replace(recipe.student("small"), seeds=(0,))
    teachers = (recipe.teacher("big"), replace(recipe.teacher("wide"), seeds=(1,)))
    whole = replace(recipe, teachers=teachers, students=(student,), ways=WAYS[:2])
    grid = ClassGrid(whole, RunFolder(tmp_path / "run"), say=lambda _: None)
    assert [(row.name, row.way) for row in grid.execute()] == [("big", ""), ("small", "alone")]
    assert tried == ["big", "wide", "small"]
    reason = "TrainError: the loss is not finite"
    assert grid.failures["wide, seed 1"] == reason
    assert grid.failures["small, gated, seed 0"].startswith(f"RunError: the teacher wide, seed 1 failed ({reason})")
    monkeypatch.setattr(class_grid, "fit_classifier", fit_classifier)
    assert len(grid.execute()) == 4
    assert grid.failures == {}


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        ((), (2, 1, 3)),
        (("big",), (1, 0, 0)),
        (("small",), (0, 1, 3)),
        (("gated",), (0, 1, 1)),
        (("wide", "small", "alone"), (1, 1, 1)),
    ],
)
def test_names_choose(recipe, only, expected):
    assert tuple(map(len, recipe.chosen(only))) == expected


def test_unknown_names_are_refused_with_the_closest(recipe, tmp_path):
    with pytest.raises(SettingsError, match="has no 'gatet'; did you mean gated"):
        recipe.chosen(["gatet"])
    with pytest.raises(SettingsError, match="no student 'smal'; did you mean small"):
        recipe.student("smal")
    with pytest.raises(SettingsError, match="no teacher 'bigg'; did you mean big"):
        replace(recipe, ways=(*WAYS, Way(name="x", policy="static", teachers=("bigg",))))
    with pytest.raises(SettingsError, match="no way of teaching 'none'"):
        replace(recipe, baseline="none")
    with pytest.raises(SettingsError, match="different names; repeated: gated"):
        replace(recipe, ways=(*WAYS, WAYS[1]))
    looking = (*WAYS, Way(name="looks", policy="static", teachers=("big",), attention=1.0))
    fit = recipe.students[0].fit
    for unfit in (replace(fit, compile=True), replace(fit, augment=replace(fit.augment, mixup=0.2))):
        student = replace(recipe.students[0], fit=unfit)
        with pytest.raises(SettingsError, match="'looks' has attention, for which small cannot be compiled, nor"):
            replace(recipe, ways=looking, students=(student,))
    for seeds in ((), (0, 0), (-1,)):
        with pytest.raises(SettingsError, match="small: expected at least one seed, each >= 0 and named once"):
            replace(recipe, students=(replace(recipe.students[0], seeds=seeds),))
    with pytest.raises(SettingsError, match=r"'\.\./small' cannot name a folder"):
        replace(recipe, students=(replace(recipe.students[0], name="../small"),))
    unknown = replace(recipe, students=(replace(recipe.students[0], model="resnet9"),))
    with pytest.raises(SettingsError, match="did you mean resnet8"):
        ClassGrid(unknown, RunFolder(tmp_path / "run"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"policy": "static"}, "policy 'static' and the teachers none"),
        ({"teachers": ("big",)}, "policy 'none' and the teachers big"),
        ({"attention": 1.0}, "attention 1.0 and the teachers none; expected a weight >= 0, and teachers"),
        ({"temperature": 9}, "no teachers, without which temperature would change nothing; leave that out"),
        ({"calibrated": True, "pooled": True}, "which calibrated, pooled would change nothing"),
        ({"settings": {"nonsense": 1}}, "which settings would change nothing"),
        ({"policy": "static", "teachers": ("big",), "attention": -1.0}, "attention -1.0 and the teachers big"),
        ({"policy": "statik", "teachers": ("big",)}, "did you mean static"),
        ({"policy": "static", "teachers": ("big", "big")}, "names a teacher twice: big, big"),
        ({"policy": "static", "teachers": ("big",), "temperature": 0}, "temperature 0; expected one above 0"),
        ({"policy": "gated", "teachers": ("a", "b"), "settings": {"hard": 0.1}}, "Gated"),
        ({"policy": "gated", "teachers": ("a",)}, "the way 'x': the gated rule is for exactly 2 teachers, got 1"),
        ({"policy": "static", "teachers": ("a",), "settings": {"shares": [0.4, 0.4]}}, "the way 'x': .*2.*1"),
        ({"policy": "confidence", "teachers": ("a",), "settings": {"hard": 2}}, r"hard in \[0, 1\]"),
    ],
)
def test_refused_ways(fields, message):
    with pytest.raises(SettingsError, match=message):
        Way(name="x", **fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"fit": {"seed": 7}}, r"x has the seed 7 in its fit, where the seeds \[0, 1, 2\] would replace it"),
        ({"fit": {"seed": 1}, "seeds": [1, 2]}, r"the seeds \[1, 2\] would replace it; name it in 'seeds'"),
        ({"long": {"seed": 7}}, "x has the seed 7 for its long run, which has the seed 0; leave it out"),
    ],
)
def test_refused_trainings(tmp_path, fields, message):
    student = {"name": "x", "model": "resnet8", "fit": {}, **fields}
    record = {"images": {"data": "tiles"}, "students": [student], "ways": [{"name": "alone"}]}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(record))
    with pytest.raises(SettingsError, match=message):
        read_settings(ClassRecipe, tmp_path / "recipe.yaml")


def test_a_seed_that_is_used_anyway_may_be_stated():
    assert TrainedNetwork(name="x", model="resnet8", fit=ClassFitSettings(seed=7), seeds=(7,)).fit.seed == 7


def test_rules_have_the_settings_of_the_way():
    assert WAYS[0].rule() is None
    assert WAYS[1].rule() == Gated()
    assert WAYS[2].rule() == Confidence(hard=0.3)
    uneven = Way(name="x", policy="static", teachers=("a", "b"), settings={"shares": [0.2, 0.6]})
    assert uneven.rule() == Static((0.2, 0.6))


def test_shipping_gives_a_package_with_its_test_scores(work, recipe, tiles, tmp_path):
    grid, _ = work
    manifest = ship(grid, "small", "confidence", tmp_path / "tiny")
    assert open_package(tmp_path / "tiny").manifest == manifest
    place = long_cell(grid, recipe.student("small"), WAYS[2]).place
    assert json.loads((place / "metrics.json").read_text())["epochs"] == 2
    record = json.loads((place / RECORD).read_text())
    scores = {(score.graph, score.metric): score for score in manifest.quality}
    assert len(scores) == 6
    assert scores["fp32.onnx", "accuracy"].value == pytest.approx(record["test"]["accuracy"])
    assert "6 test images (seeded split, seed 0)" in manifest.quality[0].protocol
    assert "12 images; int8 calibrated on training images and judged on 6" in manifest.quality[0].protocol
    assert evaluate(tmp_path / "tiny", open_dataset(tiles), precision="int8")["images"] == 24
    shipped = [row for row in grid.rows() if row.kind == "shipped"]
    assert [(row.precision, row.way, row.seeds, row.epochs) for row in shipped] == [
        ("fp32", "confidence", (0,), 2),
        ("int8", "confidence", (0,), 2),
    ]
    assert all(row.bytes > 0 and row.inference.images_per_second > 0 for row in shipped)
    ship(grid, "small", "confidence", tmp_path / "tiny")
    assert len([row for row in grid.rows() if row.kind == "shipped"]) == 2


def test_a_package_that_ships_is_scored_anew(work, tiles, tmp_path):
    grid, _ = work
    sealed = ship(grid, "small", "confidence", tmp_path / "tiny")
    rows = [row for row in grid.rows() if row.kind == "shipped"]
    worse = [row.model_copy(update={"test": {**row.test, "accuracy": 0.0}}) for row in rows]
    write_rows(grid.run / SHIPPED, worse)
    renewed = rescore(grid, "small", "confidence", tmp_path / "tiny", worse)
    assert [row.test for row in renewed] == [row.test for row in rows]
    assert [row.test for row in grid.rows() if row.kind == "shipped"] == [row.test for row in rows]
    assert open_package(tmp_path / "tiny").manifest.quality == sealed.quality
    ids = set(grid.prepared.split.test)
    model = open_package(tmp_path / "tiny", precision="int8", engine="onnx")
    found = tallied(model, ClassPass(model, open_dataset(tiles), ids=ids)).metrics
    assert renewed[1].test["accuracy"] == found.to_dict()["accuracy"]
    with pytest.raises(SettingsError, match="no shipped small taught as 'confidence' with fp32"):
        rescore(grid, "small", "confidence", tmp_path / "tiny", ())


def test_the_long_run_may_learn_from_validation_images(recipe, run_folder, work):
    grid = ClassGrid(replace(recipe, long_on="train+validation"), work[0].run, say=lambda _: None)
    cell = long_cell(grid, recipe.student("small"), WAYS[0])
    assert len(grid.learnt_from(cell.side)) == 18
    assert not set(grid.learnt_from(cell.side)) & set(grid.prepared.split.test)


def test_scores_on_images_that_the_weights_learnt_from_are_not_told(recipe, tmp_path):
    grid = ClassGrid(replace(recipe, long_on="train+validation"), RunFolder(tmp_path / "run"), say=lambda _: None)
    manifest = ship(grid, "small", "alone", tmp_path / "tiny")
    assert "6 validation images, which the weights also learnt from" in manifest.quality[0].protocol
    assert {tuple(row.validation) for row in grid.rows() if row.kind == "shipped"} == {()}


SELF_TAUGHT = (
    Way(name="alone"),
    Way(name="smooth", label_smoothing=0.2),
    Way(name="born-again", policy="static", teachers=("twin",), settings={"shares": [0.5]}),
    Way(name="looks", policy="static", teachers=("big",), settings={"shares": [0.0]}, attention=10.0),
)


def test_born_again_smoothed_and_attentive_students_are_ways_like_others(recipe, tmp_path):
    """A twin is a teacher with the student's model; attention alone is a policy that gives teachers no share."""
    twin = TrainedNetwork(name="twin", model="resnet8", fit=FIT, seeds=(5,))
    student = replace(recipe.student("small"), seeds=(0,))
    whole = replace(recipe, teachers=(recipe.teacher("big"), twin), students=(student,), ways=SELF_TAUGHT)
    said = []
    grid = ClassGrid(whole, RunFolder(tmp_path / "run"), say=said.append)
    rows = {row.way: row for row in grid.execute() if row.kind == "student"}
    assert list(rows) == [way.name for way in SELF_TAUGHT]
    assert (rows["born-again"].model, grid.recipe.teacher("twin").model) == ("resnet8", "resnet8")
    places = {way.name: grid.student_cell(student, way, 0).place for way in SELF_TAUGHT}
    settings = {name: json.loads((place / "metrics.json").read_text())["settings"] for name, place in places.items()}
    assert (settings["alone"]["label_smoothing"], settings["smooth"]["label_smoothing"]) == (0.1, 0.2)
    columns = {name: (place / "history.csv").read_text().splitlines()[0].split(",") for name, place in places.items()}
    assert ["attention" in columns[way.name] for way in SELF_TAUGHT] == [False, False, False, True]
    weights = {(place / "weights.safetensors").read_bytes() for place in places.values()}
    assert len(weights) == len(SELF_TAUGHT)
    assert "looking with big" in said
    (maps,) = (grid.run / "attention").glob("*/attention.npy")
    assert np.isfinite(np.load(maps)[[grid.prepared.cache.position(i) for i in grid.prepared.split.train]]).all()
    assert ClassGrid(whole, grid.run, say=pytest.fail).execute() == grid.rows()


def test_a_teacher_may_exist_already(recipe, work, tmp_path):
    folder, contract = tmp_path / "given", {"bands": ["red", "green", "blue"], "classes": ["field", "forest", "water"]}
    shutil.copytree(work[0].run / "teachers/wide", folder)
    write_brightest(tmp_path / "brightest.onnx", 3)
    (tmp_path / "brightest.yaml").write_text(
        yaml.safe_dump({"name": "brightest", "licence": "none", "class_map": [0, 1, 2], "output": "logits", **contract})
    )
    given = (
        GivenTeacher(name="known", path=folder), GivenTeacher(name="graph", path=tmp_path / "brightest.onnx"),
    )  # fmt: skip
    taught = Way(name="taught", policy="static", teachers=("known", "graph"))
    student = replace(recipe.student("small"), seeds=(0,))
    whole = replace(recipe, teachers=(), given=given, students=(student,), ways=(WAYS[0], taught))
    rows = ClassGrid(whole, RunFolder(tmp_path / "run"), say=lambda _: None).execute()
    assert [(row.way, row.teachers) for row in rows] == [("alone", ()), ("taught", ("known", "graph"))]
    write_brightest(tmp_path / "brightest.onnx", 4)
    with pytest.raises(RunError, match="trained with other settings, data or teachers"):
        ClassGrid(whole, RunFolder(tmp_path / "run"), say=lambda _: None).execute()
    with pytest.raises(SettingsError, match="graph is an ONNX file, which shows no features"):
        replace(whole, ways=(WAYS[0], replace(taught, attention=1.0)))


def test_a_given_teacher_that_is_not_there_is_told_before_anything_is_trained(recipe, tmp_path):
    given = (GivenTeacher(name="lost", path=tmp_path / "nowhere"),)
    taught = Way(name="taught", policy="static", teachers=("big", "lost"))
    whole = replace(recipe, given=given, students=(recipe.student("small"),), ways=(WAYS[0], taught))
    with pytest.raises(RunError, match=r"there is no teacher .*nowhere"):
        ClassGrid(whole, RunFolder(tmp_path / "run"), say=pytest.fail).execute()


def test_attention_of_a_teacher_that_averages_views_is_refused(recipe):
    looker = TrainedNetwork(name="looker", model="texture-10k", fit=FIT)
    looks = Way(name="looks", policy="static", teachers=("looker",), attention=1.0)
    with pytest.raises(SettingsError, match="looker is a texture-10k, which averages views of an image"):
        replace(recipe, teachers=(*recipe.teachers, looker), ways=(*WAYS, looks))


def write_brightest(path, gain):
    """A graph (N, 3, H, W) -> (N, 3): the mean of each band, times ``gain``."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["means"]),
        helper.make_node("Flatten", ["means"], ["flat"]),
        helper.make_node("Mul", ["flat", "gain"], ["logits"]),
    ]
    value = partial(helper.make_tensor_value_info, elem_type=TensorProto.FLOAT)
    graph = helper.make_graph(
        nodes, "brightest", [value("images", shape=["N", 3, "H", "W"])], [value("logits", shape=["N", 3])],
        [numpy_helper.from_array(np.array(gain, np.float32), "gain")],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def test_the_ways_of_the_documentation_are_ways():
    page = (Path(__file__).parents[3] / "docs/classification.md").read_text(encoding="utf-8")
    shown = [Way(**yaml.safe_load(text)) for text in re.findall(r"^\| `(\{name: .*?\})` \|", page, re.MULTILINE)]
    assert [(way.name, way.teachers, way.attention) for way in shown] == [
        ("smooth", (), 0.0),
        ("born-again", ["twin"], 0.0),
        ("looks", ["wide"], 10),
        ("both", ["wide", "light"], 10),
    ]
    (twin,) = re.findall(r"`(\{name: twin.*?\}\})`", page)
    assert yaml.safe_load(twin)["model"] == "resnet8"


def test_attention_counts_in_the_key_only_where_it_is_on(work, recipe):
    """Cells from before there was attention stay valid: their key is written out here."""
    grid, _ = work
    student = recipe.student("small")
    cell = grid.student_cell(student, WAYS[2], 0)
    told = ["confidence", {"hard": 0.3}, 4.0, True, False]
    assert cell.key == ["train", "resnet8", 0.0, cell.settings.to_dict(), told]
    looking = grid.student_cell(student, replace(WAYS[2], attention=2.0), 0)
    assert looking.key == ["train", "resnet8", 0.0, cell.settings.to_dict(), [*told, {"attention": 2.0}]]


def test_mcnemar_is_the_sum_of_binomial_tails():
    first = np.array([True] * 9 + [False] * 2 + [True] * 5)
    second = np.array([False] * 9 + [True] * 2 + [True] * 5)
    found = mcnemar(first, second)
    assert (found.better, found.worse, found.decisions) == (9, 2, 16)
    assert found.gain == pytest.approx(first.mean() - second.mean())
    assert found.p == pytest.approx(2 * binom.cdf(2, 11, 0.5))
    assert mcnemar(first, first).p == 1
    with pytest.raises(DataError, match="the same images"):
        mcnemar(first, second[:3])


def refusing(*words, **named):
    raise TrainError("no luck")


def test_the_command(tiles, tmp_path, capsys, monkeypatch):
    fit = {"epochs": 1, "batch_size": 8, "precision": "fp32"}
    record = {
        "images": {"data": str(tiles), "shares": [0.5, 0.25, 0.25]},
        "teachers": [{"name": "big", "model": "resnet16", "fit": fit}],
        "students": [{"name": "small", "model": "resnet8", "fit": fit, "seeds": [0]}],
        "ways": [{"name": "alone"}, {"name": "taught", "policy": "static", "teachers": ["big"]}],
    }
    path, rows = tmp_path / "recipe.yaml", tmp_path / "rows.jsonl"
    path.write_text(yaml.safe_dump(record))
    words = ["zoo", "grid", str(path), "--out", str(tmp_path / "run")]
    assert main([*words, "--only", "small,alone", "--rows", str(rows)]) == 0
    assert [row.way for row in GridRow.read(rows)] == ["alone"]
    assert main(words) == 0
    assert "points, p = " in capsys.readouterr().out.splitlines()[-1]
    monkeypatch.setattr(class_grid, "fit_classifier", refusing)
    assert main([*words, "--out", str(tmp_path / "failing"), "--only", "alone"]) == 1
    assert "failed: small, alone, seed 0: TrainError: no luck" in capsys.readouterr().err
    assert main([*words, "--only", "tought"]) == 2
    assert "did you mean taught" in capsys.readouterr().err
    assert main([*words, "--ship", str(tmp_path / "package")]) == 2
    assert "--student and the --way" in capsys.readouterr().err
    assert main([*words, "--rescore", str(tmp_path / "package"), "--student", "small", "--way", "alone"]) == 2
    assert "--rescore needs the --rows" in capsys.readouterr().err


def test_rows_of_other_networks_and_ways_stay_in_the_file(work, tmp_path):
    _, rows = work
    one, taught, path = rows[2], rows[3], tmp_path / "rows.jsonl"
    other = one.model_copy(update={"name": "other"})
    shipped = [one.model_copy(update={"kind": "shipped", "graph": graph}) for graph in ("fp32.onnx", "int8.onnx")]
    record_grid_rows(path, [one, other, *shipped])
    better = one.model_copy(update={"epochs": 99})
    again = taught.model_copy(update={"kind": "shipped", "graph": "fp32.onnx"})
    record_grid_rows(path, [better, again])
    assert GridRow.read(path) == (other, better, again)


def test_damaged_rows_and_answers_are_run_errors(tmp_path):
    (tmp_path / ROWS).write_text("{}\n")
    with pytest.raises(RunError, match="line 1 is no row of a grid"):
        GridRow.read(tmp_path / ROWS)
    (tmp_path / HELD).write_bytes(b"x")
    with pytest.raises(RunError, match=r"remove .* and train again"):
        HeldAnswers.read(tmp_path / HELD)
