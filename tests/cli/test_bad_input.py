"""Bad input at the command line: status 2 with what was got, what was expected and what to do; or left out, by name."""

from __future__ import annotations

import errno
import json
import os

import numpy as np
import pytest
import rasterio

from satsqueeze.core.files import read_json
from satsqueeze.core.run import RunFolder
from satsqueeze.data.stage import load_prepared

from .conftest import write_raster


@pytest.fixture
def fingerprint(run_main, tmp_path):
    """A function that packs a folder and returns (status, standard error, quarantine)."""

    def run(root, *more):
        status, _, err = run_main("fingerprint", root, "--out", tmp_path / "run", "--folds", 2, *more)
        assert "Traceback" not in err
        cache = tmp_path / "run/data/cache/cache.json"
        return status, err, read_json(cache)["quarantine"] if cache.exists() else None

    return run


def refused(result, error, *parts):
    status, err, _ = result
    assert status == 2
    assert f": {error}: " in err
    for part in parts:
        assert part in err


def left_out(result, name, *parts):
    """One image is left out and named, the others are used."""
    status, err, quarantine = result
    assert status == 0
    assert [entry["id"] for entry in quarantine] == [name]
    assert f"left out: {name}: " in err
    for part in parts:
        assert part in quarantine[0]["reason"]


def test_a_sound_folder_is_taken(fingerprint, folder):
    status, _, quarantine = fingerprint(folder())
    assert (status, quarantine) == (0, [])


def test_wrong_band_count(fingerprint, folder):
    root = folder(bands=("blue", "green", "red", "nir"))
    path = root / "dataset.yaml"
    path.write_text(path.read_text().replace("- nir\n", ""))
    refused(fingerprint(root), "DataError", "has 4 channels; expected 3 (blue, green, red)", "in dataset.yaml")


def test_one_file_with_another_band_count(fingerprint, folder):
    root = folder()
    write_raster(root / "images/scene2.tif", np.full((3, 32, 32), 900, np.uint16))
    left_out(fingerprint(root), "mine/scene2", "has 3 channels; expected 4")


def test_unknown_band_names(fingerprint, folder):
    refused(fingerprint(folder(), "--bands", "blue,swir16"), "DataError", "swir16 are needed", "blue, green, red, nir")


@pytest.mark.parametrize(
    ("names", "left"),
    [
        (("blue", "green", "red", "swir16"), True),
        (("red", "green", "blue", "nir08"), True),
        (("nir", "red", "green", "blue"), False),  # another order of the same is read in that order
        (("blue", "green", "red", "nir08"), False),  # what another sensor calls near infrared
        (("B1", "B2", "B3", "B4"), False),  # channels are counted, not named
        (("B01", "B02", "B03", "B04"), False),
        (("B02", "B03", "B04", "B05"), False),  # Landsat's numbers, which no path tells from Sentinel-2's
        (("B2", "B3", "B4", "B5"), False),
        (("a", "b", "c", "d"), False),
    ],
)
def test_files_whose_own_names_contradict_the_card(fingerprint, folder, names, left):
    root = folder()
    with rasterio.open(root / "images/scene2.tif", "r+") as handle:
        handle.descriptions = names
    found = fingerprint(root)
    if left:
        said = f"names its channels {', '.join(names)}, but blue, green, red, nir were stated"
        left_out(found, "mine/scene2", said, "the descriptions in the file")
    else:
        assert found[0] == 0
        assert found[2] == []


def test_numbers_that_are_none_of_what_is_stated(fingerprint, folder):
    root = folder()
    with rasterio.open(root / "images/scene2.tif", "r+") as handle:
        handle.descriptions = ("B02", "B03", "B04", "B11")  # swir16 to Sentinel-2, thermal to Landsat 8
    left_out(fingerprint(root), "mine/scene2", "blue, green, red, nir were stated")


@pytest.mark.parametrize(("sensor", "left"), [("landsat-8", False), ("sentinel-2", True), ("landsat-7", True)])
def test_a_stated_sensor_tells_what_numbers_mean(fingerprint, folder, sensor, left):
    root = folder()
    card = root / "dataset.yaml"
    card.write_text(card.read_text() + f"sensor: {sensor}\n")
    with rasterio.open(root / "images/scene2.tif", "r+") as handle:
        handle.descriptions = ("B2", "B3", "B4", "B5")
    found = fingerprint(root)
    if left:
        left_out(found, "mine/scene2", "blue, green, red, nir were stated")
    else:
        assert (found[0], found[2]) == (0, [])


def test_a_missing_label_file(fingerprint, folder):
    root = folder()
    (root / "labels/scene3.tif").unlink()
    left_out(fingerprint(root), "mine/scene3", "has no mask", "Add the file")


def test_labels_outside_the_card(fingerprint, folder):
    refused(fingerprint(folder(classes=4)), "DataError", "label value(s) 2, 3", "expected 0, 1", "label_map")


