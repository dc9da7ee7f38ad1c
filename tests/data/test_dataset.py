from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml

from satsqueeze.core.errors import BandError, CardError, DataError, LabelError, RasterError
from satsqueeze.core.labels import CLOUD_CLASSES
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.items.reader import read_label, read_sample
from satsqueeze.data.synth.writer import DatasetSettings, write_dataset

FOUR = ("blue", "green", "red", "nir")


def write_yaml(path, record):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(record, sort_keys=False))
    return path


@pytest.mark.parametrize("masks", ["labels", "masks", "Masks", "label"])
def test_folder_defaults(make_folder, tmp_path, masks):
    found = open_dataset(make_folder(tmp_path / "set", masks=masks))
    assert [item.id for item in found.items] == ["folder/a", "folder/b", "folder/c"]
    assert (found.bands, found.classes, found.foreground) == (FOUR, CLOUD_CLASSES, (1, 2))
    assert len(found.labelled) == 3
    assert found.items[0].groups == ("folder/a",)


@pytest.mark.parametrize("root", ["", "set", "set/train", "set/train/images"])
def test_root_may_be_given_higher_or_lower(make_folder, tmp_path, root):
    make_folder(tmp_path / "set" / "train")
    found = open_dataset(tmp_path / root)
    assert [item.id for item in found.items] == ["folder/a", "folder/b", "folder/c"]
    assert all(item.labelled for item in found.items)


def test_zip_is_read_in_place(make_folder, tmp_path):
    root = make_folder(tmp_path / "set")
    with zipfile.ZipFile(tmp_path / "with space.zip", "w") as archive:
        for path in sorted(root.rglob("*.tif")):
            archive.write(path, path.relative_to(tmp_path))
    plain = open_dataset(root)
    for spec in (tmp_path / "with space.zip",):
        zipped = open_dataset(spec, card="folder")
        assert [item.id for item in zipped.items] == [item.id for item in plain.items]
        for one, other in zip(plain.items, zipped.items, strict=True):
            left, right = read_sample(one, FOUR), read_sample(other, FOUR)
            np.testing.assert_array_equal(left.raster.values, right.raster.values)
            np.testing.assert_array_equal(left.label, right.label)


def test_zip_inside_the_folder_given(make_folder, tmp_path):
    root = make_folder(tmp_path / "made" / "set")
    (tmp_path / "download").mkdir()
    with zipfile.ZipFile(tmp_path / "download" / "set.zip", "w") as archive:
        for path in sorted(root.rglob("*.tif")):
            archive.write(path, path.relative_to(tmp_path / "made"))
    assert len(open_dataset(tmp_path / "download")) == 3


def test_dataset_yaml_states_everything(write_tiff, tmp_path):
    for scene in ("s1", "s2"):
        for tile in range(2):
            digital = np.full((2, 6, 7), 3000, np.uint16)
            write_tiff(tmp_path / "pictures" / f"{scene}_{tile}.tif", digital)
            write_tiff(tmp_path / "truth" / f"{scene}_{tile}_gt.tif", np.full((6, 7), 255, np.uint8))
    write_yaml(
        tmp_path / "dataset.yaml",
        {
            "name": "mine",
            "images": "pictures/*.tif",
            "labels": "truth/{name}_gt.tif",
            "bands": ["red", "nir"],
            "scale": 1e-4,
            "offset": -0.1,
            "nodata": 0,
            "label_map": {0: 0, 255: 1},
            "group": r"(s\d+)_\d",
        },
    )
    for spec in (tmp_path, tmp_path / "dataset.yaml"):
        found = open_dataset(spec)
        assert found.bands == ("red", "nir")
        assert {item.groups for item in found.items} == {("mine/s1",), ("mine/s2",)}
        sample = read_sample(found.items[0], ("nir",))
        assert sample.raster.values == pytest.approx(0.2)
        assert (sample.label == 1).all()


def test_explicit_card_goes_before_dataset_yaml(make_folder, tmp_path):
    root = make_folder(tmp_path / "set")
    write_yaml(root / "dataset.yaml", {"name": "other", "images": "nowhere/*.tif"})
    assert open_dataset(root, card="synth").items[0].source == "synth"
    with pytest.raises(DataError, match="no image of card 'other'"):
        open_dataset(root)


