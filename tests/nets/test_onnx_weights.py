"""Starting from the weights inside an ONNX file."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from satsqueeze.core.errors import RunError
from satsqueeze.nets.onnx_weights import OnnxStart, start_from_onnx


class _Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6))
        self.head = nn.Conv2d(6, classes, 1)
        self.dead = nn.Conv2d(6, 6, 1)

    def forward(self, x):
        return self.head(self.body(x))


def _write(net, path):
    weights = [
        onnx.numpy_helper.from_array(weight.numpy(), f"model.{name}")
        for name, weight in net.state_dict().items()
        if not name.startswith("dead") and "num_batches" not in name
    ]
    graph = onnx.helper.make_graph([], "net", [], [], initializer=weights)
    onnx.save(onnx.helper.make_model(graph), path)


@pytest.fixture
def start(tmp_path):
    torch.manual_seed(0)
    source = _Net(classes=3)
    source.body[1].running_mean.uniform_()
    _write(source, tmp_path / "net.onnx")
    return source, OnnxStart(path=tmp_path / "net.onnx", head="head", channels=(0, 2), unused=("dead",))


def test_outputs_are_those_of_the_picked_channels(start):
    source, how = start
    network = _Net(classes=2)
    start_from_onnx(network, how)
    image = torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(image), source.eval()(image)[:, [0, 2]])


def test_a_network_of_another_shape_is_refused(start):
    network = _Net(classes=2)
    network.body[0] = nn.Conv2d(4, 7, 3)
    with pytest.raises(RunError, match=r"does not fit the network: .* such as body.0.weight \(7, 4, 3, 3\)"):
        start_from_onnx(network, start[1])


def test_a_channel_that_the_file_lacks_is_refused(start, tmp_path):
    how = OnnxStart(path=tmp_path / "net.onnx", head="head", channels=(0, 3), unused=("dead",))
    with pytest.raises(RunError, match="has 3 output channels, the start asks for channel 3"):
        start_from_onnx(_Net(classes=2), how)


def test_an_unreadable_file_is_refused(tmp_path):
    (tmp_path / "net.onnx").write_bytes(np.arange(10, dtype=np.uint8).tobytes())
    with pytest.raises(RunError, match="cannot be read as ONNX"):
        start_from_onnx(_Net(classes=2), OnnxStart(path=tmp_path / "net.onnx"))
