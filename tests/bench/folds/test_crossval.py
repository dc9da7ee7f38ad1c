"""A whole cross-validation on generated scenes, in seconds."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from satsqueeze.bench.folds.counts import Candidate, FoldCounts
from satsqueeze.bench.folds.crossval import Crossval
from satsqueeze.bench.folds.recipe import NetworkSettings, Recipe
from satsqueeze.bench.folds.trainings import FoldTrainings
from satsqueeze.core.errors import LabelError, RunError, SettingsError
from satsqueeze.core.run import RunFolder
from satsqueeze.data.splits.split import Split
from satsqueeze.data.synth import DatasetSettings, write_dataset
from satsqueeze.distill.corrected import Corrected
from satsqueeze.distill.soft import SoftCache
from satsqueeze.export.settings import ExportSettings
from satsqueeze.flight.opening import open_package
from satsqueeze.learn.augment.patches import AugmentSettings
from satsqueeze.learn.scoring.evaluate import ScoreSettings, score
from satsqueeze.learn.scoring.threshold import ThresholdModel
from satsqueeze.learn.settings import FitSettings
from satsqueeze.nets.onnx_weights import OnnxStart

FIT = FitSettings(
    epochs=1,
    steps_per_epoch=2,
    batch_size=2,
    patch_size=(32, 32),
    learning_rate=1e-2,
    optimiser="muon",
    schedule="onecycle",
    augment=AugmentSettings.none(),
    progress=False,
)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    write_dataset(DatasetSettings(seed=1, scenes=6, size=64, cloud_fraction=0.4), folder)
    teacher = NetworkSettings(name="big", network="student:unet-4", kind="teacher", fit=FIT)
    small = NetworkSettings(
        name="small",
        network="student:unet-2",
        kind="student",
        fit=FIT,
        teacher_share=0.5,
        teachers=("big",),
        seeds=(0, 1),
    )
    export = ExportSettings(
        openvino="off", calibrations=("minmax",), calibration_windows=2, jaccard_loss=1.0, buffer_m=25.0
    )
    return Recipe(data=str(folder), folds=2, planned_shape=(64, 64), networks=(teacher, small), export=export)


@pytest.fixture(scope="module")
def work(recipe, tmp_path_factory):
    said = []
    crossval = Crossval(recipe, RunFolder(tmp_path_factory.mktemp("runs") / "run"), say=said.append)
    return crossval, crossval.execute(), said


def test_every_image_is_scored_once_by_a_model_that_never_saw_it(work):
    crossval, rows, _ = work
    names = [(row.name, row.precision, row.seeds) for row in rows]
    assert names == [("threshold", "fp32", 1), ("big", "fp32", 1), ("small", "fp32", 2), ("small", "int8", 1)]
    assert {row.scores[0].images for row in rows} == {6}
    for row in rows:
        bare, widened = row.scores[: len(row.scores) // 2], row.scores[len(row.scores) // 2 :]
        assert [score.source for score in bare] == [score.source for score in widened]
        assert {score.protocol for score in widened} == {f"{bare[0].protocol}, masks widened by 25 m"}
        assert bare[0].protocol == "2-fold by scene, pooled"
        assert bare[0].further.get("mirror_images") == (4 if row.name == "big" else None)
        assert widened[0].further["recall"] >= bare[0].further["recall"]
    for split in crossval.trainings.folds:
        assert not set(split.train) & set(split.validation)


def test_a_second_call_trains_nothing(work, recipe):
    crossval, rows, _ = work
    said = []
    again = Crossval(recipe, crossval.run, say=said.append)
    assert [row.scores for row in again.execute()] == [row.scores for row in rows]
    assert said == []


def test_more_seeds_go_on_but_another_making_is_refused(work, recipe):
    crossval, _, _ = work
    big, small = recipe.networks
    seeded = replace(recipe, networks=(big, replace(small, seeds=(0, 1, 2))))
    Crossval(seeded, crossval.run, say=lambda _: None).trainings.claim(seeded.networks[1])
    for changed in (replace(small, teacher_share=0.4), replace(small, fit=replace(FIT, learning_rate=1e-3))):
        other = Crossval(replace(recipe, networks=(big, changed)), crossval.run, say=lambda _: None)
        with pytest.raises(RunError, match="holds 'small' as another recipe or other data made it; choose a new --out"):
            other.execute(["small"])


def test_a_teacher_that_was_trained_otherwise_is_refused_as_well(work, recipe):
    """Though it is the student alone that is asked for, and the teacher's weights are there."""
    crossval, _, _ = work
    big, small = recipe.networks
    other = replace(recipe, networks=(replace(big, fit=replace(FIT, learning_rate=1e-3)), replace(small, name="new")))
    with pytest.raises(RunError, match="holds 'big' as another recipe or other data made it"):
        Crossval(other, crossval.run, say=lambda _: None).execute(["new"])
    stale = FoldTrainings(other, crossval.run, say=lambda _: None)
    with pytest.raises(RunError, match="holds 'big'"):
        stale.trained(other.networks[0], 0, 0)


