"""Scenes in every form that people keep them, from the command line to files on their own grid."""

from __future__ import annotations

import json
import os
import shutil
import warnings

import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning

from satsqueeze.cli.main import main
from satsqueeze.cli.predict import parse_size
from satsqueeze.core.errors import GridError, RunError, SettingsError
from satsqueeze.core.package import read_manifest, seal
from satsqueeze.core.raster import Georeference
from satsqueeze.core.window import Window
from satsqueeze.data.scene.grid import GridRule
from satsqueeze.data.scene.product import find_scenes
from satsqueeze.data.scene.product_date import acquired_in
from satsqueeze.data.scene.reader import open_scene
from satsqueeze.flight.opening import open_package
from satsqueeze.flight.outputs.cog import CogLayout, writing_cog
from satsqueeze.flight.outputs.legend import LINE
from satsqueeze.flight.outputs.quicklook import quicklook

from .scene_files import BANDS, SCALE, numbers, write, write_item, write_landsat, write_safe, write_scene


@pytest.fixture
def run(package, capsys):
    def call(*words, status=0):
        capsys.readouterr()
        found = main(["predict", *map(str, words), "--package", str(package), "--threads", "1"])
        out, err = capsys.readouterr()
        assert found == status, err
        return out if status < 2 else out + err

    return call


def mask_of(path):
    with rasterio.open(path) as source:
        return source.read(1)


