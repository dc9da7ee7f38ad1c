from __future__ import annotations

import numpy as np
import pytest
import yaml

from satsqueeze.core.errors import GridError, LabelError, RasterError
from satsqueeze.data.cards.catalogue import card_from
from satsqueeze.data.cards.label_map import label_table, map_labels
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.items.reader import read_label, read_sample, read_targets

FOUR = ("blue", "green", "red", "nir")


def card(**fields):
    return card_from({"name": "mine", **fields}, where="test")


def test_map_labels_is_a_lookup():
    raw = np.random.default_rng(0).choice([7, 90, 255], (9, 11)).astype(np.uint8)
    mapped = map_labels(raw, card(label_map={7: 0, 90: 2}), where="x")
    np.testing.assert_array_equal(mapped, np.select([raw == 7, raw == 90], [0, 2], 255))
    assert mapped.dtype == np.uint8


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32", "int64"])
def test_map_labels_takes_any_whole_numbers(dtype):
    raw = np.array([[0, 1], [2, 3]], dtype)
    np.testing.assert_array_equal(map_labels(raw, card(), where="x"), raw.astype(np.uint8))


def test_nan_labels_are_ignored():
    assert map_labels(np.array([[np.nan, 1.0]]), card(), where="x").tolist() == [[255, 1]]
    two = card(classes=["clear", "cloud"], foreground=[1], label_map={0: 0, 255: 1})
    assert map_labels(np.array([[0.0, 255.0, np.nan]]), two, where="x").tolist() == [[0, 1, 255]]
    assert map_labels(np.full((1, 2), np.nan), two, where="x").tolist() == [[255, 255]]


def test_label_table():
    assert label_table(card(ignore=9)) == {0: 0, 1: 1, 2: 2, 3: 3, 255: 255, 9: 255}
    assert label_table(card(label_map={0: 0, 255: 1})) == {0: 0, 255: 1}


def test_values_outside_the_card():
    with pytest.raises(
        LabelError, match=r"m\.tif holds the label value\(s\) 64, 128; expected 0, 1, 2, 3, 255.*label_map"
    ):
        map_labels(np.array([[0, 64], [128, 3]], np.uint8), card(), where="m.tif")
    with pytest.raises(LabelError, match=r"fractional labels such as 0.5"):
        map_labels(np.array([[0.5]]), card(), where="m.tif")


def test_invalid_pixels_are_ignored_in_the_label(write_tiff, reflectance, tmp_path):
    image = reflectance()
    image[:, 3] = np.nan
    write_tiff(tmp_path / "images" / "a.tif", image, names=FOUR)
    write_tiff(tmp_path / "masks" / "a.tif", np.ones(image.shape[1:], np.uint8))
    sample = read_sample(open_dataset(tmp_path).items[0], ("red",))
    assert (sample.label[3] == 255).all()
    assert (np.delete(sample.label, 3, axis=0) == 1).all()


def test_unequal_sizes(write_tiff, reflectance, tmp_path):
    write_tiff(tmp_path / "images" / "a.tif", reflectance(), names=FOUR)
    write_tiff(tmp_path / "masks" / "a.tif", np.ones((24, 24), np.uint8))
    with pytest.raises(
        GridError, match=r"24 x 24 px but its image .*a\.tif has 24 x 20 px; expected equal sizes. Crop"
    ):
        read_sample(open_dataset(tmp_path).items[0], FOUR)


def test_mask_with_several_channels(write_tiff, reflectance, tmp_path):
    write_tiff(tmp_path / "images" / "a.tif", reflectance(), names=FOUR)
    write_tiff(tmp_path / "masks" / "a.tif", np.ones((3, 24, 20), np.uint8), photometric="RGB")
    with pytest.raises(RasterError, match="has 3 channels; expected a mask with one"):
        read_label(open_dataset(tmp_path).items[0])
    (tmp_path / "dataset.yaml").write_text("label_band: 2")
    assert (read_label(open_dataset(tmp_path).items[0]) == 1).all()
    (tmp_path / "dataset.yaml").write_text("label_band: 4")
    with pytest.raises(RasterError, match=r"has 3 channel\(s\); expected the mask in channel 4\. Correct the file"):
        read_label(open_dataset(tmp_path).items[0])


def test_targets_need_a_classification_card(make_folder, tmp_path):
    item = open_dataset(make_folder(tmp_path)).items[0]
    with pytest.raises(LabelError, match="has no class list"):
        read_targets(item)


def test_targets_outside_the_card(write_tiff, tmp_path):
    write_tiff(tmp_path / "Desert" / "Desert_1.tif", np.full((13, 4, 4), 900, np.uint16))
    with pytest.raises(LabelError, match=r"names the class.es. Desert; expected some of AnnualCrop"):
        read_targets(open_dataset(tmp_path, card="eurosat-ms").items[0])


@pytest.mark.parametrize("text", ["{}", "[", '{"labels": 3}', '{"labels": "Pastures"}'])
def test_unreadable_class_list(write_tiff, tmp_path, text):
    patch = "S2A_MSIL2A_20170613T101031_83_17"
    write_tiff(tmp_path / patch / f"{patch}_B02.tif", np.full((4, 4), 900, np.uint16))
    (tmp_path / patch / f"{patch}_labels_metadata.json").write_text(text)
    with pytest.raises(LabelError, match="holds no list 'labels'"):
        read_targets(open_dataset(tmp_path, card="bigearthnet").items[0])


def test_constant_labels_cover_valid_pixels_only(write_tiff, reflectance, tmp_path):
    image = reflectance()
    image[:, 0] = np.nan
    write_tiff(tmp_path / "images" / "a.tif", image, names=FOUR)
    (tmp_path / "dataset.yaml").write_text(yaml.safe_dump({"label_kind": "constant", "constant_label": 0}))
    label = read_sample(open_dataset(tmp_path).items[0], FOUR).label
    assert (label[0] == 255).all()
    assert (label[1:] == 0).all()


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ({"crs": "EPSG:32632"}, "is in EPSG:32632 but .* is in EPSG:32631; expected one system"),
        ({"origin": (300_030, 5_000_000)}, "lies up to 3 px from where .*a.tif lies; expected the same place"),
        ({"gsd": 20}, "px from where .*a.tif lies"),
        ({"origin": (300_004, 5_000_000)}, ""),
        ({"crs": None}, ""),
    ],
)
def test_a_mask_lies_where_its_image_lies(write_tiff, reflectance, tmp_path, mask, message):
    image = reflectance()
    place = {"crs": "EPSG:32631", "gsd": 10, "origin": (300_000, 5_000_000)}
    write_tiff(tmp_path / "images" / "a.tif", image, names=FOUR, **place)
    write_tiff(tmp_path / "masks" / "a.tif", np.ones(image.shape[1:], np.uint8), **{**place, **mask})
    item = open_dataset(tmp_path).items[0]
    if not message:
        assert (read_sample(item, ("red",)).label == 1).all()
        return
    with pytest.raises(GridError, match=message):
        read_sample(item, ("red",))
