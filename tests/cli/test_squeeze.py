"""The whole job on tiny generated data: what it leaves behind, and that a stopped run goes on where it stopped."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

from satsqueeze.bench.row import BenchRow
from satsqueeze.cli import bench, distill, plan, squeeze, train
from satsqueeze.cli.main import main
from satsqueeze.cli.scores import score_package
from satsqueeze.core.errors import ExportError
from satsqueeze.core.files import read_json, sha256, write_json
from satsqueeze.core.package import verify
from satsqueeze.core.run import RunFolder
from satsqueeze.data.stage import load_prepared
from satsqueeze.distill.stage import read_ladder
from satsqueeze.flight.runtime import FlightModel, Prediction
from satsqueeze.learn import stage as learn_stage
from satsqueeze.nets.model import load_model, save_model
from satsqueeze.plan.stage import TrainPlan

MINIMAL = yaml.safe_load((Path(__file__).parent / "minimal.yaml").read_text())
STAGES = ("data", "plan", "train", "distill", "export", "bench")


def records(run):
    return {path.name: path.stat().st_mtime_ns for path in sorted((run / "stages").iterdir())}


def test_every_stage_leaves_its_files(squeezed):
    for name in ("run.json", "fingerprint.json", "plan.json", "ladder.json", "bench.jsonl", "report.html"):
        assert (squeezed / name).stat().st_size > 0
    assert [read_json(squeezed / f"stages/{stage}.json")["seconds"] >= 0 for stage in STAGES] == [True] * len(STAGES)
    assert len(list(squeezed.glob("teacher/fold_*/weights.safetensors"))) == 2


def test_test_images_are_seen_by_nobody(squeezed):
    aside, *folds = read_json(squeezed / "data/splits.json")["splits"]
    test = set(aside["validation"])
    assert test
    for fold in folds:
        assert test.isdisjoint(fold["train"])
        assert test.isdisjoint(fold["validation"])


def test_the_ladder_holds_a_student_of_each_family_and_the_chosen_one(squeezed):
    rungs, chosen = read_ladder(squeezed / "ladder.json")
    assert {rung.name.split("-")[0] for rung in rungs} == {"unet", "lite"}
    assert all(rung.compression >= 0.95 * 2 for rung in rungs)
    assert chosen in {rung.name for rung in rungs}


def test_every_student_is_a_package_that_verifies(squeezed):
    for rung in read_ladder(squeezed / "ladder.json")[0]:
        manifest = verify(squeezed / "packages" / rung.name)
        assert manifest.training["rung"]["name"] == rung.name
        assert {graph.precision for graph in manifest.graphs} == {"fp32", "int8"}
        assert all("test images" in quality.protocol for quality in manifest.quality)


def test_rows_hold_every_model_on_the_same_images(squeezed):
    rows = BenchRow.read(squeezed / "bench.jsonl")
    names = [row.key for row in rows]
    students = [rung.name for rung in read_ladder(squeezed / "ladder.json")[0]]
    assert names[:2] == [("threshold", "fp32"), ("teacher", "fp32")]
    assert set(names[2:]) == {(name, precision) for name in students for precision in ("fp32", "int8")}
    assert len({row.scores[0].images for row in rows}) == 1
    teacher = rows[1]
    assert teacher.parameters == 2 * TrainPlan.read(squeezed / "plan.json").parameters
    assert all(row.latency is not None and row.latency.p50_s_per_mpixel > 0 for row in rows)


def test_the_float_package_scores_as_the_trained_student(squeezed):
    for rung in read_ladder(squeezed / "ladder.json")[0]:
        manifest = verify(squeezed / "packages" / rung.name)
        row = next(r for r in BenchRow.read(squeezed / "bench.jsonl") if r.key == (rung.name, "fp32"))
        if manifest.quality:
            assert row.jaccard == pytest.approx(manifest.quality[0].value, abs=2e-4)


def test_a_package_is_scored_by_its_masks_where_probabilities_tie(squeezed, package, monkeypatch):
    def tied(model, image, bands, probabilities, *, valid):
        chances = np.full((len(model.classes), *valid.shape), 1 / len(model.classes), np.float32)
        return Prediction(mask=np.full(valid.shape, model.foreground[0], np.uint8), probabilities=chances)

    manifest, prepared = verify(package), load_prepared(RunFolder(squeezed))
    model = FlightModel(manifest, graph=manifest.graphs[0], engine=None)
    monkeypatch.setattr(FlightModel, "predict", tied)
    monkeypatch.setattr("satsqueeze.cli.scores.open_package", lambda *_, **__: model)
    found = score_package(package, "fp32", prepared)
    assert (found["recall"], found["specificity"]) == (1, 0)
    assert found["calibration_error"] > 0
    assert set(found["per_image"]) == set(prepared.test)


def test_the_report_is_one_file_with_pictures(squeezed):
    page = (squeezed / "report.html").read_text()
    assert page.count("data:image/") >= 5
    assert 'src="http' not in page
    assert "that nothing was trained or chosen on" in page


def test_a_second_call_does_no_work(squeezed, scenes, minimal, run_main, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("done before")

    for module, name in (
        (plan, "plan_training"),
        (train, "train_folds"),
        (distill, "train_student"),
        (distill, "teach"),
        (bench, "run_suite"),
        (bench, "score_images"),
        (bench, "score_package"),
    ):
        monkeypatch.setattr(module, name, refuse)
    before = records(squeezed)
    status, out, err = run_main("squeeze", scenes, "--out", squeezed, "--config", minimal)
    assert status == 0
    assert records(squeezed) == before
    assert err.count("done before") == len(STAGES)
    assert f"report:  {squeezed / 'report.html'}" in out
    assert "teacher" in out


def test_rows_as_json(squeezed, scenes, minimal, run_main):
    _, out, _ = run_main("squeeze", scenes, "--out", squeezed, "--config", minimal, "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert {row["kind"] for row in rows} == {"threshold", "teacher", "student"}


PRETRAIN = ("--pretrain.epochs", "1", "--pretrain.steps_per_epoch", "2", "--pretrain.batch_size", "2")
STOPS = (
    (squeeze, "plan_stage", ["data"]),
    (squeeze, "teacher_pretrain_stage", ["data", "plan"]),
    (squeeze, "train_stage", ["data", "plan", "pretrain"]),
    (squeeze, "distill_stage", ["data", "plan", "pretrain", "train"]),
    (squeeze, "export_stage", ["data", "plan", "pretrain", "train", "distill"]),
    (squeeze, "bench_stage", ["data", "plan", "pretrain", "train", "distill", "export"]),
    (squeeze, "report_stage", [*STAGES, "pretrain"]),
)


@pytest.fixture(scope="module")
def partly_labelled(scenes, tmp_path_factory):
    """The scenes, and all of their images once more without labels."""
    path = tmp_path_factory.mktemp("sources") / "sources.yaml"
    again = {"name": "bare", "role": "train", "overrides": {"label_kind": "none"}, "card": str(scenes / "dataset.yaml")}
    path.write_text(yaml.safe_dump({"sources": [{"path": str(scenes)}, {"path": str(scenes), **again}]}))
    return path


def test_interrupted_before_each_stage_the_same_command_goes_on(
    partly_labelled, minimal, tmp_path, monkeypatch, capsys
):
    run = tmp_path / "run"
    bare = ["squeeze", str(partly_labelled), "--out", str(run), "--config", str(minimal)]
    bare += ["--export.int8", "false", "--export.default", "fp32"]
    words = [*bare, *PRETRAIN]

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    for module, name, done in STOPS:
        before = records(run) if run.exists() else {}
        with monkeypatch.context() as patch:
            patch.setattr(module, name, interrupt)
            assert main(words) == 130
        assert "run the same command again to continue" in capsys.readouterr().err
        after = records(run)
        assert {f"{stage}.json" for stage in done} <= set(after)
        assert {name: after[name] for name in before} == before
    assert not (run / "report.html").exists()
    assert main(words) == 0
    check_pretrained(run)
    capsys.readouterr()
    assert main(bare) == 2
    assert "holds a finished training with other settings" in capsys.readouterr().err


def check_pretrained(run):
    """The folds start from it, the test images are not in it, and the report shows it."""
    splits = read_json(run / "data/splits.json")["splits"]
    record = read_json(run / "stages/pretrain.json")
    learnt = record["settings"]["images"]
    scenes_of = {name.rpartition("/")[2] for name in learnt}
    assert scenes_of.isdisjoint(name.rpartition("/")[2] for name in splits[0]["validation"])
    assert {name.partition("/")[0] for name in learnt} == {"synthetic", "bare"}
    assert record["result"]["images"] == len(learnt) == 2 * len(scenes_of)
    assert read_json(run / "stages/train.json")["settings"]["init"] == sha256(run / "pretrained/weights.safetensors")
    assert (run / "pretrained/curves.png").stat().st_size > 0
    assert (run / "pretrained/embedding.png").stat().st_size > 0
    page = (run / "report.html").read_text()
    assert f"learnt from {len(learnt)} images" in " ".join(page.split())
    assert "learnt features" in page


def test_images_without_labels_are_told_of(partly_labelled, minimal, tmp_path, monkeypatch, capsys):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(squeeze, "train_stage", stop)
    words = ["squeeze", str(partly_labelled), "--out", str(tmp_path / "run"), "--config", str(minimal)]
    assert main(words) == 130
    assert re.search(r"pretrain off; \d images have no labels: --pretrain.epochs 20", capsys.readouterr().err)
    assert not (tmp_path / "run/stages/pretrain.json").exists()


def test_a_trained_teacher_is_not_pretrained_behind_its_back(squeezed, scenes, minimal, run_main):
    before = records(squeezed)
    status, _, err = run_main("squeeze", scenes, "--out", squeezed, "--config", minimal, *PRETRAIN)
    assert status == 2
    assert "holds a teacher that was trained without pre-training; choose a new --out folder" in err
    assert records(squeezed) == before


def test_a_fold_that_was_trained_is_kept(squeezed, tmp_path, run_main, monkeypatch):
    run = copied(squeezed, tmp_path, without=("train", "distill", "export", "bench"))
    kept = run / "teacher/fold_0/metrics.json"
    shutil.rmtree(run / "teacher/fold_1")
    before, trained = kept.stat().st_mtime_ns, []
    fit = learn_stage.fit
    monkeypatch.setattr(learn_stage, "fit", lambda *words, **more: trained.append(words[4].name) or fit(*words, **more))
    status, out, _ = run_main("train", run)
    assert (status, trained) == (0, ["fold_0", "fold_1"])
    assert kept.stat().st_mtime_ns == before
    assert "validation Jaccard by fold" in out


def test_students_of_a_teacher_that_was_replaced_are_taught_anew(squeezed, tmp_path, run_main, monkeypatch):
    run, other = copied(squeezed, tmp_path, without=()), tmp_path / "other"
    shutil.copytree(squeezed / "teacher/fold_0", other)
    asked = []
    monkeypatch.setattr(distill, "_ask", lambda *words: asked.append(len(words[3])) or SimpleNamespace(teachers=""))
    monkeypatch.setattr(distill, "_rung", lambda run, student, *_: read_ladder(run / "ladder.json")[0][0])
    settings = {**MINIMAL["distill"], "teachers": [str(other)]}
    words = ("distill", run, "--compression", "2", "--distill", part(tmp_path, "distill", settings))
    assert [run_main(*words)[0] for _ in range(2)] == [0, 0]
    assert asked == [2]
    model = load_model(other)
    with torch.no_grad():
        next(model.parameters()).add_(1)
    save_model(model, other)
    assert run_main(*words)[0] == 0
    assert asked == [2, 2]


def copied(run, tmp_path, *, without):
    shutil.copytree(run, tmp_path / "run")
    for stage in without:
        (tmp_path / f"run/stages/{stage}.json").unlink()
    return tmp_path / "run"


def part(tmp_path, name, settings=None):
    """The settings of one stage as a file."""
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump(settings or MINIMAL[name]))
    return path


def test_a_package_that_was_exported_is_kept(squeezed, tmp_path, run_main, monkeypatch):
    run = copied(squeezed, tmp_path, without=("export",))
    monkeypatch.setattr("satsqueeze.cli.export.export_package", None)
    status, out, _ = run_main("export", run, "--export", part(tmp_path, "export"))
    assert status == 0
    assert out.strip() == str(run / "packages" / read_ladder(run / "ladder.json")[1])


def test_rows_that_were_measured_are_kept(squeezed, tmp_path, run_main, monkeypatch):
    run = copied(squeezed, tmp_path, without=("bench",))
    before = (run / "bench.jsonl").read_text()
    monkeypatch.setattr(bench, "score_images", None)
    monkeypatch.setattr(bench, "score_package", None)
    status, out, _ = run_main("bench", run, "--json", "--bench", part(tmp_path, "bench"))
    assert status == 0
    assert [json.loads(line) for line in out.splitlines()] == [json.loads(line) for line in before.splitlines()]
    assert (run / "bench.jsonl").read_text() == before


@pytest.mark.parametrize(
    ("gone", "again"),
    [
        (("data/cache", "fingerprint.json"), {"data"}),
        (("plan.json",), {"plan"}),
        (("teacher/fold_1/weights.safetensors",), {"train", "distill", "bench"}),
        (("ladder.json",), {"distill"}),
        (("bench.jsonl",), {"bench"}),
    ],
)
def test_a_stage_whose_outputs_are_gone_is_done_anew(squeezed, scenes, minimal, tmp_path, run_main, gone, again):
    run = copied(squeezed, tmp_path, without=())
    for name in gone:
        (shutil.rmtree if (run / name).is_dir() else Path.unlink)(run / name)
    status, _, err = run_main("squeeze", scenes, "--out", run, "--config", minimal)
    assert status == 0
    assert {line.split()[0] for line in err.splitlines() if "done before" in line} == set(STAGES) - again
    assert all((run / name).exists() for name in gone)
    for path in squeezed.glob("teacher/*/weights.safetensors"):
        assert (run / path.relative_to(squeezed)).read_bytes() == path.read_bytes()


def test_what_is_gone_is_named_by_stages_that_need_it(squeezed, tmp_path, run_main):
    run = copied(squeezed, tmp_path, without=("distill",))
    chosen = read_ladder(run / "ladder.json")[1]
    shutil.rmtree(run / "teacher")
    status, _, err = run_main("distill", run, "--compression", 2)
    assert status == 2
    assert f"holds no teacher, expected fold_0 and so on; train it with 'satsqueeze train {run}'" in err
    shutil.rmtree(run / "packages" / chosen)
    status, _, err = run_main("bench", run)
    assert status == 2
    assert f"flight.json is gone; export it again with 'satsqueeze export {run}'" in err
    shutil.rmtree(run / "data/cache")
    status, _, err = run_main("train", run)
    assert status == 2
    assert "data/cache/cache.json is gone; make it again with the 'satsqueeze squeeze', 'plan' or 'fingerprint'" in err
    assert "stages/data.json" in err


def test_a_package_that_is_gone_is_exported_again(squeezed, tmp_path, run_main, monkeypatch):
    run = copied(squeezed, tmp_path, without=())
    chosen = read_ladder(run / "ladder.json")[1]
    shutil.rmtree(run / "packages" / chosen)
    made = []
    monkeypatch.setattr(
        "satsqueeze.cli.export.export_package",
        lambda *_, name, **__: made.append(name) or verify(squeezed / "packages" / name),
    )
    status, _, _ = run_main("export", run, "--export", part(tmp_path, "export"))
    assert (status, made) == (0, [chosen])


def test_the_report_alone(squeezed, tmp_path, run_main):
    run = copied(squeezed, tmp_path, without=())
    (run / "report.html").unlink()
    status, out, _ = run_main("report", run)
    assert (status, out.strip()) == (0, str(run / "report.html"))
    assert (run / "report.html").read_bytes() == (squeezed / "report.html").read_bytes()


@pytest.fixture(scope="module")
def exported_anew(squeezed, tmp_path_factory):
    """The finished run, exported once more: without int8, and for thick cloud in every pixel."""
    run = copied(squeezed, tmp_path_factory.mktemp("anew"), without=())
    words = ("--export.int8", "false", "--export.default", "fp32", "--export.logit_bias", "[0, 9, 0, 0]")
    assert main(["export", str(run), *words]) == 0
    return run


def test_packages_that_were_exported_anew_are_measured_anew(exported_anew, tmp_path, run_main):
    status, _, err = run_main("report", exported_anew)
    assert status == 2
    assert f"finished before packages changed; run 'satsqueeze bench {exported_anew}' again" in err
    words = ("--bench", part(tmp_path, "bench"))
    status, out, err = run_main("bench", exported_anew, "--json", *words)
    assert (status, "done before" in err) == (0, False)
    students = [row for row in map(json.loads, out.splitlines()) if row["kind"] == "student"]
    assert {(row["precision"], row["scores"][0]["further"]["recall"]) for row in students} == {("fp32", 1.0)}
    trained = next(exported_anew.glob("students/*/history.csv")).parent
    shutil.copytree(trained, trained.with_name("unet-99"))  # once, and not on the ladder any more
    assert run_main("report", exported_anew)[0] == 0
    assert "unet-99" not in (exported_anew / "report.html").read_text()
    assert "done before" in run_main("bench", exported_anew, *words)[2]


def test_a_package_states_the_score_of_its_graph_whatever_that_adds_to_logits(exported_anew):
    prepared = load_prepared(RunFolder(exported_anew))
    for rung in read_ladder(exported_anew / "ladder.json")[0]:
        folder = exported_anew / "packages" / rung.name
        (quality,) = verify(folder).quality
        assert quality.value == pytest.approx(score_package(folder, "fp32", prepared)["jaccard"], abs=2e-4)
        assert quality.graph == "fp32.onnx"


def test_a_student_that_is_left_out_now_is_not_measured_by_its_older_package(
    exported_anew, tmp_path, run_main, monkeypatch
):
    run = copied(exported_anew, tmp_path, without=())
    rungs, chosen = read_ladder(run / "ladder.json")
    (other,) = (rung.name for rung in rungs if rung.name != chosen)

    def refuse(*_, name, **__):
        if name == other:
            raise ExportError("too odd")
        return verify(run / "packages" / name)

    monkeypatch.setattr("satsqueeze.cli.export.export_package", refuse)
    words = ("--export.int8", "false", "--export.default", "fp32", "--export.seed", "1")
    status, _, err = run_main("export", run, *words)
    assert status == 0
    assert f"no package of student {other}: too odd" in err
    assert f"{run / 'packages' / other} is a package of an earlier export" in err
    status, out, _ = run_main("bench", run, "--json", "--bench", part(tmp_path, "bench"))
    assert status == 0
    assert {json.loads(line)["name"] for line in out.splitlines()} == {"threshold", "teacher", chosen}


def test_students_are_not_measured_by_packages_of_older_ones(squeezed, tmp_path, run_main):
    run = copied(squeezed, tmp_path, without=())
    ladder = read_json(run / "ladder.json")
    write_json(run / "ladder.json", {**ladder, "rungs": ladder["rungs"][::-1]})
    status, _, err = run_main("bench", run)
    assert status == 2
    assert f"the stage 'export' finished before ladder changed; run 'satsqueeze export {run}' again" in err


def test_the_same_seed_gives_the_same_students(squeezed, scenes, minimal, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(squeeze, "export_stage", stop)
    assert main(["squeeze", str(scenes), "--out", str(tmp_path / "again"), "--config", str(minimal)]) == 130
    for path in squeezed.glob("students/*/weights.safetensors"):
        assert (tmp_path / "again" / path.relative_to(squeezed)).read_bytes() == path.read_bytes()
