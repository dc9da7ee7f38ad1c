"""The recipes of the project are read, and so are the commands that they tell."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from satsqueeze.bench.classes.recipe import ClassRecipe
from satsqueeze.bench.folds.recipe import Recipe
from satsqueeze.bench.starts.ablation_recipe import AblationRecipe
from satsqueeze.bench.starts.recipe import InitRecipe
from satsqueeze.bench.starts.students import StudentsRecipe
from satsqueeze.bench.transfer.recipe import TransferRecipe
from satsqueeze.cli.flags import read_settings
from satsqueeze.cli.main import main
from satsqueeze.core.yaml_text import parse_yaml
from satsqueeze.data.cards.catalogue import load_card, override
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.items.reader import read_targets
from satsqueeze.distill.teachers import OnnxContract

from .conftest import parse_line

ROOT = Path(__file__).resolve().parents[2] / "recipes"
KINDS = {
    "cloud-s2l8-4band/ablation.yaml": Recipe,
    "cloud-s2l8-4band/corrected.yaml": Recipe,
    "cloud-s2l8-4band/fast.yaml": Recipe,
    "cloud-s2l8-4band/recipe.yaml": Recipe,
    "eurosat/attention.yaml": ClassRecipe,
    "eurosat/further.yaml": ClassRecipe,
    "eurosat/recipe.yaml": ClassRecipe,
    "eurosat/three-teachers.yaml": ClassRecipe,
    "eurosat/transfer.yaml": TransferRecipe,
    "landcover/ablation-dates.yaml": AblationRecipe,
    "landcover/ablation.yaml": AblationRecipe,
    "landcover/forecast-countries.yaml": InitRecipe,
    "landcover/encoder.yaml": InitRecipe,
    "landcover/forecast-long.yaml": InitRecipe,
    "landcover/forecast.yaml": InitRecipe,
    "landcover/mosaics.yaml": InitRecipe,
    "landcover/recipe.yaml": InitRecipe,
    "landcover/series-short.yaml": InitRecipe,
    "landcover/series.yaml": InitRecipe,
    "landcover/students.yaml": StudentsRecipe,
}
SOURCES = ["cloud-s2l8-4band/data.yaml", "cloud-s2l8-4band/fast-data.yaml", "cloud-s2l8-4band/grounds.yaml"]
GENERATED = ["multilabel/data.yaml"]
CONTRACTS = ["cloud-s2l8-4band/ukis-csmask.yaml"]
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.yaml"))
COMMAND_LINES = [
    (name, line.removeprefix("#").strip())
    for name in FILES
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines()
    if re.match(r"#\s+satsqueeze ", line)
]


def test_all_recipes_are_here():
    assert sorted([*KINDS, *SOURCES, *GENERATED, *CONTRACTS]) == FILES


@pytest.mark.parametrize("name", KINDS)
def test_a_recipe_is_read(name):
    read_settings(KINDS[name], ROOT / name)


@pytest.mark.parametrize(
    ("name", "kind"), [("ablation", AblationRecipe), ("ablation-dates", AblationRecipe), ("students", StudentsRecipe)]
)
def test_a_recipe_of_changes_is_read_with_what_it_changes(name, kind):
    told = read_settings(kind, ROOT / f"landcover/{name}.yaml")
    grid = ROOT / "landcover" / told.grid
    changes = [changes for _, _, changes in told.variants()] if kind is AblationRecipe else [{}]
    for change in changes:
        read_settings(InitRecipe, grid, told.changes, change)


@pytest.mark.parametrize("name", SOURCES)
def test_sources_name_cards(name):
    for source in parse_yaml((ROOT / name).read_text(encoding="utf-8"))["sources"]:
        card = source.get("card", "folder")
        found = load_card(str((ROOT / name).parent / card) if card.endswith(".yaml") else card)
        assert override(found, source.get("overrides") or {}, where=name).classes == ("clear", "cloud")


def test_a_generated_country_has_images_of_several_labels(tmp_path):
    assert main(f"landcover alba --out {tmp_path}/alba --places [3,1,1] --dates 2 --size 64".split()) == 0
    told = (ROOT / GENERATED[0]).read_text(encoding="utf-8")
    (tmp_path / "data.yaml").write_text(told.replace("../../runs/multilabel/alba", "alba"), encoding="utf-8")
    dataset = open_dataset(tmp_path / "data.yaml")
    assert (dataset.task, len(dataset)) == ("multi-label", 10)
    assert {item.part for item in dataset.items} == {"train", "validation", "test"}
    assert max(len(read_targets(item)) for item in dataset.items) > 1


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_contract_is_read(name):
    assert OnnxContract.read(ROOT / name).classes


@pytest.mark.parametrize(("name", "line"), COMMAND_LINES, ids=[f"{name}: {line[:60]}" for name, line in COMMAND_LINES])
def test_a_told_command_is_read_with_all_its_flags(name, line):
    parse_line(line)


def test_commands_are_told_at_all():
    assert {name for name, _ in COMMAND_LINES} >= KINDS.keys()
