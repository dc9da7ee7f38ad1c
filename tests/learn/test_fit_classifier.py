"""Training on whole images end to end, on tiles that differ in colour."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import rasterio
import torch

from satsqueeze.core.errors import GridError, LabelError, RunError, SettingsError, SplitError, TrainError
from satsqueeze.core.scaling import Scaling
from satsqueeze.data.cache.pack import pack
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.class_stage import ClassPrepared
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.sampling.dihedral import view_of
from satsqueeze.data.splits.class_split import class_split
from satsqueeze.data.splits.split import Split
from satsqueeze.learn.class_losses import LabelLoss
from satsqueeze.learn.class_stage import score_on_test, thresholds_of
from satsqueeze.learn.fit_classifier import ClassAugmentSettings, ClassFitSettings, fit_classifier
from satsqueeze.learn.scoring.classify import class_logits, score_classes
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.classifier import ClassifierConfig
from satsqueeze.nets.model import build_model, load_model
from satsqueeze.nets.transfer import transfer

from .conftest import write_tif

BANDS = ("red", "green", "blue")
CLASSES = ("field", "forest", "water")
MULTI = """
name: tiles
task: multi-label
bands: [red, green, blue]
images: '{above}images/{name}.tif'
labels: '{above}labels/{name}.json'
label_kind: json
classes: [field, forest, water]
foreground: []
scale: 0.0001
"""
SETTINGS = ClassFitSettings(
    epochs=4, batch_size=8, learning_rate=0.02, precision="fp32", seed=3, augment=ClassAugmentSettings(shift=1)
)


def tile(generator, present, side=8):
    """DN uint16 (3, side, side): each class present brightens a band in one half."""
    image = generator.normal(1000, 150, (3, side, side))
    for value in present:
        image[value, : side // 2] += 1500
    return image.clip(1).astype(np.uint16)


@pytest.fixture(scope="session")
def tiles(tmp_path_factory, write_tiles) -> PackedCache:
    """Sixteen tiles of each of three classes."""
    folder = write_tiles(tmp_path_factory.mktemp("tiles") / "tiles", side=8, each=16, spread=150, gain=750)
    return pack(open_dataset(folder), folder / "cache")


@pytest.fixture(scope="session")
def scenes(tmp_path_factory) -> PackedCache:
    """Forty-eight tiles of any classes."""
    folder, generator = tmp_path_factory.mktemp("scenes"), np.random.default_rng(0)
    (folder / "dataset.yaml").write_text(MULTI)
    (folder / "labels").mkdir()
    for number in range(48):
        present = [value for value in range(3) if generator.random() < 0.5]
        write_tif(folder / "images" / f"{number:02}.tif", tile(generator, present))
        labels = {"labels": [CLASSES[value] for value in present]}
        (folder / "labels" / f"{number:02}.json").write_text(json.dumps(labels))
    return pack(open_dataset(folder), folder / "cache")


@pytest.fixture(autouse=True)
def _small_network(small_zoo):
    small_zoo()


def make_model(*, task="classification", seed=0, bands=BANDS, classes=CLASSES, size=8):
    scaling = Scaling(bands=bands, mean=(0.12,) * len(bands), std=(0.05,) * len(bands))
    config = ClassifierConfig(model="tiny", in_channels=len(bands), classes=len(classes), size=size, dropout=0.1)
    card = ModelCard(
        name="tiny",
        family="zoo",
        config=config,
        scaling=scaling,
        bands=bands,
        classes=classes,
        foreground=(),
        task=task,
    )
    return build_model(card, seed)


@pytest.fixture
def split(tiles):
    return class_split(tiles, shares=(0.5, 0.25, 0.25), seed=0)


def test_fit_learns_and_writes_what_it_says(tiles, split, tmp_path):
    model = make_model()
    result = fit_classifier(model, tiles, split, SETTINGS, tmp_path)
    assert result.best_score > 0.9
    assert result.epochs == 4
    names = ["history.csv", "metrics.json", "model.json", "weights.safetensors"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    with (tmp_path / "history.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert max(float(row["accuracy"]) for row in rows) == result.best_score
    assert result.best_epoch == 1 + [float(row["accuracy"]) for row in rows].index(result.best_score)
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    record = json.loads((tmp_path / "metrics.json").read_text())
    assert record["settings"]["steps_per_epoch"] == 3
    assert record["validation"]["accuracy"] == result.best_score
    assert record["validation"] == score_classes(load_model(tmp_path), tiles, split.validation)
    # Finished folders return at once, whatever the weights given.
    other = make_model(seed=9)
    assert fit_classifier(other, tiles, split, SETTINGS, tmp_path) == result
    np.testing.assert_array_equal(class_logits(other, tiles, split.test), class_logits(model, tiles, split.test))
    with pytest.raises(RunError, match="other settings, data or network"):
        fit_classifier(make_model(), tiles, split, replace(SETTINGS, seed=4), tmp_path)


def test_several_labels_with_thresholds_from_validation(scenes, tmp_path):
    split = class_split(scenes, shares=(0.5, 0.25, 0.25), seed=0)
    settings = replace(SETTINGS, epochs=12)
    result = fit_classifier(make_model(task="multi-label"), scenes, split, settings, tmp_path)
    assert result.best_score > 0.9
    validation = json.loads((tmp_path / "metrics.json").read_text())["validation"]
    assert validation["mean_average_precision"] == result.best_score
    assert len(validation["thresholds"]) == 3
    assert validation["f1_micro"] > 0.8


def test_test_images_choose_no_threshold(scenes, tmp_path):
    seen = class_split(scenes, shares=(0.5, 0.25, 0.25), seed=0)
    split = replace(seen, train=(*seen.train, *seen.validation), validation=())
    prepared = ClassPrepared(cache=scenes, split=split, scaling=make_model(task="multi-label").card.scaling)
    fit_classifier(make_model(task="multi-label"), scenes, split, replace(SETTINGS, keep="last"), tmp_path)
    assert thresholds_of(tmp_path) == ()
    assert score_on_test(tmp_path, prepared)["thresholds"] == [0.5] * 3


@pytest.mark.parametrize(
    "changes",
    [
        {"optimiser": "sgd", "average_decay": 0.8, "keep": "last", "augment": ClassAugmentSettings(mixup=0.2)},
        {"optimiser": "muon", "precision": "bf16", "channels_last": False, "validate_every": 3},
    ],
)
def test_variants_learn(tiles, split, tmp_path, changes):
    result = fit_classifier(make_model(), tiles, split, replace(SETTINGS, epochs=6, **changes), tmp_path)
    assert result.best_score > 0.6


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
        return LabelLoss(smoothing=0.1)(logits, targets)


def test_a_stopped_run_ends_in_the_same_bits(tiles, split, tmp_path):
    settings = replace(SETTINGS, average_decay=0.9)
    whole = fit_classifier(make_model(), tiles, split, settings, tmp_path / "whole", objective=Until(10**9))
    for steps in (4, 5):
        with pytest.raises(Stop):
            fit_classifier(make_model(), tiles, split, settings, tmp_path / "cut", objective=Until(steps))
    again = fit_classifier(make_model(seed=5), tiles, split, settings, tmp_path / "cut", objective=Until(10**9))
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("cut", "whole")]
    assert weights[0] == weights[1]
    assert (again.best_score, again.best_epoch) == (whole.best_score, whole.best_epoch)


class Echo:
    """Teachers that answer with the number of the image and the view."""

    def rows(self, positions, views):
        return np.stack([positions, views, views], axis=1)[:, None].astype(np.float32)


def test_answers_reach_the_objective(tiles, split, tmp_path):
    seen = []

    def objective(logits, targets, answers):
        seen.append(answers)
        return {"loss": logits.square().mean()}

    fit_classifier(
        make_model(), tiles, split, replace(SETTINGS, epochs=1), tmp_path, objective=objective, answers=Echo()
    )
    assert len(seen) == 3
    assert seen[0].shape == (8, 1, 3)
    positions = torch.cat(seen)[:, 0, 0].int().tolist()
    assert sorted(positions) == sorted(tiles.position(item) for item in split.train)


def test_bands_are_handed_over_by_name(tiles, split, tmp_path):
    model = make_model(bands=("blue", "red"))
    assert fit_classifier(model, tiles, split, SETTINGS, tmp_path).best_score > 0.5
    swapped = class_logits(model, tiles, split.test)
    images = torch.from_numpy(np.stack([tiles.image(tiles.position(item))[[2, 0]] for item in split.test]))
    with torch.inference_mode():
        np.testing.assert_allclose(swapped, model(images).numpy(), atol=1e-5)


def test_logits_of_a_view(tiles):
    model = make_model().eval()
    images = torch.from_numpy(np.stack([view_of(tiles.image(position), 5) for position in range(4)]))
    with torch.inference_mode():
        expected = model(images).numpy()
    np.testing.assert_allclose(class_logits(model, tiles, tiles.ids[:4], view=5), expected, atol=1e-5)
    assert class_logits(model, tiles, ()).shape == (0, 3)


def test_without_validation_the_last_weights_stay(tiles, split, tmp_path):
    result = fit_classifier(make_model(), tiles, replace(split, validation=()), replace(SETTINGS, epochs=1), tmp_path)
    assert (result.best_score, result.best_epoch) == (None, 1)


def test_refusals(tiles, scenes, split, cache, tmp_path):
    cases = [
        (make_model(task="multi-label"), SettingsError, "for multi-label, the data set for classification"),
        (make_model(classes=("a", "b", "c")), SettingsError, "the network has the classes a, b, c"),
        (make_model(size=16), GridError, "16 x 16 px, the data set has 8 x 8 px"),
    ]
    for model, error, message in cases:
        with pytest.raises(error, match=message):
            fit_classifier(model, tiles, split, SETTINGS, tmp_path)
    with pytest.raises(SplitError, match="no image to train on"):
        fit_classifier(make_model(), tiles, replace(split, train=()), SETTINGS, tmp_path)
    with pytest.raises(SettingsError, match="the data set for segmentation"):
        fit_classifier(make_model(), cache, split, SETTINGS, tmp_path)
    with pytest.raises(LabelError, match="the model decides among a, b, c"):
        score_classes(make_model(classes=("a", "b", "c")), tiles, split.test)


def test_images_that_are_no_squares(write_tiles, tmp_path):
    folder = write_tiles(tmp_path / "tiles", side=8, each=4, spread=150, gain=750)
    for path in folder.rglob("*.tif"):
        with rasterio.open(path) as opened:
            image = opened.read()
        write_tif(path, image[:, :, :7])
    packed = pack(open_dataset(folder), tmp_path / "cache")
    everything = Split(train=packed.ids, validation=())
    with pytest.raises(GridError, match="has 8 x 7 px; cut or resample the images to squares"):
        fit_classifier(make_model(), packed, everything, SETTINGS, tmp_path)


@pytest.mark.parametrize("lost", [torch.nan, torch.inf])
def test_a_network_that_has_diverged_is_told_as_such(tiles, split, lost):
    model = make_model()
    with torch.no_grad():
        list(model.parameters())[-1].fill_(lost)
    with pytest.raises(TrainError, match=r"answers 12 of 12 images with NaN or infinity: .* Lower the learning rate"):
        score_classes(model, tiles, split.test)


def started(model, seed=9):
    """A model that took over another's weights, with the report of it."""
    return transfer(make_model(seed=seed), model, origin="another run")


