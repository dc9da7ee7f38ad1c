"""Networks that start from others with other bands, classes and scaling."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from satsqueeze.core.bands import wavelength_of
from satsqueeze.core.errors import BandError, RunError, SettingsError
from satsqueeze.core.scaling import Scaling
from satsqueeze.nets.band_match import match_bands, mixing
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.classifier import ClassifierConfig
from satsqueeze.nets.edges import edges_of
from satsqueeze.nets.encoder_unet import EncoderUNetConfig
from satsqueeze.nets.model import build_model, save_model
from satsqueeze.nets.transfer import start_from_run, transfer
from satsqueeze.nets.unet_config import UNetConfig

RGB = ("red", "green", "blue")
TEN = tuple(f"class {i}" for i in range(10))
UNET = UNetConfig(
    in_channels=3, classes=2, features=(4, 8), strides=(1, 2), convs_encoder=(1, 1), convs_decoder=(1,), norm="batch"
)


def make_card(bands=RGB, classes=TEN, *, model="resnet8", mean=0.1, std=0.05, size=32):
    """A classifier's card, with statistics that differ from band to band; ``mean`` may be a number per band."""
    means = mean if isinstance(mean, tuple) else tuple(mean + 0.01 * i for i in range(len(bands)))
    spreads = std if isinstance(std, tuple) else tuple(std + 0.01 * i for i in range(len(bands)))
    return ModelCard(
        name=model,
        family="zoo",
        config=ClassifierConfig(model=model, in_channels=len(bands), classes=len(classes), size=size),
        scaling=Scaling(bands=bands, mean=means, std=spreads),
        bands=bands,
        classes=classes,
        foreground=(),
        task="classification",
    )


def make_segmenter(config, bands=RGB, classes=("clear", "cloud"), *, mean=0.1, std=0.05):
    family = "unet" if isinstance(config, UNetConfig) else "encoder-unet"
    plain = make_card(bands, mean=mean, std=std)
    changed = replace(config, in_channels=len(bands), classes=len(classes))
    return replace(plain, family=family, config=changed, classes=classes, task="segmentation", name=family)


def trained(card, seed=0):
    """A model whose norms have seen data."""
    model = build_model(card, seed)
    model.train()
    with torch.no_grad():
        for step in range(3):
            model(images(card, seed=step))
    return model.eval()


def images(card, seed=0, count=4):
    side = getattr(card.config, "size", 32)
    generator = torch.Generator().manual_seed(seed)
    return 0.3 * torch.rand(count, len(card.bands), side, side, generator=generator)


def reordered(pixels, have, want):
    return pixels[:, [have.index(name) for name in want]]


def test_bands_by_name_then_wavelength():
    found = match_bands(RGB, ("blue", "coastal", "rededge071", "nir", "sensor-x"))
    assert [(band.how, band.sources) for band in found] == [
        ("matched", ("blue",)),
        ("matched", ("blue",)),
        ("matched", ("red",)),
        ("fresh", ()),
        ("fresh", ()),
    ]
    (near,) = match_bands(("rededge071", "rededge078", "swir16"), ("rededge075",))
    assert (near.how, near.sources) == ("averaged", ("rededge071", "rededge078"))
    torch.testing.assert_close(
        mixing((near,), ("swir16", "rededge078", "rededge071")), torch.tensor([[0, 0.5, 0.5]]).double()
    )
    shares = mixing(found, RGB)
    assert shares.sum(dim=0)[RGB.index("green")] == 0
    assert shares[:2, RGB.index("blue")].tolist() == [1, 1]
    assert shares[2, RGB.index("red")] == 1
    assert match_bands(("red",), ("rededge071",), tolerance_nm=39.4)[0].how == "fresh"
    assert match_bands(("red",), ("rededge071",), tolerance_nm=39.6)[0].how == "matched"
    assert wavelength_of("pan") == 589.5
    assert wavelength_of("sensor-x") is None
    with pytest.raises(SettingsError, match="must be >= 0 nm, got -1"):
        match_bands(RGB, RGB, tolerance_nm=-1)


@pytest.mark.parametrize("model", ["resnet8", "texture-10k", "wrn-eca-b1", "mixer-tiny"])
def test_same_logits_for_bands_in_another_order(model):
    """Spread and order may change at no loss at all: padding is zero on either side."""
    source = trained(make_card(model=model))
    card = make_card(("blue", "red", "green"), model=model, mean=(0.12, 0.1, 0.11), std=(0.3, 0.02, 0.07))
    target = build_model(card, seed=9).eval()
    report = transfer(source, target)
    pixels = images(source.card)
    with torch.inference_mode():
        torch.testing.assert_close(target(reordered(pixels, RGB, card.bands)), source(pixels), rtol=1e-4, atol=1e-4)
    assert report.layers["fresh"] == report.layers["mixed"] == 0
    assert report.classes == TEN
    assert report.folded


