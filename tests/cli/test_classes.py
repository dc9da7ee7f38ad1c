"""From tiles to a flight package by commands."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from satsqueeze.flight import open_package

SIDE = 16


@pytest.fixture
def tiles(tmp_path, write_tiles):
    """Twenty tiles of each of three classes that differ in colour, and a broken one."""
    root = write_tiles(tmp_path / "tiles", side=SIDE, each=20, spread=150, gain=800)
    (root / "field" / "field_99.tif").write_bytes(b"broken")
    return root


@pytest.fixture(autouse=True)
def _small_network(small_zoo):
    small_zoo()


FIT = ("--fit.epochs", "3", "--fit.batch_size", "8", "--fit.learning_rate", "0.02", "--fit.precision", "fp32")


def test_train_export_evaluate(tiles, run_main, tmp_path):
    out = tmp_path / "run"
    train = ("zoo", "train", tiles, "--model", "resnet8", "--out", out, *FIT)
    status, said, log = run_main(*train)
    assert status == 0, log
    assert "resnet8: validation score" in said
    assert "test images" in said
    assert "left out: tiles/field_99" in log
    stage = json.loads((out / "stages" / "classifier.json").read_text())
    assert stage["result"]["test"]["images"] == 9
    assert stage["result"]["test"]["accuracy"] > 0.8
    before = (out / "classifier" / "weights.safetensors").stat().st_mtime_ns
    assert run_main(*train)[0] == 0
    assert (out / "classifier" / "weights.safetensors").stat().st_mtime_ns == before
    quick = ("--export.calibrations", "[minmax]", "--export.openvino", "off", "--accuracy_loss", "0.5")
    status, said, log = run_main("export", out, *quick)
    assert status == 0, log
    model = open_package(said.strip(), threads=torch.get_num_threads())
    assert (model.manifest.task, model.manifest.input_size) == ("classification", (SIDE, SIDE))
    assert model.manifest.training["images"] == 42
    assert {score.metric for score in model.manifest.quality} == {"accuracy", "f1_macro"}
    package = said.strip()
    shown = run_main("evaluate", package, tiles)[1].splitlines()
    status, said, _ = run_main("evaluate", package, tiles, "--json")
    record = json.loads(said)
    assert f"mean_average_precision {record['mean_average_precision']:.4f}" in shown
    assert (status, record["images"], len(record["quarantined"])) == (0, 60, 1)
    assert record["accuracy"] > 0.8


@pytest.mark.parametrize(
    ("command", "work"),
    [
        ("bench", "satsqueeze.bench.zoo.sweep.ZooSweep.run"),
        ("scale", "satsqueeze.bench.scaling.search.ScalingSearch.run"),
        ("grid", "satsqueeze.bench.classes.grid.ClassGrid.execute"),
        ("transfer", "satsqueeze.bench.transfer.grid.TransferGrid.execute"),
    ],
)
def test_comparisons_name_what_is_left_out(tiles, run_main, tmp_path, monkeypatch, command, work):
    monkeypatch.setattr(work, lambda *_, **__: ())
    images, recipe = {"data": str(tiles)}, tmp_path / "recipe.yaml"
    students, ways = [{"name": "small", "model": "resnet8", "seeds": [0]}], [{"name": "alone"}]
    if command == "grid":
        recipe.write_text(json.dumps({"images": images, "students": students, "ways": ways}))
    elif command == "transfer":
        recipe.write_text(
            json.dumps({"source": images, "target": images, "starts": [{"name": "random", "transferred": False}]})
        )
    status, _, log = run_main("zoo", command, recipe if recipe.exists() else tiles, "--out", tmp_path / "run")
    assert (status, "left out: tiles/field_99" in log) == (0, True), log


def test_a_shared_cache_and_a_given_split(tiles, run_main, tmp_path):
    first, cache = tmp_path / "one", tmp_path / "cache"
    assert run_main("zoo", "train", tiles, "--out", first, "--cache", cache, *FIT)[0] == 0
    second = ("zoo", "train", tiles, "--out", tmp_path / "two", "--cache", cache, *FIT)
    assert run_main(*second, "--split", first / "data" / "split.json", "--fit.seed", "1")[0] == 0
    splits = [(tmp_path / name / "data" / "split.json").read_text() for name in ("one", "two")]
    assert splits[0] == splits[1]
    assert not (tmp_path / "two" / "data" / "cache").exists()
    # What one run trains on is not replaced by another.
    held = (cache / "cache.json").read_bytes()
    words = ("zoo", "train", tiles, "--out", tmp_path / "three", "--cache", cache, "--bands", "red,green", *FIT)
    status, _, log = run_main(*words)
    assert (status, (cache / "cache.json").read_bytes() == held) == (2, True)
    assert "holds other images or bands than those asked for" in log


def test_what_is_gone_is_made_again(tiles, run_main, tmp_path):
    words = ("zoo", "train", tiles, "--out", tmp_path / "run", "--cache", tmp_path / "cache", *FIT)
    assert run_main(*words)[0] == 0
    weights = tmp_path / "run/classifier/weights.safetensors"
    before = weights.read_bytes()
    shutil.rmtree(tmp_path / "cache")
    weights.unlink()
    status, _, err = run_main(*words)
    assert (status, "done before" in err) == (0, False)
    assert weights.read_bytes() == before
    assert (tmp_path / "cache/cache.json").is_file()


def test_a_corrected_list_is_another_split(tiles, run_main, tmp_path):
    run_main("zoo", "train", tiles, "--out", tmp_path / "one", *FIT)
    split = json.loads((tmp_path / "one/data/split.json").read_text())
    names = [(name, part) for part in ("train", "validation", "test") for name in split[part]]
    listed = tmp_path / "parts.csv"
    listed.write_text("\n".join(["patch_id,split", *(f"{name},{part}" for name, part in names)]))
    words = ("zoo", "train", tiles, "--out", tmp_path / "two", "--split", listed, *FIT)
    assert run_main(*words)[0] == 0
    assert run_main(*words)[0] == 0
    listed.write_text("\n".join(["patch_id,split", *(f"{name},{part}" for name, part in names[1:])]))
    status, _, err = run_main(*words)
    assert (status, "another split than asked for now" in err) == (2, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--model", "resnet9"), "did you mean resnet8"),
        (("--split", "official"), "in no official part"),
        (("--fit.epochs", "0"), "'epochs' must be at least 1"),
        (("--bands", "nir"), "nir"),
    ],
)
def test_mistakes_are_explained(tiles, run_main, tmp_path, words, message):
    status, _, said = run_main("zoo", "train", tiles, "--out", tmp_path / "run", *words)
    assert status == 2
    assert message in said


def test_an_empty_class_and_labels_of_pixels(tiles, folder, run_main, tmp_path):
    for path in (tiles / "water").iterdir():
        path.unlink()
    status, _, said = run_main("zoo", "train", tiles, "--out", tmp_path / "run")
    assert (status, "water have no image among 40" in said) == (2, True)
    status, _, said = run_main("zoo", "train", folder(), "--out", tmp_path / "other")
    assert (status, "labels of pixels, not of whole images" in said) == (2, True)


@pytest.mark.parametrize("words", [("plan",), ("squeeze",), ("train", "--model", "unet-2")])
def test_labels_of_whole_images_are_no_masks(tiles, run_main, tmp_path, words):
    """Planning a U-Net and saying then that nothing is labelled would send the user looking for masks."""
    command, *more = words
    status, _, err = run_main(command, tiles, "--out", tmp_path / "run", *more)
    assert status == 2
    assert "tiles has labels of whole images (classification), not of pixels; use 'satsqueeze zoo train'" in err


def test_export_before_training_and_with_flags_of_masks(tiles, run_main, tmp_path):
    out = tmp_path / "run"
    assert run_main("zoo", "train", tiles, "--out", out, *FIT)[0] == 0
    status, _, said = run_main("export", out, "--export.jaccard_loss", "0.1")
    assert (status, "for a classifier use --accuracy_loss" in said) == (2, True)
    (out / "stages" / "classifier.json").unlink()
    status, _, said = run_main("export", out)
    assert (status, "run 'satsqueeze zoo train DATA --out" in said) == (2, True)


def test_start_from_a_run_with_few_labels(tiles, run_main, tmp_path):
    first = tmp_path / "first"
    assert run_main("zoo", "train", tiles, "--bands", "blue,green,red", "--out", first, *FIT)[0] == 0
    out = tmp_path / "second"
    second = ("zoo", "train", tiles, "--out", out, "--init", first, "--label_fraction", "0.25", *FIT)
    status, _, log = run_main(*second, "--fit.freeze_epochs", "1")
    assert status == 0, log
    assert "bands (within 50 nm): red matched, green matched, blue matched" in " ".join(log.split())
    assert "classes: 3 matched, 0 fresh" in log
    start = json.loads((out / "stages" / "classifier.json").read_text())["result"]["start"]
    assert start["bands"]["blue"]["how"] == "matched"
    assert json.loads((out / "classifier" / "metrics.json").read_text())["settings"]["freeze_epochs"] == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--label_fraction", "0.03"), "without an image; ask for a share of at least"),
        (("--label_fraction", "2"), "must lie in (0, 1], got 2"),
        (("--init", "nowhere"), "nowhere holds no trained model"),
        (("--fit.freeze_epochs", "1"), "start from another run (--init)"),
    ],
)
def test_starts_that_cannot_be(tiles, run_main, tmp_path, words, message):
    status, _, said = run_main("zoo", "train", tiles, "--out", tmp_path / "run", *FIT, *words)
    assert status == 2
    assert message in said
