"""Packing, splitting and the fingerprint, in a run folder."""

from __future__ import annotations

import pytest
import yaml

from satsqueeze.core.errors import RunError, SettingsError
from satsqueeze.core.run import RunFolder
from satsqueeze.data import stage
from satsqueeze.data.cache.fingerprint import fingerprint
from satsqueeze.data.stage import PrepareSettings, load_prepared, prepare
from satsqueeze.data.synth import DatasetSettings, write_dataset


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    write_dataset(DatasetSettings(seed=3, scenes=8, size=32), folder)
    return str(folder)


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path / "run")


def test_no_scene_is_on_two_sides(scenes, run):
    prepared = prepare(PrepareSettings(data=scenes, folds=3), run)
    test = set(prepared.test)
    assert test
    validated = [i for split in prepared.folds for i in split.validation]
    assert sorted([*validated, *test]) == sorted(prepared.cache.ids)
    for split in prepared.folds:
        assert set(split.train).isdisjoint(split.validation)
        assert test.isdisjoint({*split.train, *split.validation})


def test_the_fingerprint_leaves_the_test_out(scenes, run):
    prepared = prepare(PrepareSettings(data=scenes, folds=2), run)
    others = sorted(set(prepared.cache.ids) - set(prepared.test))
    assert prepared.fingerprint == fingerprint(prepared.cache, others)


def test_it_is_read_back_and_not_made_twice(scenes, run, monkeypatch):
    first = prepare(PrepareSettings(data=scenes, folds=2), run)
    monkeypatch.setattr(stage, "pack", None)
    again = prepare(PrepareSettings(data=scenes, folds=2), run)
    assert (again.key, again.fingerprint) == (first.key, first.fingerprint)
    assert load_prepared(run).folds == first.folds


def test_what_was_added_since_is_not_passed_over(run, tmp_path):
    folder = tmp_path / "scenes"
    write_dataset(DatasetSettings(seed=3, scenes=8, size=32), folder)
    settings = PrepareSettings(data=str(folder), folds=2)
    aside = (folder / "labels").rename(tmp_path / "labels")
    (folder / "labels").mkdir()
    names = sorted(path.name for path in aside.iterdir())
    for name in names[:6]:
        (aside / name).rename(folder / "labels" / name)
    known = prepare(settings, run)
    again = prepare(settings, run)
    assert again.key == known.key
    extra = tmp_path / "extra"
    write_dataset(DatasetSettings(seed=4, scenes=1, size=32), extra)
    (image,) = (extra / "images").iterdir()
    image.rename(folder / "images" / f"new_{image.name}")
    next((extra / "labels").iterdir()).rename(folder / "labels" / f"new_{image.name}")
    with pytest.raises(RunError, match=r"holds 1 new items, such as .*new_.*; choose a new --out folder"):
        prepare(settings, run)
    # What was packed is enough where the files are gone.
    folder.rename(tmp_path / "elsewhere")
    assert prepare(settings, run).key == known.key


@pytest.mark.parametrize(("field", "value"), [("group", "(scene)"), ("label_map", {0: 0, 1: 1}), ("offset", -0.2)])
def test_a_card_that_was_corrected_since_is_not_passed_over(run, tmp_path, field, value):
    folder = tmp_path / "scenes"
    write_dataset(DatasetSettings(seed=3, scenes=8, size=32), folder)
    settings = PrepareSettings(data=str(folder), folds=2)
    prepare(settings, run)
    place = folder / "dataset.yaml"
    card = yaml.safe_load(place.read_text())
    place.write_text(yaml.safe_dump({**card, "licence": "another"}))
    prepare(settings, run)
    place.write_text(yaml.safe_dump({**card, field: value}))
    with pytest.raises(RunError, match=f"says something else now about {field} of synthetic than when .* was made"):
        prepare(settings, run)


def test_bands_can_be_chosen(scenes, run):
    prepared = prepare(PrepareSettings(data=scenes, folds=2, bands=("nir", "green")), run)
    assert prepared.cache.bands == prepared.fingerprint.bands == ("nir", "green")


def test_another_seed_is_another_split(scenes, tmp_path):
    splits = {
        prepare(PrepareSettings(data=scenes, folds=2, seed=seed), RunFolder(tmp_path / str(seed))).test
        for seed in range(4)
    }
    assert len(splits) > 1


def test_a_run_is_about_one_split_of_one_data_set(scenes, run):
    prepare(PrepareSettings(data=scenes, folds=2), run)
    with pytest.raises(RunError, match=r"from other data or another split.*choose a new --out folder"):
        prepare(PrepareSettings(data=scenes, folds=3), run)


def test_data_that_was_moved_is_the_same_data(run, tmp_path):
    folder = tmp_path / "scenes"
    write_dataset(DatasetSettings(seed=3, scenes=8, size=32), folder)
    first = prepare(PrepareSettings(data=str(folder), folds=2), run)
    moved = folder.rename(tmp_path / "elsewhere")
    assert prepare(PrepareSettings(data=str(moved), folds=2), run).key == first.key
    with pytest.raises(RunError, match=r"from other data or another split.*choose a new --out folder"):
        prepare(PrepareSettings(data=str(moved), folds=3), run)
    # Other content under the same names is other data.
    one, other, *_ = sorted((moved / "images").iterdir())
    one.write_bytes(other.read_bytes())
    with pytest.raises(RunError, match=r"from other data or another split.*choose a new --out folder"):
        prepare(PrepareSettings(data=str(moved), folds=2), run)


def test_a_run_that_was_killed_before_its_record_goes_on(scenes, run):
    prepare(PrepareSettings(data=scenes, folds=2), run)
    (run / "stages/data.json").unlink()
    assert prepare(PrepareSettings(data=scenes, folds=2), run).folds


@pytest.mark.parametrize("change", [{"folds": 1}, {"test_share": 0.0}, {"test_share": 1.0}])
def test_impossible_settings_are_refused(change):
    with pytest.raises(SettingsError, match="at least 2 folds and a test share in"):
        PrepareSettings(data="x", **change)


def test_an_unfinished_run_cannot_be_read(run):
    with pytest.raises(RunError, match="does not exist"):
        load_prepared(run)
