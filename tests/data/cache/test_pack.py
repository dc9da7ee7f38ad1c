from __future__ import annotations

import errno
import json
import os
import pickle
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from satsqueeze.core.errors import DataError, GridError, RunError
from satsqueeze.core.window import Window
from satsqueeze.data import checksums
from satsqueeze.data.cache import class_locations
from satsqueeze.data.cache import pack as item_cache
from satsqueeze.data.cache import packing as item_packing
from satsqueeze.data.cache import writer as cache_writer
from satsqueeze.data.cache.pack import pack
from satsqueeze.data.cache.packed import MANIFEST, PackedCache, dequantise, quantise
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.items.reader import read_sample

FOUR = ("blue", "green", "red", "nir")


@given(st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=50))
def test_quantisation_keeps_half_a_unit(values):
    values = np.array(values, np.float32).reshape(1, 1, -1)
    stored = quantise(values, np.ones(values.shape[1:], bool))
    out = np.empty_like(values)
    dequantise(stored, out)
    np.testing.assert_allclose(out, values, atol=0.5e-4 + 1e-6)


def test_quantisation_clips_and_marks_the_invalid():
    values = np.array([[[9.0, -9.0, 0.5]]], np.float32)
    stored = quantise(values, np.array([[True, True, False]]))
    assert stored.tolist() == [[[32767, -32767, -32768]]]
    out = np.empty_like(values)
    dequantise(stored, out)
    assert out[0, 0, 2] == 0


@pytest.fixture
def dataset(make_folder, write_tiff, tmp_path):
    root = make_folder(tmp_path / "set", names=("a", "b", "c", "d"))
    image = np.random.default_rng(9).uniform(0.1, 0.5, (4, 10, 30)).astype(np.float32)
    image[:, 2:4, 5] = np.nan
    write_tiff(root / "images" / "b.tif", image, names=FOUR)
    write_tiff(root / "labels" / "b.tif", np.full((10, 30), 2, np.uint8))
    return open_dataset(root)


def test_a_finished_cache_is_kept_where_it_may_not_be_replaced(dataset, make_folder, tmp_path):
    first = pack(dataset, tmp_path / "c", overwrite=False)
    assert pack(dataset, tmp_path / "c", overwrite=False).fingerprint == first.fingerprint
    other = open_dataset(make_folder(tmp_path / "other", names=("x", "y")))
    with pytest.raises(RunError, match="holds other images or bands than those asked for"):
        pack(other, tmp_path / "c", overwrite=False)
    assert PackedCache(tmp_path / "c").ids == first.ids
    assert pack(other, tmp_path / "c").ids != first.ids


def test_everything_comes_back(dataset, tmp_path):
    seen = []
    cache = pack(dataset, tmp_path / "c", bands=("nir", "blue"), on_progress=lambda *n: seen.append(n))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert (cache.bands, cache.classes, cache.foreground) == (("nir", "blue"), dataset.classes, (1, 2))
    assert cache.ids == tuple(item.id for item in dataset.items)
    for position, item in enumerate(dataset.items):
        sample = read_sample(item, ("nir", "blue"))
        assert cache.position(item.id) == position
        np.testing.assert_allclose(cache.image(position), sample.raster.values, atol=0.51e-4)
        np.testing.assert_array_equal(cache.valid(position), sample.raster.valid)
        np.testing.assert_array_equal(cache.label(position), sample.label)
        entry = cache.entries[position]
        assert (entry.height, entry.width) == sample.label.shape
        assert entry.class_pixels == tuple(int((sample.label == value).sum()) for value in range(4))
        assert entry.valid_pixels == sample.raster.valid.sum()
        assert entry.groups == item.groups
        assert entry.labelled
        window = Window(row=1, col=2, height=5, width=4)
        np.testing.assert_array_equal(cache.image(position, window), cache.image(position)[:, 1:6, 2:6])
        np.testing.assert_array_equal(cache.label(position, window), cache.label(position)[1:6, 2:6])
        np.testing.assert_array_equal(cache.valid(position, window), cache.valid(position)[1:6, 2:6])
    with pytest.raises(GridError, match="leaves folder/b of 10 x 30 px"):
        cache.image(1, Window(row=8, col=0, height=3, width=3))


