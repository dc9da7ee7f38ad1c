"""Official splits as lists of names: what names may look like, and which files hold them."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from satsqueeze.core.errors import SplitError
from satsqueeze.data.cache.pack import pack
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.splits.lists import listed_split

CARD = """
name: pairs
task: multi-label
bands: [red, green, blue]
images: '{above}{place:[a-z]+}_s2_{number:\\d+}.tif'
labels: '{above}{place:[a-z]+}_lc_{number:\\d+}.json'
label_kind: json
item: '{place}_s2_{number}'
listed: '{place:[a-z]+}_{_:s1|lc}_{number:\\d+}.tif'
classes: [field, water]
foreground: []
scale: 0.001
"""


@pytest.fixture
def cache(write_tiff, tmp_path):
    root = tmp_path / "pairs"
    for number in range(6):
        write_tiff(root / f"a_s2_{number}.tif", np.full((3, 4, 4), 100 + number, np.uint16))
        (root / f"a_lc_{number}.json").write_text(json.dumps({"labels": ["field", "water"]}))
    (root / "a_s2_5.tif").write_bytes(b"broken")
    (root / "dataset.yaml").write_text(CARD)
    return pack(open_dataset(root), tmp_path / "cache")


def write_lists(folder, **lists):
    folder.mkdir(exist_ok=True)
    for name, names in lists.items():
        (folder / f"{name}.txt").write_text("\n".join(names) + "\n")
    return folder


@pytest.mark.parametrize("listed", ["pairs/a_s2_{}", "a_s2_{}", "a_s2_{}.tif", "a_s1_{}.tif", "a_lc_{}.tif"])
def test_text_lists_name_the_image_or_another_file_of_it(cache, tmp_path, listed):
    names = [listed.format(number) for number in range(6)]
    folder = write_lists(tmp_path / "lists", train_list=names[:3], val_list=names[3:4], test_list=names[4:])
    split = listed_split(cache, folder)
    assert split.train == ("pairs/a_s2_0", "pairs/a_s2_1", "pairs/a_s2_2")
    assert (split.validation, split.test) == (("pairs/a_s2_3",), ("pairs/a_s2_4",))


def test_an_unknown_name_is_shown_as_it_is_listed(cache, tmp_path):
    folder = write_lists(tmp_path / "lists", train=["a_s1_0.tif", "a_s1_9.tif", "b_vv_1.tif"], test=["a_s2_1"])
    with pytest.raises(SplitError, match=r"2 of the 4 images that .* such as a_s1_9\.tif, b_vv_1\.tif; fetch them"):
        listed_split(cache, folder)


def write_parquet(path):
    """What stands for a Parquet file: its real beginning and end around nothing that could be read as text."""
    path.write_bytes(b"PAR1\x15\xff\xfePAR1")
    return path


def test_parquet_without_pyarrow_says_how_to_write_it_as_csv(cache, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    path = write_parquet(tmp_path / "metadata.parquet")
    with pytest.raises(SplitError) as caught:
        listed_split(cache, path)
    said = str(caught.value)
    assert "pandas.read_parquet('metadata.parquet')[['patch_id', 'split']].to_csv('metadata.csv', index=False)" in said
    assert said.endswith(f"--split {tmp_path / 'metadata.csv'}")
    assert "remove" not in said


class FakeTable:
    """As much of pyarrow.Table as is used."""

    def __init__(self, columns):
        self.columns, self.column_names = columns, list(columns)

    def column(self, name):
        return SimpleNamespace(to_pylist=lambda: list(self.columns[name]))


def test_parquet_with_pyarrow(cache, tmp_path, monkeypatch):
    parts = ["train", "train", "validation", "test", "test"]
    names = [f"a_s2_{number}" for number in range(5)]
    table = FakeTable({"labels": [["field"]] * 5, "patch_id": names, "split": parts, "country": [None] * 5})
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", SimpleNamespace(read_table=lambda _: table))
    split = listed_split(cache, tmp_path / "metadata.parquet")
    assert (split.train, split.validation) == (("pairs/a_s2_0", "pairs/a_s2_1"), ("pairs/a_s2_2",))
    del table.column_names[2]
    with pytest.raises(SplitError, match="and a column split, got patch_id"):
        listed_split(cache, tmp_path / "metadata.parquet")


def test_parquet_that_pyarrow_cannot_read(cache, tmp_path):
    pytest.importorskip("pyarrow.parquet")
    with pytest.raises(SplitError, match="cannot be read as a Parquet file"):
        listed_split(cache, write_parquet(tmp_path / "metadata.parquet"))


def test_a_damaged_parquet_file_is_no_split(cache, tmp_path, monkeypatch):
    def refuse(_):
        raise ValueError("magic bytes not found")

    monkeypatch.setitem(sys.modules, "pyarrow.parquet", SimpleNamespace(read_table=refuse))
    with pytest.raises(SplitError, match=r"cannot be read as a Parquet file: magic bytes not found; fetch it again"):
        listed_split(cache, tmp_path / "metadata.parquet")