def picture_of(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as source:
            return source.read()


def want(package, values, scale=SCALE, offset=0.0):
    """The mask of numbers (4, H, W), by the array."""
    image = np.where((values == 0).any(axis=0), np.nan, values * np.float32(scale) + np.float32(offset))
    return open_package(package, threads=1).predict(image.astype(np.float32), BANDS)


@pytest.mark.parametrize("gsd", [(), ("--gsd", 20)])
def test_missing_pixels_that_the_file_does_not_tag(run, package, tmp_path, gsd):
    values = numbers(96, 64)
    tagged = write_scene(tmp_path / "tagged.tif", 96, 64)
    marked = np.where(values == 0, 60000, values).astype(np.uint16)
    silent = write(tmp_path / "silent.tif", marked, names=BANDS, nodata=None)
    with rasterio.open(silent, "r+") as target:
        target.scales = (SCALE,) * 4
    run(tagged, "--out", tmp_path / "a.tif", *gsd)
    run(silent, "--out", tmp_path / "b.tif", "--nodata", 60000, *gsd)
    np.testing.assert_array_equal(mask_of(tmp_path / "b.tif"), mask_of(tmp_path / "a.tif"))
    run(silent, "--out", tmp_path / "c.tif", *gsd)
    assert (mask_of(tmp_path / "c.tif") != mask_of(tmp_path / "a.tif")).any()


def test_a_sentinel_2_product(run, package, tmp_path):
    safe = write_safe(tmp_path)
    run(safe, "--out", tmp_path / "out")
    name = safe.name.removesuffix(".SAFE")
    values = numbers(144, 120) + np.uint16(1000)
    np.testing.assert_array_equal(mask_of(tmp_path / f"out/{name}.tif"), want(package, values, offset=-0.1))
    item = json.loads((tmp_path / f"out/{name}.json").read_text())
    assert item["properties"]["datetime"] == "2024-01-05T10:34:21Z"
    assert item["properties"]["satsqueeze:datetime_is"] == "acquisition"


def test_a_landsat_product_keeps_its_grid_unless_another_is_asked_for(run, package, tmp_path):
    root = write_landsat(tmp_path / "in")
    run(tmp_path / "in", "--out", tmp_path / "out")
    found = mask_of(tmp_path / f"out/{root.name}.tif")
    assert found.shape == (100, 90)
    assert [path.name for path in (tmp_path / "out").glob("*.tif")] == [f"{root.name}.tif"]
    values = numbers(100, 90)
    digital = np.where(values == 0, 0, (values * SCALE + 0.2) / 2.75e-5).astype(np.uint16)
    assert (found == want(package, digital, 2.75e-5, -0.2)).mean() > 0.999
    run(root, "--out", tmp_path / "finer.tif", "--gsd", 10)
    with rasterio.open(tmp_path / "finer.tif") as finer, rasterio.open(tmp_path / f"out/{root.name}.tif") as own:
        assert (finer.shape, finer.res) == ((300, 270), (10.0, 10.0))
        np.testing.assert_allclose(finer.bounds, own.bounds)


@pytest.mark.parametrize(
    ("make", "name"),
    [(write_safe, "MTD_MSIL2A.xml"), (write_landsat, "LC08_L2SP_013031_20240105_20240110_02_T1_MTL.txt")],
)
def test_metadata_in_place_of_its_product(run, tmp_path, make, name):
    product = make(tmp_path / "in")
    for out in ("mask.tif", "masks"):
        said = run(product / name, "--out", tmp_path / out, status=2)
        assert f"{name} is no image but tells of a product; name the folder that it lies in" in said


def test_bands_of_two_dates_are_no_scene(run, tmp_path):
    values = numbers(40, 36)
    stem = "LC08_L2SP_218074_{date}_20200829_02_T1_SR_B{number}.TIF"
    dates = ("20190114", "20190130", "20190114", "20190130")
    paths = [
        write(tmp_path / stem.format(date=date, number=number), band[None], gsd=30.0)
        for date, number, band in zip(dates, (2, 3, 4, 5), values, strict=True)
    ]
    said = run(*paths, "--out", tmp_path / "mask.tif", status=2)
    assert "the files are of 2 dates by their names, 2019-01-14 to 2019-01-30" in said


def test_the_scale_of_an_item_is_not_held_against_names_of_products(run, tmp_path):
    item = write_item(tmp_path / "in", applied=True)
    record = json.loads(item.read_text())
    for number, band in zip(("02", "03", "04", "08"), BANDS, strict=True):
        name = f"S2A_MSIL2A_20240105T103421_N0510_R108_T31UFT_20240105T120000_B{number}.tif"
        (tmp_path / f"in/{band}.tif").rename(tmp_path / "in" / name)
        record["assets"][band]["href"] = f"./{name}"
    item.write_text(json.dumps(record))
    assert "1 done" in run(item, "--out", tmp_path / "out")


def test_a_landsat_7_product_with_two_gains_of_one_band_is_one_scene(tmp_path):
    name = "LE07_L1TP_193024_20000101_20200113_02_T1"
    for part in ("B1", "B2", "B3", "B4", "B5", "B6_VCID_1", "B6_VCID_2", "B7", "B8", "QA_PIXEL", "QA_RADSAT"):
        write(tmp_path / name / f"{name}_{part}.TIF", numbers(20, 18)[:1], gsd=30.0)
    (found,) = find_scenes([tmp_path])
    assert (found.id, found.problem) == (name, None)
    assert not any("VCID" in file for file in found.files)


def test_quality_bits_of_collection_1_are_no_scene(tmp_path):
    name = "LC08_L1TP_013031_20150105_20170110_01_T1"
    for part in ("B2", "B3", "B4", "B5", "BQA"):
        write(tmp_path / name / f"{name}_{part}.TIF", numbers(20, 18)[:1], gsd=30.0)
    (found,) = find_scenes([tmp_path])
    assert (found.id, len(found.files)) == (name, 4)


def test_a_scene_much_finer_than_the_package_is_averaged(run, tmp_path):
    fine = write_scene(tmp_path / "fine.tif", 200, 160, gsd=2.5)
    run(fine, "--out", tmp_path / "mask.tif")
    with rasterio.open(tmp_path / "mask.tif") as source:
        assert (source.shape, source.res) == ((50, 40), (10.0, 10.0))
    with open_scene(fine) as reader:
        assert reader.height == 200


@pytest.mark.parametrize(("applied", "offset"), [(None, 0.0), (False, -0.1), (True, 0.0)])
def test_a_stac_item(run, package, tmp_path, applied, offset):
    path = write_item(tmp_path / "in", applied=applied)
    run(path, "--out", tmp_path / "out")
    np.testing.assert_array_equal(mask_of(tmp_path / "out/an-item.tif"), want(package, numbers(90, 80), offset=offset))


@pytest.mark.parametrize("gsd", [(), ("--gsd", 20)])
@pytest.mark.parametrize("kind", [write_safe, write_item])
def test_a_number_of_missing_pixels_comes_beside_that_of_the_product(run, tmp_path, kind, gsd):
    scene = kind(tmp_path / "in", 144, 120)
    for path in (tmp_path / "in").rglob("*.tif"):
        with rasterio.open(path, "r+") as target:
            values = target.read()
            edge = values.shape[1] // 4
            values[:, :edge] = 0
            if values.dtype == np.uint16:
                values[:, -edge:] = 3333
            target.write(values)
    run(scene, "--out", tmp_path / "a.tif", *gsd)
    run(scene, "--out", tmp_path / "b.tif", "--nodata", 3333, *gsd)
    without, beside = mask_of(tmp_path / "a.tif"), mask_of(tmp_path / "b.tif")
    edge = len(beside) // 4 - 1
    assert (beside[:edge] == 255).all()
    assert (beside[-edge:] == 255).all()
    assert (without[-edge:] != 255).any()
    assert (beside[len(beside) // 2] != 255).any()


def test_files_of_an_item_are_no_scene_of_their_own_where_they_lie_below_it(tmp_path):
    item = write_item(tmp_path)
    record = json.loads(item.read_text())
    (tmp_path / "my bands").mkdir()
    for band in BANDS:
        (tmp_path / f"{band}.tif").rename(tmp_path / f"my bands/{band}.tif")
        record["assets"][band]["href"] = f"./my%20bands/{band}.tif"
    item.write_text(json.dumps(record))
    assert [scene.id for scene in find_scenes([tmp_path])] == ["an-item"]


def test_a_renamed_product_was_acquired_when_its_bands_say(tmp_path):
    renamed = write_safe(tmp_path).rename(tmp_path / "mine")
    (scene,) = find_scenes([renamed])
    assert f"{scene.acquired:%Y-%m-%dT%H:%M}" == "2024-01-05T10:34"


def test_an_item_of_a_span_of_time_was_acquired_when_that_began(tmp_path):
    item = write_item(tmp_path)
    record = json.loads(item.read_text())
    span = {"datetime": None, "start_datetime": "2024-01-05T00:00:00Z", "end_datetime": "2024-01-09T00:00:00Z"}
    item.write_text(json.dumps({**record, "properties": span}))
    (scene,) = find_scenes([item])
    assert f"{scene.acquired:%Y-%m-%d}" == "2024-01-05"


@pytest.mark.parametrize(
    ("stated", "found"),
    [
        ("2024-01-05T02:30:00+05:00", "2024-01-04T21:30:00+00:00"),
        ("2024-01-05", "2024-01-05T00:00:00+00:00"),
        ("0001-01-01T00:00:00+05:00", "None"),
    ],
)
def test_times_of_items_are_in_utc(tmp_path, stated, found):
    item = write_item(tmp_path)
    record = json.loads(item.read_text())
    item.write_text(json.dumps({**record, "properties": {"datetime": stated}}))
    (scene,) = find_scenes([item])
    assert (scene.acquired.isoformat() if scene.acquired else "None") == found


def test_files_of_one_band_each(run, package, tmp_path):
    values = numbers(70, 60)
    for token, band in zip(("B02", "B03", "B04", "B08"), values, strict=True):
        write(tmp_path / f"in/T31UFT_20240105T103421_{token}.tif", band[None])
    words = ("--radiometry", f"scale:{SCALE}", "--out")
    run(tmp_path / "in", *words, tmp_path / "out")
    run(*(tmp_path / "in").iterdir(), *words, tmp_path / "one.tif")
    np.testing.assert_array_equal(mask_of(tmp_path / "one.tif"), want(package, values))
    np.testing.assert_array_equal(mask_of(next((tmp_path / "out").glob("*.tif"))), want(package, values))


def test_a_folder_of_everything(tmp_path):
    write_safe(tmp_path / "a")
    write_landsat(tmp_path / "b")
    write_item(tmp_path / "c")
    write_scene(tmp_path / "d/scene.tif")
    write_scene(tmp_path / "e/scene.tif")
    write_scene(tmp_path / "out/old.tif")
    (tmp_path / "d/loop").symlink_to(tmp_path)
    (tmp_path / "notes.txt").write_text("-")
    scenes = find_scenes([tmp_path], without=tmp_path / "out")
    assert [scene.problem for scene in scenes] == [None] * 5
    assert [scene.id for scene in scenes] == [
        "S2A_MSIL2A_20240105T103421_N0510_R108_T31UFT_20240105T120000", "LC08_L2SP_013031_20240105_20240110_02_T1",
        "an-item", "scene", "e_scene",
    ]  # fmt: skip
    assert scenes[1].file_bands == BANDS


def test_a_product_gives_the_files_of_the_size_wanted(tmp_path):
    safe = write_safe(tmp_path)
    (fine,), (coarse,) = find_scenes([safe], gsd_m=10), find_scenes([safe], gsd_m=20)
    for scene, name in ((fine, "B02_10m.tif"), (coarse, "B02_20m.tif")):
        assert scene.files[scene.file_bands.index("blue")].endswith(name)


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("S2A_MSIL1C_20240105T103421_N0510_R108_T31UFT_20240105T120000", "2024-01-05T10:34:21"),
        ("T31UFT_20240105T103421_B02.jp2", "2024-01-05T10:34:21"),
        ("LC08_L2SP_013031_20231231_20240110_02_T1", "2023-12-31T00:00:00"),
        ("LC80130312015295LGN00_B2_toa.tif", "2015-10-22T00:00:00"),
        ("scene_20249999.tif", None),
        ("S2A_MSIL1C_20241305T103421_", None),
    ],
)
def test_the_time_in_a_name(name, day):
    found = acquired_in(name)
    assert (found.isoformat() if found else None) == (f"{day}+00:00" if day else None)


def test_the_item_is_valid_and_says_where_the_mask_is_from(run, package, tmp_path):
    source = write_scene(tmp_path / "scene.tif")
    run(source, "--out", tmp_path / "out", "--probabilities", "--preview", "yes")
    path = tmp_path / "out/scene.json"
    item = pystac.Item.from_file(str(path))
    record = json.loads(path.read_text())
    assert record["properties"]["proj:code"] == "EPSG:32631"
    assert record["properties"]["proj:shape"] == [150, 133]
    assert record["properties"]["processing:software"]["satsqueeze"]
    west, south, east, north = record["bbox"]
    assert 4 < west < east < 5
    assert 44 < south < north < 46
    classes = item.assets["mask"].ext.classification.classes
    assert [c.value for c in classes] == [0, 1, 2, 3, 255]
    links = {link["rel"]: link["href"] for link in record["links"]}
    assert links["derived_from"] == source.as_uri()
    assert links["mlm:model"].endswith("/item.json")
    mask, out = mask_of(tmp_path / "out/scene.tif"), tmp_path / "out"
    valid = mask != 255
    assert record["properties"]["eo:cloud_cover"] == pytest.approx(100 * np.isin(mask[valid], (1, 2)).mean(), abs=1e-3)
    with rasterio.open(out / "scene_probabilities.tif") as chances:
        assert (chances.count, chances.nodata, chances.scales[0]) == (4, 255, 1 / 250)
        values = chances.read()
    assert (values[:, ~valid] == 255).all()
    assert (np.abs(values[:, valid].sum(axis=0, dtype=int) - 250) <= 2).all()
    assert (out / "scene.png").stat().st_size > 0
    assert {entry.name for entry in out.iterdir()} == {
        "scene.tif", "scene.json", "scene.png", "scene_probabilities.tif", "manifest.jsonl",
    }  # fmt: skip


@pytest.mark.parametrize("classes", [None, ("water", "wood", "field", "town")])
def test_only_clouds_are_described_as_clouds(package, tmp_path, classes):
    folder = tmp_path / "package"
    shutil.copytree(package, folder)
    manifest = read_manifest(folder)
    seal(folder, manifest.model_copy(update={"classes": classes or manifest.classes}))
    scene, out = write_scene(tmp_path / "scene.tif"), tmp_path / "mask.tif"
    assert main(["predict", str(scene), "--package", str(folder), "--out", str(out), "--threads", "1"]) == 0
    with rasterio.open(out) as source:
        assert source.descriptions == ("class mask" if classes else "cloud mask",)


def test_the_preview_of_a_large_scene_tells_the_shares_of_all_its_pixels(run, package, tmp_path):
    run(write_scene(tmp_path / "scene.tif", 64, 2100), "--out", tmp_path / "m.tif", "--preview", tmp_path / "m.png")
    model, mask = open_package(package, threads=1), mask_of(tmp_path / "m.tif")
    drawn = picture_of(tmp_path / "m.png")
    assert drawn.shape[2] < mask.shape[1]
    quicklook(
        np.zeros((3, *mask.shape), np.float32), mask, tmp_path / "whole.png",
        classes=model.classes, foreground=model.foreground,
    )  # fmt: skip
    np.testing.assert_array_equal(drawn[:, -LINE:], picture_of(tmp_path / "whole.png")[:, -LINE:])


def test_the_ledger_has_times_by_stage(run, tmp_path):
    run(write_scene(tmp_path / "scene.tif"), "--out", tmp_path / "out")
    row = json.loads((tmp_path / "out/manifest.jsonl").read_text())
    assert set(row["seconds"]) == {"open", "read", "pre", "infer", "post", "write"}
    assert all(0 < seconds <= row["wall_s"] for seconds in row["seconds"].values())
    assert row["mpixel_per_s"] == pytest.approx(150 * 133 / 1e6 / row["wall_s"], rel=1e-2)
    assert row["peak_memory_bytes"] > 2**20
    assert sum(row["shares"].values()) - row["shares"]["nodata"] == pytest.approx(1)


def test_one_scene_is_told_in_words(run, tmp_path):
    told = run(write_scene(tmp_path / "scene.tif"), "--out", tmp_path / "mask.tif", "--precision", "fp32")
    assert "Mpixel/s" in told
    assert "peak memory" in told
    assert not (tmp_path / "manifest.jsonl").exists()


def test_a_package_that_is_not_window_invariant_says_so(global_package, capsys, tmp_path):
    path = write_scene(tmp_path / "scene.tif")
    words = ["predict", str(path), "--package", str(global_package), "--threads", "1"]
    assert main([*words, "--out", str(tmp_path / "mask.tif")]) == 0
    assert "blended from windows of" in capsys.readouterr().out


def test_a_scene_is_never_written_over(run, tmp_path):
    path = write_scene(tmp_path / "in/scene.tif")
    before = path.read_bytes()
    assert "file of a scene itself" in run(path, "--out", path, status=2)
    assert "folder of scenes" in run(tmp_path / "in", "--out", tmp_path / "in", status=2)
    assert "file of a scene itself" in run(path, "--out", tmp_path / "in", status=2)
    assert path.read_bytes() == before


def test_an_item_that_is_flown_is_never_written_over(run, tmp_path):
    item = write_item(tmp_path / "in")
    named = item.rename(item.with_name(f"{json.loads(item.read_text())['id']}.json"))
    before = named.read_bytes()
    assert "file of a scene itself" in run(named, "--out", tmp_path / "in", status=2)
    assert named.read_bytes() == before


def test_what_no_run_made_is_never_replaced(run, tmp_path):
    write_scene(tmp_path / "in/a.tif")
    write_scene(tmp_path / "in/b.tif")
    other = write_scene(tmp_path / "out/a.tif", seed=1)
    before = other.read_bytes()
    assert "a.tif exists and was not made from" in run(tmp_path / "in", "--out", tmp_path / "out", status=1)
    assert other.read_bytes() == before
    assert (tmp_path / "out/b.tif").exists()
    other.rename(tmp_path / "elsewhere.tif")
    assert "1 done, 1 done before, 0 quarantined" in run(tmp_path / "in", "--out", tmp_path / "out")


def test_a_picture_of_ones_own_beside_a_mask_stays(run, tmp_path):
    write_scene(tmp_path / "in/a.tif")
    run(tmp_path / "in", "--out", tmp_path / "out")
    (tmp_path / "out/a.png").write_bytes(b"a picture")
    assert "a.png exists" in run(tmp_path / "in", "--out", tmp_path / "out", "--preview", "yes", status=2)
    assert (tmp_path / "out/a.png").read_bytes() == b"a picture"


def test_what_a_killed_run_left_is_known_by_its_item(run, tmp_path):
    write_scene(tmp_path / "in/a.tif")
    run(tmp_path / "in", "--out", tmp_path / "out")
    (tmp_path / "out/manifest.jsonl").unlink()
    assert "1 done, 0 done before" in run(tmp_path / "in", "--out", tmp_path / "out")


def test_scenes_of_one_name_from_several_runs_keep_their_masks(run, tmp_path):
    for folder, seed in (("first", 0), ("second", 1)):
        write_scene(tmp_path / folder / "scene.tif", seed=seed)
        run(tmp_path / folder / "scene.tif", "--out", tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").glob("*.tif")} == {"scene.tif", "second_scene.tif"}
    again = run(tmp_path / "second", tmp_path / "first", "--out", tmp_path / "out")
    assert "0 done, 2 done before" in again
    rows = [json.loads(line) for line in (tmp_path / "out/manifest.jsonl").read_text().splitlines()]
    assert {row["scene"]: row["source"] for row in rows} == {
        "scene": str(tmp_path / "first/scene.tif"),
        "second_scene": str(tmp_path / "second/scene.tif"),
    }


def test_outputs_of_two_scenes_never_share_a_name(run, tmp_path):
    write_scene(tmp_path / "in/a.tif")
    write_scene(tmp_path / "in/a_probabilities.tif")
    words = (tmp_path / "in", "--out", tmp_path / "out", "--probabilities")
    assert "is named for two outputs" in run(*words, status=2)
    assert not (tmp_path / "out").exists()


def test_scenes_of_the_longest_names_have_masks_of_shorter_ones(run, tmp_path):
    first = write_scene(tmp_path / "in" / f"{'ä' * 110}_1.tif", 40, 36)
    shutil.copy(first, first.with_name(f"{'ä' * 110}_2.tif"))
    assert "2 done" in run(tmp_path / "in", "--out", tmp_path / "out", "--probabilities", "--preview", "yes")
    assert len(list((tmp_path / "out").glob("*_probabilities.tif"))) == 2
    assert "2 done before" in run(tmp_path / "in", "--out", tmp_path / "out", "--probabilities", "--preview", "yes")


def test_masks_are_no_scenes(run, tmp_path):
    write_item(tmp_path / "in")
    run(tmp_path / "in", "--out", tmp_path / "in/masks")
    assert [source.problem for source in find_scenes([tmp_path / "in"], without=tmp_path / "in/masks")] == [None]
    assert not any(source.path.suffix == ".json" for source in find_scenes([tmp_path / "in/masks"]))


def test_wrong_words_are_explained(run, tmp_path):
    write_scene(tmp_path / "in/a.tif")
    shutil.copy(tmp_path / "in/a.tif", tmp_path / "in/b.tif")
    (tmp_path / "none").mkdir()
    assert "2 scenes (a, b)" in run(tmp_path / "in", "--out", tmp_path / "mask.tif", status=2)
    assert "masks are GeoTIFFs, but --out is" in run(tmp_path / "in/a.tif", "--out", tmp_path / "mask.jpg", status=2)
    assert "no scene in" in run(tmp_path / "none", "--out", tmp_path / "out", status=2)
    assert "256M or 1G" in run(tmp_path / "in", "--out", tmp_path / "out", "--max-ram", "much", status=2)
    assert "above 0 m" in run(tmp_path / "in", "--out", tmp_path / "out", "--gsd", "-3", status=2)
    assert "quarantined" in run(tmp_path / "in", "--out", tmp_path / "out", "--max-ram", "2M", status=2)


@pytest.mark.parametrize(("text", "size"), [("256M", 2**28), ("1g", 2**30), ("0.5 GiB", 2**29), ("4096", 4096)])
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "M", "-1G", "nan", "1T", "0"])
def test_what_is_no_size(text):
    with pytest.raises(SettingsError, match="256M"):
        parse_size(text)


