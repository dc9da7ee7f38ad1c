"""Cached attention maps, and students that are trained with them."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from satsqueeze.core.errors import GridError, RunError, SettingsError, TrainError
from satsqueeze.core.files import read_json, write_json
from satsqueeze.core.scaling import Scaling
from satsqueeze.data.sampling.class_sampler import reflectance
from satsqueeze.data.sampling.dihedral import VIEWS, view_of
from satsqueeze.data.splits.split import Split
from satsqueeze.distill import attention_maps as module
from satsqueeze.distill.attention import AttentionTransfer, attention_distance
from satsqueeze.distill.attention_layer import feature_layer
from satsqueeze.distill.attention_maps import MAPS, MOST, RECORD, TeacherMaps, ask_maps
from satsqueeze.distill.class_teachers import ClassModelTeacher
from satsqueeze.learn.augment.images import ClassAugmentSettings
from satsqueeze.learn.class_losses import LabelLoss
from satsqueeze.learn.class_settings import ClassFitSettings
from satsqueeze.learn.fit_classifier import ClassJob, fit_classifier
from satsqueeze.learn.guide import Tap
from satsqueeze.nets import card as cards
from satsqueeze.nets.classifier import ClassifierConfig
from satsqueeze.nets.model import build_model

BANDS, CLASSES, SIDE = ("nir", "red", "green"), ("field", "forest", "water"), 20
"""Bands in another order than the cache's, which has one more."""
STRIDES = {"small": 1, "large": 2}
SETTINGS = ClassFitSettings(
    epochs=3, batch_size=8, learning_rate=0.02, precision="fp32", keep="last", augment=ClassAugmentSettings(shift=1)
)


LONGER = replace(SETTINGS, epochs=8)


@pytest.fixture(autouse=True)
def _networks_of_one_convolution(monkeypatch):
    def build(config):
        return nn.Sequential(
            nn.Conv2d(config.in_channels, 6, 3, STRIDES[config.model], padding=1, bias=False),
            nn.BatchNorm2d(6),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.LazyLinear(config.classes),
        )

    def built(config):
        net = build(config)
        net(torch.zeros(2, config.in_channels, config.size, config.size))
        return net

    monkeypatch.setitem(cards.FAMILIES, "zoo", replace(cards.FAMILIES["zoo"], build=built))


def model_of(name="small", seed=0):
    card = cards.ModelCard(
        name=name,
        family="zoo",
        config=ClassifierConfig(model=name, in_channels=3, classes=3, size=SIDE),
        scaling=Scaling(bands=BANDS, mean=(0.3,) * 3, std=(0.1,) * 3),
        bands=BANDS,
        classes=CLASSES,
        foreground=(),
        task="classification",
    )
    return build_model(card, seed)


def teacher_of(*models, name="big"):
    return ClassModelTeacher(name, models or [model_of("large", seed=1)], precision="fp32")


@pytest.fixture
def cache(tmp_path, write_class_cache):
    return write_class_cache(tmp_path / "cache", shapes=[(SIDE, SIDE)] * 24)


def seen(model, images):
    """Energy of the features after the norm, at the model's own grid, by hand."""
    net, values = model.eval().net, model.normalise(torch.from_numpy(np.ascontiguousarray(images)))
    features = functional.conv2d(values, net[0].weight, stride=net[0].stride, padding=1)
    return ((features / (1 + net[1].eps) ** 0.5).detach().numpy().astype(float) ** 2).sum(axis=1)