def test_unequal_image_and_mask(fingerprint, folder):
    root = folder()
    write_raster(root / "labels/scene1.tif", np.zeros((1, 30, 32), np.uint8))
    left_out(fingerprint(root), "mine/scene1", "has 30 x 32 px", "has 32 x 32 px", "Crop or resample")


@pytest.mark.parametrize("size", [0, 700])
def test_an_empty_or_truncated_file(fingerprint, folder, size):
    root = folder(side=48)
    path = root / "images/scene0.tif"
    path.write_bytes(path.read_bytes()[:size])
    left_out(fingerprint(root), "mine/scene0", "scene0.tif", "fetch or write the file again")


def test_patches_need_no_coordinate_system(fingerprint, folder):
    root = folder()
    for path in root.glob("*/scene0.tif"):
        values = np.ones((4 if path.parent.name == "images" else 1, 32, 32), np.uint16)
        write_raster(path, values.astype(np.uint8) if len(values) == 1 else values, crs=None)
    assert fingerprint(root)[0] == 0


def test_an_image_without_data(fingerprint, folder):
    root = folder(nodata=0)
    write_raster(root / "images/scene4.tif", np.zeros((4, 32, 32), np.uint16))
    left_out(fingerprint(root), "mine/scene4", "no pixel is valid", "check 'nodata'")


def test_numbers_that_are_none(fingerprint, folder):
    root = folder()
    write_raster(root / "images/scene4.tif", np.full((4, 32, 32), np.nan, np.float32))
    left_out(fingerprint(root), "mine/scene4", "no pixel is valid (all nodata, NaN or saturated)")


def test_a_single_class(fingerprint, folder):
    refused(fingerprint(folder(classes=1)), "SplitError", "holds only class 0", "expected at least two classes")


def test_too_few_scenes(fingerprint, folder):
    refused(fingerprint(folder(count=2)), "SplitError", "cannot make 2 folds", "add scenes")


def test_no_data_at_all(fingerprint, tmp_path):
    refused(fingerprint(tmp_path / "absent"), "RasterError", "found nothing; check the path")
    (tmp_path / "empty").mkdir()
    refused(fingerprint(tmp_path / "empty"), "DataError", "no image of card 'folder'", "--card")


def test_an_unknown_card(fingerprint, folder):
    refused(fingerprint(folder(), "--card", "nonsense"), "CardError", "unknown card 'nonsense'", "expected one of")


