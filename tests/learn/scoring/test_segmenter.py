"""What models say of themselves, and which precision a device gets."""

import pytest
import torch
from torch import nn

from satsqueeze.core.errors import SettingsError
from satsqueeze.learn.scoring.segmenter import bands_of, device_of, has_fast_bf16, inference, resolved
from satsqueeze.learn.scoring.threshold import ThresholdModel

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("avx512", "amx", "expected"),
    [(True, False, "bf16"), (False, True, "bf16"), (False, False, "fp32")],
)
def test_auto_is_bf16_where_the_processor_computes_it(monkeypatch, avx512, amx, expected):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert resolved("auto", CPU) == expected
    assert resolved("fp32", CPU) == "fp32"
    assert resolved("bf16", CPU) == "bf16"


def test_unknown_processor_or_device_gets_fp32(monkeypatch):
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported", raising=False)
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported", raising=False)
    assert not has_fast_bf16(CPU)
    assert not has_fast_bf16(torch.device("meta"))


def test_unknown_precision():
    with pytest.raises(SettingsError, match="auto, bf16 or fp32, got 'int8'"):
        resolved("int8", CPU)


def test_models_without_a_card_or_weights():
    assert bands_of(nn.Identity()) is None
    assert bands_of(ThresholdModel(("green", "red"))) == ("green", "red")
    assert device_of(ThresholdModel(("green", "red"))) == CPU
    assert device_of(len) == CPU


def test_inference_has_no_gradient_and_restores_the_mode():
    layer = nn.Linear(2, 2)
    with inference(layer, "bf16") as device:
        assert device == CPU
        assert not layer.training
        out = layer(torch.ones(1, 2))
        assert out.dtype == torch.bfloat16
        assert not out.requires_grad
    assert layer.training
    with pytest.raises(ValueError, match="inside"), inference(layer.eval(), "fp32"):
        raise ValueError("inside")
    assert not layer.training