def test_a_frozen_body_keeps_weights_and_statistics(tiles, split, tmp_path):
    settings = replace(SETTINGS, epochs=2, freeze_epochs=2)
    model = make_model()
    origin = started(model)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fit_classifier(model, tiles, split, settings, tmp_path / "same", origin=origin)
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {"net.6.weight", "net.6.bias"}
    assert all(weight.requires_grad for weight in model.parameters())
    # A fresh band sets the first layer and the norm behind it free.
    wider = make_model(bands=("red", "green", "blue"))
    origin = transfer(make_model(seed=9, bands=("red", "green")), wider, origin="narrow")
    before = {name: tensor.clone() for name, tensor in wider.state_dict().items()}
    assert [band.how for band in origin.bands] == ["matched", "matched", "fresh"]
    with pytest.raises(SettingsError, match=r"freeze_epochs is 2, but no weights were taken over that could be kept"):
        fit_classifier(wider, tiles, split, settings, tmp_path / "wider", origin=origin)


@pytest.mark.parametrize("keep", [True, False])
def test_thawed_norms_keep_their_statistics_where_all_do(tiles, split, tmp_path, keep):
    model = make_model()
    origin = started(model)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items() if "running_mean" in name}
    settings = replace(SETTINGS, epochs=2, freeze_epochs=1, keep_statistics=keep, keep="last")
    fit_classifier(model, tiles, split, settings, tmp_path, origin=origin)
    assert before
    assert all(torch.equal(model.state_dict()[name], tensor) == keep for name, tensor in before.items())