PLACE = Georeference(crs="EPSG:32631", transform=(10.0, 0.0, 6e5, 0.0, -10.0, 5e6))


def layout(**more):
    return CogLayout(**{"height": 20, "width": 10, "georeference": PLACE, "descriptions": ("a",), **more})


def test_a_file_with_missing_or_misplaced_rows_does_not_appear(tmp_path):
    with pytest.raises(GridError, match="12 of 20 rows"), writing_cog(tmp_path / "a.tif", layout()) as writer:
        writer.write(np.zeros((1, 12, 10), np.uint8))
    for wrong in (np.zeros((1, 21, 10), np.uint8), np.zeros((1, 5, 11), np.uint8), np.zeros((2, 5, 10), np.uint8)):
        with pytest.raises(GridError, match="do not fit"), writing_cog(tmp_path / "a.tif", layout()) as writer:
            writer.write(wrong)
    with pytest.raises(GridError, match="at least one pixel"):
        layout(height=0)
    assert not list(tmp_path.iterdir())


def test_rows_in_any_portions_give_the_same_file(tmp_path):
    values = np.random.default_rng(0).integers(0, 4, (1, 20, 10)).astype(np.uint8)
    for name, heights in (("a", [20]), ("b", [1] * 20), ("c", [7, 13])):
        with writing_cog(tmp_path / f"{name}.tif", layout()) as writer:
            for height in heights:
                writer.write(values[:, writer.rows : writer.rows + height])
    assert len({path.read_bytes() for path in tmp_path.glob("*.tif")}) == 1
    np.testing.assert_array_equal(mask_of(tmp_path / "a.tif"), values[0])