def test_a_run_folder_of_another_version(fingerprint, folder, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/run.json").write_text('{"format_version": 99}')
    refused(fingerprint(folder()), "RunError", "of format 99", "reads format 1", "choose a new --out folder")


def test_a_folder_that_is_no_run(fingerprint, folder, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/holiday.txt").write_text("mine")
    refused(fingerprint(folder()), "RunError", "is not a run folder")
    assert (tmp_path / "run/holiday.txt").read_text() == "mine"


@pytest.mark.parametrize("command", ["train", "distill", "export", "bench", "report"])
def test_data_given_as_a_run_lead_to_a_plan_of_them(run_main, scenes, command):
    status, _, err = run_main(command, scenes)
    assert status == 2
    assert f"{scenes} is no run folder, expected one that 'satsqueeze squeeze' or 'satsqueeze plan' has made" in err
    assert f"'satsqueeze plan {scenes} --out runs/{scenes.name}-run'" in err


def test_the_plan_that_a_missing_run_leads_to_can_be_trained(run_main, folder, tmp_path):
    run = tmp_path / "run"
    _, _, err = run_main("train", run)
    words = err.split("make one with 'satsqueeze ")[1].split("'")[0].replace("DATA", str(folder())).split()
    assert run_main(*words, "--plan.schedule.epochs", 1, "--plan.schedule.steps_per_epoch", 1)[0] == 0
    assert run_main("train", run)[0] == 0


def test_a_run_folder_of_other_data(fingerprint, folder):
    root = folder()
    fingerprint(root)
    refused(fingerprint(root, "--seed", 3), "RunError", "from other data or another split", "choose a new --out folder")


def test_a_full_disk(fingerprint, folder, monkeypatch, tmp_path):
    root = folder()

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        refused(fingerprint(root), "RunError", "the disk is full", "Free some space")
    assert fingerprint(root)[0] == 0


@pytest.mark.parametrize(
    ("text", "error", "parts"),
    [
        ("parameters: 10", "BudgetError", ("got a limit of 10, expected at least",)),
        ("activation_bytes: 10", "BudgetError", ("activation_bytes: got a limit of 10",)),
        ("train_minutes: 0.00000001", "BudgetError", ("train_minutes: got a limit of 1e-08",)),
        ("student: {parameters: 10}", "BudgetError", ("has at most 10 parameters", "the smallest has")),
        (
            "student: {macs_per_pixel: 1}",
            "BudgetError",
            ("no student meets", "macs_per_pixel, above 1. Raise the limit"),
        ),
        ("student: {activation_bytes: 10}", "BudgetError", ("no student meets", "activation_bytes, above 10. Raise")),
        ("pixels: 3", "SettingsError", ("got pixels, expected only parameters",)),
        ("parameters: many", "SettingsError", ("got 'many', expected a positive number",)),
        ("- 3", "SettingsError", ("expected lines such as 'parameters: 120000'",)),
        ("[", "SettingsError", ("cannot read the budget file",)),
    ],
)
def test_a_budget_nothing_can_meet_is_refused_before_training(run_main, scenes, tmp_path, text, error, parts):
    (tmp_path / "budget.yaml").write_text(text)
    run = tmp_path / "run"
    status, out, err = run_main("squeeze", scenes, "--out", run, "--folds", 2, "--budget", tmp_path / "budget.yaml")
    assert (status, out) == (2, "")
    assert f"satsqueeze squeeze: {error}: " in err
    for part in parts:
        assert part in err
    assert not (run / "teacher").exists()


@pytest.mark.parametrize(("ratio", "error"), [("1e9", "BudgetError"), ("0.5", "SettingsError")])
def test_a_compression_that_cannot_be(run_main, scenes, tmp_path, ratio, error):
    words = ("--out", tmp_path / "run", "--folds", 2, "--compression", ratio)
    status, _, err = run_main("squeeze", scenes, *words)
    assert status == 2
    assert f": {error}: " in err
    assert "compression" in err


def test_a_plan_cannot_change_under_a_teacher(run_main, scenes, squeezed):
    words = ("--out", squeezed, "--folds", 2, "--plan.schedule.epochs", 3)
    status, _, err = run_main("plan", scenes, *words)
    assert status == 2
    assert "holds a teacher that was planned with other settings" in err


@pytest.mark.parametrize(
    ("command", "stage"), [("train", "plan"), ("distill", "plan"), ("export", "distill"), ("report", "bench")]
)
def test_a_stage_names_the_one_before_it(run_main, scenes, tmp_path, command, stage):
    run_main("fingerprint", scenes, "--out", tmp_path / "run", "--folds", 2)
    status, _, err = run_main(command, tmp_path / "run")
    assert status == 2
    assert f"the stage '{stage}' has not finished; run 'satsqueeze {stage}" in err


@pytest.mark.parametrize("command", ["train", "distill", "bench", "report"])
@pytest.mark.parametrize(
    ("stage", "told"),
    [("class-data", "is about a classifier"), ("network", "one network"), ("pretrain", "start with --init")],
)
def test_a_run_without_a_plan_is_not_sent_from_stage_to_stage(run_main, tmp_path, command, stage, told):
    run = RunFolder(tmp_path / "run")
    for done in (stage, "export"):
        run.finish(done, {}, {}, 0.0)
    status, _, err = run_main(command, tmp_path / "run")
    assert status == 2
    assert told in err
    assert "it has no plan, teacher or students" in err


@pytest.mark.parametrize(
    "words",
    [("--model", "unet-8"), ("--bands", "[red]"), ("--fit.epochs", "7"), ("--card", "synth"), ("--seed", "5")],
)
def test_what_would_change_nothing_of_a_teacher_is_refused(run_main, squeezed, words):
    status, _, err = run_main("train", squeezed, *words)
    assert status == 2
    assert f"{words[0].partition('.')[0]} would change nothing: a teacher is trained as it was planned" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "--model", "unett-2"), "unknown student 'unett-2'; did you mean unet-2"),
        (("train", "--label_fraction", "0"), "a share of the labels in (0, 1], got 0"),
        (("pretrain", "--model", "unett-2"), "unknown student 'unett-2'; did you mean unet-2"),
        (("squeeze", "--students", "unet-2,unett-4"), "unknown student 'unett-4'; did you mean unet-4"),
    ],
)
def test_mistakes_are_found_before_anything_is_packed(run_main, scenes, tmp_path, words, message):
    status, _, err = run_main(words[0], scenes, *words[1:], "--out", tmp_path / "run")
    assert (status, message in err) == (2, True)
    assert not (tmp_path / "run").exists()


def test_pretraining_leaves_out_what_the_plan_tests_on(run_main, scenes, squeezed, tmp_path):
    small = ("--fit.epochs", 1, "--fit.steps_per_epoch", 1, "--fit.batch_size", 2, "--fit.views.size", 32,
             "--fit.views.positions", 8, "--fit.monitor_pixels", 0)  # fmt: skip
    words = ("pretrain", scenes, "--plan", squeezed, "--out", tmp_path / "run")
    status, _, err = run_main(*words, "--model", "unet-8", *small)
    assert (status, "--model unet-8 would change nothing" in err) == (2, True)
    status, out, _ = run_main(*words, *small)
    prepared = load_prepared(RunFolder(squeezed))
    left = len(prepared.cache) - len(prepared.test)
    assert status == 0
    assert f"{left} images" in out