@pytest.mark.parametrize("kind", ["norm", "bias"])
def test_same_response_under_another_mean(kind):
    """The mean goes into the norm behind the first layer, or into its bias; borders see other padding."""
    if kind == "norm":
        source, card = trained(make_card()), make_card(("blue", "red", "green"), mean=0.3, std=0.2)
    else:
        source = trained(make_segmenter(UNET))
        card = make_segmenter(UNET, ("blue", "red", "green"), mean=0.3, std=0.2)
    target = build_model(card, seed=9).eval()
    assert transfer(source, target).folded
    pixels = images(source.card)
    responses = []
    for model, seen in ((source, pixels), (target, reordered(pixels, RGB, card.bands))):
        first = model.net.body.stem if kind == "norm" else model.net.stages[0]
        with torch.inference_mode():
            responses.append(first(model.normalise(seen))[..., 1:-1, 1:-1])
    torch.testing.assert_close(responses[1], responses[0], rtol=1e-4, atol=1e-5)
    assert float(responses[0].abs().max()) > 0.1


def test_more_bands_and_other_classes():
    source = trained(make_card())
    bands = ("nir", "red", "coastal", "blue", "green")
    card = make_card(
        bands, ("class 7", "new", "class 2"), mean=(0.3, 0.1, 0.12, 0.12, 0.11), std=(0.1, 0.05, 0.07, 0.07, 0.06)
    )
    target, drawn = build_model(card, seed=3).eval(), build_model(card, seed=3).state_dict()
    report = transfer(source, target)
    old, new = source.state_dict(), target.state_dict()
    stem = "net.body.stem.0.weight"
    torch.testing.assert_close(new[stem][:, 0], drawn[stem][:, 0], rtol=0, atol=0)
    torch.testing.assert_close(new[stem][:, 1], old[stem][:, 0])
    # Two bands start from blue, which counts in full for either.
    torch.testing.assert_close(new[stem][:, 2], old[stem][:, 2])
    torch.testing.assert_close(new[stem][:, 3], old[stem][:, 2])
    head = "net.body.head.weight"
    torch.testing.assert_close(new[head][[0, 2]], old[head][[7, 2]], rtol=0, atol=0)
    torch.testing.assert_close(new[head][1], drawn[head][1], rtol=0, atol=0)
    assert report.layers == {"matched": 17, "mixed": 2, "fresh": 0}
    assert [band.how for band in report.bands] == ["fresh", *["matched"] * 4]
    assert (report.classes, report.fresh_classes) == (("class 7", "class 2"), ("new",))
    held = report.held
    assert "net.body.stages.0.0.first.0.weight" in held
    assert not any(name.startswith(("net.body.head", "net.body.stem")) for name in held)
    text = str(report)
    assert "nir fresh, red matched, coastal matched from blue" in text
    assert "layers: 17 matched, 2 mixed, 0 fresh" in text
    assert "2 matched, 1 fresh" in text
    assert report.to_dict()["bands"]["coastal"] == {"how": "matched", "sources": ["blue"]}
    # With no fresh band, the first layer is part of what a frozen body keeps.
    same = build_model(make_card(), seed=3)
    assert {stem, "net.body.stem.1.running_mean"} <= transfer(source, same).held


def test_the_mean_of_several_bands():
    bands = ("rededge071", "rededge078")
    source = trained(make_card(bands, mean=(0.2, 0.3), std=(0.1, 0.2)))
    target = build_model(make_card(("rededge075",), mean=(0.3,), std=(0.4,)), seed=1).eval()
    report = transfer(source, target)
    assert (report.bands[0].how, report.bands[0].sources) == ("averaged", bands)
    flat = images(target.card)
    with torch.inference_mode():
        first = [
            model.net.body.stem(model.normalise(seen))
            for model, seen in ((source, flat.repeat(1, 2, 1, 1)), (target, flat))
        ]
    # A pixel that is alike in both bands is answered by the mean response, of which two make the whole.
    weights = source.state_dict()["net.body.stem.0.weight"]
    expected = 0.5 * 0.4 * (weights[:, 0] / 0.1 + weights[:, 1] / 0.2)
    torch.testing.assert_close(target.state_dict()["net.body.stem.0.weight"][:, 0], expected)
    assert first[0].shape == first[1].shape