def test_parts_in_any_order_give_the_same_file(tmp_path):
    shape = {"height": 90, "width": 70}
    values = np.random.default_rng(0).integers(0, 4, (1, 90, 70)).astype(np.uint8)
    with writing_cog(tmp_path / "whole.tif", layout(**shape)) as writer:
        writer.write(values)
    with writing_cog(tmp_path / "parts.tif", layout(**shape)) as writer:
        for left, right in ((0, 37), (37, 70)):
            for top, bottom in ((0, 21), (21, 64), (64, 90)):
                window = Window(row=top, col=left, height=bottom - top, width=right - left)
                writer.write(values[:, *window.slices], window)
    assert (tmp_path / "whole.tif").read_bytes() == (tmp_path / "parts.tif").read_bytes()
    np.testing.assert_array_equal(mask_of(tmp_path / "parts.tif"), values[0])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("bands", "colours"), [(1, ((1, 2, 3), (4, 5, 6), (7, 8, 9), (9, 9, 9))), (2, ())])
def test_overviews_are_every_nth_pixel_whatever_the_parts(tmp_path, threads, bands, colours):
    height, width = 1301, 1030
    values = np.random.default_rng(0).integers(0, 4, (bands, height, width)).astype(np.uint8)
    about = layout(height=height, width=width, descriptions=("a", "b")[:bands], colours=colours)
    path = tmp_path / "a.tif"
    with writing_cog(path, about, threads=threads) as writer:
        for row in (0, 1, 2, 3, 700, 701):
            stop = {3: 700, 701: height}.get(row, row + 1)
            writer.write(values[:, row:stop], Window(row=row, col=0, height=stop - row, width=width))
    with rasterio.open(path) as source:
        assert source.overviews(1) == [2, 4]
        assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert source.descriptions == about.descriptions
    for level, step in enumerate((2, 4)):
        with rasterio.open(path, overview_level=level) as source:
            np.testing.assert_array_equal(source.read(), values[:, ::step, ::step])
            assert (source.nodata, source.block_shapes[0]) == (255, (512, 512))
            if colours:
                assert source.colormap(1)[1] == (4, 5, 6, 255)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_holds_something_else_is_noticed(tmp_path):
    def spoil():
        with writing_cog(tmp_path / "a.tif", layout()) as writer:
            writer.write(np.ones((1, 20, 10), np.uint8))
            next(iter(writer.checksums.values()))[0, 7] += 1

    with pytest.raises(RunError, match="does not hold what was written"):
        spoil()
    assert not (tmp_path / "a.tif").exists()