def test_a_budget_that_no_student_meets_is_refused_by_the_plan(run_main, scenes, tmp_path):
    budget = tmp_path / "budget.yaml"
    budget.write_text("parameters: 30000\nstudent: {parameters: 10}\n")
    status, _, err = run_main("plan", scenes, "--out", tmp_path / "run", "--folds", 2, "--budget", budget)
    assert (status, "BudgetError: no student meets" in err) == (2, True)
    budget.write_text("parameters: 30000\nstudent: {macs_per_pixel: 100000}\n")
    status, out, _ = run_main("plan", scenes, "--out", tmp_path / "other", "--folds", 2, "--budget", budget)
    assert status == 0
    assert f"limits of students count in 'satsqueeze distill {tmp_path / 'other'} --budget {budget}'" in out


def test_shipping_needs_a_name(run_main, tmp_path):
    status, _, err = run_main("crossval", tmp_path / "recipe.yaml", "--ship", tmp_path / "package")
    assert (status, "needs --student" in err) == (2, True)


def test_check_reports_every_problem_and_goes_on(run_main, folder):
    root = folder()
    (root / "images/scene0.tif").write_bytes(b"")
    (root / "labels/scene1.tif").unlink()
    write_raster(root / "labels/scene2.tif", np.full((1, 32, 32), 7, np.uint8))
    status, out, _ = run_main("data", "check", root)
    assert status == 1
    assert "6 items read, 3 problem(s)" in out
    status, out, _ = run_main("data", "check", root, "--json")
    assert status == 1
    assert [any(name in p["file"] + p["problem"] for p in json.loads(out)["problems"]) for name in ("scene0", "scene1")]


@pytest.mark.parametrize("command", ["verify", "show"])
def test_what_is_no_package_is_refused(run_main, tmp_path, command):
    status, _, err = run_main("package", command, tmp_path)
    assert status == 2
    assert "PackageError" in err
    assert "has no flight.json" in err


def test_a_changed_package_is_refused(run_main, package, tmp_path):
    import shutil

    shutil.copytree(package, tmp_path / "package")
    graph = tmp_path / "package/fp32.onnx"
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)
    status, _, err = run_main("package", "verify", tmp_path / "package")
    assert status == 2
    assert "fp32.onnx: changed" in err


@pytest.mark.parametrize(
    ("group", "message"),
    [("zzz(.+)_x", "is found in none of 6 names, such as scene0"), (".+", "would be the same for all images")],
)
def test_a_group_that_tells_no_scenes_apart(fingerprint, folder, group, message):
    refused(fingerprint(folder(group=group)), "CardError", message)


def test_no_mask_at_all(run_main, fingerprint, folder):
    root = folder(labels="nowhere/{name}.tif")
    refused(fingerprint(root), "SplitError", "none of 6 images has a label", "correct 'labels'")
    status, out, err = run_main("data", "check", root)
    assert status == 0
    assert "none of its 6 images has a mask; expected paths like nowhere/{name}.tif" in out + err


def test_limits_and_seeds_are_stated_once(run_main, folder, tmp_path):
    limits = tmp_path / "limits.yaml"
    limits.write_text("parameters: 1000000\n")
    asked = ("plan", folder(), "--out", tmp_path / "run", "--folds", 2)
    for words, message in (
        (("--budget", limits, "--plan.budget.parameters", "5"), "not from both; state them in one place"),
        (("--plan.seed", "5"), "--seed is that of all stages"),
    ):
        status, _, err = run_main(*asked, *words)
        assert (status, message in err) == (2, True), err


@pytest.mark.parametrize("flag", ["--plan.seed", "--distill.fit.seed", "--export.seed"])
def test_the_seed_of_one_stage_is_not_replaced_unsaid(run_main, scenes, tmp_path, flag):
    status, _, err = run_main("squeeze", scenes, "--out", tmp_path / "run", flag, 5)
    assert (status, f"--seed is that of all stages: got 0, and 5 by {flag}; state one" in err) == (2, True), err
    assert not (tmp_path / "run").exists()


def test_different_data_types_within_a_source_are_told(fingerprint, folder):
    root = folder()
    path = root / "images/scene2.tif"
    with rasterio.open(path) as source:
        image = source.read().astype(np.int16)
    path.unlink()
    write_raster(path, image)
    status, err, quarantine = fingerprint(root)
    assert (status, quarantine) == (0, [])
    assert "images of 'mine' have different data types: 5 of uint16, 1 of int16. Tags count for" in err
    assert "'satsqueeze data check' names one" in err
