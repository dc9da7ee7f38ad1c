"""The cards on real files, where they are at hand."""

from __future__ import annotations

import zipfile
from pathlib import PurePosixPath

import numpy as np
import pytest

from satsqueeze.data.cache.pack import pack
from satsqueeze.data.check import check
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.items.reader import open_scene, read_image

FOUR = ("blue", "green", "red", "nir")


@pytest.mark.parametrize(
    ("folder", "card", "items", "labelled", "groups"),
    [
        ("l8-biome", "l8-biome-patches", 24, 24, 24),
        ("l8-biome/train", "l8-biome-patches", 16, 16, 16),
        ("38-cloud", "38-cloud", 8, 8, 8),
        ("on-cloud-n", "on-cloud-n", 4, 2, 4),
        ("eurosat-ms", "eurosat-ms", 200, 0, 200),
        ("eurosat-rgb", "eurosat-rgb", 21600, 0, 21600),
        ("bigearthnet-tiny", "bigearthnet", 11, 0, None),
        ("sen12ms-cr", "sen12ms-cr", 14, 0, None),
    ],
)
def test_items(shared_data, folder, card, items, labelled, groups):
    found = open_dataset(shared_data / folder, card=card)
    assert (len(found), len(found.labelled)) == (items, labelled)
    assert groups is None or len({group for item in found.items for group in item.groups}) == groups
    raster = read_image(found.items[-1])
    assert raster.valid.any()
    assert 0 < raster.values[:, raster.valid].mean() < 1


def test_items_of_eurosat_are_called_by_their_files(shared_data):
    archive = shared_data / "eurosat-rgb" / "EuroSAT_RGB.zip"
    with zipfile.ZipFile(archive) as handle:
        names = [PurePosixPath(name) for name in handle.namelist() if name.endswith(".jpg")]
    found = open_dataset(archive, card="eurosat-rgb").items
    assert [(item.id, item.class_name) for item in found] == sorted(
        (f"eurosat-rgb/{name.stem}", name.parent.name) for name in names
    )


def test_check_names_the_three_empty_patches(shared_data):
    problems = check(open_dataset(shared_data / "38-cloud", card="38-cloud"))
    assert len(problems) == 3
    assert all("no pixel is valid" in entry.problem for entry in problems)
    for name, card in (("l8-biome", "l8-biome-patches"), ("on-cloud-n", "on-cloud-n")):
        assert check(open_dataset(shared_data / name, card=card)) == ()


def test_packing_quarantines_them(shared_data, tmp_path):
    cache = pack(open_dataset(shared_data / "38-cloud", card="38-cloud"), tmp_path)
    assert (len(cache), len(cache.quarantine)) == (5, 3)


def test_twins_share_their_groups(shared_data):
    colour = {item.groups for item in open_dataset(shared_data / "eurosat-rgb", card="eurosat-rgb").items}
    full = open_dataset(shared_data / "eurosat-ms", card="eurosat-ms").items
    assert sum(item.groups in colour for item in full) > 100


def test_twins_have_the_same_reflectance(shared_data):
    colour = {item.groups: item for item in open_dataset(shared_data / "eurosat-rgb", card="eurosat-rgb").items}
    errors = []
    for item in open_dataset(shared_data / "eurosat-ms", card="eurosat-ms").items[::20]:
        if item.groups in colour:
            one = read_image(item, ("red", "green", "blue")).values
            other = read_image(colour[item.groups], ("red", "green", "blue")).values
            errors.append(np.abs(np.clip(one, 0, 0.275) - other).mean())
    assert max(errors) < 0.01


def test_toa_scene(shared_data):
    paths = sorted((shared_data / "scenes").glob("*_toa.tif"))
    with open_scene(paths, want=FOUR) as reader:
        raster = reader.read()
    assert raster.bands == FOUR
    assert 0.8 < raster.valid.mean() < 0.9