def test_a_scene_whose_name_begins_like_a_product_is_not_lost(tmp_path):
    names = ("tile1_B02", "tile1_B03", "tile1_QA_PIXEL", "tile1_TCI", "tile10", "tile11", "tile1_copy", "tile2")
    for name in names:
        write_scene(tmp_path / f"sentinel2_{name}.tif")
    found = {scene.id: len(scene.files) for scene in find_scenes([tmp_path])}
    assert found == {
        "sentinel2_tile1": 2, "sentinel2_tile10": 1, "sentinel2_tile11": 1, "sentinel2_tile1_copy": 1,
        "sentinel2_tile2": 1,
    }  # fmt: skip


def test_scenes_that_are_named_after_colours_are_scenes_of_their_own(tmp_path):
    for name in ("red_sea", "blue_sea"):
        write_scene(tmp_path / f"{name}.tif", 20, 18)
    for name in ("red_lake", "blue_lake"):
        write(tmp_path / f"{name}.tif", numbers(20, 18)[:1])
    found = {scene.id: scene.file_bands for scene in find_scenes([tmp_path])}
    assert found == {"red_sea": (), "blue_sea": (), "lake": ("blue", "red")}


def test_numbered_scenes_of_several_bands_are_scenes_of_their_own(run, tmp_path):
    for number in (1, 2):
        write_scene(tmp_path / f"in/flight_b{number}.tif", 40, 36)
    assert "2 done" in run(tmp_path / "in", "--out", tmp_path / "out")


