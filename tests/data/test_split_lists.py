"""Official splits as lists of names: what names may look like, and which files hold them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from satsqueeze.core.errors import SplitError
from satsqueeze.data.cache import pack
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.split_lists import listed_split

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
