"""Pictures of dense features against components that are known."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from satsqueeze.bench.report.embedding import coloured_features, embedding, features_of
from satsqueeze.core.errors import MissingDependencyError
from satsqueeze.core.scaling import Scaling
from satsqueeze.data.cache.pack import pack
from satsqueeze.data.dataset import open_dataset
from satsqueeze.nets.model import ModelCard, build_model
from satsqueeze.nets.unet_config import UNetConfig
from satsqueeze.pretrain.features import Backbone

BANDS = ("blue", "nir")
CARD = ModelCard(
    name="tiny",
    family="unet",
    config=UNetConfig(
        in_channels=2,
        classes=1,
        features=(4, 6),
        strides=(1, 2),
        convs_encoder=(1, 1),
        convs_decoder=(1,),
        norm="batch",
    ),
    scaling=Scaling(bands=BANDS, mean=(0.3, 0.3), std=(0.1, 0.1)),
    bands=BANDS,
    classes=("unlabelled",),
    foreground=(),
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory, write_scene, write_card):
    """Five places of two dates, 12 x 15 px; the second date has more labelled pixels, the last place no label."""
    root = tmp_path_factory.mktemp("data")
    write_card(root / "made")
    write_card(root / "plain", name="plain", label_kind="none")
    generator = np.random.default_rng(0)
    for place in range(5):
        for date in range(2):
            image = generator.uniform(0.05, 0.6, (2, 12, 15))
            label = (image[0] > 0.3).astype(np.uint8)
            if not date:
                label[:6] = 255
            if place == 4:
                write_scene(root / "plain", f"p{place}_d{date}", image=image)
            else:
                write_scene(root / "made", f"p{place}_d{date}", image=image, label=label)
    (root / "sources.yaml").write_text("sources: [{path: made}, {path: plain, role: train}]")
    return pack(open_dataset(root / "sources.yaml"), tmp_path_factory.mktemp("packed") / "cache")


def test_components_are_colours_and_mean_the_same_in_all_pictures():
    generator = np.random.default_rng(0)
    axes = np.linalg.qr(generator.normal(size=(5, 5)))[0]
    codes = [generator.uniform(-1, 1, (5, 40, 30)) * np.array([9, 4, 2, 0, 0])[:, None, None] for _ in range(2)]
    features = [np.einsum("fk,khw->fhw", axes, code).astype(np.float32) for code in codes]
    valid = [np.ones((40, 30), bool), np.ones((40, 30), bool)]
    valid[1][:3] = False
    pictures, share = coloured_features(features, valid)
    assert share == pytest.approx(1.0)
    assert not pictures[1][:3].any()
    seen = np.concatenate([picture[where] for picture, where in zip(pictures, valid, strict=True)]).astype(float)
    truth = np.concatenate([np.moveaxis(code, 0, -1)[where] for code, where in zip(codes, valid, strict=True)])
    for channel in range(3):
        correlation = np.corrcoef(seen[:, channel], truth[:, channel])[0, 1]
        assert abs(correlation) > 0.99
        assert (seen[:, channel].min(), seen[:, channel].max()) == (0, 255)


def test_the_share_is_that_of_three_components():
    generator = np.random.default_rng(1)
    features = [generator.normal(size=(4, 200, 200)).astype(np.float32)]
    _, share = coloured_features(features, [np.ones((200, 200), bool)])
    assert share == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize(
    ("features", "valid"),
    [(np.ones((4, 6, 6)), np.ones((6, 6), bool)), (np.random.default_rng(0).normal(size=(4, 6, 6)), np.zeros((6, 6)))],
    ids=["collapsed", "no pixel"],
)
def test_features_that_tell_nothing_are_dark(features, valid):
    pictures, share = coloured_features([features.astype(np.float32)], [valid.astype(bool)])
    assert not pictures[0].any()
    assert share == 0


def test_fewer_than_three_features_leave_channels_dark():
    features = [np.random.default_rng(0).normal(size=(2, 9, 9)).astype(np.float32)]
    pictures, share = coloured_features(features, [np.ones((9, 9), bool)])
    assert share == pytest.approx(1.0)
    assert pictures[0][..., :2].any()
    assert not pictures[0][..., 2].any()


def test_features_are_those_of_the_network_at_the_size_of_the_image():
    model = build_model(CARD, seed=0).eval()
    image = np.random.default_rng(0).uniform(0, 0.5, (2, 12, 16)).astype(np.float32)
    with torch.inference_mode():
        expected = Backbone(model, "decoder")(torch.from_numpy(image)[None])[0].numpy()
    np.testing.assert_array_equal(features_of(model, image, "decoder"), expected)
    assert features_of(model, image[:, :11, :15], "decoder").shape == (4, 11, 15)
    assert features_of(model, image[:, :11, :15], "encoder").shape == (6, 11, 15)


def test_a_few_places_are_shown_by_their_clearest_date_and_twice_the_same(cache):
    model = build_model(CARD, seed=3)
    with torch.no_grad():
        model.net.stages[0][0][0].weight.mul_(2).add_(0.3)
    words = {"seed": 3, "scope": "decoder", "place": r"(p\d+)_d", "count": 3}
    found = embedding(model, cache, cache.ids, **words)
    assert [panel.name for panel in found.panels] == ["made/p0_d1", "made/p2_d1", "plain/p4_d0"]
    for panel in found.panels:
        assert {panel.image.shape, panel.before.shape, panel.after.shape} == {(12, 15, 3)}
        assert not np.array_equal(panel.before, panel.after)
    assert found.panels[0].label.shape == (12, 15)
    assert found.panels[2].label is None
    assert 0 < min(found.before, found.after) <= 1
    again = embedding(model, cache, cache.ids, **words)
    assert all(np.array_equal(a.after, b.after) for a, b in zip(found.panels, again.panels, strict=True))
    assert len(embedding(model, cache, cache.ids, **words | {"place": "", "count": 100}).panels) == 10


def test_an_unchanged_network_looks_as_it_was_drawn(cache):
    found = embedding(build_model(CARD, seed=3), cache, cache.ids, seed=3, scope="decoder", count=2)
    assert all(np.array_equal(panel.before, panel.after) for panel in found.panels)
    assert found.before == found.after


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.decomposition", None)
    with pytest.raises(MissingDependencyError, match="scikit-learn"):
        coloured_features([np.ones((1, 2, 2), np.float32)], [np.ones((2, 2), bool)])