def test_a_threshold_counts_in_the_classes_of_the_data(recipe, tmp_path):
    cache = Crossval(recipe, RunFolder(tmp_path / "run"), say=lambda _: None).cache
    counts = FoldCounts(tmp_path / "scores", cache, (Split(train=(), validation=tuple(cache.ids)),))
    candidate = Candidate(name="threshold")
    ours = ThresholdModel(cache.bands, cache.classes, cache.foreground)
    found = counts.score(candidate, 0, ours, mirror=False, window=64)
    assert found == pytest.approx(score(ours, cache, cache.ids, settings=ScoreSettings(window=64)).jaccard)
    assert counts.scores([candidate])[0].jaccard == pytest.approx(found)
    with pytest.raises(LabelError, match="knows the classes clear, cloud, the data has clear, thick cloud"):
        counts.score(candidate, 0, ThresholdModel(cache.bands), mirror=False, window=64)


def test_classes_without_foreground_are_cross_validated_too(recipe, tmp_path, capsys):
    data = tmp_path / "scenes"
    shutil.copytree(recipe.data, data)
    card = data / "dataset.yaml"
    lines = [line for line in card.read_text().splitlines() if not line.startswith("foreground")]
    card.write_text("\n".join([*lines, "foreground: []"]))
    alone = replace(recipe.networks[0], name="alone")
    plain = replace(recipe, data=str(data), networks=(alone,), export=ExportSettings())
    (row,) = Crossval(plain, RunFolder(tmp_path / "run"), say=lambda _: None).execute()
    assert (row.name, 0 <= row.scores[0].jaccard <= 1) == ("alone", True)


def test_int8_of_other_export_settings_is_refused(work, recipe):
    crossval, _, _ = work
    other = replace(recipe, export=replace(recipe.export, jaccard_loss=0.3))
    with pytest.raises(RunError, match="holds 'small' in int8 as other export settings made it"):
        Crossval(other, crossval.run, say=lambda _: None).execute(["small"])


def test_shipping_gives_a_package_with_its_cross_validated_scores(work, tmp_path):
    crossval, _, _ = work
    manifest = crossval.ship("small", tmp_path / "small")
    assert {q.graph for q in manifest.quality} == {"fp32", "int8"}
    assert "by scene, pooled" in manifest.quality[0].protocol
    assert manifest.buffer_m == 25.0
    assert "images; thick cloud + thin cloud; whole images" in manifest.quality[0].protocol
    assert manifest.description == ", ".join(manifest.classes) + " from blue, green, red, nir"
    model = open_package(tmp_path / "small")
    mask = model.predict(np.full((4, 20, 30), 0.2, np.float32), bands=["blue", "green", "red", "nir"])
    assert mask.shape == (20, 30)


@pytest.mark.parametrize("exact", [True, False])
def test_teachers_are_put_right_where_labels_are_exact(recipe, work, tmp_path, monkeypatch, exact):
    told = []
    monkeypatch.setattr("satsqueeze.bench.folds.trainings.fit", lambda *_, soft, **__: told.append(soft))
    sources = tuple({entry.source for entry in work[0].cache.entries}) if exact else ()
    trainings = FoldTrainings(recipe, RunFolder(tmp_path / "run"), say=lambda _: None)
    trainings.trained(replace(recipe.network("small"), exact=sources), 0, 0)
    assert [type(soft) for soft in told] == [type(None), Corrected if exact else SoftCache]


def test_a_network_goes_on_from_the_start_of_another(recipe, tmp_path, monkeypatch):
    first = NetworkSettings(name="first", network="student:unet-2", kind="student", start=FIT, seeds=(0, 1))
    second = replace(first, name="second", continues="first", start=replace(FIT, seed=100))
    trainings = FoldTrainings(replace(recipe, networks=(first, second)), RunFolder(tmp_path), say=lambda _: None)
    begun, seeds = [], []

    def fit(model, ids, settings, how, *_):
        seeds.append(how.seed)
        begun.append({name: value.clone() for name, value in model.state_dict().items()})
        with torch.no_grad():
            next(model.parameters()).add_(1)

    monkeypatch.setattr(trainings, "_fit", fit)
    model = trainings.trained(second, 1, None)
    drawn, resumed = begun
    changed = [name for name in drawn if not torch.equal(drawn[name], resumed[name])]
    assert len(changed) == 1, "the other's training is where this one begins"
    torch.testing.assert_close(next(model.parameters()), drawn[changed[0]] + 2)
    assert model.card.name == "second"
    assert seeds == [1, 101], "it draws patches of its own"
    assert trainings.recipe.making(second) != trainings.recipe.making(replace(second, continues=""))


@pytest.mark.parametrize(
    ("continues", "network"), [("small", "student:unet-2"), ("big", "student:unet-2"), ("x", "lite:64")]
)
def test_only_an_earlier_network_of_the_same_kind_is_gone_on_from(recipe, continues, network):
    small = replace(recipe.networks[1], continues=continues, network=network)
    with pytest.raises(SettingsError, match=f"'small' continues '{continues}'; expected a network before it"):
        replace(recipe, networks=(recipe.networks[0], small))


def test_a_network_has_one_beginning():
    onnx = OnnxStart(path=Path("unet.onnx"))
    with pytest.raises(SettingsError, match="both continues 'a' and starts from an ONNX file"):
        NetworkSettings(name="b", network="student:unet-2", kind="student", start=FIT, continues="a", onnx_start=onnx)


def test_unknown_networks_are_refused(recipe, tmp_path):
    with pytest.raises(SettingsError, match="no network 'huge'; it has big, small"):
        recipe.network("huge")
    wrong = replace(recipe, networks=(NetworkSettings(name="x", network="magic", kind="baseline", fit=FIT),))
    with pytest.raises(SettingsError, match="network 'magic': expected planned"):
        Crossval(wrong, RunFolder(tmp_path / "run"), say=lambda _: None).execute()