def change_item(path, **of_each_band):
    """Put other values into ``raster:bands`` of assets, by band."""
    record = json.loads(path.read_text())
    for band, changes in of_each_band.items():
        record["assets"][band]["raster:bands"][0].update(changes)
    path.write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("change", "flag", "message"),
    [
        ({"scale": 2e-4}, ("--radiometry", "scale:0.0001"), "state different scales and offsets"),
        ({"nodata": 7}, ("--nodata", "0"), "state different numbers of missing pixels: 0.0, 7.0"),
    ],
)
def test_an_item_whose_bands_differ_needs_a_word(run, tmp_path, change, flag, message):
    item = write_item(tmp_path / "in")
    change_item(item, nir=change)
    assert message in run(item, "--out", tmp_path / "out", status=2)
    assert "1 done" in run(item, "--out", tmp_path / "out", *flag)


def test_bands_that_the_package_does_not_need_may_differ(run, tmp_path):
    item = write_item(tmp_path / "in")
    record = json.loads(item.read_text())
    other = {"eo:bands": [{"common_name": "coastal"}], "raster:bands": [{"scale": 1.0, "nodata": 9}]}
    record["assets"]["coastal"] = {**record["assets"]["blue"], **other}
    item.write_text(json.dumps(record))
    assert "1 done" in run(item, "--out", tmp_path / "out")


@pytest.mark.parametrize(
    ("id_", "properties", "status"),
    [
        ("LC08_L2SP_013031_20240105_02_T1", {}, 0),
        ("an-item", {"platform": "landsat-8"}, 0),
        ("an-item", {"platform": "landsat-5"}, 0),
        ("an-item", {"platform": "sentinel-2a"}, 2),  # whose nir08 is a band beside its nir
        ("an-item", {}, 2),
    ],
)
def test_items_of_landsat_call_the_near_infrared_nir08(run, package, tmp_path, id_, properties, status):
    item = write_item(tmp_path / "in")
    record = json.loads(item.read_text())
    record["assets"]["nir"]["eo:bands"] = [{"name": "OLI_B5", "common_name": "nir08"}]
    record["properties"] |= properties
    item.write_text(json.dumps({**record, "id": id_}))
    said = run(item, "--out", tmp_path / "mask.tif", status=status)
    if status:
        assert "nir is missing" in said
    else:
        np.testing.assert_array_equal(mask_of(tmp_path / "mask.tif"), want(package, numbers(90, 80)))