def test_mix(make_folder, tmp_path):
    make_folder(tmp_path / "one")
    make_folder(tmp_path / "two", names=("x", "y"))
    spec = write_yaml(
        tmp_path / "lists" / "mix.yaml",
        {
            "sources": [
                {"path": "../one", "name": "first"},
                {"path": "../two", "role": "train", "weight": 2, "overrides": {"name": "second", "group": "{name}"}},
            ]
        },
    )
    found = open_dataset(spec)
    assert found.sources == ("first", "second")
    assert {item.source: item.role for item in found.items} == {"first": "evaluate", "second": "train"}
    assert found.weights == {"second": 2.0}
    assert found.item("second/x").groups == ("second/x",)
    with pytest.raises(DataError, match="no item 'third/x'"):
        found.item("third/x")


def test_card_files_are_relative_to_the_mix(make_folder, tmp_path):
    make_folder(tmp_path / "one")
    write_yaml(tmp_path / "lists" / "mine.yaml", {"name": "mine", "group": "all"})
    spec = write_yaml(tmp_path / "lists" / "mix.yaml", {"sources": [{"path": "../one", "card": "mine.yaml"}]})
    assert {item.groups for item in open_dataset(spec).items} == {("mine/all",)}


def test_constant_label_makes_clear_surfaces_of_a_classification_set(make_folder, tmp_path):
    make_folder(tmp_path / "set")
    spec = write_yaml(
        tmp_path / "mix.yaml",
        {"sources": [{"path": "set", "overrides": {"label_kind": "constant", "constant_label": 0}}]},
    )
    found = open_dataset(spec)
    assert all(item.labelled for item in found.items)
    sample = read_sample(found.items[0], FOUR)
    assert (sample.label == 0).all()
    assert (read_label(found.items[0], (2, 2)) == 0).all()


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"sources": []}, "expected only 'sources', a list"),
        ({"sources": [{"path": "one"}], "seed": 1}, "expected only 'sources'"),
        ({"sources": ["one"]}, "source 1: expected 'path'"),
        ({"sources": [{"card": "folder"}]}, "source 1: expected 'path'"),
        ({"sources": [{"path": "one", "role": "test"}]}, "role must be one of evaluate, train, got 'test'"),
        ({"sources": [{"path": "one", "weight": 0}]}, "weight must be a positive number, got 0"),
        ({"sources": [{"path": "one", "name": "a/b"}]}, "cannot hold '/'"),
        ({"sources": [{"path": "one"}, {"path": "one"}]}, "several sources are called folder"),
        ({"sources": [{"path": "one", "card": "nope"}]}, "unknown card 'nope'"),
        ({"sources": [{"path": "one", "card": "nope.yaml"}]}, "cannot read .*lists/nope.yaml|cannot read"),
        ({"sources": [{"path": "one", "overrides": {"colour": 1}}]}, "colour"),
        (
            {"sources": [{"path": "one"}, {"path": "one", "name": "b", "overrides": {"classes": ["no", "yes", "x"]}}]},
            "different classes",
        ),
    ],
)
def test_malformed_mix(make_folder, tmp_path, record, message):
    make_folder(tmp_path / "one")
    with pytest.raises(CardError, match=message):
        open_dataset(write_yaml(tmp_path / "mix.yaml", record))


def test_mix_without_a_common_band(make_folder, tmp_path, write_tiff):
    make_folder(tmp_path / "one")
    write_tiff(tmp_path / "two" / "images" / "x.tif", np.full((1, 4, 4), 0.1, np.float32), names=("swir16",))
    spec = write_yaml(tmp_path / "mix.yaml", {"sources": [{"path": "one"}, {"path": "two", "name": "b"}]})
    with pytest.raises(BandError, match=r"no band in common \(folder: blue.*b: swir16"):
        open_dataset(spec)


def test_generated_data_set_brings_its_own_card(tmp_path):
    names = write_dataset(DatasetSettings(seed=0, scenes=2, size=64, patches_per_scene=2), tmp_path)
    found = open_dataset(tmp_path)
    assert len(found) == len(names) == 4
    assert len({item.groups for item in found.items}) == 2
    assert found.bands == FOUR
    for item in found.items:
        sample = read_sample(item, FOUR)
        assert 0 < sample.raster.values[:, sample.raster.valid].mean() < 1
        assert sample.gsd_m == 10


