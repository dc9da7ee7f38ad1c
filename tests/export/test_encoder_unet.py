"""A segmentation network on a classifier's stages: started from its run, trained, exported, the same on engines."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import rasterio
import torch
from affine import Affine

from satsqueeze.core.scaling import Scaling
from satsqueeze.data.cache.pack import pack
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.splits.split import Split
from satsqueeze.export.onnx import export_fp32, flight_graph
from satsqueeze.learn.fit import FitSettings, fit
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.classifier import ClassifierConfig
from satsqueeze.nets.encoder_unet import EncoderUNetConfig
from satsqueeze.nets.model import build_model, load_model, save_model
from satsqueeze.nets.transfer import start_from_run

BANDS = ("blue", "green", "red", "nir")
CARD = """
name: discs
bands: [blue, green, red, nir]
scale: 0.0001
classes: [clear, cloud]
foreground: [1]
"""
SIDE = 32


@pytest.fixture(scope="module")
def discs(tmp_path_factory):
    """Six images of a bright disc each."""
    folder, generator = tmp_path_factory.mktemp("discs"), np.random.default_rng(0)
    (folder / "dataset.yaml").write_text(CARD)
    rows, cols = np.mgrid[:SIDE, :SIDE]
    for number in range(6):
        centre = generator.integers(8, 24, 2)
        label = ((rows - centre[0]) ** 2 + (cols - centre[1]) ** 2 < 64).astype(np.uint8)
        image = (1000 + 3000.0 * label + generator.normal(0, 200, (4, SIDE, SIDE))).clip(1).astype(np.uint16)
        for kind, values in (("images", image), ("labels", label[None])):
            path = folder / kind / f"{number}.tif"
            path.parent.mkdir(exist_ok=True)
            profile = {"count": len(values), "height": SIDE, "width": SIDE, "dtype": values.dtype.name}
            with rasterio.open(
                path, "w", driver="GTiff", crs="EPSG:32631", transform=Affine(10, 0, 0, 0, -10, 0), **profile
            ) as target:
                target.write(values)
    return pack(open_dataset(folder), folder / "cache")


def card(family, config, bands, classes, task):
    scaling = Scaling(bands=bands, mean=(0.2,) * len(bands), std=(0.15,) * len(bands))
    foreground = (1,) if task == "segmentation" else ()
    return ModelCard(
        name=family,
        family=family,
        config=config,
        scaling=scaling,
        bands=bands,
        classes=classes,
        foreground=foreground,
        task=task,
    )


def test_from_classifier_to_graph(discs, tmp_path):
    classes = tuple(f"class {value}" for value in range(10))
    config = ClassifierConfig(model="resnet8", in_channels=3, classes=10)
    source = build_model(card("zoo", config, ("red", "green", "blue"), classes, "classification"), seed=1)
    (tmp_path / "classifier").mkdir()
    save_model(source, tmp_path / "classifier")
    segmenter = EncoderUNetConfig(in_channels=4, classes=2)
    model = build_model(card("encoder-unet", segmenter, BANDS, ("clear", "cloud"), "segmentation"), seed=2)
    report = start_from_run(tmp_path, model)
    assert [band.how for band in report.bands] == ["matched", "matched", "matched", "fresh"]
    assert report.fresh_classes == ("clear", "cloud")
    settings = FitSettings(
        epochs=5, steps_per_epoch=8, batch_size=4, patch_size=(SIDE, SIDE), optimiser="adamw", precision="fp32"
    )
    split = Split(train=discs.ids[:4], validation=discs.ids[4:])
    result = fit(model, discs, split, settings, tmp_path / "run")
    assert result.best_score > 0.6
    trained = load_model(tmp_path / "run")
    export_fp32(flight_graph(trained), tmp_path / "graph.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "graph.onnx", providers=["CPUExecutionProvider"])
    for height, width in ((32, 32), (20, 44)):
        image = torch.rand(2, 4, height, width, generator=torch.Generator().manual_seed(3))
        with torch.inference_mode():
            logits = trained(image)
        probabilities, mask = session.run(["probabilities", "mask"], {"reflectance": image.numpy()})
        np.testing.assert_allclose(probabilities, torch.softmax(logits, dim=1), atol=1e-5)
        assert (mask == logits.argmax(dim=1).numpy()).mean() > 0.999
