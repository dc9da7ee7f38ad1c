"""Norms that come from a flight package measure the first batch and answer as before."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from satsqueeze.core.scaling import Scaling
from satsqueeze.learn.norm_statistics import measure_norms
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.classifier import ClassifierConfig
from satsqueeze.nets.model import build_model
from satsqueeze.nets.transfer import transfer

BANDS = ("red", "green")
CARD = ModelCard(
    name="small",
    family="zoo",
    config=ClassifierConfig(model="resnet8", in_channels=2, classes=3, size=16),
    scaling=Scaling(bands=BANDS, mean=(0.1, 0.2), std=(0.05, 0.1)),
    bands=BANDS,
    classes=("a", "b", "c"),
    foreground=(),
    task="classification",
)
NORMS = frozenset({"net.body.stem.1", "net.body.stages.0.0.first.1"})


def test_answers_stay_and_training_gives_the_same():
    images = torch.rand(32, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    model = build_model(CARD, seed=1).eval()
    with torch.no_grad():
        for name, module in model.named_modules():
            if name in NORMS:
                module.running_var.fill_(0.3)
                module.bias.uniform_(-1, 1, generator=torch.Generator().manual_seed(2))
        before, stem = model(images), model.net.body.stem(model.normalise(images))
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    plain = transfer(model, build_model(CARD, seed=2))
    measure_norms(model, lambda step: SimpleNamespace(images=images), plain)
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    report = transfer(model, build_model(CARD, seed=2), unmeasured=NORMS)
    assert report.unmeasured == NORMS
    measure_norms(model, lambda step: SimpleNamespace(images=images), report)
    assert not model.training
    with torch.no_grad():
        torch.testing.assert_close(model(images), before, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(model.train().net.body.stem(model.normalise(images)), stem, rtol=1e-4, atol=1e-4)
