"""From a classifier to a package that proves itself."""

from __future__ import annotations

import json
import shutil

import numpy as np
import onnxruntime
import pystac
import pytest
import torch
from torch import nn

from satsqueeze.core.errors import ExportError, ParityError
from satsqueeze.core.package import verify
from satsqueeze.core.scaling import Scaling
from satsqueeze.data.cache.pack import pack
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.sampling.class_sampler import reflectance
from satsqueeze.export import ClassExportSettings, ExportSettings, export_fp32, export_package
from satsqueeze.export.class_graph import ClassGraph, class_graph
from satsqueeze.export.folding import fold_what_can_be
from satsqueeze.export.parity import check_batches
from satsqueeze.flight import open_package, verify_package
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.classifier import ClassifierConfig
from satsqueeze.nets.model import SegmentationModel

BANDS = ("blue", "green", "red")
CLASSES = ("dark", "grey", "bright")
SIDE = 12
QUICK = {
    "calibration_windows": 8,
    "ranking_windows": 4,
    "calibrations": ("minmax",),
    "threads": 1,
    "openvino": "off",
    "accuracy_loss": 0.2,
}


class TwoNorms(nn.Module):
    """A convolution feeds a norm alone; another one feeds a norm and a sum."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.second = nn.Conv2d(6, 6, 3, padding=1)
        self.shared = nn.BatchNorm2d(6)
        self.gate = nn.Linear(6, 6)
        self.head = nn.Linear(6, classes)

    def forward(self, x):
        x = torch.relu(self.norm(self.first(x)))
        x = self.second(x)
        x = x + torch.relu(self.shared(x))
        x = x * torch.sigmoid(self.gate(x.mean(dim=(2, 3))))[:, :, None, None]
        return self.head(x.mean(dim=(2, 3)))


@torch.no_grad()
def make_model(task="classification", seed=0):
    """A classifier with lively norms whose decisions are spread over the classes."""
    card = ModelCard(
        name="tiny",
        family="zoo",
        config=ClassifierConfig(model="resnet8", in_channels=3, classes=3, size=SIDE),
        scaling=Scaling(bands=BANDS, mean=(0.3,) * 3, std=(0.2,) * 3),
        bands=BANDS,
        classes=CLASSES,
        foreground=(),
        task=task,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = SegmentationModel(card)
        model.net = TwoNorms(3)
        for norm in (model.net.norm, model.net.shared):
            norm.running_mean.uniform_(-0.2, 0.2)
            norm.running_var.uniform_(0.5, 2)
    model.eval()
    logits = model(tiles(60))
    model.net.head.bias.sub_(logits.mean(dim=0)).div_(logits.std(dim=0)).mul_(3)
    model.net.head.weight.div_(logits.std(dim=0)[:, None]).mul_(3)
    return model


def tiles(count, seed=5):
    generator = torch.Generator().manual_seed(seed)
    base = torch.rand(count, 1, 1, 1, generator=generator) * 0.6
    return base + 0.1 * torch.rand(count, 3, SIDE, SIDE, generator=generator)


def make_cache(folder, *, task="classification"):
    """Tiles with the decisions of the model as labels."""
    import rasterio
    from affine import Affine

    model, images = make_model(task), tiles(30, seed=1)
    with torch.inference_mode():
        logits = model(images)
    folder.mkdir(parents=True)
    several = task == "multi-label"
    card = {
        "name": "tiles",
        "task": task,
        "bands": ["red", "green", "blue"],
        "images": "{above}{label:[a-z]+}/{name}.tif" if not several else "{above}images/{name}.tif",
        "label_kind": "json" if several else "path",
        "classes": list(CLASSES),
        "foreground": [],
        "scale": 0.0001,
    } | ({"labels": "{above}labels/{name}.json"} if several else {})
    (folder / "dataset.yaml").write_text(json.dumps(card))
    for number, (image, row) in enumerate(zip(images, logits, strict=True)):
        place = folder / ("images" if several else CLASSES[int(row.argmax())])
        place.mkdir(exist_ok=True)
        values = (image.flip(0) * 10000).round().numpy().astype(np.uint16)
        profile = {"driver": "GTiff", "count": 3, "height": SIDE, "width": SIDE, "dtype": "uint16"}
        place /= f"{number:02}.tif"
        with rasterio.open(place, "w", crs="EPSG:32631", transform=Affine(10, 0, 0, 0, -10, 0), **profile) as target:
            target.write(values)
        if several:
            (folder / "labels").mkdir(exist_ok=True)
            names = [name for name, value in zip(CLASSES, row, strict=True) if value > 0]
            (folder / "labels" / f"{number:02}.json").write_text(json.dumps({"labels": names}))
    return pack(open_dataset(folder), folder / "cache")


@pytest.fixture(scope="module", params=["classification", "multi-label"])
def packaged(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("classes")
    cache, model = make_cache(root / "data", task=request.param), make_model(request.param)
    thresholds = (0.4, 0.5, 0.6) if request.param == "multi-label" else ()
    settings = ClassExportSettings(thresholds=thresholds, **QUICK)
    manifest = export_package(
        model, cache, cache.ids[:15], cache.ids[15:], settings, root / "package", name="tiny", description="A test."
    )
    return model, cache, manifest, root / "package"


def test_it_flies_as_the_model_does(packaged):
    model, cache, manifest, folder = packaged
    images = reflectance(cache.stack[:][:, [2, 1, 0]])
    with torch.inference_mode():
        logits = model(torch.from_numpy(images))
    flier = open_package(folder, precision="fp32", threads=1)
    found = flier.classify(images, BANDS)
    if manifest.task == "multi-label":
        chances = torch.sigmoid(logits).numpy()
        decided = chances >= np.array(manifest.thresholds, np.float32)
    else:
        chances = torch.softmax(logits, dim=1).numpy()
        decided = logits.argmax(dim=1).numpy()
    np.testing.assert_allclose(found.probabilities, chances, atol=1e-4)
    np.testing.assert_array_equal(found.classes, decided)
    whole = open_package(folder, threads=1).classify(images[:, ::-1], BANDS[::-1])
    assert (whole.classes == decided).mean() > 0.8


def test_the_manifest_says_it_all(packaged):
    model, _, manifest, folder = packaged
    assert verify_package(folder, threads=1).manifest == manifest == verify(folder)
    assert manifest.task == model.card.task
    assert (manifest.input_size, manifest.size_multiple, manifest.macs_input) == ((SIDE, SIDE), 1, f"{SIDE}x{SIDE}")
    assert (len(manifest.thresholds) == 3) == (manifest.task == "multi-label")
    assert manifest.parity["sizes"]["batches"] == [1, 8]
    verdict = manifest.parity["int8"]["int8.onnx"]
    assert verdict["metric"] == ("micro F1" if manifest.task == "multi-label" else "accuracy")
    assert verdict["loss"] <= 0.2
    assert verdict["images"] == 15
    assert manifest.parity["fp32"]["mask_differences"] == 0
    item = pystac.Item.from_file(str(folder / "item.json"))
    assert item.properties["mlm:tasks"] == ["scene-classification"]
    assert item.properties["mlm:input"][0]["input"]["shape"] == [-1, 3, SIDE, SIDE]
    expected = [-1, 3] if manifest.task == "multi-label" else [-1]
    assert item.properties["mlm:output"][0]["result"]["shape"] == expected
    assert item.properties["mlm:architecture"] == "resnet8"


def test_any_batch_of_one_size(packaged):
    _, _, manifest, folder = packaged
    session = onnxruntime.InferenceSession(folder / "fp32.onnx", providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["batch", 3, SIDE, SIDE]
    names = {output.name: output.shape for output in session.get_outputs()}
    assert names["probabilities"] == ["batch", 3]
    assert names.get("class", names.get("classes")) == (
        ["batch"] if manifest.task == "classification" else ["batch", 3]
    )


def test_only_norms_that_can_be_folded_are():
    model, images = make_model(), tiles(2)
    folded = fold_what_can_be(model, images)
    assert isinstance(folded.net.norm, nn.Identity)
    assert isinstance(folded.net.shared, nn.BatchNorm2d)
    torch.testing.assert_close(folded(images), model(images), atol=1e-4, rtol=1e-4)


@pytest.fixture
def parts(tmp_path):
    return make_model(), make_cache(tmp_path / "data")


def export(model, cache, folder, **changes):
    fields = {"ids_calibration": cache.ids[:15], "ids_validation": cache.ids[15:]} | changes
    settings = fields.pop("settings", ClassExportSettings(**QUICK))
    return export_package(model, cache, settings=settings, folder=folder, name="tiny", description="A test.", **fields)


def test_too_large_a_loss_leaves_nothing(parts, tmp_path, monkeypatch):
    from satsqueeze.export.class_validation import ClassValidator

    original = ClassValidator.judge

    def worse(self, graph, folder):
        from dataclasses import replace

        return replace(original(self, graph, folder), loss=0.5)

    monkeypatch.setattr(ClassValidator, "judge", worse)
    with pytest.raises(
        ParityError, match=r"int8 loses 0\.5000 accuracy .* against labels\), more than the allowed 0\.2"
    ):
        export(*parts, tmp_path / "package")
    assert not (tmp_path / "package").exists()


def test_another_graph_than_the_models_is_refused(parts, tmp_path, monkeypatch):
    export_fp32(class_graph(make_model(seed=7)), tmp_path / "other.onnx")
    monkeypatch.setattr(
        "satsqueeze.export.class_stage.export_fp32", lambda _, path, **__: shutil.copy(tmp_path / "other.onnx", path)
    )
    with pytest.raises(ParityError, match="differs from the model"):
        export(*parts, tmp_path / "package")


def test_refusals(parts, tmp_path):
    model, cache = parts
    with pytest.raises(ExportError, match="with ClassExportSettings, got ExportSettings"):
        export(model, cache, tmp_path / "p", settings=ExportSettings())
    with pytest.raises(ExportError, match="of the same task and classes"):
        export(make_model("multi-label"), cache, tmp_path / "p")
    with pytest.raises(ExportError, match="at least one image each"):
        export(model, cache, tmp_path / "p", ids_calibration=())
    with pytest.raises(ExportError, match="3 thresholds do not fit a classification model"):
        export(model, cache, tmp_path / "p", settings=ClassExportSettings(thresholds=(0.5,) * 3, **QUICK))
    with pytest.raises(ExportError, match="2 thresholds do not fit a multi-label model"):
        ClassGraph(make_model("multi-label"), (0.5, 0.5))


def test_images_that_depend_on_each_other_are_found(tmp_path):
    model = make_model()
    model.net.register_forward_hook(lambda _, __, logits: logits - logits.mean(dim=0, keepdim=True))
    export_fp32(ClassGraph(model).eval(), tmp_path / "g.onnx")
    with pytest.raises(ParityError, match="mixes the images of a batch"):
        check_batches(tmp_path / "g.onnx", list(tiles(4).numpy()), tolerance=1e-4)
