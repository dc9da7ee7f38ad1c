"""BigEarthNet's two geometries, generated: bands of three sizes, several labels, official lists; trained end to end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

import satsqueeze
from satsqueeze.cli import export
from satsqueeze.core.bands import SENTINEL2_FILE_NAMES
from satsqueeze.data.cache.pack import pack
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.cards.catalogue import load_card
from satsqueeze.data.dataset import open_dataset
from satsqueeze.flight import open_package

SIZES = {"B01": 20, "B02": 120, "B03": 120, "B04": 120, "B05": 60, "B06": 60, "B07": 60, "B08": 120}
SIZES |= {"B8A": 60, "B09": 20, "B11": 60, "B12": 60}
TEN = ("blue", "green", "red", "rededge071", "rededge075", "rededge078", "nir", "nir08", "swir16", "swir22")
PRODUCT = "S2A_MSIL2A_20170613T101031"
PARTS = (("train", 10), ("val", 4), ("test", 4))
FIT = ("--fit.epochs", "8", "--fit.batch_size", "5", "--fit.learning_rate", "0.03", "--fit.precision", "fp32")
CODES = (111, 121, 211, 221, 231, 242, 243, 244, 311, 312, 313, 321, 322, 324, 331, 411, 421, 511, 521)
"""A CORINE code of each of the 19 classes, in their order."""


def write(path, values, size):
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {"driver": "GTiff", "count": 1, "height": size, "width": size, "dtype": "uint16", "crs": "EPSG:32635"}
    with rasterio.open(path, "w", transform=Affine(1200 / size, 0, 0, 0, -1200 / size, 0), **profile) as target:
        target.write(values.astype(np.uint16), 1)


def write_patch(folder, name, wet, generator):
    """Near infrared tells land from water."""
    for band, size in SIZES.items():
        level = 1000 if wet or band not in ("B08", "B8A") else 4000
        write(folder / f"{name}_{band}.tif", generator.normal(level, 100, (size, size)).clip(1), size)


def present(wet):
    """Classes of a patch: both halves of the 19 overlap in none."""
    return range(10, 19) if wet else range(10)


@pytest.fixture(scope="module")
def v1(tmp_path_factory):
    """Eighteen patches of BigEarthNet v1, a nineteenth that no list names, and the official lists."""
    root, generator = tmp_path_factory.mktemp("v1"), np.random.default_rng(0)
    by_class = {value: name for name, value in load_card("bigearthnet").label_map.items()}
    number = 0
    for part, count in PARTS:
        names = []
        for _ in range(count):
            name, wet = f"{PRODUCT}_{number}_7", number % 2 == 0
            folder = root / "BigEarthNet-v1.0" / name
            write_patch(folder, name, wet, generator)
            labels = {"labels": [by_class[value] for value in present(wet)]}
            (folder / f"{name}_labels_metadata.json").write_text(json.dumps(labels))
            names.append(name)
            number += 1
        (root / "splits").mkdir(exist_ok=True)
        (root / "splits" / f"{part}.csv").write_text("\n".join(names) + "\n")
    return root


@pytest.fixture(scope="module")
def v2(tmp_path_factory):
    """The same in the geometry of v2, with one table of names and parts."""
    root, generator = tmp_path_factory.mktemp("v2"), np.random.default_rng(1)
    lines, number = ["patch_id,split,country"], 0
    for part, count in PARTS:
        for _ in range(count):
            product = f"{PRODUCT}_N9999_R022_T33UU{'PQRS'[number % 4]}"
            name, wet = f"{product}_{number}_57", number % 2 == 0
            write_patch(root / "BigEarthNet-S2" / product / name, name, wet, generator)
            codes = np.array([CODES[value] for value in present(wet)] + [999])
            reference = root / "Reference_Maps" / product / name / f"{name}_reference_map.tif"
            write(reference, codes[np.arange(14_400) % len(codes)].reshape(120, 120), 120)
            lines.append(f"{name},{'validation' if part == 'val' else part},Austria")
            number += 1
    (root / "metadata.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(autouse=True)
def _small_network(small_zoo):
    small_zoo(lambda _: 4, cells=1)


@pytest.mark.parametrize(("card", "lists"), [("bigearthnet", "splits"), ("bigearthnet-v2", "metadata.csv")])
def test_trains_on_ten_bands_and_official_parts(request, run_main, tmp_path, card, lists):
    root, out = request.getfixturevalue("v2" if card.endswith("v2") else "v1"), tmp_path / "run"
    words = ("--card", card, "--bands", ",".join(TEN), "--split", root / lists, "--out", out, *FIT)
    status, said, log = run_main("zoo", "train", root, *words)
    assert status == 0, log
    assert "on 4 test images" in said
    cache = PackedCache(out / "data" / "cache")
    assert (cache.task, cache.bands, cache.stack.shape[1:]) == ("multi-label", TEN, (10, 120, 120))
    split = json.loads((out / "data" / "split.json").read_text())
    assert [len(split[part]) for part in ("train", "validation", "test")] == [10, 4, 4]
    numbers = [int(item.split("_")[-2]) for item in split["validation"]]
    assert sorted(numbers) == [10, 11, 12, 13]
    test = json.loads((out / "stages" / "classifier.json").read_text())["result"]["test"]
    assert test["mean_average_precision"] > 0.95
    assert len(test["thresholds"]) == 19
    assert test["f1_micro"] > 0.9


def test_its_flight_package_names_several_classes(v1, run_main, tmp_path):
    out = tmp_path / "run"
    words = ("--card", "bigearthnet", "--bands", "red,nir", "--split", v1 / "splits", "--out", out, *FIT)
    assert run_main("zoo", "train", v1, *words)[0] == 0
    quick = ("--export.calibrations", "[minmax]", "--export.openvino", "off", "--accuracy_loss", "1")
    status, said, log = run_main("export", out, *quick)
    assert status == 0, log
    manifest = open_package(said.strip()).manifest
    assert (manifest.task, len(manifest.classes), manifest.input_size) == ("multi-label", 19, (120, 120))


def test_its_package_takes_bands_in_their_own_sizes(v1, run_main, tmp_path):
    out = tmp_path / "run"
    words = ("--card", "bigearthnet", "--bands", ",".join(TEN), "--split", v1 / "splits", "--out", out, *FIT)
    assert run_main("zoo", "train", v1, *words)[0] == 0
    quick = ("--export.int8", "false", "--export.default", "fp32", "--native_grids", "true")
    status, said, log = run_main("export", out, *quick)
    assert status == 0, log
    package, cache = Path(said.strip()), PackedCache(out / "data" / "cache")
    flier, files = satsqueeze.open_native(package), {name: file for file, name in SENTINEL2_FILE_NAMES.items()}
    assert sorted(set(flier.sizes.values())) == [(60, 60), (120, 120)]
    folder = v1 / "BigEarthNet-v1.0" / f"{PRODUCT}_3_7"
    images = {}
    for band in TEN:
        with rasterio.open(folder / f"{folder.name}_{files[band]}.tif") as source:
            images[band] = source.read(1).astype(np.float32) / 10_000
    found = flier.classify(images)
    # As the reader resamples them: to whole digital numbers.
    position = next(place for place, item in enumerate(cache.ids) if folder.name in item)
    image = cache.stack[position].astype(np.float32) / 10_000
    wanted = satsqueeze.open_classifier(package).classify(image, TEN)
    np.testing.assert_allclose(found.probabilities, wanted.probabilities, atol=1e-3)
    assert found.probabilities.std() > 0.2


@pytest.mark.parametrize("words", [("--native_grids", "true"), ("--accuracy_loss", "0.01")])
def test_what_is_about_classifiers_is_refused_elsewhere(run_main, tmp_path, monkeypatch, words):
    monkeypatch.setattr(export, "open_run", lambda run: run)
    monkeypatch.setattr(export, "is_class_run", lambda run: False)
    status, _, log = run_main("export", tmp_path, *words)
    assert status == 2
    assert f"{words[0]} would change nothing, since {tmp_path} holds no classifier" in log


def test_lists_that_do_not_fit(v1, run_main, tmp_path):
    cache = tmp_path / "cache"

    def train(lists, number):
        words = ("--card", "bigearthnet", "--bands", "red,nir", "--cache", cache, "--split", lists)
        status, _, said = run_main("zoo", "train", v1, *words, "--out", tmp_path / f"run{number}", *FIT)
        assert status == 2
        return said

    lists = tmp_path / "lists"
    lists.mkdir()
    assert "holds no list of training images; expected train.csv" in train(lists, 0)
    for part, _ in PARTS:
        (lists / f"{part}.csv").write_text((v1 / "splits" / f"{part}.csv").read_text())
    train_list = (lists / "train.csv").read_text()
    (lists / "train.csv").write_text(f"patch_id\n{train_list}{PRODUCT}_88_88\n")
    assert f"1 of the 19 images that {lists} lists are not in the data set, such as {PRODUCT}_88_88" in train(lists, 1)
    (lists / "train.csv").write_text(train_list + (lists / "test.csv").read_text())
    assert "in train and in test; an image has one part" in train(lists, 2)
    (lists / "train.csv").write_text(train_list.splitlines()[0])
    assert "the train part of 1 images lacks Urban fabric (9 images)" in train(lists, 3)
    # As spreadsheets write it: the mark at the start is no part of the first name.
    (lists / "train.csv").write_text(f"patch_id\n{train_list}{PRODUCT}_88_88\n", encoding="utf-8-sig")
    assert f"1 of the 19 images that {lists} lists are not in the data set, such as {PRODUCT}_88_88" in train(lists, 5)
    table = tmp_path / "table.csv"
    table.write_text("patch_id,country\nx,y\n", encoding="utf-8-sig")
    assert "and a column split, got patch_id, country" in train(table, 4)
    table.write_text(f"patch_id,split\n{PRODUCT}_0_7,holiday\n")
    assert "into the part 'holiday'; expected train, validation or test" in train(table, 5)
    assert "cannot be read as a list of names" in train(tmp_path / "absent.csv", 6)


def test_a_listed_patch_that_cannot_be_read_is_quarantined(v1, run_main, tmp_path):
    import shutil

    root = tmp_path / "copy"
    shutil.copytree(v1, root)
    broken = f"{PRODUCT}_0_7"
    (root / "BigEarthNet-v1.0" / broken / f"{broken}_B04.tif").write_bytes(b"broken")
    words = ("--card", "bigearthnet", "--bands", "red,nir", "--split", root / "splits", "--out", tmp_path / "run", *FIT)
    status, _, log = run_main("zoo", "train", root, *words)
    assert status == 0, log
    assert f"left out: bigearthnet/{broken}" in log
    assert len(json.loads((tmp_path / "run" / "data" / "split.json").read_text())["train"]) == 9


def test_real_patches(tmp_path):
    folder = Path(__file__).parents[3] / "shared" / "data" / "bigearthnet-tiny" / "tiny"
    if not folder.is_dir():
        pytest.skip("the real patches are not here")
    cache = pack(open_dataset(folder, card="bigearthnet"), tmp_path / "cache", bands=TEN)
    assert (len(cache), len(cache.quarantine), cache.stack.shape) == (11, 0, (11, 10, 120, 120))
    assert cache.targets.sum(axis=1).min() >= 1
    assert 0.005 < cache.image(0).mean() < 0.6
