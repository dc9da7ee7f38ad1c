from __future__ import annotations

import json

import numpy as np
import pytest

from satsqueeze.bench.evaluate import compare_classes, evaluate
from satsqueeze.core.errors import DataError, LabelError, PackageError, SettingsError
from satsqueeze.data.dataset import open_dataset
from satsqueeze.flight.opening import open_package

sklearn_metrics = pytest.importorskip("sklearn.metrics")


def scene(seed, shape=(21, 35)):
    """Reflectance (2, H, W), at least one DN so that nothing is nodata, and where the package says cloud."""
    rng = np.random.default_rng(seed)
    image = np.round(rng.uniform(0.01, 0.9, (2, *shape)), 4)
    return image, (image.sum(axis=0) > 0.8).astype(np.uint8)


@pytest.fixture
def folder(tmp_path, write_card):
    write_card(tmp_path / "data")
    return tmp_path / "data"


def test_a_perfect_package_scores_one(folder, tiny_package, write_scene):
    for seed in range(3):
        image, cloud = scene(seed)
        write_scene(folder, f"s{seed}", image=image, label=cloud)
    found = evaluate(tiny_package, open_dataset(folder))
    json.dumps(found, allow_nan=False)
    assert found["jaccard"] == found["accuracy"] == found["f1"] == 1
    assert found["pixels"] == 3 * 21 * 35
    assert found["images"] == 3
    assert found["quarantined"] == []
    assert (found["package"], found["graph"], found["cards"]) == ("threshold", "fp32.onnx", ["made"])
    assert (found["graph_precision"], found["engine"]) == ("fp32", "onnx")
    assert "3 images of made" in found["protocol"]
    assert "fp32 graph on onnx" in found["protocol"]
    assert found["calibration_error"] < 0.1


