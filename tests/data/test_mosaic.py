"""Mosaics: labels are those of the tiles, and no tile is in two parts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from satsqueeze.cli.main import main
from satsqueeze.core.errors import BandError, DataError, SettingsError
from satsqueeze.data.cache.pack import pack
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.mosaic import PURE, MosaicSettings, shared_out, write_mosaics
from satsqueeze.data.splits.parts import named_split
from satsqueeze.data.splits.split import stated_test
from satsqueeze.data.synth import DatasetSettings, write_dataset

CLASSES = ("field", "wood", "lake")
TILES = 5
CARD = """
name: tiles
task: classification
bands: [{bands}]
images: '{{above}}{{label:[a-z]+}}/{{name}}.tif'
label_kind: path
classes: [field, wood, lake]
foreground: []
scale: 0.0001
nodata: 0
"""
SETTINGS = MosaicSettings(scenes=(3, 1, 2), size=48, parcel_px=(10, 16), classes=CLASSES)
EUROSAT = Path("../shared/data/eurosat-rgb/EuroSAT_RGB.zip")


def write_tiles(root, bands="red, nir", tiles=TILES):
    """Tiles of 16 px: the first band tells the tile (1000, 1010, ...), the second one is the row plus 100 times the
    column."""
    profile = {"driver": "GTiff", "count": 2, "height": 16, "width": 16, "dtype": "uint16"}
    rows, cols = np.mgrid[:16, :16]
    for kind, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for number in range(tiles):
            values = np.stack([np.full((16, 16), 1000 * (kind + 1) + 10 * number), 1 + rows + 100 * cols])
            place = root / name / f"{name}_{number}.tif"
            with rasterio.open(place, "w", crs="EPSG:32631", transform=Affine(10, 0, 0, 0, -10, 0), **profile) as to:
                to.write(values.astype(np.uint16))
    (root / "dataset.yaml").write_text(CARD.format(bands=bands))
    return open_dataset(root)


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    return write_tiles(tmp_path_factory.mktemp("tiles") / "t")


@pytest.fixture(scope="module")
def mosaics(tiles, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mosaics") / "m"
    write_mosaics(tiles, SETTINGS, folder)
    return pack(open_dataset(folder), folder / "cache")


def stamps(cache, position):
    """Digital numbers of the first band: the tile that each pixel is of."""
    return np.rint(cache.image(position)[0] * 10000).astype(int)


def test_each_label_is_that_of_the_tile_that_the_pixel_is_of(mosaics):
    assert (mosaics.classes, mosaics.bands, len(mosaics)) == (CLASSES, ("red", "nir"), 6)
    for position in range(6):
        np.testing.assert_array_equal(stamps(mosaics, position) // 1000 - 1, mosaics.label(position))


def test_no_tile_is_in_two_parts(mosaics):
    split = named_split(mosaics.entries)
    assert set(stated_test(mosaics.entries).validation) == set(split.test)
    assert [len(split.train), len(split.validation), len(split.test)] == [3, 1, 2]
    seen = [
        set(np.unique(np.concatenate([stamps(mosaics, mosaics.position(name)).ravel() for name in part])))
        for part in (split.train, split.validation, split.test)
    ]
    assert sum(map(len, seen)) == len(set.union(*seen))
    assert all(len(part) >= 2 for part in seen)


def test_real_pixels_stay_neighbours(mosaics):
    values = np.rint(mosaics.image(0) * 10000).astype(int)
    row, col = (values[1] - 1) % 100, (values[1] - 1) // 100
    same = stamps(mosaics, 0)
    inside = (same[1:] == same[:-1]) & (mosaics.label(0)[1:] == mosaics.label(0)[:-1])
    moved = np.abs(row[1:] - row[:-1]) + np.abs(col[1:] - col[:-1])
    # One step on the ground is one step in the tile, or none where it is mirrored. The rest are borders of parcels that
    # hold the same tile: there are few tiles here.
    assert (moved[inside] <= 1).mean() > 0.8


def test_the_same_settings_give_the_same_bytes(tiles, mosaics, tmp_path):
    write_mosaics(tiles, SETTINGS, tmp_path)
    for path in sorted((mosaics.folder.parent / "images").iterdir()):
        assert (tmp_path / "images" / path.name).read_bytes() == path.read_bytes()


def test_tiles_of_one_group_stay_together(tiles):
    parts = shared_out(tiles.items, SETTINGS)
    homes = [item.id for part in parts.values() for items in part.values() for item in items]
    assert sorted(homes) == sorted(item.id for item in tiles.items)
    assert [sum(len(items) for items in part.values()) for part in parts.values()] == [9, 3, 3]


def test_stated_parts_and_roles_are_honoured(tiles):
    items = [
        replace(
            item, part="test" if item.id.endswith("_0") else "", role="train" if item.id.endswith("_1") else "evaluate"
        )
        for item in tiles.items
    ]
    parts = shared_out(items, SETTINGS)
    homes = {item.id: part for part, classes in parts.items() for found in classes.values() for item in found}
    assert len(homes) == len(items)
    assert {homes[item.id] for item in items if item.part == "test"} == {"test"}
    assert {homes[item.id] for item in items if item.role == "train"} == {"train"}


def test_a_part_without_tiles_of_a_class_is_refused_before_anything_is_written(tiles, tmp_path):
    # Parts of very different sizes get a group each as long as there are three.
    uneven = replace(SETTINGS, scenes=(1, 1, 200))
    assert all(set(classes) == set(CLASSES) for classes in shared_out(tiles.items, uneven).values())
    # All lakes are where a field is, and all these are in training.
    woods = [item for item in tiles.items if item.class_name == "wood"]
    fields = [item for item in tiles.items if item.class_name == "field"]
    lakes = [replace(item, groups=fields[0].groups) for item in tiles.items if item.class_name == "lake"]
    with pytest.raises(DataError, match="the class lake has 1 groups of tiles and none for"):
        write_mosaics(replace(tiles, items=(*fields, *woods, *lakes)), SETTINGS, tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_what_cannot_be(tiles, tmp_path):
    few = write_tiles(tmp_path / "few", tiles=2)
    with pytest.raises(DataError, match="the class field has 2 groups of tiles and none for"):
        write_mosaics(few, SETTINGS, tmp_path / "a")
    write_dataset(DatasetSettings(seed=0, scenes=2, size=32), tmp_path / "masks")
    with pytest.raises(DataError, match=r"none of 2 images has one class as a whole.*Name a card of classification"):
        write_mosaics(open_dataset(tmp_path / "masks"), MosaicSettings(bands=("red",)), tmp_path / "m")
    with pytest.raises(BandError, match="Sentinel-2's bands, got lwir11"):
        write_mosaics(tiles, MosaicSettings(bands=("lwir11",), classes=CLASSES), tmp_path / "b")
    with pytest.raises(SettingsError, match="at least one scene per part"):
        MosaicSettings(scenes=(1, 0, 1))
    with pytest.raises(SettingsError, match="two classes"):
        MosaicSettings(classes=("field",))


def test_the_command(tiles, tmp_path, capsys):
    source = tiles.items[0].images[0].rpartition("/field/")[0]
    words = ["--classes", "field,wood,lake", "--scenes", "1,1,1", "--size", "32"]
    assert main(["mosaic", source, "--out", str(tmp_path), *words]) == 0
    assert f"3 mosaics in {tmp_path}" in capsys.readouterr().out
    assert main(["mosaic", source, "--scenes", "1,1"]) == 2
    assert "three numbers" in capsys.readouterr().err


@pytest.mark.skipif(not EUROSAT.exists(), reason="EuroSAT RGB is not beside the project (../shared/data)")
def test_real_tiles(tmp_path):
    settings = MosaicSettings(scenes=(1, 1, 1), size=64)
    write_mosaics(open_dataset(EUROSAT, card="eurosat-rgb"), settings, tmp_path / "m")
    cache = pack(open_dataset(tmp_path / "m"), tmp_path / "cache")
    assert cache.classes == PURE
    assert all(0.02 < cache.image(position).mean() < 0.25 for position in range(3))