def test_locations_lie_on_their_class(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(class_locations, "LOCATIONS_PER_CLASS", 50)
    cache = pack(dataset, tmp_path / "c")
    for position, entry in enumerate(cache.entries):
        assert cache.locations(position, 0).size == 0
        for value in (1, 2, 3):
            places = cache.locations(position, value)
            assert len(places) == min(50, entry.class_pixels[value])
            assert len(set(places.tolist())) == len(places)
            assert (cache.label(position).ravel()[places] == value).all()


def test_pickles_as_its_path(dataset, tmp_path):
    cache = pack(dataset, tmp_path / "c")
    content = pickle.dumps(cache)
    assert len(content) < 300
    np.testing.assert_array_equal(pickle.loads(content).image(1), cache.image(1))


def test_the_files_are_the_same_every_time(dataset, tmp_path):
    for name in ("one", "two"):
        pack(dataset, tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_finished_cache_is_not_packed_again(dataset, tmp_path, monkeypatch):
    pack(dataset, tmp_path / "c")
    monkeypatch.setattr(item_packing, "read_sample", None)
    assert len(pack(dataset, tmp_path / "c")) == 4


def test_changed_files_are_packed_again(dataset, write_tiff, tmp_path):
    pack(dataset, tmp_path / "c")
    write_tiff(tmp_path / "set" / "labels" / "a.tif", np.full((24, 20), 3, np.uint8))
    assert (pack(dataset, tmp_path / "c").label(0) == 3).all()
    assert pack(dataset, tmp_path / "c", bands=("red",)).bands == ("red",)


def test_files_that_were_moved_or_copied_are_the_same(make_folder, tmp_path, monkeypatch):
    make_folder(tmp_path / "set", names=("a", "b"))
    first = pack(open_dataset(tmp_path / "set"), tmp_path / "c")
    moved = shutil.move(tmp_path / "set", tmp_path / "elsewhere")
    for path in (tmp_path / "elsewhere").rglob("*"):
        os.utime(path, ns=(0, 0))
    with monkeypatch.context() as patch:
        patch.setattr(item_packing, "read_sample", None)
        again = pack(open_dataset(moved), tmp_path / "c", overwrite=False)
        assert again.fingerprint == first.fingerprint
        assert {path.split("/")[-3] for path in again.checksums} == {"elsewhere"}
        # What was read once to see that is not read again.
        patch.setattr(checksums, "_crc32", None)
        assert pack(open_dataset(moved), tmp_path / "c").ids == first.ids


def test_what_could_not_be_read_is_tried_again(make_folder, write_tiff, tmp_path):
    root = make_folder(tmp_path / "set", names=("a", "b"))
    product = "S2A_MSIL1C_20240105T103421_N9999_R108_T31UFT_20240105T120000.tif"
    write_tiff(root / "images" / product, np.full((4, 24, 20), 3000, np.uint16), names=FOUR)
    write_tiff(root / "labels" / product, np.ones((24, 20), np.uint8))
    first = pack(open_dataset(root), tmp_path / "c")
    assert "offset of Sentinel-2 product" in first.quarantine[0].reason
    assert pack(open_dataset(root), tmp_path / "c").quarantine == first.quarantine
    (root / "images" / "MTD_MSIL1C.xml").write_text(
        "<P><PROCESSING_BASELINE>05.10</PROCESSING_BASELINE><RADIO_ADD_OFFSET band_id='0'>-1000</RADIO_ADD_OFFSET></P>"
    )
    again = pack(open_dataset(root), tmp_path / "c")
    assert (len(again), again.quarantine) == (3, ())
    assert again.fingerprint != first.fingerprint


def test_weights_of_sources_follow_their_file(make_folder, tmp_path):
    for name in ("one", "two"):
        make_folder(tmp_path / name, names=(f"{name}-a", f"{name}-b"))
    sources = tmp_path / "sources.yaml"

    def packed(weight):
        sources.write_text(f"sources:\n  - {{path: one, name: one}}\n  - {{path: two, name: two, {weight}}}\n")
        return pack(open_dataset(sources), tmp_path / "c")

    first = packed("weight: 2")
    assert first.source_weights(first.ids) == {"one": 1.0, "two": 2.0}
    second = packed("weight: 50")
    assert second.source_weights(second.ids) == {"one": 1.0, "two": 50.0}
    assert second.fingerprint == first.fingerprint
    third = packed("role: evaluate")
    assert third.source_weights(third.ids) is None


class KilledError(Exception):
    """Stands for ``kill -9``: nothing after it runs."""


@pytest.mark.parametrize("survivors", [0, 1, 3])
def test_a_killed_run_continues(dataset, tmp_path, monkeypatch, survivors):
    whole = pack(dataset, tmp_path / "whole")

    def stop(done, total):
        if done == survivors:
            raise KilledError

    if survivors:
        with pytest.raises(KilledError):
            pack(dataset, tmp_path / "c", on_progress=stop)
        with (tmp_path / "c" / "images.i16").open("ab") as handle:
            handle.write(b"half an item")
        with (tmp_path / "c" / "packing.jsonl").open("a") as handle:
            handle.write('{"entry": {"id": "folder/')
    read = []
    original = item_packing.read_sample
    monkeypatch.setattr(item_packing, "read_sample", lambda item, bands: read.append(item.id) or original(item, bands))
    cache = pack(dataset, tmp_path / "c")
    assert len(read) == 4 - survivors
    assert cache.entries == whole.entries
    for name in ("images.i16", "labels.u8", "locations.npz", MANIFEST):
        assert (tmp_path / "c" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_run_that_is_killed_twice_before_its_first_item_continues(dataset, tmp_path, monkeypatch):
    def stop(*_):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(item_packing, "read_sample", stop)
        for _ in range(2):
            with pytest.raises(KilledError):
                pack(dataset, tmp_path / "c")
    assert len(pack(dataset, tmp_path / "c")) == 4


def test_a_resumed_run_that_cannot_write_its_journal_loses_nothing(dataset, tmp_path, monkeypatch):
    folder = tmp_path / "cache"

    def stop(done, total):
        if done == 2:
            raise KilledError

    with pytest.raises(KilledError):
        pack(dataset, folder, on_progress=stop)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(cache_writer, "write_text", full)
        with pytest.raises(RunError):
            pack(dataset, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_killed_run_of_other_data_starts_again(dataset, tmp_path):
    def stop(done, total):
        raise KilledError

    with pytest.raises(KilledError):
        pack(dataset, tmp_path / "c", bands=("red",), on_progress=stop)
    assert pack(dataset, tmp_path / "c").bands == FOUR


def test_bad_items_are_quarantined_with_their_reason(dataset, write_tiff, tmp_path):
    root = tmp_path / "set"
    write_tiff(root / "images" / "a.tif", np.zeros((4, 24, 20), np.float32), names=FOUR)
    (root / "images" / "c.tif").write_bytes(b"")
    (root / "labels" / "d.tif").unlink()
    cache = pack(open_dataset(root), tmp_path / "c")
    assert cache.ids == ("folder/b",)
    reasons = {entry.id: entry.reason for entry in cache.quarantine}
    assert "no pixel is valid" in reasons["folder/a"]
    assert "cannot be read as a raster" in reasons["folder/c"]
    assert "has no mask; expected a label beside" in reasons["folder/d"]
    assert json.loads((tmp_path / "c" / MANIFEST).read_text())["quarantine"][0]["id"] == "folder/a"
    with pytest.raises(DataError, match=r"folder/a is not in the cache .*: .*no pixel is valid"):
        cache.position("folder/a")
    with pytest.raises(DataError, match="it was never packed"):
        cache.position("folder/z")


def test_nothing_usable(make_folder, write_tiff, tmp_path):
    root = make_folder(tmp_path / "set", names=("a",))
    write_tiff(root / "images" / "a.tif", np.zeros((4, 24, 20), np.float32), names=FOUR)
    with pytest.raises(DataError, match=r"none of the 1 items can be used; the first reason: .*no pixel is valid"):
        pack(open_dataset(root), tmp_path / "c")


def test_unlabelled_items_are_packed(make_folder, tmp_path):
    root = make_folder(tmp_path / "set")
    for path in (root / "labels").iterdir():
        path.unlink()
    cache = pack(open_dataset(root), tmp_path / "c")
    assert not any(entry.labelled for entry in cache.entries)
    assert (cache.label(0) == 255).all()


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "the disk is full while writing"),
        (errno.EDQUOT, "the disk is full while writing"),
        (errno.EROFS, "cannot"),
    ],
)
def test_a_disk_that_takes_nothing(dataset, tmp_path, monkeypatch, number, message):
    def refuse(path, size):
        raise OSError(number, "refused")

    monkeypatch.setattr(cache_writer, "_open_at", refuse)
    with pytest.raises(RunError, match=message):
        pack(dataset, tmp_path / "c")


def test_full_disk_keeps_what_was_packed(dataset, tmp_path, monkeypatch):
    original = cache_writer.CacheWriter.add

    def add(self, item, outcome):
        if len(self.entries) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        original(self, item, outcome)

    monkeypatch.setattr(cache_writer.CacheWriter, "add", add)
    with pytest.raises(RunError, match=r"finished before is intact. Free some space and run the same command again"):
        pack(dataset, tmp_path / "c")
    monkeypatch.undo()
    read = []
    monkeypatch.setattr(
        item_packing,
        "read_sample",
        lambda item, bands, real=item_packing.read_sample: read.append(item.id) or real(item, bands),
    )
    assert len(pack(dataset, tmp_path / "c")) == 4
    assert read == ["folder/c", "folder/d"]


@pytest.mark.parametrize("lost", ["images.i16", "labels.u8"])
def test_pixels_that_were_lost_before_the_end_are_read_again(dataset, tmp_path, monkeypatch, lost):
    whole = pack(dataset, tmp_path / "whole")

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(item_cache, "_finish", stop)
    with pytest.raises(KeyboardInterrupt):
        pack(dataset, tmp_path / "c")
    monkeypatch.undo()
    path = tmp_path / "c" / lost
    path.write_bytes(path.read_bytes()[:-2])
    cache = pack(dataset, tmp_path / "c")
    for name in ("images.i16", "labels.u8"):
        assert (tmp_path / "c" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert cache.entries == whole.entries


def test_a_journal_of_something_else_is_begun_anew(dataset, tmp_path):
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / cache_writer.JOURNAL).write_text('{"key": "another"}\n{"entry": {"id": "of older fields"}}\n3\n')
    assert len(pack(dataset, tmp_path / "c")) == 4


def test_no_cache_there(tmp_path):
    with pytest.raises(RunError, match="does not exist"):
        PackedCache(tmp_path)


def test_cache_of_another_version(dataset, tmp_path):
    pack(dataset, tmp_path / "c")
    path = tmp_path / "c" / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": 99}))
    with pytest.raises(
        RunError, match="a cache of format 99, this satsqueeze reads the formats 1 and 2; remove the folder"
    ):
        PackedCache(tmp_path / "c")


@pytest.mark.parametrize("cut", [True, False])
def test_cache_that_lost_pixels(dataset, tmp_path, cut):
    pack(dataset, tmp_path / "c")
    path = tmp_path / "c" / "images.i16"
    path.write_bytes(path.read_bytes()[:-2]) if cut else path.unlink()
    with pytest.raises(RunError, match=r"images.i16 (has \d+ bytes|is missing), expected \d+ bytes; remove"):
        PackedCache(tmp_path / "c")