@pytest.mark.parametrize(
    ("card", "gsd_m"),
    [
        ({"bands": list(FOUR)}, None),
        ({"bands": list(FOUR), "sensor": "landsat-8"}, 30.0),
        ({"bands": [{"name": name, "gsd_m": 10} for name in FOUR]}, 10.0),
    ],
)
def test_pixels_have_a_size_where_file_or_card_tell(make_folder, tmp_path, card, gsd_m):
    make_folder(tmp_path / "one")
    spec = write_yaml(tmp_path / "mix.yaml", {"sources": [{"path": "one", "overrides": card}]})
    assert read_sample(open_dataset(spec).items[0], FOUR).gsd_m == gsd_m


def test_nothing_there(tmp_path):
    with pytest.raises(RasterError, match="found nothing"):
        open_dataset(tmp_path / "none")
    with pytest.raises(DataError, match=r"no image of card 'folder' under .*; expected paths like"):
        open_dataset(tmp_path)


def test_same_name_in_two_folders_stays_unique(make_folder, tmp_path):
    make_folder(tmp_path / "set" / "train")
    make_folder(tmp_path / "set" / "val", names=("a",))
    found = open_dataset(tmp_path / "set")
    assert [item.id for item in found.items] == ["folder/b", "folder/c", "folder/train/a", "folder/val/a"]
    for item in found.items:
        assert Path(str(item.label)).parts[-3] == Path(item.images[0]).parts[-3]


def test_bands_in_files_of_their_own_as_the_docs_write_it(write_tiff, reflectance, tmp_path):
    image = reflectance()
    for number, band in zip(("B02", "B03"), image, strict=False):
        write_tiff(tmp_path / "images" / f"a_{number}.tif", band[None])
    bands = [{"name": "blue", "file": "B02"}, {"name": "green", "file": "B03"}]
    card = {"images": "images/{name}_{band}.tif", "item": "{name}", "bands": bands, "radiometry": "reflectance"}
    write_yaml(tmp_path / "dataset.yaml", card)
    (item,) = open_dataset(tmp_path).items
    assert (item.id, len(item.images)) == ("folder/a", 2)
    np.testing.assert_array_equal(read_sample(item, ("blue", "green")).raster.values, image[:2])


def test_sources_whose_classes_differ_are_told_by_their_names(make_folder, tmp_path):
    make_folder(tmp_path / "one")
    other = {"classes": ["a", "b"], "foreground": [1]}
    entries = [{"path": "one", "name": "first"}, {"path": "one", "name": "second", "overrides": other}]
    spec = write_yaml(tmp_path / "mix.yaml", {"sources": entries})
    with pytest.raises(CardError, match=r"first: clear, .*; second: a, b\. Map them"):
        open_dataset(spec)


@pytest.mark.parametrize("other", ["labels/b.png", "labels/b.tiff", "masks/b.tif"])
def test_two_labels_of_an_image_need_a_statement(make_folder, write_tiff, tmp_path, other):
    """Whichever comes first by its name would be taken, be it a preview or the work of another hand."""
    root = make_folder(tmp_path / "set")
    write_tiff(root / other, np.zeros((24, 20), np.uint8), driver="PNG" if other.endswith("png") else "GTiff")
    with pytest.raises(LabelError, match=r"labels/b\.\w+ and .*/\w+/b\.\w+ may both be the label of .*images/b\.tif"):
        open_dataset(root)
    write_yaml(root / "dataset.yaml", {"labels": "labels/{name}{_:[.]tif}"})
    assert str(open_dataset(root).item("folder/b").label).endswith("labels/b.tif")


def test_the_order_of_label_patterns_is_a_statement(make_folder, write_tiff, tmp_path):
    root = make_folder(tmp_path / "set")
    write_tiff(root / "masks" / "b.tif", np.zeros((24, 20), np.uint8))
    write_yaml(root / "dataset.yaml", {"labels": ["masks/{name}.tif", "labels/{name}.tif"]})
    folders = [Path(str(item.label)).parent.name for item in open_dataset(root).items]
    assert folders == ["labels", "masks", "labels"]


def test_a_label_that_no_image_has_may_be_there_twice(make_folder, write_tiff, tmp_path):
    root = make_folder(tmp_path / "set")
    for folder in ("labels", "masks"):
        write_tiff(root / folder / "z.tif", np.zeros((24, 20), np.uint8))
    assert len(open_dataset(root).labelled) == 3


