"""A whole pre-training on a tiny set: it learns, resumes to the same bits, and starts other networks."""

import csv
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch

from satsqueeze.core.errors import BandError, CollapseError, RunError, SettingsError
from satsqueeze.core.files import read_json
from satsqueeze.learn.checkpoint import LAST_FILE
from satsqueeze.nets.model import build_model, load_model
from satsqueeze.pretrain.collapse import CollapseWarning, likely_cause, report_collapse
from satsqueeze.pretrain.contrast import ContrastSettings
from satsqueeze.pretrain.features import Backbone
from satsqueeze.pretrain.pretraining import RECORD_FILE, pretrain
from satsqueeze.pretrain.settings import PretrainSettings
from satsqueeze.pretrain.start import start_network
from satsqueeze.pretrain.task import PretrainTask
from satsqueeze.pretrain.view_sampler import ViewSampler
from satsqueeze.pretrain.view_settings import ViewSettings

from .conftest import make_card

SETTINGS = PretrainSettings(
    epochs=3,
    steps_per_epoch=2,
    batch_size=4,
    learning_rate=0.01,
    precision="fp32",
    progress=False,
    seed=1,
    views=ViewSettings(size=16, positions=24, place=r"(p\d+)_d"),
    contrast=ContrastSettings(width=8),
    monitor_pixels=200,
)
SCRIPT = """
import pickle, sys
import torch
from satsqueeze.nets.model import build_model
from satsqueeze.pretrain.pretraining import pretrain
torch.set_num_threads(1)
card, cache, settings = pickle.load(open(sys.argv[1], "rb"))
pretrain(build_model(card, seed=0), cache, cache.ids, settings, sys.argv[2])
"""
MOMENTUM = replace(SETTINGS, contrast=replace(SETTINGS.contrast, momentum=0.9, queue=20, image_weight=0.5))


def weights(folder):
    return (folder / "weights.safetensors").read_bytes()


@pytest.mark.parametrize("collapsed", ["images", "pixels"])
def test_what_is_monitored_is_what_is_trained(cache, collapsed):
    contrast = replace(SETTINGS.contrast, weight=0.0, image_weight=1.0)
    settings = replace(SETTINGS, contrast=contrast)
    sampler = ViewSampler(cache, cache.ids, settings.views, batch_size=4, seed=0)
    task = PretrainTask(build_model(make_card(), seed=0), settings, sampler, None)
    last = list(getattr(task.embedder, collapsed).parameters())[-1]
    with torch.no_grad():
        for parameter in getattr(task.embedder, collapsed).parameters():
            parameter.zero_()
        last.fill_(1.0)
    if collapsed == "images":
        assert task.observed()["uniformity"] == pytest.approx(0, abs=1e-4)
    else:
        assert task.observed()["uniformity"] < -0.01


def history(folder):
    with (folder / "history.csv").open() as handle:
        return list(csv.DictReader(handle))


@pytest.mark.parametrize(
    "settings", [SETTINGS, MOMENTUM, replace(SETTINGS, scope="encoder")], ids=["plain", "momentum", "encoder"]
)
def test_it_trains_the_features_and_nothing_else(cache, tmp_path, settings):
    before = build_model(make_card(), seed=0)
    model = build_model(make_card(), seed=0)
    result = pretrain(model, cache, cache.ids, settings, tmp_path)
    assert (result.epochs, result.best_score, model.training) == (3, None, False)
    trained = set(read_json(tmp_path / RECORD_FILE)["trained"])
    assert trained == set(Backbone(model, settings.scope).trained())
    changed = {
        name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before.state_dict()[name])
    }
    assert changed <= trained | {n for n in changed if "running" in n or "num_batches" in n}
    assert {name for name in trained if name.endswith("weight")} <= changed
    rows = history(tmp_path)
    assert len(rows) == 3
    for row in rows:
        assert float(row["loss"]) > 0
        assert 0 <= float(row["alignment"]) <= 4
        assert -8 <= float(row["uniformity"]) <= 0
        assert 0 <= float(row["knn"]) <= 1
        assert 0 <= float(row["probe"]) <= 1
    if settings is MOMENTUM:
        assert {"dense", "image"} <= rows[0].keys()
    assert torch.equal(load_model(tmp_path).net.stages[0][0][0].weight, model.net.stages[0][0][0].weight)


def test_it_learns_to_tell_places_apart(cache, tmp_path):
    settings = replace(SETTINGS, epochs=3, steps_per_epoch=20, monitor_pixels=0)
    pretrain(build_model(make_card(), seed=0), cache, cache.ids, settings, tmp_path)
    rows = history(tmp_path)
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"]) - 0.2
    assert "knn" not in rows[0]


def test_killed_run_ends_in_the_same_bits(cache, tmp_path):
    pretrain(build_model(make_card(), seed=0), cache, cache.ids, MOMENTUM, tmp_path / "whole")
    (tmp_path / "job.pickle").write_bytes(pickle.dumps((make_card(), cache, MOMENTUM)))
    killed = tmp_path / "killed"
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(tmp_path / "job.pickle"), str(killed)]
    with subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}) as process:
        deadline = time.monotonic() + 120
        while not (killed / LAST_FILE).exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL
    assert not (killed / RECORD_FILE).exists()
    pretrain(build_model(make_card(), seed=3), cache, cache.ids, MOMENTUM, killed)
    assert weights(killed) == weights(tmp_path / "whole")
    columns = ("epoch", "loss", "dense", "image", "alignment", "uniformity", "knn", "probe")
    assert [[row[c] for c in columns] for row in history(killed)] == [
        [row[c] for c in columns] for row in history(tmp_path / "whole")
    ]
    # A finished folder returns at once, with the same weights.
    again = build_model(make_card(), seed=5)
    pretrain(again, cache, cache.ids, MOMENTUM, killed)
    assert torch.equal(again.net.stages[0][0][0].weight, load_model(killed).net.stages[0][0][0].weight)
    with pytest.raises(RunError, match="other settings"):
        pretrain(again, cache, cache.ids, replace(MOMENTUM, seed=2), killed)