def test_scores_are_those_of_scikit_learn_and_ignored_pixels_do_not_count(folder, tiny_package, write_scene):
    truths, predictions = [], []
    for seed in range(3):
        image, cloud = scene(seed, (16 + seed, 24))
        label = np.where(np.random.default_rng(seed + 9).random(cloud.shape) < 0.3, 1 - cloud, cloud).astype(np.uint8)
        label[:2] = 255
        write_scene(folder, f"s{seed}", image=image, label=label)
        truths.append(label[2:].ravel())
        predictions.append(cloud[2:].ravel())
    found = evaluate(tiny_package, open_dataset(folder))
    truth, predicted = np.concatenate(truths), np.concatenate(predictions)
    assert found["jaccard"] == pytest.approx(sklearn_metrics.jaccard_score(truth, predicted))
    assert found["precision"] == pytest.approx(sklearn_metrics.precision_score(truth, predicted))
    assert found["recall"] == pytest.approx(sklearn_metrics.recall_score(truth, predicted))
    assert found["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(truth, predicted))
    assert found["pixels"] == truth.size
    each = [sklearn_metrics.jaccard_score(t, p) for t, p in zip(truths, predictions, strict=True)]
    assert found["jaccard_per_image_mean"] == pytest.approx(np.mean(each))
    assert [group["jaccard"] for group in found["groups"].values()] == pytest.approx(each)


def test_bands_are_found_by_name_in_any_order(folder, tiny_package, write_scene):
    import rasterio

    image, cloud = scene(1)
    image[0] = 0.05
    cloud = (image.sum(axis=0) > 0.8).astype(np.uint8)
    write_scene(folder, "s", image=image, label=cloud)
    with rasterio.open(folder / "images" / "s.tif", "r+") as target:
        target.write(np.round(image[::-1] * 10000).astype(np.uint16))
        target.descriptions = ("nir", "blue")
    assert evaluate(tiny_package, open_dataset(folder))["jaccard"] == 1


@pytest.mark.parametrize("classes", [("clear", "thick cloud", "thin cloud", "shadow")])
def test_other_classes_are_reduced_to_foreground(
    tmp_path, tiny_package, classes, write_package, write_scene, write_card
):
    write_card(tmp_path / "data", classes=list(classes), foreground=[1, 2])
    image, cloud = scene(0)
    label = np.where(cloud, 1 + (np.arange(35) % 2), 3 * (np.arange(35) % 2)).astype(np.uint8)
    write_scene(tmp_path / "data", "s", image=image, label=label)
    dataset = open_dataset(tmp_path / "data")
    found = evaluate(tiny_package, dataset)
    assert found["jaccard"] == 1
    assert found["classes"] == ["background", "foreground"]
    four = write_package(tmp_path / "four", classes=classes, foreground=(1, 2))
    found = evaluate(four, dataset)
    assert found["jaccard"] == 1
    assert found["classes"] == list(classes)
    clear, thick, thin, shadow = found["jaccard_per_class"]
    assert (thin, shadow) == (0, 0)
    assert 0 < thick < 1
    assert 0 < clear < 1


def test_a_data_set_without_foreground_cannot_be_compared(tmp_path, tiny_package, write_scene, write_card):
    write_card(tmp_path / "data", classes=["forest", "water"], foreground=[])
    image, cloud = scene(0)
    write_scene(tmp_path / "data", "s", image=image, label=cloud)
    with pytest.raises(LabelError, match="no foreground"):
        evaluate(tiny_package, open_dataset(tmp_path / "data"))


def test_an_image_whose_pixels_are_too_fine_for_the_buffer_is_left_out(folder, tiny_package, write_scene):
    import rasterio

    for seed in range(2):
        image, cloud = scene(seed)
        write_scene(folder, f"s{seed}", image=image, label=cloud)
    for kind in ("images", "labels"):
        with rasterio.open(folder / kind / "s1.tif", "r+") as target:
            target.transform = rasterio.Affine(0.1, 0, 600000, 0, -0.1, 5000000)
    found = evaluate(tiny_package, open_dataset(folder), buffer_m=20)
    assert found["images"] == 1
    assert "a buffer must be from 0 to 64 pixels" in found["quarantined"][0]["reason"]


def test_classes_without_foreground_are_scored_by_their_mean(tmp_path, write_package, write_scene, write_card):
    classes = ("water", "forest", "crops", "urban")
    package = write_package(tmp_path / "four", classes=classes, foreground=())
    write_card(tmp_path / "data", classes=list(classes), foreground=[])
    image, _ = scene(0)
    mask = open_package(package).predict(image.astype(np.float32), ["blue", "nir"])
    wrong = np.where(mask == 0, 1, mask).astype(np.uint8)
    write_scene(tmp_path / "data", "s", image=image, label=wrong)
    found = evaluate(package, open_dataset(tmp_path / "data"))
    each = [value for value in found["jaccard_per_class"] if value is not None]
    assert found["jaccard"] == pytest.approx(np.mean(each))
    assert found["accuracy"] == pytest.approx((mask == wrong).mean())
    assert found["calibration_error"] > 0.1
    assert found["protocol"].startswith("mean of the classes' global Jaccards over 1 images")


def test_bad_files_are_listed_and_the_job_goes_on(folder, tiny_package, write_scene):
    for seed in range(2):
        image, cloud = scene(seed)
        write_scene(folder, f"s{seed}", image=image, label=cloud)
    write_scene(folder, "bad-label", image=image, label=np.full(cloud.shape, 7))
    write_scene(folder, "bad-size", image=image, label=cloud[:5])
    write_scene(folder, "no-label", image=image)
    write_scene(folder, "all-ignored", image=image, label=np.full(cloud.shape, 255))
    write_scene(folder, "truncated", image=image, label=cloud)
    broken = folder / "images" / "truncated.tif"
    broken.write_bytes(broken.read_bytes()[:200])
    seen = []
    found = evaluate(tiny_package, open_dataset(folder), on_progress=lambda done, total: seen.append((done, total)))
    assert found["jaccard"] == 1
    assert found["images"] == 2
    files = [entry["file"] for entry in found["quarantined"]]
    names = [name.rsplit("/", 1)[-1] for name in files]
    assert names == ["all-ignored.tif", "bad-label.tif", "bad-size.tif", "no-label.tif", "truncated.tif"]
    assert all(entry["reason"] for entry in found["quarantined"])
    assert "5 left out" in found["protocol"]
    assert seen[-1] == (7, 7)


def test_when_nothing_can_be_scored_the_first_reason_is_told(folder, tiny_package, write_scene):
    image, cloud = scene(0)
    write_scene(folder, "s", image=image, label=cloud + 5)
    with pytest.raises(DataError, match=r"none of 1 images could be scored.*s\.tif"):
        evaluate(tiny_package, open_dataset(folder))


def test_an_unlabelled_folder_is_refused(tmp_path, tiny_package, write_scene, write_card):
    write_card(tmp_path / "data", label_kind="none")
    write_scene(tmp_path / "data", "s", image=scene(0)[0])
    with pytest.raises(DataError, match="no labelled image"):
        evaluate(tiny_package, open_dataset(tmp_path / "data"))


def test_labels_of_whole_images_are_told_from_none(tmp_path, tiny_package, write_tiles):
    tiles = open_dataset(write_tiles(tmp_path / "tiles", side=16, each=1, spread=1, gain=1))
    with pytest.raises(LabelError, match="the package is for segmentation, the data set for classification; choose"):
        evaluate(tiny_package, tiles)


def test_a_band_that_is_absent_is_told_by_name(tmp_path, tiny_package, write_scene, write_card):
    write_card(tmp_path / "data", bands=["green", "nir"])
    image, cloud = scene(0)
    write_scene(tmp_path / "data", "s", image=image, label=cloud)
    with pytest.raises(DataError, match="blue"):
        evaluate(tiny_package, open_dataset(tmp_path / "data"))


def test_sources_are_scored_apart_and_training_sources_not_at_all(tmp_path, tiny_package, write_scene, write_card):
    import yaml

    for number, name in enumerate(("one", "two", "three")):
        write_card(tmp_path / name, name=name)
        image, cloud = scene(number)
        write_scene(tmp_path / name, "s", image=image, label=1 - cloud if name == "two" else cloud)
    entries = [{"path": "one"}, {"path": "two"}, {"path": "three", "role": "train"}]
    (tmp_path / "mix.yaml").write_text(yaml.safe_dump({"sources": entries}))
    found = evaluate(tiny_package, open_dataset(tmp_path / "mix.yaml"))
    assert {name: scores["jaccard"] for name, scores in found["sources"].items()} == {"one": 1, "two": 0}
    assert len(found["groups"]) == found["images"] == 2
    assert found["cards"] == ["one", "two"]


def test_limit_takes_the_first_images(folder, tiny_package, write_scene):
    for seed in range(3):
        image, cloud = scene(seed)
        write_scene(folder, f"s{seed}", image=image, label=cloud)
    assert evaluate(tiny_package, open_dataset(folder), limit=2)["images"] == 2
    with pytest.raises(SettingsError, match="limit"):
        evaluate(tiny_package, open_dataset(folder), limit=0)


def test_nodata_pixels_do_not_count(folder, tiny_package, write_scene):
    image, cloud = scene(0)
    image[0, :4] = 0
    write_scene(folder, "s", image=image, label=cloud)
    import rasterio

    with rasterio.open(folder / "images" / "s.tif", "r+") as target:
        target.nodata = 0
    found = evaluate(tiny_package, open_dataset(folder))
    assert found["pixels"] == 17 * 35
    assert found["jaccard"] == 1


def test_a_changed_package_is_refused(tmp_path, folder, write_package, write_scene):
    image, cloud = scene(0)
    write_scene(folder, "s", image=image, label=cloud)
    package = write_package(tmp_path / "package")
    (package / "fp32.onnx").write_bytes(b"other")
    with pytest.raises(PackageError, match="changed"):
        evaluate(package, open_dataset(folder))
    with pytest.raises(PackageError, match="not a flight package"):
        evaluate(tmp_path, open_dataset(folder))


def test_the_order_of_foreground_decides_nothing(folder, tiny_package, write_scene):
    image, cloud = scene(0)
    write_scene(folder, "s", image=image, label=cloud)
    scheme = compare_classes(open_package(tiny_package), open_dataset(folder))
    assert not scheme.is_binary
    assert scheme.truth[255] == 255
