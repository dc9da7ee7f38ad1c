"""Packing, splitting and normalising where labels belong to whole images."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from satsqueeze.core.errors import CardError, DataError, RunError, SettingsError, SplitError
from satsqueeze.core.run import RunFolder
from satsqueeze.core.window import Window
from satsqueeze.data.cache.band_statistics import scaling_of
from satsqueeze.data.cache.fingerprint import fingerprint
from satsqueeze.data.cache.pack import pack
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.class_stage import ClassPrepareSettings, prepare_classes
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.items.reader import read_image
from satsqueeze.data.sampling.sampler import PatchSampler
from satsqueeze.data.splits.class_split import (
    class_split,
    fraction,
    given_split,
    load_class_split,
    official_split,
    require_every_class,
    save_class_split,
)
from satsqueeze.data.splits.lists import listed_split
from satsqueeze.data.splits.split import ThreeWaySplit

MULTI_CARD = """
name: scenes
task: multi-label
bands: [red, green, blue]
images: '{above}images/{name:.*}.tif'
labels: '{above}labels/{name}.json'
label_kind: json
classes: [field, forest, water]
foreground: []
scale: 0.001
"""


@pytest.fixture
def cache(tile_folder, tmp_path):
    return pack(open_dataset(tile_folder(tmp_path / "tiles")), tmp_path / "cache")


def test_targets_instead_of_a_label_plane(tile_folder, tmp_path):
    dataset = open_dataset(tile_folder(tmp_path / "tiles", count=2))
    cache = pack(dataset, tmp_path / "cache")
    assert (dataset.task, cache.task) == ("classification", "classification")
    assert [entry.targets for entry in cache.entries] == [(0,), (0,), (1,), (1,), (2,), (2,)]
    assert [entry.class_pixels for entry in cache.entries][::2] == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
    np.testing.assert_array_equal(cache.targets, np.repeat(np.eye(3, dtype=np.float32), 2, axis=0))
    assert cache.stack.shape == (6, 3, 8, 8)
    for position, item in enumerate(dataset.items):
        np.testing.assert_allclose(cache.image(position), read_image(item).values, atol=0.51e-4)
        np.testing.assert_array_equal(cache.stack[position], cache.stored(position))
    assert (cache.label(0) == 255).all()
    assert cache.label(0, Window(row=1, col=1, height=2, width=3)).shape == (2, 3)
    assert (tmp_path / "cache" / "labels.u8").stat().st_size == 0
    assert PackedCache(tmp_path / "cache").entries == cache.entries
    assert pack(dataset, tmp_path / "cache").fingerprint == cache.fingerprint
    # Patches for training without labels can be cut from it all the same.
    patches = PatchSampler(cache, cache.ids, patch_size=(4, 4), batch_size=3, seed=0, foreground_share=1.0).batch(0)
    assert (patches.labels == 255).all()


def test_what_cannot_be_used_is_quarantined_and_the_rest_goes_on(tile_folder, write_tiff, tmp_path):
    root = tile_folder(tmp_path / "tiles", count=3)
    (root / "forest" / "forest_1.tif").write_bytes(b"not an image")
    write_tiff(root / "desert" / "desert_0.tif", np.ones((3, 8, 8), np.uint16))
    cache = pack(open_dataset(root), tmp_path / "cache")
    assert len(cache) == 8
    reasons = {entry.id: entry.reason for entry in cache.quarantine}
    assert set(reasons) == {"tiles/desert_0", "tiles/forest_1"}
    assert "names the class(es) desert; expected some of field, forest, water" in reasons["tiles/desert_0"]
    assert "cannot be read as a raster" in reasons["tiles/forest_1"]


def test_killed_packing_continues(tile_folder, tmp_path, monkeypatch):
    dataset = open_dataset(tile_folder(tmp_path / "tiles", count=3))
    whole = pack(dataset, tmp_path / "whole")

    class Stop(Exception):
        pass

    def stop(done, _):
        if done == 4:
            raise Stop

    with pytest.raises(Stop):
        pack(dataset, tmp_path / "cut", on_progress=stop)
    cut = pack(dataset, tmp_path / "cut")
    assert cut.entries == whole.entries
    np.testing.assert_array_equal(cut.stack, whole.stack)


@pytest.mark.parametrize("shared", [False, True])
def test_a_run_goes_on_with_tiles_that_were_moved(tile_folder, tmp_path, shared):
    root, run = tile_folder(tmp_path / "tiles"), RunFolder(tmp_path / "run")
    asked = ClassPrepareSettings(data=str(root), cache=str(tmp_path / "cache") if shared else "")
    first = prepare_classes(asked, run)
    asked = replace(asked, data=str(root.rename(tmp_path / "elsewhere")))
    assert prepare_classes(asked, run).key == first.key
    with pytest.raises(RunError, match="from other data or another split"):
        prepare_classes(replace(asked, seed=5), run)


def test_several_classes_or_none(write_tiff, tmp_path):
    root = tmp_path / "scenes"
    labels = (["field", "water"], [], ["forest"], ["lake"])
    for number, names in enumerate(labels):
        write_tiff(root / "images" / f"{number}.tif", np.full((3, 4, 4), 100 + number, np.uint16))
        (root / "labels").mkdir(exist_ok=True)
        (root / "labels" / f"{number}.json").write_text(json.dumps({"labels": names}))
    (root / "dataset.yaml").write_text(MULTI_CARD)
    cache = pack(open_dataset(root), tmp_path / "cache")
    assert cache.task == "multi-label"
    np.testing.assert_array_equal(cache.targets, [[1, 0, 1], [0, 0, 0], [0, 1, 0]])
    assert "lake" in cache.quarantine[0].reason


def test_tasks_are_not_mixed(tile_folder, make_folder, tmp_path):
    tile_folder(tmp_path / "tiles", count=1)
    make_folder(tmp_path / "masks")
    mix = tmp_path / "mix.yaml"
    mix.write_text("sources:\n- {path: tiles}\n- {path: masks, card: folder}\n")
    with pytest.raises(CardError, match=r"different tasks \(classification, segmentation\)"):
        _ = open_dataset(mix).task


def test_split_is_even_seeded_and_comes_back(cache, tmp_path):
    split = class_split(cache, shares=(0.5, 0.25, 0.25), seed=1)
    parts = [split.train, split.validation, split.test]
    assert sorted(item for part in parts for item in part) == sorted(cache.ids)
    for part, count in zip(parts, (6, 3, 3), strict=True):
        assert cache.targets[[cache.position(item) for item in part]].sum(axis=0).tolist() == [count] * 3
    assert class_split(cache, shares=(0.5, 0.25, 0.25), seed=1) == split
    assert class_split(cache, shares=(0.5, 0.25, 0.25), seed=2) != split
    save_class_split(tmp_path / "split.json", split)
    assert load_class_split(tmp_path / "split.json") == split


def test_groups_stay_together(tile_folder, tmp_path):
    card = (tile_folder(tmp_path / "tiles") / "dataset.yaml").read_text() + "group: '(\\d)$'\n"
    cache = pack(open_dataset(tile_folder(tmp_path / "tiles", card=card)), tmp_path / "cache")
    split = class_split(cache, shares=(0.6, 0.2, 0.2))
    groups = [{cache.entries[cache.position(i)].groups for i in part} for part in (split.train, split.validation)]
    assert groups[0].isdisjoint(groups[1])


def test_split_files_that_are_something_else(tmp_path):
    path = tmp_path / "split.json"
    for text, message in (
        ('{"format_version": 7}', "format 7, this satsqueeze reads 1"),
        ('{"format_version": 1, "train": []}', "holds no split"),
        ("[]", "holds no split"),
    ):
        path.write_text(text)
        with pytest.raises(RunError, match=message):
            load_class_split(path)


def test_a_named_split_is_taken_as_it_is_but_for_what_was_quarantined(tile_folder, tmp_path):
    root = tile_folder(tmp_path / "tiles")
    split = class_split(pack(open_dataset(root), tmp_path / "whole"))
    save_class_split(tmp_path / "mine.json", split)
    spoilt = split.train[0]
    name = spoilt.partition("/")[2]
    (root / name.partition("_")[0] / f"{name}.tif").write_bytes(b"")
    cache = pack(open_dataset(root), tmp_path / "cache")
    assert [entry.id for entry in cache.quarantine] == [spoilt]
    found = given_split(cache, tmp_path / "mine.json")
    assert (found.train, found.validation, found.test) == (split.train[1:], split.validation, split.test)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda split: replace(split, train=split.train + split.test), r"in train and in test; an image has one part"),
        (lambda split: replace(split, test=split.test * 2), r"in test and in test; an image has one part"),
        (
            lambda split: replace(split, test=(*split.test, "tiles/field_77")),
            r"1 of the .* such as tiles/field_77; fetch",
        ),
    ],
)
def test_a_named_split_that_cannot_be(cache, tmp_path, change, message):
    save_class_split(tmp_path / "mine.json", change(class_split(cache)))
    with pytest.raises(SplitError, match=message):
        given_split(cache, tmp_path / "mine.json")


def test_a_named_file_that_is_no_split_is_theirs_to_keep(cache, tmp_path):
    path = tmp_path / "metadata.bin"
    for content in (b"PAR1\xff", b"{}", b"[]", b'{"format_version": 7}', None):
        path.unlink() if content is None else path.write_bytes(content)
        with pytest.raises(SplitError, match=r"metadata\.bin holds no split that can be read \(") as caught:
            given_split(cache, path)
        assert "remove" not in str(caught.value)


def test_a_class_without_images_is_refused(tile_folder, tmp_path):
    root = tile_folder(tmp_path / "tiles")
    for path in (root / "water").iterdir():
        path.unlink()
    cache = pack(open_dataset(root), tmp_path / "cache")
    with pytest.raises(SplitError, match=r"the class\(es\) water have no image among 24; add images, or leave"):
        class_split(cache)


def test_a_class_of_which_nothing_can_be_read_is_told_as_such(tile_folder, tmp_path):
    root = tile_folder(tmp_path / "tiles")
    for path in (root / "water").iterdir():
        path.write_bytes(b"broken")
    cache = pack(open_dataset(root), tmp_path / "cache")
    with pytest.raises(SplitError, match=r"among 24 \(12 more were left out, such as tiles/water_0: .*cannot be read"):
        class_split(cache)


def test_a_part_without_a_class_is_refused(cache):
    few = ThreeWaySplit(train=cache.ids[:24], validation=(), test=())
    with pytest.raises(SplitError, match=r"train part of 24 images lacks water \(12 images\); .* leave the class out"):
        require_every_class(cache, few)
    absent = ThreeWaySplit(train=(*cache.ids, "tiles/field_77"), validation=())
    with pytest.raises(DataError, match=r"tiles/field_77 is not in the cache .* it was never packed"):
        require_every_class(cache, absent)
    with pytest.raises(SplitError, match=r"shares of \[0.5, 0.6, -0.1\]"):
        class_split(cache, shares=(0.5, 0.6, -0.1))


def test_a_split_without_an_image_to_train_on_is_refused(cache, tmp_path):
    path = tmp_path / "split.csv"
    path.write_text("name,split\n" + "".join(f"{name},test\n" for name in cache.ids))
    with pytest.raises(SplitError, match=r"no image to train on; name some as the part 'train', or .* seeded"):
        listed_split(cache, path)


def test_official_parts(tile_folder, tmp_path):
    card = (tile_folder(tmp_path / "x") / "dataset.yaml").read_text()
    card = card.replace("{above}{label", "{split:train|val|test}/{label")
    for part, count in (("train", 4), ("val", 1), ("test", 2)):
        tile_folder(tmp_path / "tiles" / part, count=count)
        (tmp_path / "tiles" / part / "dataset.yaml").unlink()
    (tmp_path / "tiles" / "dataset.yaml").write_text(card)
    cache = pack(open_dataset(tmp_path / "tiles"), tmp_path / "cache")
    split = official_split(cache)
    assert [len(part) for part in (split.train, split.validation, split.test)] == [12, 3, 6]
    assert all("val" in item for item in split.validation)


def test_without_official_parts(cache):
    with pytest.raises(SplitError, match="36 images are in no official part, such as tiles/field_0"):
        official_split(cache)


def test_fractions_nest_and_keep_every_class(cache):
    half, few = (fraction(cache, cache.ids, share=share, seed=4) for share in (0.5, 1 / 12))
    assert set(few) <= set(half)
    assert cache.targets[[cache.position(item) for item in half]].sum(axis=0).tolist() == [6, 6, 6]
    assert cache.targets[[cache.position(item) for item in few]].sum(axis=0).tolist() == [1, 1, 1]
    with pytest.raises(
        SplitError, match=r"0.05 of 36 labels are 2, which leaves (field|forest|water) without an image"
    ) as info:
        fraction(cache, cache.ids, share=0.05, seed=4)
    told = float(str(info.value).partition("at least ")[2].partition(",")[0])
    assert len(fraction(cache, cache.ids, share=told, seed=4)) == 3
    assert fraction(cache, cache.ids, share=1.0, seed=0) == tuple(sorted(cache.ids))
    with pytest.raises(SettingsError, match=r"in \(0, 1\], got 0"):
        fraction(cache, cache.ids, share=0, seed=0)


def test_statistics_are_the_fingerprints(tile_folder, write_tiff, tmp_path):
    root = tile_folder(tmp_path / "tiles", count=4)
    tile = np.random.default_rng(0).uniform(100, 500, (3, 8, 8)).astype(np.float32)
    tile[:, 0] = np.nan
    write_tiff(root / "field" / "field_0.tif", tile)
    cache = pack(open_dataset(root), tmp_path / "cache")
    found, expected = scaling_of(cache, cache.ids), fingerprint(cache).scaling()
    assert found.bands == expected.bands
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-12)
    np.testing.assert_allclose(found.std, expected.std, rtol=1e-9)
    with pytest.raises(DataError, match="none of 0 images"):
        scaling_of(cache, ())
