"""An ablation of pre-training on a tiny generated country, its table and its figure."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import yaml

from satsqueeze.bench.starts.ablation import ROWS, Ablation, Variant
from satsqueeze.bench.starts.ablation_figure import draw_ablation
from satsqueeze.bench.starts.ablation_recipe import AblationRecipe, Factor
from satsqueeze.bench.starts.ablation_row import AblationRow
from satsqueeze.bench.starts.ablation_table import ablation_table, by_seed
from satsqueeze.bench.starts.grid import InitGrid
from satsqueeze.bench.starts.seed_estimate import gain
from satsqueeze.bench.tables import make_tables
from satsqueeze.cli.main import main
from satsqueeze.core.errors import DataError, RunError, SettingsError
from satsqueeze.core.run import RunFolder

from .test_grid import TINY

REFERENCE = replace(TINY, starts=("same-region",), seeds=(0, 1), rates=(0.01,))
SHORTER = Variant(
    factor="steps",
    value="2 of them",
    recipe=replace(REFERENCE, pretrain=replace(REFERENCE.pretrain, steps_per_epoch=2)),
)
FEWER = Variant(factor="places", value="half", recipe=replace(REFERENCE, unlabelled=0.5))
NAMES = {"steps": "1", "places": "all"}


def ablation(folder, say=lambda _: None, *, reference=REFERENCE, variants=(SHORTER, FEWER)):
    return Ablation(reference, NAMES, variants, RunFolder(folder), say=say)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ablation") / "run"
    return folder, ablation(folder).execute()


def test_every_factor_has_the_reference_and_its_variants(done):
    folder, rows = done
    cells = [(row.cell, row.is_reference, row.start, row.seed) for row in rows]
    assert cells == [
        (cell, is_reference, start, seed)
        for cell, is_reference, start in (
            (("", ""), False, "random"),
            (("steps", "1"), True, "same-region"),
            (("steps", "2 of them"), False, "same-region"),
            (("places", "all"), True, "same-region"),
            (("places", "half"), False, "same-region"),
        )
        for seed in (0, 1)
    ]
    assert rows == AblationRow.read(folder / ROWS)
    assert by_seed(rows, "steps", "1") == by_seed(rows, "places", "all")
    assert [path.name for path in (folder / "regions").iterdir()] == ["alba"]


def test_a_variant_is_what_a_comparison_of_its_own_gives(done, tmp_path):
    _, rows = done
    alone = InitGrid(SHORTER.recipe, RunFolder(tmp_path / "grid"), say=lambda _: None).execute()
    assert {row.seed: row.test for row in alone} == by_seed(rows, "steps", "2 of them")


def test_a_share_of_the_places_is_pre_trained_on(tmp_path, monkeypatch):
    seen = {}
    real = InitGrid._source

    def watched(self, name, *, supervised):
        seen[self.recipe.unlabelled] = len(self.land(name).drawn(self.recipe.unlabelled, 0))
        return real(self, name, supervised=supervised)

    monkeypatch.setattr(InitGrid, "_source", watched)
    ablation(tmp_path / "run", variants=(FEWER,)).execute()
    assert seen == {1.0: 4, 0.5: 2}


def test_a_second_call_trains_nothing(done):
    folder, rows = done
    said = []
    assert ablation(folder, said.append).execute() == rows
    assert said == ["steps: 2 of them", "places: half"]


@pytest.mark.parametrize("starts", [("random",), ("same-region", "supervised")])
def test_a_reference_needs_one_start_beside_random(tmp_path, starts):
    with pytest.raises(SettingsError, match="one start other than random"):
        ablation(tmp_path, reference=replace(REFERENCE, starts=starts))


LAND = replace(REFERENCE.land, seed=7)


@pytest.mark.parametrize("changed", [{"seeds": (0,)}, {"fractions": (0.5,)}, {"targets": ("borea",)}, {"land": LAND}])
def test_variants_are_compared_at_the_same_cells(tmp_path, changed):
    other = replace(SHORTER, recipe=replace(SHORTER.recipe, **changed))
    with pytest.raises(SettingsError, match=f"steps 2 of them has the {next(iter(changed))}"):
        ablation(tmp_path, variants=(other,))


def test_two_variants_in_one_place_are_refused(tmp_path):
    with pytest.raises(SettingsError, match="differ in letters and digits"):
        ablation(tmp_path, variants=(SHORTER, replace(SHORTER, value="2_of_them")))


@pytest.mark.parametrize("variants", [{}, {"same": {}}])
def test_a_factor_needs_variants_that_differ_from_its_reference(variants):
    with pytest.raises(SettingsError, match="a factor needs a name, and variants"):
        Factor(name="steps", reference="same", variants=variants)


def test_factors_have_different_names():
    steps = Factor(name="steps", reference="1", variants={"2": {}})
    for factors in ((), (steps, steps)):
        with pytest.raises(SettingsError, match="factors of different names"):
            AblationRecipe(grid="grid.yaml", factors=factors)


def row(seed, test, factor="", value="", *, is_reference=False, fraction=1.0):
    return AblationRow(
        target="alba", start="same-region" if factor else "random", source="", fraction=fraction, seed=seed,
        fingerprint="", model="unet-2", labels=4, rate=0.1, tried={}, validation=0.5, test=test, test_classes={},
        test_images=1, steps=1, seconds=1.0, source_seconds=0.0, factor=factor, value=value, is_reference=is_reference,
    )  # fmt: skip


ROWS_BY_HAND = (
    *(row(seed, 0.5 + 0.01 * seed) for seed in range(3)),
    *(row(seed, 0.54 + 0.01 * seed, "steps", "1", is_reference=True) for seed in range(3)),
    *(row(seed, test, "steps", "2") for seed, test in enumerate((0.50, 0.53, 0.53))),
)


def test_gains_are_paired_by_seed():
    found, p = gain(by_seed(ROWS_BY_HAND, "steps", "2"), by_seed(ROWS_BY_HAND, "", ""))
    assert found.mean == pytest.approx(0.01)
    assert found.high - found.mean == pytest.approx(4.302653 * 0.01 / 3**0.5)
    assert p == pytest.approx(0.2254, abs=1e-4)


def test_shares_of_labels_count_alike():
    rows = (row(0, 0.2, fraction=0.1), row(0, 0.6))
    assert by_seed(rows, "", "") == {0: pytest.approx(0.4)}


def test_the_table_says_what_is_gained():
    assert ablation_table(ROWS_BY_HAND).splitlines()[2:] == [
        "| random start |  | 51.0 ± 2.5 |  |",
        "| steps | 1 (reference) | 55.0 ± 2.5 | +4.0 ± 0.0 |",
        "| steps | 2 | 52.0 ± 4.3 | +1.0 ± 2.5 (p = 0.23) |",
    ]


def test_a_table_without_a_random_start_is_refused():
    with pytest.raises(DataError, match="no row of a random start"):
        ablation_table(ROWS_BY_HAND[3:])


def test_the_table_stands_in_documents(tmp_path):
    lines = [json.dumps(one.to_dict()) for one in ROWS_BY_HAND]
    (tmp_path / "ablation.jsonl").write_text("\n".join(lines))
    (tmp_path / "tables.yaml").write_text("found: {file: ablation.jsonl, table: ablation}\n")
    assert make_tables(tmp_path / "tables.yaml")["found"] == ablation_table(ROWS_BY_HAND) + "\n"
    (tmp_path / "ablation.jsonl").write_text("{}\n")
    with pytest.raises(RunError, match="line 1 is no row of an ablation"):
        make_tables(tmp_path / "tables.yaml")


def test_the_figure_needs_rows_and_has_a_panel_per_factor(done, tmp_path):
    with pytest.raises(DataError, match="nothing to draw"):
        draw_ablation(ROWS_BY_HAND[:3], tmp_path / "none.png")
    draw_ablation(done[1], tmp_path / "found.png")
    assert (tmp_path / "found.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_reads_a_recipe_and_what_differs(tmp_path, capsys):
    grid = {
        "regions": [{"name": "alba", "continent": "north"}],
        "starts": ["random", "same-region"],
        "model": "unet-2",
        "land": {"country": "alba", "places": [4, 1, 1], "dates": 1, "size": 16, "seed": 1},
        "pretrain": {
            "epochs": 1, "steps_per_epoch": 1, "batch_size": 2, "precision": "fp32", "progress": False,
            "views": {"size": 16, "positions": 8, "place": r"(p\d+)_d"}, "contrast": {"width": 4}, "monitor_pixels": 0,
        },
        "fit": {
            "epochs": 1, "steps_per_epoch": 1, "batch_size": 2, "patch_size": [16, 16], "precision": "fp32",
            "optimiser": "adamw", "keep": "last", "progress": False,
        },
        "fractions": [1.0], "seeds": [0, 1], "rates": [0.01],
    }  # fmt: skip
    grid["supervised"] = grid["fit"]
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(grid))
    recipe = {
        "grid": "grid.yaml",
        "changes": {"starts": ["same-region"]},
        "factors": [
            {"name": "width", "reference": "4", "variants": {"8": {"pretrain": {"contrast": {"width": 8}}}}},
        ],
    }
    (tmp_path / "ablation.yaml").write_text(yaml.safe_dump(recipe))
    words = ["bench", "init-ablation", str(tmp_path / "ablation.yaml"), "--out", str(tmp_path / "run")]
    assert main([*words, "--rows", str(tmp_path / "rows.jsonl"), "--figure", str(tmp_path / "found.png")]) == 0
    assert "| width | 4 (reference) |" in capsys.readouterr().out
    assert len(AblationRow.read(tmp_path / "rows.jsonl")) == 6
    assert (tmp_path / "found.png").is_file()
    recipe["factors"][0]["variants"] = {"8": {"pretrain": {"contrast": {"breadth": 8}}}}
    (tmp_path / "ablation.yaml").write_text(yaml.safe_dump(recipe))
    assert main(words) == 2
    assert "breadth" in capsys.readouterr().err
