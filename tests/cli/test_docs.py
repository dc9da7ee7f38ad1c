"""What the documents show works: commands and their flags are read, Python is run, a shown folder is opened."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

import satsqueeze
from satsqueeze.bench.classes.recipe import ClassRecipe
from satsqueeze.cli.flags import read_settings
from satsqueeze.cli.main import COMMANDS
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.items.reader import read_targets
from satsqueeze.distill.teachers import OnnxContract
from satsqueeze.plan.budget_file import read_budgets

from .conftest import parse_line, write_raster

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
_INLINE = re.compile(r"`(satsqueeze [^`]+)`")


def blocks(path, language):
    return [body for kind, body in _BLOCK.findall(path.read_text(encoding="utf-8")) if kind == language]


def command_lines(path):
    lines = [line.split(" #")[0].strip() for block in blocks(path, "sh") for line in block.splitlines()]
    return [line for line in lines if line.startswith("satsqueeze ")]


SHOWN = [(path.name, line) for path in PAGES for line in command_lines(path)]
NAMED = [(path.name, text) for path in PAGES for text in _INLINE.findall(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(("page", "line"), SHOWN, ids=[f"{page}: {line[:60]}" for page, line in SHOWN])
def test_a_shown_command_is_read_with_all_its_flags(page, line):
    parse_line(line)


@pytest.mark.parametrize(("page", "text"), NAMED, ids=[f"{page}: {text[:40]}" for page, text in NAMED])
def test_a_named_command_exists(page, text):
    words = tuple(shlex.split(text)[1:])
    known = {c.words for c in COMMANDS}
    assert words[0] == "COMMAND" or words[:1] in known or words[:2] in known


def test_commands_are_shown_at_all():
    assert len(SHOWN) > 20
    assert {command.words[0] for command in COMMANDS} - {"package", "data"} <= {
        word for path in PAGES for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))
    }


CLASSIFIES, SERIES = ROOT / "docs/classification.md", ROOT / "docs/series.md"
MASKS = [path for path in PAGES if blocks(path, "python") and path not in (CLASSIFIES, SERIES)]


@pytest.mark.parametrize("page", MASKS, ids=lambda path: path.name)
def test_shown_python_runs(page, package, monkeypatch):
    image = np.random.default_rng(0).uniform(0, 0.6, (4, 37, 53)).astype(np.float32)
    opened = satsqueeze.open_package
    monkeypatch.setattr(satsqueeze, "open_package", lambda _, **more: opened(package, **more))
    for block in blocks(page, "python"):
        names = {"image": image}
        exec(compile(block, str(page), "exec"), names)
        mask = names["mask"] if "mask" in names else names["found"].mask
        assert (mask.shape, mask.dtype) == ((37, 53), np.uint8)


def test_shown_python_classifies(monkeypatch):
    monkeypatch.chdir(ROOT)
    asked = []
    monkeypatch.setattr(satsqueeze, "open_native", lambda _: SimpleNamespace(classify=asked.append))
    one_size, own_sizes = blocks(CLASSIFIES, "python")
    names = {"images": np.random.default_rng(0).uniform(0, 0.25, (5, 3, 64, 64)).astype(np.float32)}
    exec(compile(one_size, str(CLASSIFIES), "exec"), names)
    assert len(names["names"]) == 5
    assert names["found"].probabilities.shape == (5, 10)
    bands = {"blue": 1, "nir": 2, "swir16": 3}
    exec(compile(own_sizes, str(CLASSIFIES), "exec"), names | bands)
    assert asked == [bands]


def test_shown_python_takes_series(monkeypatch):
    asked = []

    def predict(images, days, bands):
        asked.append((images, days, bands))
        return SimpleNamespace(mask="mask")

    monkeypatch.setattr(satsqueeze, "open_series", lambda _: SimpleNamespace(predict=predict))
    (block,) = blocks(SERIES, "python")
    names = {"images": 1, "days": 2}
    exec(compile(block, str(SERIES), "exec"), names)
    assert asked == [(1, 2, ["blue", "green", "red", "nir"])]
    assert names["mask"] == "mask"


def test_the_tiles_and_the_recipe_of_classification_are_read_as_they_say(tmp_path):
    card, recipe, given = blocks(CLASSIFIES, "yaml")
    (tmp_path / "tiles").mkdir()
    (tmp_path / "tiles/dataset.yaml").write_text(card)
    for name in ("field", "forest", "water"):
        write_raster(tmp_path / f"tiles/{name}/{name}_1.tif", np.full((3, 8, 8), 1000, np.uint16))
    dataset = open_dataset(tmp_path / "tiles")
    assert (dataset.task, len(dataset), dataset.classes) == ("classification", 3, ("field", "forest", "water"))
    assert sorted(read_targets(item) for item in dataset.items) == [(0,), (1,), (2,)]
    (tmp_path / "recipe.yaml").write_text(recipe)
    assert len(read_settings(ClassRecipe, tmp_path / "recipe.yaml").ways) == 4
    (tmp_path / "given.yaml").write_text(f"base: recipe.yaml\n{given}")
    assert read_settings(ClassRecipe, tmp_path / "given.yaml").teacher("published").path.suffix == ".onnx"


def test_the_folder_of_the_readme_is_read_as_it_says(tmp_path):
    card = blocks(ROOT / "README.md", "yaml")[0]
    (tmp_path / "dataset.yaml").write_text(card)
    for name in ("north_1", "north_2", "south_1"):
        write_raster(tmp_path / f"images/{name}.tif", np.full((4, 8, 8), 1000, np.uint16))
        write_raster(tmp_path / f"labels/{name}.tif", np.full((1, 8, 8), 1, np.uint8))
    dataset = open_dataset(tmp_path)
    assert (dataset.bands, dataset.classes) == (("blue", "green", "red", "nir"), ("clear", "cloud"))
    assert [item.groups[0].split("/")[-1] for item in dataset.items] == ["north", "north", "south"]


def test_images_without_labels_are_a_source_as_it_says(tmp_path, folder):
    root = folder(count=2)
    write_raster(tmp_path / "more/images/a.tif", np.full((4, 8, 8), 1000, np.uint16))
    (tmp_path / "sources.yaml").write_text(blocks(ROOT / "docs/getting-started.md", "yaml")[1])
    assert root == tmp_path / "mine"
    dataset = open_dataset(tmp_path / "sources.yaml")
    assert [(item.id, item.role, item.labelled) for item in dataset.items][-1] == ("more/a", "train", False)
    assert len(dataset.labelled) == 2


def test_shown_files_are_read(tmp_path):
    budget, contract = tmp_path / "budget.yaml", tmp_path / "teacher.yaml"
    budget.write_text(blocks(ROOT / "docs/getting-started.md", "yaml")[0])
    assert read_budgets(budget).student.macs_per_pixel == 9000
    contract.write_text(blocks(ROOT / "docs/concepts.md", "yaml")[0])
    assert OnnxContract.read(contract).layout == "NHWC"
    sources = yaml.safe_load(blocks(ROOT / "docs/data.md", "yaml")[0])["sources"]
    assert all(set(source) <= {"path", "card", "weight", "role"} for source in sources)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target
