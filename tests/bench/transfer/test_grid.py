"""A whole transfer experiment on generated tiles, in seconds."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import rasterio
import yaml
from affine import Affine

from satsqueeze.bench.row_file import write_rows
from satsqueeze.bench.transfer.grid import ROWS, TransferGrid
from satsqueeze.bench.transfer.recipe import TransferRecipe, TransferStart
from satsqueeze.bench.transfer.row import TransferRow, transfer_table
from satsqueeze.cli.flags import read_settings
from satsqueeze.cli.main import main
from satsqueeze.core.errors import RunError, SettingsError, SplitError
from satsqueeze.core.run import RunFolder
from satsqueeze.data.class_stage import ClassPrepareSettings
from satsqueeze.data.splits.class_split import apart_from
from satsqueeze.learn.class_settings import ClassFitSettings
from satsqueeze.nets.model import load_model

CLASSES = ("field", "forest", "water")
CARD = """
name: {name}
task: classification
bands: [{bands}]
images: '{{above}}{{label:[a-z]+}}/{{name}}.tif'
label_kind: path
classes: [field, forest, water]
foreground: []
group: '{{name}}'
group_space: places
scale: 0.0001
"""
SIDE = 8
TWINS = 5
"""Of each class, in either set."""
FIT = ClassFitSettings(epochs=2, batch_size=8, precision="fp32", keep="last", progress=False)


@pytest.fixture(autouse=True)
def _small_network(small_zoo):
    small_zoo(cells=1)


def write_tiles(root, bands, numbers):
    """Tiles of each class, which brightens a band of its own among red, green and blue."""
    generator = np.random.default_rng(len(bands))
    profile = {"driver": "GTiff", "count": len(bands), "height": SIDE, "width": SIDE, "dtype": "uint16"}
    for value, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for number in numbers:
            tile = generator.normal(1000, 200, (len(bands), SIDE, SIDE))
            tile[bands.index(("red", "green", "blue")[value])] += 900
            place = root / name / f"{name}_{number:02}.tif"
            with rasterio.open(place, "w", crs="EPSG:32631", transform=Affine(10, 0, 0, 0, -10, 0), **profile) as to:
                to.write(tile.clip(1).astype(np.uint16))
    (root / "dataset.yaml").write_text(CARD.format(name=root.name, bands=", ".join(bands)))
    return root


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """Twenty-five source tiles of a class, five of which the target's twenty show, too."""
    root = tmp_path_factory.mktemp("sets")
    colour = write_tiles(root / "colour", ("red", "green", "blue"), range(25))
    full = write_tiles(root / "full", ("nir", "blue", "green", "red"), range(25 - TWINS, 45 - TWINS))
    shares = (0.5, 0.25, 0.25)
    return TransferRecipe(
        source=ClassPrepareSettings(data=str(colour), shares=shares),
        source_fit=replace(FIT, epochs=6, learning_rate=0.02),
        target=ClassPrepareSettings(data=str(full), shares=shares),
        fit=FIT,
        starts=(
            TransferStart(name="random", transferred=False),
            TransferStart(name="transferred", transferred=True, freeze_epochs=0),
        ),
        fractions=(0.1, 1.0),
        seeds=(0, 1, 2),
        rates=(0.001, 0.01),
    )


def quiet(recipe, folder):
    return TransferGrid(recipe, RunFolder(folder), say=lambda _: None)


def test_one_row_per_cell_at_the_rate_that_validation_chose(recipe, tmp_path):
    grid = quiet(recipe, tmp_path / "run")
    rows = grid.execute()
    assert [row.key for row in rows] == [
        (start, fraction, seed) for fraction in (0.1, 1.0) for start in ("random", "transferred") for seed in (0, 1, 2)
    ]
    assert rows == TransferRow.read(tmp_path / "run" / ROWS)
    for row in rows:
        assert row.labels == {0.1: 3, 1.0: 30}[row.fraction]
        assert set(row.tried) == {"0.001", "0.01"}
        assert f"{row.rate:g}" == max(row.tried, key=row.tried.get)
        assert (row.test_images, row.validation_images, row.epochs) == (15, 15, 2)
    for start, bands in (("random", (0, 4)), ("transferred", (3, 1))):
        few = [row for row in rows if row.start == start and row.fraction == 0.1]
        assert few[0].tried[f"{few[0].rate:g}"] == pytest.approx(np.mean([row.validation for row in few]))
        assert (few[0].bands["matched"], few[0].bands["fresh"]) == bands
    # The source knows the classes by their colours, so that three labels are enough.
    means = {
        s: np.mean([r.test["accuracy"] for r in rows if (r.start, r.fraction) == (s, 0.1)])
        for s in ("random", "transferred")
    }
    assert means["transferred"] > means["random"]
    assert rows[-1].source["left_out"] == 3 * TWINS
    assert rows[0].source == {}
    # Done is done, and an experiment that lost its rows trains nothing again.
    weights = sorted((tmp_path / "run").rglob("weights.safetensors"))
    assert len(weights) == 1 + 2 * 2 * 3 * 2
    stamps = [path.stat().st_mtime_ns for path in weights]
    # What a recipe with other fractions left there stays.
    foreign = rows[0].model_copy(update={"fraction": 0.5, "fingerprint": "of another recipe"})
    write_rows(tmp_path / "run" / ROWS, [foreign])
    again = quiet(recipe, tmp_path / "run").execute()
    assert [row.test for row in again] == [row.test for row in rows]
    assert foreign in TransferRow.read(tmp_path / "run" / ROWS)
    assert [path.stat().st_mtime_ns for path in weights] == stamps
    table = transfer_table(rows).splitlines()
    assert table[0] == "| labels | random | transferred |"
    assert table[2].startswith("| 3 (10 %) | ")
    assert table[3].count("(3 seeds)") == 2