def test_a_classifier_becomes_an_encoder():
    source = trained(make_card())
    for model, fits in (("resnet8", True), ("resnet16", False)):
        card = make_segmenter(EncoderUNetConfig(in_channels=3, classes=2, model=model))
        target = build_model(card, seed=0).eval()
        if not fits:
            with pytest.raises(SettingsError, match="model 'resnet8' instead of 'resnet16'"):
                transfer(source, target)
            continue
        report = transfer(source, target)
        pixels = images(source.card)
        with torch.inference_mode():
            ours, theirs = (net.stages(net.stem(source.normalise(pixels))) for net in (target.net, source.net.body))
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
        assert (report.layers["matched"], report.layers["fresh"]) == (18, 7)
        assert not any(name.startswith("net.upsamples") for name in report.held)


def test_where_nothing_follows_to_take_the_mean():
    class Bare(nn.Module):
        def __init__(self, config):
            super().__init__()
            self.conv = nn.Conv2d(config.in_channels, 2, 1, bias=False)
            self.head = nn.Linear(2, config.classes)

        def forward(self, x):
            return self.head(self.conv(x).mean(dim=(2, 3)))

    from satsqueeze.nets import card as cards

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(cards.FAMILIES, "zoo", replace(cards.FAMILIES["zoo"], build=Bare))
        source = build_model(make_card(), seed=0)
        assert transfer(source, build_model(make_card(), seed=1)).folded
        report = transfer(source, build_model(make_card(mean=0.2), seed=1))
    assert not report.folded
    assert "could not be folded" in str(report)


def test_edges_of_a_students_stem():
    config = replace(UNET, stem=2, detail=3, separable=True)
    edges = edges_of(make_segmenter(config))
    assert edges.bands == {"net.stem.0.weight": 1, "net.cells_to_pixels.detail.0.weight": 1}
    assert set(edges.classes) == {"net.cells_to_pixels.head.weight", "net.cells_to_pixels.head.bias"}
    assert edges.norms["net.stem.0"] == "net.stem.1"


def test_images_that_are_their_own_measure():
    source = trained(replace(make_segmenter(UNET), normalisation="image"))
    card = replace(make_segmenter(UNET, ("blue", "red", "green"), mean=0.4, std=0.3), normalisation="image")
    target = build_model(card, seed=5).eval()
    transfer(source, target)
    pixels = images(source.card)
    with torch.inference_mode():
        torch.testing.assert_close(target(reordered(pixels, RGB, card.bands)), source(pixels), rtol=1e-4, atol=1e-5)
    with pytest.raises(SettingsError, match="normalisation 'image' instead of 'dataset'"):
        transfer(source, build_model(make_segmenter(UNET), seed=0))


def test_refusals(tmp_path):
    source = build_model(make_card(), seed=0)
    with pytest.raises(
        BandError, match=r"bands red, green, blue, the network swir16, sensor-x: none agrees by name, nor"
    ):
        transfer(source, build_model(make_card(("swir16", "sensor-x")), seed=0))
    with pytest.raises(
        SettingsError, match="resnet8 cannot start resnet16: it has model 'resnet8' instead of 'resnet16'"
    ):
        transfer(source, build_model(make_card(model="resnet16"), seed=0))
    with pytest.raises(SettingsError, match="family 'zoo' instead of 'unet'"):
        transfer(source, build_model(make_segmenter(UNET), seed=0))
    other = replace(UNET, features=(4, 16))
    with pytest.raises(SettingsError, match=r"it has features \[4, 8\] instead of \[4, 16\]"):
        transfer(build_model(make_segmenter(UNET), seed=0), build_model(make_segmenter(other), seed=0))
    with pytest.raises(RunError, match="holds no trained model"):
        start_from_run(tmp_path, source)


def test_from_a_run_folder(tmp_path):
    source = trained(make_card())
    (tmp_path / "run" / "classifier").mkdir(parents=True)
    save_model(source, tmp_path / "run" / "classifier")
    target = build_model(make_card(), seed=4)
    reports = [start_from_run(tmp_path / name, target) for name in ("run", "run/classifier")]
    assert reports[0] == reports[1]
    assert len(reports[0].source) == 64
    for name, tensor in source.state_dict().items():
        torch.testing.assert_close(target.state_dict()[name], tensor, rtol=0, atol=0)
