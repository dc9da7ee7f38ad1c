"""Networks over dates as ONNX graphs."""

from __future__ import annotations

import json
from dataclasses import replace
from shutil import copy

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from satsqueeze.core.errors import ExportError, ParityError
from satsqueeze.core.scaling import Scaling
from satsqueeze.export import series_graph as series_graph_module
from satsqueeze.export.series_graph import check_series, export_series, series_graph
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.model import build_model
from satsqueeze.nets.series_unet import SeriesUNetConfig
from satsqueeze.nets.students import plain_student

BANDS = ("red", "nir")


def model_of(config, seed=0):
    scaling = Scaling(bands=BANDS, mean=(0.3, 0.4), std=(0.2, 0.1))
    card = ModelCard(
        name="tiny",
        family="series-unet" if isinstance(config, SeriesUNetConfig) else "unet",
        config=config,
        scaling=scaling,
        bands=BANDS,
        classes=("a", "b", "c"),
        foreground=(),
    )
    model = build_model(card, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
    if isinstance(config, SeriesUNetConfig):
        torch.nn.init.normal_(model.net.attention.score.weight, std=2.0)
    return model.eval()


CELLS = SeriesUNetConfig.over(replace(plain_student(4, 2, in_channels=2, classes=3), stem=2))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("series")
    model = model_of(CELLS)
    return model, folder, export_series(model, folder)


def test_the_graph_does_what_the_model_does(exported):
    model, folder, found = exported
    assert found.dates == (1, 2, 5, 13)
    assert found.probability_difference <= 1e-4
    assert found.mask_differences == found.ties
    assert found.nodata_pixels > 0
    assert json.loads((folder / "series-parity.json").read_text())["pixels"] == found.pixels
    generator = torch.Generator().manual_seed(9)
    images, days = torch.rand(3, 4, 2, 64, 96, generator=generator) + 0.1, torch.tensor([[20.0, 110, 200, 290]] * 3)
    with torch.no_grad():
        want = model(images, days)
    session = onnxruntime.InferenceSession(folder / "series.onnx", providers=["CPUExecutionProvider"])
    chances, mask = session.run(["probabilities", "mask"], {"reflectance": images.numpy(), "days": days.numpy()})
    np.testing.assert_allclose(chances, want.softmax(dim=1).numpy(), atol=1e-4)
    assert mask.dtype == np.uint8
    assert (mask == want.argmax(dim=1).numpy()).mean() > 0.999
    images[:, :, :, :10] = 0
    images[:, 2] = 0
    feed = {"reflectance": images.numpy(), "days": days.numpy()}
    chances, mask = session.run(["probabilities", "mask"], feed)
    assert (mask[:, :10] == 255).all()
    assert (chances[:, :, :10] == 0).all()
    assert (mask[:, 10:] < 3).all()
    kept = [0, 1, 3]
    again = session.run(["mask"], {"reflectance": images[:, kept].numpy(), "days": days[:, kept].numpy()})[0]
    assert (again == mask).mean() > 0.999


def test_the_sizes_of_the_graph_are_free(exported):
    _, folder, _ = exported
    proto = onnx.load(folder / "series.onnx")
    axes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*proto.graph.input, *proto.graph.output)
    }
    assert axes == {
        "reflectance": ["batch", "dates", 2, "height", "width"],
        "days": ["batch", "dates"],
        "probabilities": ["batch", 3, "height", "width"],
        "mask": ["batch", "height", "width"],
    }
    assert {prop.key: prop.value for prop in proto.metadata_props}["bands"] == "red,nir"


def test_all_dates_masked_gives_nodata_in_torch_too():
    graph = series_graph(model_of(SeriesUNetConfig.over(plain_student(2, 3, in_channels=2, classes=3))))
    with torch.no_grad():
        chances, mask = graph(torch.zeros(1, 3, 2, 8, 8), torch.tensor([[1.0, 2.0, 3.0]]))
    assert (mask == 255).all()
    assert (chances == 0).all()


def test_another_models_graph_is_refused(exported, tmp_path, monkeypatch):
    _, folder, _ = exported
    with pytest.raises(ParityError, match=r"series\.onnx differs from the model: probabilities by up to"):
        check_series(series_graph(model_of(CELLS, seed=1)), folder / "series.onnx", seed=0, tolerance=1e-4)
    monkeypatch.setattr(series_graph_module, "export_fp32", lambda _, path, **__: copy(folder / "series.onnx", path))
    with pytest.raises(ParityError):
        export_series(model_of(CELLS, seed=1), tmp_path)
    assert not (tmp_path / "series.onnx").exists()


def test_a_network_of_one_date_is_refused(tmp_path):
    with pytest.raises(ExportError, match="tiny reads one date; export it as a flight package"):
        export_series(model_of(plain_student(4, 2, in_channels=2, classes=3)), tmp_path)