@pytest.mark.parametrize("keys", [("eo:bands", "common_name"), ("bands", "eo:common_name"), ("bands", "name")])
def test_an_item_names_the_channels_of_its_asset(run, package, tmp_path, keys):
    values = numbers(90, 80)
    write(tmp_path / "in/all.tif", values[::-1], nodata=0)
    item = write_item(tmp_path / "other").rename(tmp_path / "in/an-item.json")
    record = json.loads(item.read_text())
    told = [{keys[1]: band} for band in BANDS[::-1]]
    record["assets"] = {"all": {"href": "./all.tif", keys[0]: told, "raster:bands": [{"scale": SCALE}] * 4}}
    item.write_text(json.dumps(record))
    run(item, "--out", tmp_path / "mask.tif")
    np.testing.assert_array_equal(mask_of(tmp_path / "mask.tif"), want(package, values))
    with rasterio.open(tmp_path / "in/all.tif", "r+") as target:
        target.descriptions = ("swir16", *BANDS[:3])
    assert "were stated" in run(item, "--out", tmp_path / "other.tif", status=2)


def test_bands_of_one_asset_may_not_differ(run, package, tmp_path):
    values = numbers(90, 80)
    write(tmp_path / "in/all.tif", values, names=BANDS, nodata=None)
    item = write_item(tmp_path / "other").rename(tmp_path / "in/an-item.json")
    record = json.loads(item.read_text())
    told = [{"scale": SCALE, "offset": 0.0, "nodata": 0} for _ in BANDS]
    asset = {**record["assets"]["blue"], "href": "./all.tif", "raster:bands": told}
    asset["eo:bands"] = [{"common_name": band} for band in BANDS]
    record["assets"] = {"all": asset}
    item.write_text(json.dumps(record))
    run(item, "--out", tmp_path / "alike")
    np.testing.assert_array_equal(mask_of(tmp_path / "alike/an-item.tif"), want(package, values))
    told[3]["scale"] = 2 * SCALE
    item.write_text(json.dumps(record))
    assert "state different scales and offsets" in run(item, "--out", tmp_path / "out", status=2)


def test_fetched_files_beside_an_item_that_names_them_elsewhere_are_its_own(run, tmp_path):
    item = write_item(tmp_path / "in")
    record = json.loads(item.read_text())
    for band in BANDS:
        (tmp_path / f"in/{band}.tif").rename(tmp_path / f"in/an-item_{band}.tif")
        record["assets"][band]["href"] = f"https://example.org/scenes/an-item_{band}.tif"
    item.write_text(json.dumps(record))
    assert "1 done, 0 done before, 0 quarantined" in run(tmp_path / "in", "--out", tmp_path / "out")


def with_another_offset(folder):
    metadata = next(folder.glob("*.SAFE/MTD_MSIL2A.xml"))
    metadata.write_text(metadata.read_text().replace("-1000", "0"))


def with_a_mask(folder):
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(folder / "plain.tif", "r+") as target:
        target.write_mask(np.arange(target.height)[:, None] > np.zeros(target.width))


