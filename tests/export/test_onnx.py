"""The float graph is the model."""

from __future__ import annotations

import ast
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from satsqueeze.core.errors import ExportError
from satsqueeze.export.onnx import FlightGraph, best_class, export_fp32, flight_graph


def run(path, image):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = ["probabilities", "mask"]
    return dict(zip(names, session.run(names, {"reflectance": image}), strict=True))


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 8, 20), (2, 64, 12)])
def test_any_batch_and_size_gives_what_the_model_gives(exported, model, shape):
    batch, height, width = shape
    image = torch.rand(batch, 4, height, width, generator=torch.Generator().manual_seed(1)) * 1.5 - 0.3
    with torch.no_grad():
        logits = model(image)
    found = run(exported[1], image.numpy())
    np.testing.assert_allclose(found["probabilities"], torch.softmax(logits, dim=1), atol=2e-5)
    np.testing.assert_array_equal(found["mask"], logits.argmax(dim=1))
    assert found["mask"].dtype == np.uint8


def test_the_graph_is_tidy(exported):
    proto = onnx.load(exported[1])
    onnx.checker.check_model(proto, full_check=True)
    assert proto.opset_import[0].version >= 17
    operations = [node.op_type for node in proto.graph.node]
    assert "BatchNormalization" not in operations
    assert "Softmax" not in operations
    names = [node.name for node in proto.graph.node]
    assert len(set(names)) == len(names)
    assert "net.stages.0.0.0/Conv" in names
    assert {p.key: p.value for p in proto.metadata_props} == {"key": "value"}
    text = exported[1].read_bytes()
    for trace in (b"/site-packages", b".py", b"satsqueeze/nets"):
        assert trace not in text
    axes = [d.dim_param or d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim]
    assert axes == ["batch", 4, "height", "width"]


def test_exporting_twice_gives_the_same_bytes(model, exported, tmp_path):
    export_fp32(flight_graph(model), tmp_path / "again.onnx", metadata={"key": "value"})
    assert (tmp_path / "again.onnx").read_bytes() == exported[1].read_bytes()


def test_a_logit_bias_moves_the_decision(model):
    image = torch.rand(1, 4, 16, 16, generator=torch.Generator().manual_seed(3))
    graph = flight_graph(model, (0.0, 0.0, 100.0, 0.0))
    with torch.no_grad():
        chances, mask = graph(image)
    assert (mask == 2).all()
    torch.testing.assert_close(chances[:, 2], torch.ones(1, 16, 16))
    assert flight_graph(model, (0.0,) * 4).logit_bias is None
    with pytest.raises(ExportError, match="4 classes need as many"):
        flight_graph(model, (1.0,))


@pytest.mark.parametrize("classes", [1, 2, 7])
def test_the_best_class_is_the_first_of_the_largest(classes):
    logits = torch.randint(0, 3, (2, classes, 9, 11), generator=torch.Generator().manual_seed(0)).float()
    found = best_class(logits)
    assert found.dtype == torch.uint8
    np.testing.assert_array_equal(found, logits.numpy().argmax(axis=1))


@pytest.mark.parametrize(("stem", "width", "bias"), [(2, 0, ()), (4, 0, ()), (4, 6, ()), (4, 0, (0.0, 0.7, -0.4, 0.1))])
def test_a_mask_decided_in_cells_is_that_of_the_pixels(make_model, stem, width, bias):
    """The network's own logits, laid out as pixels, are the reference."""
    model = make_model("lite", stem=stem, stem_width=width)
    graph = flight_graph(model, bias)
    assert graph.cell == stem
    image = torch.rand(2, 4, 48, 64, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        chances, mask = graph(image)
        shift = torch.tensor(bias or (0.0,) * 4)[:, None, None]
        logits = model(image) + shift
    torch.testing.assert_close(graph.logits(image).detach(), logits, rtol=0, atol=1e-4)
    torch.testing.assert_close(chances, logits.softmax(dim=1), rtol=0, atol=1e-5)
    best = logits.sort(dim=1).values
    clear = best[:, -1] - best[:, -2] > 1e-3
    assert torch.equal(mask[clear], logits.argmax(dim=1)[clear].byte())
    assert len(mask.unique()) == 4
    assert clear.float().mean() > 0.9


@pytest.mark.parametrize(("family", "changes"), [("unet", {}), ("lite", {"detail": 4})])
def test_where_pixels_are_computed_nothing_is_decided_in_cells(make_model, family, changes):
    assert flight_graph(make_model(family, **changes)).cell == 1


def test_probabilities_do_not_overflow(model):
    graph = FlightGraph(model, (3000.0, 0.0, 0.0, 0.0)).eval()
    with torch.no_grad():
        chances, _ = graph(torch.rand(1, 4, 8, 8))
    assert torch.isfinite(chances).all()


class Stubborn(torch.nn.Module):
    def forward(self, x):
        return torch.from_numpy(np.asarray(ast.literal_eval(str(x.detach().numpy().tolist()))))


def test_a_band_without_variation_is_nothing_per_image_in_the_graph_too(make_model, tmp_path):
    model = make_model()
    model.card = replace(model.card, normalisation="image")
    graph = flight_graph(model)
    export_fp32(graph, tmp_path / "g.onnx")
    image = torch.rand(1, 4, 96, 304, generator=torch.Generator().manual_seed(0)) + 0.1
    image[:, 1], image[:, 2] = 0.3, 0.7
    with torch.no_grad():
        expected = graph(image)[0].numpy()
    np.testing.assert_allclose(run(tmp_path / "g.onnx", image.numpy())["probabilities"], expected, atol=1e-4)


def test_what_cannot_be_exported_is_an_error_and_leaves_nothing(make_model, tmp_path):
    model = make_model()
    graph = flight_graph(model)
    graph.model.net = Stubborn()
    with pytest.raises(ExportError, match="cannot export"):
        export_fp32(graph, tmp_path / "g.onnx")
    assert not list(tmp_path.iterdir())