def coarse(heat):
    """Means over 8 x 8 cells, whose windows overlap where 8 does not divide the side; norm 1."""
    side = heat.shape[-1]
    edges = [(int(cell * side / 8), -int(-(cell + 1) * side // 8)) for cell in range(8)]
    cells = np.array([[heat[:, a:b, c:d].mean(axis=(1, 2)) for c, d in edges] for a, b in edges]).transpose(2, 0, 1)
    return cells / np.sqrt((cells**2).sum(axis=(1, 2), keepdims=True))


def test_maps_are_those_of_the_view_that_the_student_sees(cache, tmp_path):
    model = model_of("large", seed=1)
    maps = ask_maps([teacher_of(model)], cache, cache.ids, tmp_path / "maps")
    images = reflectance(cache.stack[:5])[:, [3, 2, 1]]
    for view in range(VIEWS):
        (found,) = maps.rows(np.arange(5), np.full(5, view))
        assert found.shape == (5, MOST, MOST)
        np.testing.assert_allclose(found, coarse(seen(model, view_of(images, view))), atol=5e-4)
    # With a stride, the map of a view is not the view of the map.
    (plain,), (turned,) = (maps.rows(np.arange(5), np.full(5, view)) for view in (0, 1))
    assert np.abs(view_of(plain, 1) - turned).max() > 0.02


def test_a_smaller_grid_is_kept_as_it_is_and_members_are_averaged(cache, tmp_path, monkeypatch):
    monkeypatch.setitem(STRIDES, "large", 4)
    pair = [model_of("large", seed=1), model_of("small", seed=2)]
    (found,) = ask_maps([teacher_of(*pair)], cache, cache.ids, tmp_path / "maps").rows(np.arange(3), np.zeros(3, int))
    images = reflectance(cache.stack[:3])[:, [3, 2, 1]]
    heats = [seen(pair[0], images), seen(pair[1], images).reshape(3, 5, 4, 5, 4).mean(axis=(2, 4))]
    both = sum(heat / np.sqrt((heat**2).sum(axis=(1, 2), keepdims=True)) for heat in heats)
    assert found.shape == (3, 5, 5)
    np.testing.assert_allclose(found, both / np.sqrt((both**2).sum(axis=(1, 2), keepdims=True)), atol=5e-4)


def test_several_teachers_have_grids_of_their_own(cache, tmp_path, monkeypatch):
    monkeypatch.setitem(STRIDES, "large", 4)
    maps = ask_maps([teacher_of(), teacher_of(model_of(), name="fine")], cache, cache.ids, tmp_path / "maps")
    assert [found.shape for found in maps.rows(np.arange(2), np.arange(2))] == [(2, 5, 5), (2, 8, 8)]
    assert maps.described.startswith("big ")
    assert ", fine " in maps.described


class Counted(ClassModelTeacher):
    asked, stop_after = 0, 10**9

    def logits(self, batch):
        if self.asked + len(batch) > self.stop_after:
            raise KeyboardInterrupt
        self.asked += len(batch)
        return super().logits(batch)


def counted():
    return Counted("big", [model_of("large", seed=1)], precision="fp32")


def test_nobody_is_asked_twice_and_a_killed_run_continues(cache, tmp_path):
    teacher = counted()
    teacher.stop_after = 100
    with pytest.raises(KeyboardInterrupt):
        ask_maps([teacher], cache, cache.ids, tmp_path / "maps", batch_size=6)
    assert teacher.asked == 96
    again = counted()
    maps = ask_maps([again], cache, cache.ids, tmp_path / "maps", batch_size=6)
    assert again.asked == (24 - 12) * VIEWS
    whole = ask_maps([counted()], cache, cache.ids, tmp_path / "whole")
    every = np.arange(24), np.arange(24) % VIEWS
    np.testing.assert_array_equal(maps.rows(*every)[0], whole.rows(*every)[0])
    last = counted()
    ask_maps([last], cache, cache.ids, tmp_path / "maps")
    assert last.asked == 0


def test_mistakes_are_explained(cache, tmp_path, write_class_cache, monkeypatch):
    with pytest.raises(RunError, match="at least one teacher, got none"):
        ask_maps([], cache, cache.ids, tmp_path / "maps")
    oblong = write_class_cache(tmp_path / "oblong", shapes=[(20, 16)] * 3)
    with pytest.raises(GridError, match="square images, got 20 x 16 px"):
        ask_maps([teacher_of()], oblong, oblong.ids, tmp_path / "maps")
    ill = model_of("large", seed=1)
    nn.init.constant_(ill.net[0].weight, torch.nan)
    with pytest.raises(RunError, match="'big' gives 24 maps for 24 images, or maps that are not finite"):
        ask_maps([teacher_of(ill)], cache, cache.ids, tmp_path / "maps")
    maps = ask_maps([teacher_of()], cache, cache.ids[:4], tmp_path / "few")
    with pytest.raises(RunError, match="no attention map for 2 of 3 items, the first being 'i4'"):
        maps.rows(np.array([3, 4, 5]), np.zeros(3, int))
    home = maps.folders[0]
    other = write_class_cache(tmp_path / "other", shapes=[(SIDE, SIDE)] * 24, seed=1)
    with pytest.raises(RunError, match="another format or other data"):
        TeacherMaps([home], other)
    np.save(home / MAPS, np.zeros((24, 8, 4, 4), np.float16))
    with pytest.raises(RunError, match=r"holds float16 \(24, 8, 4, 4\), expected float16 \(24, 8, 8, 8\); remove"):
        ask_maps([teacher_of()], cache, cache.ids, tmp_path / "few")
    (home / MAPS).write_bytes(b"\x93NUMPY cut")
    with pytest.raises(RunError, match=r"is not readable .*remove"):
        TeacherMaps([home], cache)
    write_json(home / RECORD, {**read_json(home / RECORD), "format_version": 99})
    with pytest.raises(RunError, match="another format"):
        ask_maps([teacher_of()], cache, cache.ids, tmp_path / "few")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.np, "save", fail)
    with pytest.raises(RunError, match="the disk is full while writing"):
        ask_maps([teacher_of()], cache, cache.ids, tmp_path / "full")


def guide_of(cache, model, folder, weight=20.0, teacher=None):
    maps = ask_maps([teacher or teacher_of()], cache, cache.ids, folder)
    return AttentionTransfer(weight=weight, layer=feature_layer(model).name, maps=maps, teachers=maps.described)


class Stop(Exception):
    """Ends a run from within."""


class Until:
    """The loss on labels, that gives up after some steps."""

    def __init__(self, steps):
        self.left = steps

    def __call__(self, logits, targets, answers):
        if not self.left:
            raise Stop
        self.left -= 1
        return LabelLoss()(logits, targets)


def fitted(cache, folder, guide, *, steps=10**9, seed=0, settings=SETTINGS):
    model, split = model_of(seed=seed), Split(train=cache.ids[:16], validation=())
    fit_classifier(model, cache, split, settings, folder, objective=Until(steps), guide=guide)
    return model


def distance(model, maps, cache):
    positions = np.arange(16)
    images = torch.from_numpy(reflectance(cache.stack[:16])[:, [3, 2, 1]])
    with torch.no_grad(), Tap(model, feature_layer(model).name) as tap:
        model(images)
        return float(attention_distance(tap.output, torch.from_numpy(maps.rows(positions, positions * 0)[0])))


def test_a_student_comes_to_look_where_its_teacher_does(cache, tmp_path):
    teacher = counted()
    guide = guide_of(cache, model_of(), tmp_path / "maps", teacher=teacher)
    asked = teacher.asked
    guided = fitted(cache, tmp_path / "guided", guide, settings=LONGER)
    alone = fitted(cache, tmp_path / "alone", None, settings=LONGER)
    assert distance(guided, guide.maps, cache) < 0.7 * distance(alone, guide.maps, cache)
    # No epoch asks the teacher, and nothing of the tap stays behind.
    assert teacher.asked == asked == 24 * VIEWS
    assert not any(part._forward_hooks for part in guided.modules())
    with (tmp_path / "guided/history.csv").open(newline="") as handle:
        rows = [float(row["attention"]) for row in csv.DictReader(handle)]
    assert rows[-1] < rows[0]
    assert "attention" not in (tmp_path / "alone/history.csv").read_text()


def test_a_stopped_run_ends_in_the_same_bits(cache, tmp_path):
    settings = replace(SETTINGS, average_decay=0.9)
    guide = guide_of(cache, model_of(), tmp_path / "maps")
    fitted(cache, tmp_path / "whole", guide, settings=settings)
    with pytest.raises(Stop):
        fitted(cache, tmp_path / "cut", guide, steps=3, settings=settings)
    fitted(cache, tmp_path / "cut", guide_of(cache, model_of(), tmp_path / "maps"), seed=5, settings=settings)
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("cut", "whole")]
    assert weights[0] == weights[1]
    with pytest.raises(RunError, match="other settings"):
        fitted(cache, tmp_path / "whole", replace(guide, weight=1.0), settings=settings)


def test_training_without_a_guide_keeps_its_fingerprint(cache, tmp_path):
    """Runs from before there were guides stay valid: what their fingerprint is made of is written out here."""
    model = fitted(cache, tmp_path / "none", None)
    job = ClassJob(
        model=model,
        cache=cache,
        split=Split(train=cache.ids[:16], validation=()),
        settings=SETTINGS.for_images(16),
        folder=tmp_path,
        targets="Until, labels only",
    )
    assert read_json(tmp_path / "none/metrics.json")["fingerprint"] == job.fingerprint
    guided = guide_of(cache, model_of(), tmp_path / "maps")
    with pytest.raises(RunError, match="other settings"):
        fitted(cache, tmp_path / "none", guided)


@pytest.mark.parametrize("changes", [{"augment": ClassAugmentSettings(mixup=0.2)}, {"compile": True}])
def test_what_maps_cannot_follow_is_refused(cache, tmp_path, changes):
    guide = guide_of(cache, model_of(), tmp_path / "maps")
    with pytest.raises(SettingsError, match="set mixup to 0 and compile to false"):
        fitted(cache, tmp_path / "run", guide, settings=replace(SETTINGS, **changes))


def test_layers_that_do_not_exist_or_give_no_maps_are_refused(cache, tmp_path):
    guide = guide_of(cache, model_of(), tmp_path / "maps")
    with pytest.raises(SettingsError, match=r"no layer 'net\.9'"):
        fitted(cache, tmp_path / "run", replace(guide, layer="net.9"))
    with pytest.raises(TrainError, match=r"'net.4' gave \(8, 3\), expected maps"):
        fitted(cache, tmp_path / "other", replace(guide, layer="net.4"))
    with pytest.raises(TrainError, match=r"'net\.0' gave NoneType, expected maps"):
        _ = Tap(model_of(), "net.0").output