@pytest.mark.parametrize("change", [with_another_offset, with_a_mask])
def test_a_scene_is_done_again_when_what_lies_beside_it_changes(run, tmp_path, change):
    write_safe(tmp_path / "in")
    write_scene(tmp_path / "in/plain.tif", nodata=None)
    run(tmp_path / "in", "--out", tmp_path / "out")
    assert "0 done, 2 done before" in run(tmp_path / "in", "--out", tmp_path / "out")
    stat = (tmp_path / "in/plain.tif").stat()
    change(tmp_path / "in")
    os.utime(tmp_path / "in/plain.tif", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert "1 done, 1 done before" in run(tmp_path / "in", "--out", tmp_path / "out")


def is_counter_clockwise(ring):
    """By the turns along the way: of a convex ring they all go to the left."""
    points = np.array(ring[:-1])
    steps = np.roll(points, -1, axis=0) - points
    following = np.roll(steps, -1, axis=0)
    return (steps[:, 0] * following[:, 1] - steps[:, 1] * following[:, 0]).sum() > 0


@pytest.mark.parametrize("gsd", [10.0, -10.0])
def test_outlines_run_counter_clockwise_whichever_way_rows_do(run, tmp_path, gsd):
    write_scene(tmp_path / "scene.tif")
    with rasterio.open(tmp_path / "scene.tif", "r+") as handle:
        a, _, c, _, _, f = tuple(handle.transform)[:6]
        handle.transform = Affine(a, 0, c, 0, -gsd, f)
    run(tmp_path / "scene.tif", "--out", tmp_path / "out")
    record = json.loads((tmp_path / "out/scene.json").read_text())
    assert is_counter_clockwise(record["geometry"]["coordinates"][0])


def test_the_outline_of_a_scene_across_the_antimeridian(run, tmp_path):
    # Zone 1 begins there: 166,000 m east of its origin, at the equator.
    write_scene(tmp_path / "scene.tif", crs="EPSG:32601", origin=(166000.0, 1000.0), gsd=100)
    run(tmp_path / "scene.tif", "--out", tmp_path / "out")
    record = json.loads((tmp_path / "out/scene.json").read_text())
    west, south, east, north = record["bbox"]
    assert record["geometry"]["type"] == "MultiPolygon"
    assert all(is_counter_clockwise(polygon[0]) for polygon in record["geometry"]["coordinates"])
    assert 179 < west < 180
    assert -180 < east < -179
    assert -1 < south < north < 1


@pytest.mark.parametrize(
    ("crs", "corner"),
    [
        ('LOCAL_CS["of a survey",UNIT["metre",1]]', (0, 0)),
        ("+proj=geos +h=35785831 +lon_0=0 +sweep=y +units=m", (-5.5e6, 5.5e6)),
    ],
)
def test_a_scene_that_has_no_place_on_earth_has_an_item_without_an_outline(run, tmp_path, crs, corner):
    scene = write_scene(tmp_path / "scene.tif", 40, 36, crs=crs, origin=corner)
    run(scene, "--out", tmp_path / "out")
    record = json.loads((tmp_path / "out/scene.json").read_text())
    assert record["geometry"] is None
    assert record["properties"]["proj:wkt2"]
    assert pystac.Item.from_dict(record).id == "scene"


def test_a_mask_of_a_scene_as_it_was_gives_up_its_name(run, tmp_path):
    scene, out = write_scene(tmp_path / "scene.tif"), tmp_path / "out"
    run(scene, "--out", out)
    mask = (out / "scene.tif").read_bytes()
    scene.write_bytes(b"damaged")
    run(scene, "--out", out, status=2)
    assert {path.name for path in out.iterdir()} == {"manifest.jsonl", "scene.tif.outdated", "scene.json.outdated"}
    assert (out / "scene.tif.outdated").read_bytes() == mask


def test_what_a_run_is_not_asked_for_gives_up_its_name_and_keeps_no_later_run_from_it(run, tmp_path):
    scene, out = write_scene(tmp_path / "scene.tif"), tmp_path / "out"
    more = ("--probabilities", "true", "--preview", "yes")
    run(scene, "--out", out, *more)
    run(scene, "--out", out)
    left = {"scene.png.outdated", "scene_probabilities.tif.outdated"}
    plain = {"manifest.jsonl", "scene.tif", "scene.json"}
    assert {path.name for path in out.iterdir()} == plain | left
    run(scene, "--out", out, *more)
    assert {path.name for path in out.iterdir()} == plain | left | {"scene.png", "scene_probabilities.tif"}


def test_numbered_bands_of_an_unknown_sensor_are_not_guessed(run, package, tmp_path):
    values = numbers(60, 50)
    for token, band in zip(("B2", "B3", "B4", "B5"), values, strict=True):
        write(tmp_path / f"in/scene_{token}.tif", band[None], gsd=30.0)
    words = ("--radiometry", f"scale:{SCALE}", "--out")
    said = run(tmp_path / "in", *words, tmp_path / "none", status=2)
    assert "The band numbers could be Sentinel-2's or Landsat's" in said
    run(tmp_path / "in", "--bands", ",".join(BANDS), *words, tmp_path / "out")
    run(*sorted((tmp_path / "in").iterdir()), "--bands", ",".join(BANDS), *words, tmp_path / "one.tif")
    np.testing.assert_array_equal(mask_of(tmp_path / "out/scene.tif"), mask_of(tmp_path / "one.tif"))


@pytest.mark.parametrize("feet", [True, False])
def test_pixels_of_a_system_in_feet_are_measured_in_metres(tmp_path, feet):
    system, gsd = ("EPSG:2263", 10 / 0.3048006096) if feet else ("EPSG:32631", 10.0)
    path = write_scene(tmp_path / "scene.tif", crs=system, gsd=gsd)
    with open_scene(path, grid=GridRule(gsd_m=20.0, exact=True)) as reader:
        assert (reader.height, reader.width) == (75, 66)
        assert reader.gsd_m == pytest.approx(20.0)


IN_FEET = "EPSG:2263", Affine(30, 0, 1e6, 0, -30, 2e5)
TURNED = "EPSG:32631", Affine(0, 10, 6e5, 10, 0, 5e6)
IN_DEGREES = "EPSG:4326", Affine(1e-4, 0, 4, 0, -1e-4, 45)


@pytest.mark.parametrize(("place", "metres"), [(IN_FEET, 30 * 0.3048006096), (TURNED, 10), (IN_DEGREES, None)])
def test_an_item_states_the_side_of_its_pixels_in_metres(run, tmp_path, place, metres):
    write_scene(tmp_path / "scene.tif")
    with rasterio.open(tmp_path / "scene.tif", "r+") as handle:
        handle.crs, handle.transform = place
    run(tmp_path / "scene.tif", "--out", tmp_path / "out")
    band = json.loads((tmp_path / "out/scene.json").read_text())["assets"]["mask"]["raster:bands"][0]
    assert band.get("spatial_resolution") == (None if metres is None else pytest.approx(metres))


def test_an_asset_that_is_elsewhere_and_not_needed_does_no_harm(run, tmp_path):
    item = write_item(tmp_path)
    record = json.loads(item.read_text())
    known = next(asset for asset in record["assets"].values() if asset.get("href"))
    record["assets"]["swir16"] = {**known, "href": "https://example.com/B11.tif", "bands": [{"name": "swir16"}]}
    record["assets"]["red-jp2"] = {"href": "https://example.com/B04.jp2", "type": "image/jp2"}
    item.write_text(json.dumps(record))
    run(item, "--out", tmp_path / "mask.tif")