def test_thawing_resumes_bit_for_bit(tiles, split, tmp_path):
    settings = replace(SETTINGS, freeze_epochs=2, average_decay=0.9, keep="last")

    def run(folder, steps):
        model = make_model()
        return fit_classifier(model, tiles, split, settings, folder, objective=Until(steps), origin=started(model))

    run(tmp_path / "whole", 10**9)
    # Of 12 steps, 6 are frozen: stop within the first epoch, within the third, then go on.
    for steps in (4, 5):
        with pytest.raises(Stop):
            run(tmp_path / "cut", steps)
    run(tmp_path / "cut", 10**9)
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("cut", "whole")]
    assert weights[0] == weights[1]
    model, moved = make_model(), load_model(tmp_path / "whole")
    started(model)
    assert not torch.equal(model.net[0].weight, moved.net[0].weight)
    with pytest.raises(RunError, match="other settings, data or network"):
        fit_classifier(make_model(), tiles, split, replace(settings, freeze_epochs=0), tmp_path / "whole")


def test_settings_of_freezing(tiles, split, tmp_path):
    with pytest.raises(SettingsError, match=r"freeze_epochs must lie in 0..4, the number of epochs; got 5"):
        replace(SETTINGS, freeze_epochs=5)
    with pytest.raises(SettingsError, match="freeze_epochs is 1, but no weights were taken over"):
        fit_classifier(make_model(), tiles, split, replace(SETTINGS, freeze_epochs=1), tmp_path)
    # Runs from before the setting was there are told apart by nothing.
    assert "freeze_epochs" not in SETTINGS.to_dict()
    frozen = replace(SETTINGS, freeze_epochs=1)
    assert ClassFitSettings.from_dict(frozen.to_dict()) == frozen