def test_an_image_is_there_once(make_folder, tmp_path):
    root = make_folder(tmp_path / "set")
    (root / "images" / "b.tiff").write_bytes((root / "images" / "b.tif").read_bytes())
    with pytest.raises(DataError, match=r"images/b\.tif and .*images/b\.tiff have the same name"):
        open_dataset(root)


def test_missing_label_is_not_taken_for_unlabelled(make_folder, tmp_path):
    root = make_folder(tmp_path / "set")
    (root / "labels" / "b.tif").unlink()
    found = open_dataset(root)
    item = found.item("folder/b")
    assert item.label is None
    assert item.label_expected is not None
    with pytest.raises(LabelError, match=r"b\.tif has no mask; expected a label beside .*labels"):
        read_sample(item, FOUR)


def test_folder_without_any_label_is_unlabelled(make_folder, tmp_path):
    root = make_folder(tmp_path / "set")
    for path in (root / "labels").iterdir():
        path.unlink()
    found = open_dataset(root)
    assert found.labelled == ()
    assert (read_sample(found.items[0], FOUR).label == 255).all()


def test_masks_of_0_and_255_need_a_statement(make_folder, tmp_path):
    root = make_folder(tmp_path / "set", classes=(0, 255))
    with pytest.raises(LabelError, match="hold only 0 and 255, and 255 could mean cloud or 'ignore'"):
        open_dataset(root)
    write_yaml(root / "dataset.yaml", {"ignore": 255})
    assert set(np.unique(read_label(open_dataset(root).items[0]))) == {0, 255}
    write_yaml(root / "dataset.yaml", {"label_map": {0: 0, 255: 1}})
    assert set(np.unique(read_label(open_dataset(root).items[0]))) == {0, 1}


def test_unnamed_bands_need_a_statement(write_tiff, reflectance, tmp_path):
    write_tiff(tmp_path / "images" / "a.tif", reflectance())
    with pytest.raises(BandError, match=r"cannot tell the bands of 4 of 4 channels.*dataset.yaml"):
        open_dataset(tmp_path)
    write_yaml(tmp_path / "dataset.yaml", {"bands": ["red", "green", "blue", "nir"]})
    assert open_dataset(tmp_path).bands == ("red", "green", "blue", "nir")


def test_label_pattern_that_cannot_be_joined(make_folder, tmp_path):
    root = make_folder(tmp_path / "set")
    write_yaml(root / "dataset.yaml", {"labels": "labels/{scene}.tif"})
    with pytest.raises(CardError, match=r"needs \{scene\}, which the image pattern does not capture"):
        open_dataset(root)


def test_group_expression_that_cannot_be_compiled(make_folder, tmp_path):
    root = make_folder(tmp_path / "set")
    write_yaml(root / "dataset.yaml", {"group": "(a"})
    with pytest.raises(CardError, match="cannot be compiled"):
        open_dataset(root)


def test_a_damaged_first_image_does_not_hide_the_bands(make_folder, tmp_path):
    root = make_folder(tmp_path / "set")
    (root / "images" / "a.tif").write_bytes(b"")
    assert open_dataset(root).bands == FOUR
    for name in "bc":
        (root / "images" / f"{name}.tif").write_bytes(b"")
    with pytest.raises(RasterError, match="cannot be read as a raster"):
        open_dataset(root)


def test_a_picture_beside_an_image_of_its_name_has_a_name_of_its_own(make_folder, tmp_path, write_tiff):
    root = make_folder(tmp_path / "set")
    write_tiff(root / "images" / "a.png", np.full((3, 24, 20), 200, np.uint8), driver="PNG")
    assert [item.id for item in open_dataset(root).items] == [
        "folder/images/a.png", "folder/images/a.tif", "folder/images/b", "folder/images/c",
    ]  # fmt: skip


def test_all_archives_of_a_folder_are_read(make_folder, tmp_path):
    (tmp_path / "all").mkdir()
    for name in ("a", "b"):
        made = make_folder(tmp_path / name, names=(name,))
        with zipfile.ZipFile(tmp_path / f"all/part_{name}.zip", "w") as archive:
            for path in made.rglob("*.tif"):
                archive.write(path, path.relative_to(made))
    found = open_dataset(tmp_path / "all")
    assert [item.id for item in found.items] == ["folder/a", "folder/b"]
    assert len(found.labelled) == 2
