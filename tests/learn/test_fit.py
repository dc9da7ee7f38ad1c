"""Training end to end on a tiny data set."""

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from satsqueeze.core.errors import BandError, RunError, SettingsError, SplitError, TrainError
from satsqueeze.data.splits.split import Split
from satsqueeze.learn.fit import FitSettings, fit
from satsqueeze.nets.model import build_model, load_model

SETTINGS = FitSettings(
    epochs=4, steps_per_epoch=6, batch_size=4, patch_size=(32, 32), learning_rate=0.02, precision="fp32", seed=3
)


@pytest.fixture
def split(cache) -> Split:
    return Split(train=cache.ids[:6], validation=cache.ids[6:])


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_fit_learns_and_writes_what_it_says(model, cache, split, tmp_path):
    result = fit(model, cache, split, SETTINGS, tmp_path)
    assert result.best_score > 0.85
    assert (result.epochs, result.folder) == (4, tmp_path)
    assert result.seconds > 0
    assert result.images_per_second > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "history.csv",
        "metrics.json",
        "model.json",
        "weights.safetensors",
    ]
    with (tmp_path / "history.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    assert float(rows[0]["learning_rate"]) == SETTINGS.learning_rate
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    assert float(rows[0]["loss"]) == pytest.approx(float(rows[0]["cross_entropy"]) + float(rows[0]["dice"]), rel=1e-5)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["validation"]["jaccard"] == result.best_score
    assert same_weights(load_model(tmp_path), model)
    assert not model.training


@pytest.mark.parametrize("taught", [False, True])
def test_images_without_labels_are_drawn_for_a_teacher_alone(model, cache, split, tmp_path, monkeypatch, taught):
    class Seen(Exception):
        pass

    def sampler(cache, ids, **_):
        raise Seen(ids)

    bare = [replace(e, class_pixels=(0,) * len(cache.classes)) if e.id in split.train[:2] else e for e in cache.entries]
    monkeypatch.setattr(cache, "entries", tuple(bare))
    monkeypatch.setattr("satsqueeze.learn.fit.PatchSampler", sampler)
    with pytest.raises(Seen) as seen:
        fit(model, cache, split, SETTINGS, tmp_path, soft=object() if taught else None)
    assert tuple(seen.value.args[0]) == (split.train if taught else split.train[2:])


def test_smoothed_score_is_nnunets_moving_average(model, cache, split, tmp_path):
    result = fit(model, cache, split, SETTINGS, tmp_path)
    with (tmp_path / "history.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    expected = float(rows[0]["jaccard"])
    best, best_epoch = -math.inf, 0
    for row in rows:
        expected = 0.9 * expected + 0.1 * float(row["jaccard"])
        assert float(row["jaccard_smoothed"]) == pytest.approx(expected)
        if expected > best:
            best, best_epoch = expected, int(row["epoch"])
    assert result.best_epoch == best_epoch


def test_finished_folder_returns_at_once(model, model_card, cache, split, tmp_path):
    first = fit(model, cache, split, SETTINGS, tmp_path)
    before = (tmp_path / "weights.safetensors").stat().st_mtime_ns
    other = build_model(model_card(), seed=99)
    assert fit(other, cache, split, SETTINGS, tmp_path) == first
    assert (tmp_path / "weights.safetensors").stat().st_mtime_ns == before
    assert same_weights(other, model)


def test_same_seed_same_weights_and_global_generator_untouched(model_card, cache, split, tmp_path):
    models = [build_model(model_card(), seed=0) for _ in range(2)]
    torch.manual_seed(5)
    expected = torch.rand(1)
    for index, one in enumerate(models):
        torch.manual_seed(5)
        fit(one, cache, split, replace(SETTINGS, epochs=1), tmp_path / str(index))
        assert torch.equal(torch.rand(1), expected)
    assert same_weights(*models)


def test_a_model_trains_alike_in_whatever_mode_it_comes(model_card, cache, split, tmp_path):
    fresh, evaluated = build_model(model_card(), seed=0), build_model(model_card(), seed=0).eval()
    fit(fresh, cache, split, replace(SETTINGS, epochs=1), tmp_path / "fresh")
    fit(evaluated, cache, split, replace(SETTINGS, epochs=1), tmp_path / "evaluated")
    assert same_weights(fresh, evaluated)


@pytest.mark.parametrize("keep", [False, True])
def test_statistics_of_batch_norms_are_kept_on_demand(model, cache, split, tmp_path, keep):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fit(model, cache, split, replace(SETTINGS, epochs=2, keep_statistics=keep), tmp_path)
    after = model.state_dict()
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    statistics = {name for name in before if "running_" in name or "num_batches" in name}
    assert statistics
    assert statistics & moved == (set() if keep else statistics)
    assert {name for name in before if name.endswith("weight")} <= moved


@pytest.mark.parametrize(
    "changes",
    [
        {"optimiser": "adamw", "schedule": "onecycle", "learning_rate": 5e-3, "average_decay": 0.9},
        {"schedule": "cosine", "keep": "last", "validate_every": 3, "channels_last": False, "clip_norm": 0.0},
        {"precision": "bf16"},
    ],
)
def test_variants_learn(model, cache, split, tmp_path, changes):
    result = fit(model, cache, split, replace(SETTINGS, **changes), tmp_path)
    assert result.best_score > 0.7


def test_deep_supervision_and_no_validation(model_card, cache, split, tmp_path):
    deep = {"features": (4, 8, 8), "strides": (1, 2, 2), "convs_encoder": (1, 1, 1), "convs_decoder": (1, 1)}
    model = build_model(model_card(deep_supervision=True, **deep), seed=0)
    result = fit(model, cache, replace(split, validation=()), replace(SETTINGS, epochs=1), tmp_path)
    assert result.best_score is None
    assert result.best_epoch == 1


class Halves:
    """A teacher that is unsure everywhere, and silent in the left half."""

    def window(self, id, window):  # noqa: A002
        soft = np.full((2, window.height, window.width), 127, np.uint8)
        soft[:, :, : window.width // 2] = 0
        return soft


def test_objective_receives_soft_targets_with_the_patches(model, cache, split, tmp_path):
    seen = []

    def objective(logits, labels, soft):
        total = soft.sum(dim=1)
        seen.append((logits.shape, labels.dtype, bool(((total - 1).abs() < 1e-6).logical_or(total == 0).all())))
        return {"loss": logits.square().mean(), "extra": labels.float().mean()}

    fit(model, cache, split, replace(SETTINGS, epochs=1), tmp_path, objective=objective, soft=Halves())
    assert len(seen) == 6
    assert set(seen) == {((4, 2, 32, 32), torch.int64, True)}
    assert "extra" in (tmp_path / "history.csv").read_text().splitlines()[0]


def test_divergence_is_a_train_error_with_a_remedy(model, cache, split, tmp_path):
    def objective(logits, labels, soft):
        return {"loss": logits.mean() * math.nan}

    with pytest.raises(TrainError, match=r"nan at or before step 0 .* Lower the learning rate \(try 0.002\)"):
        fit(model, cache, split, SETTINGS, tmp_path, objective=objective)
    assert not (tmp_path / "metrics.json").exists()


def test_weights_of_the_data_set_count(model, cache, split, tmp_path, monkeypatch):
    (source,) = {entry.source for entry in cache.entries}
    monkeypatch.setattr(cache, "weights", {source: 3.0})
    fit(model, cache, split, replace(SETTINGS, epochs=1), tmp_path / "theirs")
    assert json.loads((tmp_path / "theirs/metrics.json").read_text())["settings"]["source_weights"] == {source: 3.0}
    fit(model, cache, split, replace(SETTINGS, epochs=1, source_weights={source: 2.0}), tmp_path / "own")
    assert json.loads((tmp_path / "own/metrics.json").read_text())["settings"]["source_weights"] == {source: 2.0}


def test_other_settings_are_refused(model, cache, split, tmp_path):
    fit(model, cache, split, replace(SETTINGS, epochs=1), tmp_path)
    with pytest.raises(RunError, match="other settings"):
        fit(model, cache, split, replace(SETTINGS, epochs=2), tmp_path)


def test_progress_does_not_change_what_a_run_is(model, cache, split, tmp_path):
    first = fit(model, cache, split, replace(SETTINGS, epochs=1), tmp_path)
    assert fit(model, cache, split, replace(SETTINGS, epochs=1, progress=False), tmp_path) == first


def test_split_without_labels_or_with_one_class(model, cache, split, tmp_path):
    with pytest.raises(SplitError, match="no image to train on"):
        fit(model, cache, replace(split, train=()), SETTINGS, tmp_path)


def test_patch_that_does_not_fit(model, cache, split, tmp_path):
    with pytest.raises(SettingsError, match=r"multiples of 2 px, got a patch of \(33, 32\); use \(34, 32\)"):
        fit(model, cache, split, replace(SETTINGS, patch_size=(33, 32)), tmp_path)


def test_foreign_classes_and_bands(model_card, cache, split, tmp_path):
    foreign = build_model(replace(model_card(), classes=("land", "water")), seed=0)
    with pytest.raises(SettingsError, match="land, water"):
        fit(foreign, cache, split, SETTINGS, tmp_path)
    foreign = build_model(model_card(bands=("blue", "green", "red", "swir16")), seed=0)
    with pytest.raises(BandError, match="swir16"):
        fit(foreign, cache, split, SETTINGS, tmp_path)


def test_bands_are_handed_over_by_name(model_card, cache, split, tmp_path):
    model = build_model(model_card(bands=("nir", "blue")), seed=0)
    assert fit(model, cache, split, SETTINGS, tmp_path).best_score > 0.7
