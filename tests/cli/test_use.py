"""Commands that use a package, and those that list and generate: what they print and write."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
import rasterio

from satsqueeze.cli import predict as module
from satsqueeze.data.cards.catalogue import card_names

RADIOMETRY = ("--radiometry", "scale:0.0001:-0.1")
"""Of generated scenes."""


@pytest.fixture
def image(scenes):
    return min((scenes / "images").glob("*.tif"))


def test_the_cards_are_listed(run_main):
    status, out, _ = run_main("data", "list", "--json")
    assert status == 0
    assert [card["name"] for card in json.loads(out)] == list(card_names())
    status, out, _ = run_main("data", "list")
    assert status == 0
    assert all(name in out for name in card_names())


def test_a_card_is_described(run_main):
    status, out, _ = run_main("data", "describe", "38-cloud")
    assert status == 0
    assert json.loads(out)["name"] == "38-cloud"


def test_a_sound_data_set_passes_the_check(run_main, scenes):
    status, out, _ = run_main("data", "check", scenes, "--json")
    assert status == 0
    assert json.loads(out) == {"items": 8, "problems": []}
    assert run_main("data", "check", scenes)[1] == "8 items read, 0 problem(s)\n"


def test_a_package_is_shown_and_verified(run_main, package):
    status, out, _ = run_main("package", "show", package)
    assert status == 0
    assert json.loads(out)["name"] == package.name
    status, out, _ = run_main("package", "verify", package, "--json")
    assert status == 0
    assert json.loads(out)["files"] > 3
    assert run_main("package", "verify", package)[0] == 0


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_package_is_scored(run_main, package, scenes, precision):
    status, out, err = run_main("evaluate", package, scenes, "--precision", precision, "--json")
    found = json.loads(out)
    assert (status, err) == (0, "")
    assert found["images"] == 8
    assert 0 <= found["accuracy"] <= 1
    assert (found["graph_precision"], found["quarantined"]) == (precision, [])


def test_a_buffer_widens_masks_and_is_told(run_main, package, scenes, image, tmp_path):
    found = {}
    for width in (0, 40):
        status, out, _ = run_main("evaluate", package, scenes, "--buffer", width, "--json")
        assert status == 0
        found[width] = json.loads(out)
    assert found[40]["recall"] > found[0]["recall"]
    assert "masks widened by 40 m where pixels have a size" in found[40]["protocol"]
    assert "widened" not in found[0]["protocol"]
    shares = {}
    for width in (0, 40):
        words = ("--package", package, "--out", tmp_path / "masks", "--buffer", width, "--json", *RADIOMETRY)
        status, out, _ = run_main("predict", image, *words)
        (row,) = json.loads(out)["scenes"]
        assert (status, row["buffer_px"]) == (0, width / 10)
        item = json.loads((tmp_path / "masks" / f"{row['scene']}.json").read_text())
        assert item["properties"]["satsqueeze:buffer_m"] == width
        shares[width] = row["shares"]["clear"]
    assert shares[40] < shares[0]


def test_the_scores_as_text(run_main, package, scenes):
    status, out, _ = run_main("evaluate", package, scenes)
    assert status == 0
    assert out.startswith("global Jaccard of thick cloud + thin cloud")
    assert "accuracy" in out


def test_an_image_is_masked_on_its_own_grid(run_main, package, image, tmp_path):
    target, preview = tmp_path / "mask.tif", tmp_path / "mask.png"
    words = ("--package", package, "--out", target, "--preview", preview, "--json", *RADIOMETRY)
    status, out, _ = run_main("predict", image, *words)
    assert status == 0
    found = json.loads(out)
    assert sum(share for name, share in found["shares"].items() if name != "nodata") == pytest.approx(1)
    with rasterio.open(target) as mask, rasterio.open(image) as source:
        assert (mask.crs, mask.transform, mask.shape) == (source.crs, source.transform, source.shape)
        values = mask.read(1)
    assert set(np.unique(values)) <= {0, 1, 2, 3, 255}
    assert preview.stat().st_size > 0


def test_numbers_of_unknown_meaning_are_refused(run_main, package, image, tmp_path):
    mute = tmp_path / "mute.tif"
    shutil.copy(image, mute)
    with rasterio.open(mute, "r+") as source:
        source.scales, source.offsets = (1.0,) * source.count, (0.0,) * source.count
    status, _, err = run_main("predict", mute, "--package", package, "--out", tmp_path / "mask.tif")
    assert status == 2
    assert "RadiometryError" in err
    assert "--radiometry" in err
    assert not (tmp_path / "mask.tif").exists()


def test_the_share_of_each_class_is_told(run_main, package, image, tmp_path):
    status, out, _ = run_main("predict", image, "--package", package, "--out", tmp_path / "mask.tif", *RADIOMETRY)
    assert status == 0
    assert "thick cloud" in out
    assert "radiometry: " in out


def test_without_a_package_the_shipped_one_is_used(run_main, package, image, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "shipped_package", lambda: package)
    status, out, _ = run_main("predict", image, "--out", tmp_path / "mask.tif", *RADIOMETRY)
    assert status == 0
    assert package.name in out


def test_bands_of_a_file_can_be_named(run_main, package, image, tmp_path):
    with rasterio.open(image) as source:
        values, profile = source.read(), source.profile
    plain = tmp_path / "plain.tif"
    with rasterio.open(plain, "w", **profile) as target:
        target.write(values[::-1])
    words = ("--package", package, *RADIOMETRY)
    first = run_main("predict", image, "--out", tmp_path / "a.tif", *words)
    second = run_main("predict", plain, "--out", tmp_path / "b.tif", "--bands", "nir,red,green,blue", *words)
    assert (first[0], second[0]) == (0, 0)
    with rasterio.open(tmp_path / "a.tif") as a, rasterio.open(tmp_path / "b.tif") as b:
        np.testing.assert_array_equal(a.read(1), b.read(1))


def test_scenes_are_generated_alike_from_a_seed(run_main, tmp_path):
    for name in ("a", "b"):
        words = ("--scenes", 2, "--size", 32, "--seed", 5, "--bands", "green,red")
        status, out, _ = run_main("synth", "--out", tmp_path / name, *words)
        assert (status, out) == (0, f"2 scenes in {tmp_path / name}\n")
    first, second = (sorted((tmp_path / name / "images").iterdir()) for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


@pytest.mark.parametrize("words", [("--json", "true"), ("--json=true",), ("--json",)])
def test_a_switch_may_have_a_word(run_main, words):
    status, out, _ = run_main("data", "list", *words)
    assert status == 0
    assert json.loads(out.splitlines()[0] if out.startswith("{") else out)
    assert run_main("data", "list", "--json", "false")[1] != out


def test_an_option_is_not_abbreviated(run_main, tmp_path):
    status, _, err = run_main("synth", "--scene", "1", "--out", tmp_path / "s")
    assert (status, (tmp_path / "s").exists()) == (2, False)
    assert "scene" in err


@pytest.mark.parametrize("seed", ["-1"])
def test_images_of_two_makings_are_not_mixed(run_main, tmp_path, seed):
    made = ("synth", "--scenes", "1", "--size", "32", "--out", tmp_path / "s")
    assert run_main(*made)[0] == 0
    card = (tmp_path / "s/dataset.yaml").read_bytes()
    assert run_main(*made)[0] == 0
    status, _, err = run_main(*made, "--seed", "3")
    assert status == 2
    assert "were made with other settings, or from other images; choose a new --out" in err
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/dataset.yaml").write_text("name: mine\n")
    status, _, err = run_main("synth", "--scenes", "1", "--size", "32", "--out", tmp_path / "mine")
    assert status == 2
    assert "holds something else" in err
    assert [path.read_bytes() for path in (tmp_path / "mine").iterdir()] == [b"name: mine\n"]
    assert (tmp_path / "s/dataset.yaml").read_bytes() == card
    status, _, err = run_main("synth", "--seed", seed, "--out", tmp_path / "n")
    assert (status, "a seed is 0 or more, got -1" in err) == (2, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--out", "x.tif", "--preview", "x.tif"), "is named for two outputs|a preview is a PNG"),
        (("--out", "x.tif", "--preview", "notes.txt"), "a preview is a PNG, but --preview is"),
        (("--out", "x.tif", "--preview", "."), "is a folder, expected the name of a file for the preview"),
        (("--out", "x.tif", "--gsd", "0"), "above 0 m, got 0"),
        (("--out", "x.tif", "--gsd", "1e-9"), "too many pixels"),
        (("--out", "x.tif", "--gsd", "50000"), "smaller than half a pixel of 50000 m"),
        (("--out", "x.tif", "--threads", "2000"), "threads must be 1 to 256, got 2000"),
    ],
)
def test_what_cannot_be_written_or_asked_for_is_refused_first(
    run_main, package, image, tmp_path, monkeypatch, words, message
):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    status, _, err = run_main("predict", image, "--package", package, *words)
    assert status == 2
    assert re.search(message, err), err
    assert sorted(tmp_path.rglob("*")) == before
