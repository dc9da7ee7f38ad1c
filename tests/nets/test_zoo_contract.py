"""What every network of the zoo promises.

On the meta device, where shapes are followed and nothing is computed, for all of them; with real weights for one of
each family. ``SATSQUEEZE_WHOLE_ZOO=1`` exports every one of them, which takes half an hour.
"""

from __future__ import annotations

import os
import warnings

import numpy as np
import onnxruntime
import pytest
import torch
from torch.export import Dim

from satsqueeze.core.errors import GridError
from satsqueeze.core.scaling import Scaling
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.classifier import ClassifierConfig
from satsqueeze.nets.model import build_model, load_model, save_model
from satsqueeze.nets.zoo import ZOO, build_classifier

CLASSES = 5
BANDS = (1, 3, 4, 10, 13)
REPRESENTATIVES = {
    "small-resnet": "resnet8",
    "texture": "texture-10k",
    "densenet": "densenet121",
    "resnet": "resnet18",
    "vgg": "vgg16",
    "vit": "vit30",
    "mlp-mixer": "mixer-tiny",
    "wrn": "wrn-cbam-ghost",
    "wrn-scaled": "wrn-eca-b2",
    "efficientnet": "efficientnet-b0-coord-ghost",
    "mobilevit": "mobilevitv2-050",
    "efficientvit": "efficientvit-m0",
    "mobilenet": "mobilenetv3-small",
    "ghostnet": "ghostnet",
    "edgenext": "edgenext-xx-small",
    "fastvit": "fastvit-t8",
    "repvit": "repvit-m0.9",
    "starnet": "starnet-s1",
    "convnext": "convnextv2-atto",
    "regnet": "regnety-002",
    "fasternet": "fasternet-t0",
}
EXPORTED = (
    ZOO
    if os.environ.get("SATSQUEEZE_WHOLE_ZOO")
    else ("resnet8", "texture-10k", "vit30", "mixer-tiny", "wrn-cbam-ghost", "wrn-eca-b2", "mobilevitv2-050")
)


def on_meta(name, *, in_channels=3, size=None):
    config = ClassifierConfig(model=name, in_channels=in_channels, classes=CLASSES, size=size or ZOO[name].smallest)
    with torch.device("meta"):
        return build_classifier(config)


def images(bands, height, width):
    return torch.empty(2, bands, height, width, device="meta")


def parameters(net):
    return sum(p.numel() for p in net.parameters())


def awake(model):
    """The model with something in every matrix: some networks start with a last layer of zeros."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1 and not parameter.any():
                parameter.normal_(std=0.1, generator=generator)
    return model


@pytest.mark.parametrize("name", ZOO)
class TestEveryNetwork:
    def test_forward_and_backward_at_its_smallest_size(self, name):
        net, side = on_meta(name).train(), ZOO[name].smallest
        logits = net(images(3, side, side))
        assert (logits.shape, logits.dtype) == ((2, CLASSES), torch.float32)
        logits.sum().backward()
        assert [path for path, p in net.named_parameters() if p.grad is None] == []
        with pytest.raises(GridError, match=f"{name} takes .* at least {side} x {side} px; got {side - 1} x {side}"):
            net(images(3, side - 1, side))

    def test_any_number_of_bands(self, name):
        counts = [parameters(on_meta(name, in_channels=bands)) for bands in BANDS]
        each = (counts[-1] - counts[0]) // (BANDS[-1] - BANDS[0])
        assert each > 0
        assert counts == [counts[0] + each * (bands - BANDS[0]) for bands in BANDS]

    def test_odd_sizes_are_taken_or_refused_with_those_that_work(self, name):
        side = ZOO[name].smallest + 5
        net = on_meta(name, in_channels=13, size=side).eval()
        assert net(images(13, side, side)).shape == (2, CLASSES)
        if ZOO[name].fixed:
            with pytest.raises(GridError, match=rf"takes square images .*got {side} x {side + 2}"):
                net(images(13, side, side + 2))
        else:
            assert net(images(13, side, side + 2)).shape == (2, CLASSES)


def test_every_family_is_represented():
    assert {name: ZOO[name].family for name in REPRESENTATIVES.values()} == {
        name: family for family, name in REPRESENTATIVES.items()
    }
    assert {card.family for card in ZOO.values()} == set(REPRESENTATIVES)


@pytest.fixture
def card_of():
    def make(name):
        names = ("red", "green", "blue")
        return ModelCard(
            name=name,
            family="zoo",
            config=ClassifierConfig(model=name, in_channels=3, classes=CLASSES, size=ZOO[name].smallest),
            scaling=Scaling(bands=names, mean=(0.5,) * 3, std=(0.3,) * 3),
            bands=names,
            classes=tuple(f"class {i}" for i in range(CLASSES)),
            foreground=(),
            task="classification",
        )

    return make


@pytest.mark.parametrize("name", REPRESENTATIVES.values())
def test_a_seed_fixes_the_weights_and_a_file_keeps_them(name, card_of, tmp_path):
    card, side = card_of(name), ZOO[name].smallest
    before = torch.get_rng_state()
    model, again = build_model(card, seed=1).eval(), build_model(card, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(map(torch.equal, model.state_dict().values(), again.state_dict().values()))
    awake(model)
    x = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = model(x)
    assert torch.isfinite(logits).all()
    assert logits.std() > 0
    save_model(model, tmp_path)
    loaded = load_model(tmp_path)
    assert loaded.card == card
    with torch.no_grad():
        assert torch.equal(loaded(x), logits)


@pytest.mark.parametrize(
    "name", ["resnet8", "texture-10k", "vit30", "mixer-tiny", "wrn-coord", "wrn-eca-b1", "mobilevitv2-050"]
)
def test_gradients_are_finite_and_evaluation_is_deterministic(name, card_of):
    model, side = awake(build_model(card_of(name), seed=0)), ZOO[name].smallest
    x = torch.rand(4, 3, side, side, generator=torch.Generator().manual_seed(0))
    torch.nn.functional.cross_entropy(model.train()(x), torch.tensor([0, 1, 2, 3])).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
    assert sum(p.grad.abs().sum() > 0 for p in model.parameters()) > 0.8 * len(list(model.parameters()))
    model.eval()
    with torch.no_grad():
        assert torch.equal(model(x), model(x))


@pytest.mark.parametrize("name", EXPORTED)
def test_the_exported_graph_agrees_for_any_number_of_images(name, card_of):
    model, x = awake(build_model(card_of(name), seed=0)), torch.rand(3, 3, *(ZOO[name].smallest,) * 2)
    with torch.no_grad():
        model.train()(x)
        logits = model.eval()(x).numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model, (x[:2],), dynamo=True, dynamic_shapes=({0: Dim("batch")},), opset_version=18, verbose=False
        )
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    for count in (1, 3):
        (found,) = session.run(None, {session.get_inputs()[0].name: x[:count].numpy()})
        assert np.abs(found - logits[:count]).max() <= 1e-4 * np.abs(logits).max()