@pytest.fixture(scope="module")
def pretrained(cache, tmp_path_factory):
    folders = {}
    for scope in ("decoder", "encoder"):
        folders[scope] = tmp_path_factory.mktemp("runs") / scope
        settings = replace(SETTINGS, epochs=1, scope=scope, monitor_pixels=0)
        pretrain(build_model(make_card(), seed=0), cache, cache.ids, settings, folders[scope])
    return folders


@pytest.mark.parametrize("scope", ["decoder", "encoder"])
def test_a_network_starts_from_what_was_trained_and_from_nothing_else(pretrained, scope):
    source, card = load_model(pretrained[scope]), make_card(classes=3)
    fresh, model = build_model(card, seed=7), build_model(card, seed=7)
    report = start_network(pretrained[scope], model)
    trained = set(read_json(pretrained[scope] / RECORD_FILE)["trained"])
    for name, tensor in model.state_dict().items():
        origin = source if name in trained else fresh
        assert torch.equal(tensor, origin.state_dict()[name]), name
        assert (report.tensors[name] == "fresh") is (name not in trained)
    assert report.classes == ()
    assert "3 fresh" in str(report)


def test_other_bands_are_matched_by_wavelength(pretrained):
    model = build_model(make_card(bands=("green", "nir08", "swir16")), seed=0)
    report = start_network(pretrained["decoder"], model)
    assert [band.how for band in report.bands] == ["matched", "matched", "fresh"]
    with pytest.raises(BandError, match="none agrees by name"):
        start_network(pretrained["decoder"], build_model(make_card(bands=("swir16",)), seed=0))


def test_a_network_that_does_not_match(pretrained, tmp_path):
    with pytest.raises(SettingsError, match=r"cannot start tiny.*features"):
        start_network(pretrained["decoder"], build_model(make_card(features=(6, 10)), seed=0))
    with pytest.raises(RunError, match="holds no trained model"):
        start_network(tmp_path, build_model(make_card(), seed=0))


def test_collapse_is_told_with_its_likely_cause():
    def cause(pairs=500, contrast=1.0, **changes):
        settings = replace(SETTINGS, contrast=replace(SETTINGS.contrast, **changes))
        return likely_cause(settings, pairs=pairs, contrast=contrast)

    assert "hardly vary" in cause(contrast=0.001)
    assert "Only 3 pairs" in cause(pairs=3)
    assert "temperature of 2" in cause(temperature=2.0)
    assert "learning rate of 0.01" in cause()
    settings = replace(SETTINGS, collapse_patience=2, collapsed_above=-0.5)
    for fine in ([-0.1], [-0.1, -2.0], [-2.0, -0.1], [-0.1, -0.1, -0.6]):
        report_collapse(fine, settings, pairs=500, contrast=1.0)
    with pytest.raises(CollapseError, match=r"collapsed: uniformity was -0.100 after the last 2 epoch"):
        report_collapse([-2.0, -0.2, -0.1], settings, pairs=500, contrast=1.0)
    with pytest.warns(CollapseWarning, match="learning rate"):
        report_collapse([-0.2, -0.1], replace(settings, on_collapse="warn"), pairs=500, contrast=1.0)
    # Too few epochs to stop, but the run ends collapsed.
    short = replace(settings, epochs=2, collapse_patience=3)
    with pytest.warns(CollapseWarning, match=r"after the last 2 epochs"):
        report_collapse([-0.1, -0.1], short, pairs=500, contrast=1.0)
    report_collapse([-0.1], short, pairs=500, contrast=1.0)
    report_collapse([-0.1], replace(settings, epochs=1, collapse_patience=3), pairs=500, contrast=1.0)


def test_a_collapsed_run_stops(cache, tmp_path):
    # Nothing is learnt at all, and a drawn network embeds all pixels nearly alike.
    settings = replace(SETTINGS, collapsed_above=-7.9, collapse_patience=2)
    with pytest.raises(CollapseError, match="after the last 2 epoch"):
        pretrain(build_model(make_card(), seed=0), cache, cache.ids, settings, tmp_path)
    assert len(history(tmp_path)) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"compile": True}, "cannot be compiled"),
        ({"keep": "best"}, "keep must be last"),
        ({"average_decay": 0.9}, "leave average_decay out"),
        ({"collapse_patience": 0}, "collapse_patience >= 1"),
        ({"batch_size": 1, "contrast": ContrastSettings(negatives="images")}, "batch size of at least 2"),
    ],
)
def test_settings_that_cannot_be(changes, message):
    with pytest.raises(SettingsError, match=message):
        replace(SETTINGS, **changes)


def test_views_that_the_network_cannot_take(cache, tmp_path):
    settings = replace(SETTINGS, views=replace(SETTINGS.views, size=17))
    with pytest.raises(SettingsError, match=r"multiples of 2 px, got views of 17 px; use --fit.views.size 18"):
        pretrain(build_model(make_card(), seed=0), cache, cache.ids, settings, tmp_path)
