from __future__ import annotations

import numpy as np
import pytest

from satsqueeze.data.check import check, failed
from satsqueeze.data.dataset import open_dataset

FOUR = ("blue", "green", "red", "nir")
UTM = "EPSG:32631"


@pytest.fixture
def spoilt(make_folder, tmp_path):
    """A function that spoils a sound data set with ``change(root)`` and returns the problems found."""

    def run(change=lambda root: None, **more):
        root = make_folder(tmp_path / "set", **more)
        change(root)
        return check(open_dataset(root))

    return run


def test_foreground_that_nothing_holds_is_told(spoilt):
    (found,) = spoilt(classes=(0, 3))
    assert (found.severity, "no image holds any foreground (thick cloud, thin cloud)" in found.problem) == (
        "warning",
        True,
    )


def test_a_sound_set_has_no_problem(spoilt):
    assert spoilt() == ()
    assert not failed(())


@pytest.mark.parametrize(
    ("spoil", "file", "problem", "remedy"),
    [
        (
            lambda w, r, root: (root / "images/b.tif").write_bytes(b""),
            "images/b.tif",
            "cannot be read",
            "fetch or write",
        ),
        (
            lambda w, r, root: w(root / "images/b.tif", r(channels=3), names=FOUR[:3]),
            "images/b.tif",
            "band.s. nir are needed but the image has blue, green, red",
            "write the missing bands",
        ),
        (
            lambda w, r, root: w(root / "images/b.tif", r()),
            "images/b.tif",
            "cannot tell the bands of 4 of 4 channels",
            "'bands' in dataset.yaml",
        ),
        (
            lambda w, r, root: (root / "labels/b.tif").unlink(),
            "images/b.tif",
            "has no mask; expected a label beside",
            "add",
        ),
        (lambda w, r, root: (root / "labels/b.tif").write_bytes(b"II"), "labels/b.tif", "cannot be read", "fetch"),
        (
            lambda w, r, root: w(root / "labels/b.tif", np.full((24, 20), 77, np.uint8)),
            "labels/b.tif",
            r"label value.s. 77; expected 0, 1, 2, 3, 255",
            "label_map",
        ),
        (
            lambda w, r, root: w(root / "labels/b.tif", np.zeros((20, 24), np.uint8)),
            "labels/b.tif",
            "20 x 24 px but its image .* has 24 x 20 px; expected equal sizes",
            "one grid",
        ),
        (
            lambda w, r, root: w(root / "images/b.tif", np.zeros((4, 24, 20), np.float32), names=FOUR),
            "images/b.tif",
            "no pixel is valid.*expected at least one",
            "leave the image out",
        ),
        (
            lambda w, r, root: w(root / "images/b.tif", np.full((4, 24, 20), 900, np.uint16), names=FOUR),
            "images/b.tif",
            "nothing tells how the uint16 numbers",
            "'radiometry' in dataset.yaml",
        ),
    ],
)
def test_each_problem_is_found_with_its_file_and_remedy(spoilt, write_tiff, reflectance, spoil, file, problem, remedy):
    import re

    found = [
        entry
        for entry in spoilt(lambda root: spoil(write_tiff, reflectance, root))
        if "data types" not in entry.problem
    ]
    assert len(found) == 1
    assert found[0].file.endswith(file)
    assert re.search(problem, found[0].problem)
    assert remedy in found[0].remedy
    assert failed(found)


def test_never_stops_at_the_first(spoilt):
    def spoil(root):
        (root / "images" / "a.tif").write_bytes(b"")
        (root / "labels" / "b.tif").unlink()
        (root / "labels" / "c.tif").write_bytes(b"")

    assert [entry.file.rsplit("set/")[-1] for entry in spoilt(spoil)] == [
        "images/a.tif",
        "images/b.tif",
        "labels/c.tif",
    ]


def test_a_mask_that_labels_nothing_is_a_warning(spoilt, write_tiff):
    nothing = np.full((24, 20), 255, np.uint8)
    (found,) = spoilt(lambda root: write_tiff(root / "labels/b.tif", nothing))
    assert found.file.endswith("labels/b.tif")
    assert (found.severity, "its mask gives no pixel a class" in found.problem) == ("warning", True)


def test_masks_without_an_image_are_told(spoilt):
    (found,) = spoilt(lambda root: (root / "images/b.tif").unlink())
    assert (found.severity, found.file.endswith("labels/b.tif")) == ("warning", True)
    assert found.problem == "the image of this mask is missing"


def test_nan_is_a_warning(spoilt, write_tiff, reflectance):
    image = reflectance()
    image[0, :2, :3] = np.nan
    found = spoilt(lambda root: write_tiff(root / "images" / "b.tif", image, names=FOUR))
    assert [entry.severity for entry in found] == ["warning"]
    assert "6 of 480 pixels are NaN or infinite" in found[0].problem
    assert not failed(found)


def test_mixed_types(spoilt, write_tiff, reflectance):
    found = spoilt(lambda root: write_tiff(root / "images" / "b.tif", reflectance().astype(np.float64), names=FOUR))
    assert [entry.problem for entry in found] == [
        "images of 'folder' have different data types: 2 of float32, 1 of float64; expected one"
    ]
    assert found[0].file.endswith("b.tif")


def test_mixed_coordinate_systems(spoilt, write_tiff, tmp_path):
    def spoil(root):
        write_tiff(root / "labels" / "b.tif", np.zeros((24, 20), np.uint8), crs="EPSG:32632")

    found = spoilt(spoil, crs=UTM)
    assert [entry.problem.replace(f"{tmp_path}/set/", "").replace("images/b.tif ", "") for entry in found] == [
        "labels/b.tif is in EPSG:32632 but its image is in EPSG:32631; expected one system"
    ]


def test_zones_may_differ_between_images(spoilt, write_tiff, reflectance):
    def spoil(root):
        write_tiff(root / "labels" / "b.tif", np.zeros((24, 20), np.uint8), crs="EPSG:32632")
        write_tiff(root / "images" / "b.tif", reflectance(), names=FOUR, crs="EPSG:32632")

    assert spoilt(spoil, crs=UTM) == ()


def test_a_single_class(spoilt):
    found = spoilt(classes=(0,))
    assert [entry.problem for entry in found] == [
        "the labels of 3 images hold one class only (clear); expected at least two"
    ]


def test_class_lists_are_checked(write_tiff, tmp_path):
    write_tiff(tmp_path / "Desert" / "Desert_1.tif", np.full((13, 4, 4), 900, np.uint16))
    found = check(open_dataset(tmp_path, card="eurosat-ms"))
    assert "names the class(es) Desert" in found[0].problem


def test_images_of_other_sizes_are_told_where_labels_belong_to_whole_images(write_tiff, tmp_path):
    for number, side in enumerate((4, 4, 5)):
        write_tiff(tmp_path / "Forest" / f"Forest_{number}.tif", np.full((13, side, 4), 900, np.uint16))
    found = check(open_dataset(tmp_path, card="eurosat-ms"))
    assert [(entry.file.endswith("Forest_2.tif"), entry.severity) for entry in found] == [(True, "error")]
    assert found[0].problem == "it has 5 x 4 px, 2 images have 4 x 4; a classifier takes one size"


def test_progress_is_told(make_folder, tmp_path):
    seen = []
    check(open_dataset(make_folder(tmp_path)), on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