def test_twins_of_the_target_are_nowhere_in_the_source(recipe, tmp_path):
    grid = quiet(recipe, tmp_path)
    shown = {entry.id.split("/")[1] for entry in grid.target.cache.entries}
    split = grid.source.split
    seen = {item.split("/")[1] for item in (*split.train, *split.validation, *split.test)}
    assert not seen & shown
    assert len(seen) == 3 * (25 - TWINS)
    # Its statistics are of these images only, too.
    assert grid.source.scaling != grid.target.scaling
    few = replace(split, train=tuple(item for item in split.train if "water" not in item))
    with pytest.raises(SplitError, match=r"the train part of \d+ images lacks water"):
        apart_from(grid.source.cache, few, grid.target.cache)


def test_a_source_that_the_target_shows_as_a_whole_ends_before_any_training(recipe, tmp_path):
    grid = quiet(replace(recipe, source=recipe.target, fractions=(1.0,)), tmp_path / "run")
    with pytest.raises(SplitError, match=r"shows the places of all 30 images of the train part, such as full/"):
        grid.execute()
    assert not (tmp_path / "run" / "trials").exists()
    # Without the source, nothing is asked of it.
    alone = replace(grid.recipe, starts=recipe.starts[:1], seeds=(0,), rates=(0.01,))
    assert [row.start for row in quiet(alone, tmp_path / "run").execute()] == ["random"]


def test_a_part_that_is_lost_as_a_whole_is_named(recipe, tmp_path):
    grid = quiet(recipe, tmp_path)
    shown = {entry.id.split("/")[1] for entry in grid.target.cache.entries}
    twins = tuple(entry.id for entry in grid.source.cache.entries if entry.id.split("/")[1] in shown)
    lost = replace(grid.source.split, validation=twins)
    with pytest.raises(SplitError, match=r"all 15 images of the validation part"):
        apart_from(grid.source.cache, lost, grid.target.cache)
    none = replace(lost, validation=())
    assert apart_from(grid.source.cache, none, grid.target.cache) == none


def test_by_command(recipe, tmp_path, capsys):
    record = {
        "source": {"data": recipe.source.data, "shares": [0.5, 0.25, 0.25]},
        "source_fit": {"epochs": 1, "batch_size": 8, "precision": "fp32", "progress": False},
        "target": {"data": recipe.target.data, "shares": [0.5, 0.25, 0.25]},
        "fit": {"epochs": 1, "batch_size": 8, "precision": "fp32", "progress": False},
        "fractions": [1.0],
        "seeds": [0],
        "rates": [0.01],
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(record))
    words = ["zoo", "transfer", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "run")]
    assert main([*words, "--rows", str(tmp_path / "rows.jsonl"), "--ship", str(tmp_path / "encoder")]) == 0
    assert load_model(tmp_path / "encoder").card.bands == ("red", "green", "blue")
    assert "| 30 (100 %) |" in capsys.readouterr().out
    starts = [json.loads(line)["start"] for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert starts == ["random", "transferred"]


def test_the_committed_recipe_reads():
    from pathlib import Path

    found = read_settings(TransferRecipe, Path(__file__).parents[3] / "recipes/eurosat/transfer.yaml")
    assert [start.transferred for start in found.starts] == [False, True]
    assert (found.source.card, found.target.card, len(found.seeds)) == ("eurosat-rgb", "eurosat-ms", 3)


def test_mistakes(recipe, tmp_path):
    with pytest.raises(SettingsError, match=r"at least one seed, each >= 0 and named once; got \[0, 0\]"):
        replace(recipe, seeds=(0, 0))
    with pytest.raises(SettingsError, match=r"fractions must lie in \(0, 1\]"):
        replace(recipe, fractions=(0.0,))
    with pytest.raises(SettingsError, match="'random' is not transferred, so nothing of it can be frozen"):
        TransferStart(name="random", transferred=False, freeze_epochs=1)
    with pytest.raises(SettingsError, match=r"fit.freeze_epochs is 1, but each start says what it freezes"):
        replace(recipe, fit=replace(FIT, freeze_epochs=1))
    with pytest.raises(SettingsError, match=r"freeze_epochs must lie in 0..2"):
        replace(recipe, starts=(TransferStart(name="a", transferred=True, freeze_epochs=3),))
    with pytest.raises(SettingsError, match="did you mean resnet8"):
        quiet(replace(recipe, model="resnet9"), tmp_path / "a")
    with pytest.raises(SplitError, match="without an image; ask for a share of at least"):
        quiet(replace(recipe, fractions=(1.0, 0.05)), tmp_path / "b").execute()
    assert not (tmp_path / "b" / "trials").exists()
    lists = tmp_path / "lists"
    lists.mkdir()
    names = [f"{name}_{number}" for name in CLASSES for number in range(25 - TWINS, 45 - TWINS)]
    (lists / "train.csv").write_text("\n".join(names))
    with pytest.raises(SplitError, match="the target needs validation and test images"):
        quiet(replace(recipe, target=replace(recipe.target, split=str(lists))), tmp_path / "c").execute()
    (tmp_path / "rows.jsonl").write_text("{}\n")
    with pytest.raises(RunError, match="line 1 is no row of a transfer experiment"):
        TransferRow.read(tmp_path / "rows.jsonl")
