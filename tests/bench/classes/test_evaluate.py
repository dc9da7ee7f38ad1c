"""Scoring packages that decide on whole images, against scikit-learn, with what can go wrong in a data set."""

from __future__ import annotations

import json
import warnings
import zipfile

import numpy as np
import onnx
import pytest
import rasterio
from affine import Affine
from onnx import TensorProto, helper, numpy_helper
from rasterio.errors import NotGeoreferencedWarning
from sklearn import metrics as oracle

from satsqueeze.bench.evaluate import evaluate
from satsqueeze.cli.main import main
from satsqueeze.core.errors import DataError, LabelError
from satsqueeze.core.manifest import FlightManifest, Graph, PackageBand, PackageScaling
from satsqueeze.core.package import seal
from satsqueeze.data.cards.catalogue import load_card
from satsqueeze.data.dataset import open_dataset

BANDS = ("red", "green", "blue")
SIDE = 8
CLASSES = ("AnnualCrop", "Forest", "River")
CARD = """
name: tiles
task: classification
bands: [red, green, blue]
images: '{above}{label:[A-Za-z]+}/{name}.tif'
label_kind: path
classes: [River, AnnualCrop, Forest]
foreground: []
scale: 0.001
"""


def write_package(folder, classes=CLASSES):
    """The brightest band is the class: the first, second and third of ``CLASSES``."""
    weights = np.full((3, len(classes)), -10, np.float32)
    for band, name in enumerate(CLASSES):
        weights[:, classes.index(name)] = 10 * np.eye(3, dtype=np.float32)[band]
    folder.mkdir()
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("ReduceMean", ["reflectance", "axes"], ["means"], keepdims=0),
        helper.make_node("MatMul", ["means", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
        helper.make_node("ArgMax", ["logits"], ["decided"], axis=1, keepdims=0),
        helper.make_node("Cast", ["decided"], ["class"], to=TensorProto.UINT8),
    ]
    constants = [
        numpy_helper.from_array(np.array([2, 3], np.int64), "axes"),
        numpy_helper.from_array(weights, "weights"),
    ]
    graph = helper.make_graph(
        nodes,
        "flight",
        [value("reflectance", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [
            value("probabilities", TensorProto.FLOAT, ["batch", len(classes)]),
            value("class", TensorProto.UINT8, ["batch"]),
        ],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), folder / "g.onnx")
    manifest = FlightManifest(
        name="brightest",
        description="made by hand",
        task="classification",
        bands=tuple(PackageBand(name=name, wavelength_nm=0, gsd_m=10) for name in BANDS),
        classes=classes,
        foreground=(),
        scaling=PackageScaling(bands=BANDS, mean=(0.0,) * 3, std=(1.0,) * 3, low=-0.2, high=2.0),
        size_multiple=1,
        receptive_field=0,
        window_invariant=False,
        input_size=(SIDE, SIDE),
        parameters=0,
        macs_per_pixel=0,
        macs_input=f"{SIDE}x{SIDE}",
        graphs=(Graph(file="g.onnx", precision="fp32", engine="onnx"),),
        default_graph="g.onnx",
    )
    seal(folder, manifest)
    return folder


@pytest.fixture
def package(tmp_path):
    return write_package(tmp_path / "package")


def write(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = values.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": "uint16"}
    with rasterio.open(path, "w", crs="EPSG:32631", transform=Affine(10, 0, 0, 0, -10, 0), **profile) as target:
        target.write(values.astype(np.uint16))


@pytest.fixture
def tiles(tmp_path):
    """Tiles of three classes, noisy enough for mistakes; truth and what the package says by numpy."""
    root, generator = tmp_path / "tiles", np.random.default_rng(0)
    (root).mkdir()
    (root / "dataset.yaml").write_text(CARD)
    truth, said = [], []
    for value, name in enumerate(CLASSES):
        for number in range(30):
            bands = generator.normal(200, 40, 3)
            bands[value] += 50
            image = bands.round().astype(int)[:, None, None] * np.ones((3, SIDE, SIDE))
            write(root / name / f"{name}_{number:02}.tif", image)
            truth.append(value)
            said.append(int(bands.round().argmax()))
    return root, np.array(truth), np.array(said)


def test_scores_are_sklearns_whatever_the_order_of_the_classes(package, tiles):
    root, truth, said = tiles
    seen = []
    found = evaluate(package, open_dataset(root), on_progress=lambda *n: seen.append(n))
    assert seen[-1] == (90, 90)
    assert found["images"] == 90
    assert found["accuracy"] == pytest.approx(oracle.accuracy_score(truth, said))
    for average in ("weighted", "macro", "micro"):
        expected = oracle.precision_recall_fscore_support(truth, said, average=average)
        for key, value in zip(("precision", "recall", "f1"), expected, strict=False):
            assert found[f"{key}_{average}"] == pytest.approx(value)
    assert found["precision"] == found["precision_weighted"]
    assert found["classes"] == list(CLASSES)
    assert found["per_class"]["Forest"]["images"] == 30
    assert found["sources"] == {"tiles": {"accuracy": found["accuracy"], "images": 90}}
    assert (found["quarantined"], found["task"], found["graph_precision"]) == ([], "classification", "fp32")
    assert "over 90 images of tiles" in found["protocol"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_subset_with_fewer_classes(package, tiles):
    root, truth, said = tiles
    for path in (root / "Forest").iterdir():
        path.unlink()
    kept = truth != 1
    found = evaluate(package, open_dataset(root))
    assert found["accuracy"] == pytest.approx(oracle.accuracy_score(truth[kept], said[kept]))
    expected = oracle.recall_score(truth[kept], said[kept], labels=[0, 2], average="macro")
    assert found["recall_macro"] == pytest.approx(expected)
    assert found["per_class"]["Forest"]["images"] == 0
    assert evaluate(package, open_dataset(root), limit=7)["images"] == 7


def test_a_zip_as_eurosat_is_published(package, tmp_path):
    """One folder above the classes, JPEGs; the card names ten classes, of which two occur."""
    archive = tmp_path / "EuroSAT_RGB.zip"
    tile = np.full((3, SIDE, SIDE), 60, np.uint8)
    tile[1] = 200
    with warnings.catch_warnings(), rasterio.MemoryFile() as memory:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with memory.open(driver="JPEG", count=3, height=SIDE, width=SIDE, dtype="uint8") as target:
            target.write(tile)
        content = bytes(memory.getbuffer())
    with zipfile.ZipFile(archive, "w") as target:
        for number in range(3):
            target.writestr(f"EuroSAT_RGB/Forest/Forest_{number}.jpg", content)
        target.writestr("EuroSAT_RGB/River/River_7.jpg", content)
        target.writestr("EuroSAT_RGB/River/River_8.jpg", content[:40])
        target.writestr("more/of it/Forest/Forest_9.JPEG", content)
        target.writestr("EuroSAT_RGB/Sea_Lake/Sea_Lake_1.jpg", content)
    every = load_card("eurosat-rgb").classes
    found = evaluate(write_package(tmp_path / "ten", every), open_dataset(archive, card="eurosat-rgb"))
    assert (found["images"], found["accuracy"], found["classes"]) == (5, 0.8, list(every))
    assert [entry["item"] for entry in found["quarantined"]] == ["eurosat-rgb/River_8", "eurosat-rgb/Sea_Lake_1"]
    assert "names the class(es) Sea_Lake; expected some of AnnualCrop" in found["quarantined"][1]["reason"]
    with pytest.raises(LabelError, match=r"does not know the class\(es\) HerbaceousVegetation"):
        evaluate(package, open_dataset(archive, card="eurosat-rgb"))


def test_bad_files_are_left_out_and_listed(package, tiles):
    root, _, _ = tiles
    (root / "Forest" / "Forest_00.tif").write_bytes(b"broken")
    write(root / "River" / "River_01.tif", np.full((3, SIDE, SIDE + 1), 100))
    write(root / "Desert" / "Desert_00.tif", np.full((3, SIDE, SIDE), 100))
    write(root / "River" / "River_02.tif", np.full((3, SIDE, SIDE), 20000))
    found = evaluate(package, open_dataset(root))
    reasons = {entry["item"]: entry["reason"] for entry in found["quarantined"]}
    assert found["images"] == 87
    assert "cannot be read" in reasons["tiles/Forest_00"]
    assert "8 x 9 px, the package takes 8 x 8 px" in reasons["tiles/River_01"]
    assert "names the class(es) Desert" in reasons["tiles/Desert_00"]
    assert "reflectance" in reasons["tiles/River_02"]
    assert "4 left out" in found["protocol"]


def test_nothing_to_score(package, tiles):
    root, _, _ = tiles
    for path in root.rglob("*.tif"):
        path.write_bytes(b"broken")
    with pytest.raises(DataError, match="none of 90 images could be scored; the first"):
        evaluate(package, open_dataset(root))


def test_other_labels_are_refused(package, tiles):
    root, _, _ = tiles
    card = CARD.replace("classes: [River, AnnualCrop, Forest]", "classes: [River, AnnualCrop, Forest, Desert]")
    (root / "dataset.yaml").write_text(card)
    with pytest.raises(LabelError, match=r"does not know the class\(es\) Desert of the data set"):
        evaluate(package, open_dataset(root))
    card = CARD.replace("task: classification", "task: multi-label")
    (root / "dataset.yaml").write_text(card)
    with pytest.raises(LabelError, match="is for classification, the data set for multi-label"):
        evaluate(package, open_dataset(root))


def test_the_command(package, tiles, capsys):
    root, _, _ = tiles
    assert main(["evaluate", str(package), str(root), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert main(["evaluate", str(package), str(root)]) == 0
    assert f"accuracy               {record['accuracy']:.4f}" in capsys.readouterr().out
    options = ["--package", str(package), "--bands", "red,green,blue", "--radiometry", "scale:0.001"]
    assert main(["predict", str(root / "River" / "River_00.tif"), *options]) == 2
    assert "decides on whole images" in capsys.readouterr().err
