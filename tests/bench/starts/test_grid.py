"""A whole comparison of starts on tiny generated countries, and what is drawn of it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import stats

from satsqueeze.bench.row_file import write_rows
from satsqueeze.bench.starts.figure import draw_curves
from satsqueeze.bench.starts.grid import ROWS, InitGrid
from satsqueeze.bench.starts.recipe import STARTS, InitRecipe, Region
from satsqueeze.bench.starts.row import InitRow
from satsqueeze.bench.starts.seed_estimate import estimate, paired_p
from satsqueeze.bench.starts.table import class_table, init_table
from satsqueeze.bench.tables import make_tables
from satsqueeze.cli.flags import read_settings
from satsqueeze.cli.main import main
from satsqueeze.core.errors import DataError, RunError, SettingsError, SplitError
from satsqueeze.core.run import RunFolder
from satsqueeze.data.synth.landcover_writer import LandCoverSettings
from satsqueeze.learn.settings import FitSettings
from satsqueeze.nets.card import SERIES_FAMILY
from satsqueeze.nets.model import load_model
from satsqueeze.pretrain.contrast import ContrastSettings
from satsqueeze.pretrain.settings import PretrainSettings
from satsqueeze.pretrain.view_settings import ViewSettings

RECIPE = Path(__file__).parents[3] / "recipes/landcover/recipe.yaml"
FIT = FitSettings(
    epochs=1, steps_per_epoch=1, batch_size=2, patch_size=(16, 16), precision="fp32", optimiser="adamw", keep="last",
    progress=False,
)  # fmt: skip
TINY = InitRecipe(
    regions=(
        Region(name="alba", continent="north"),
        Region(name="borea", continent="north"),
        Region(name="corda", continent="south"),
    ),
    pretrain=PretrainSettings(
        epochs=1,
        steps_per_epoch=1,
        batch_size=2,
        precision="fp32",
        progress=False,
        views=ViewSettings(size=16, positions=8, place=r"(p\d+)_d"),
        contrast=ContrastSettings(width=4),
        monitor_pixels=0,
    ),
    fit=FIT,
    supervised=FIT,
    model="unet-2",
    land=LandCoverSettings(country="alba", places=(4, 1, 1), dates=1, size=16, seed=1),
    targets=("alba",),
    starts=("random", "other-continent", "supervised"),
    fractions=(1.0,),
    seeds=(0, 1),
    rates=(0.001, 0.01),
)


def quiet(recipe, folder):
    return InitGrid(recipe, RunFolder(folder), say=lambda _: None)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grid") / "run"
    return folder, quiet(TINY, folder).execute()


def test_one_row_per_cell_at_the_rate_that_validation_chose(done):
    folder, rows = done
    assert [row.key for row in rows] == [("alba", start, 1.0, seed) for start in TINY.starts for seed in (0, 1)]
    assert rows == InitRow.read(folder / ROWS)
    assert {row.start: row.source for row in rows} == {"random": "", "other-continent": "corda", "supervised": "borea"}
    for row in rows:
        assert (row.labels, row.steps, row.test_images) == (4, 1, 1)
        assert set(row.tried) == {"0.001", "0.01"}
        assert f"{row.rate:g}" == max(row.tried, key=row.tried.get)
        known = [value for value in row.test_classes.values() if value is not None]
        assert row.test == pytest.approx(np.mean(known))
        assert (row.source_seconds > 0) is (row.start != "random")
        metrics = folder / f"trials/alba/{row.start}/labels_1/rate_{row.rate:g}/seed_{row.seed}/metrics.json"
        assert json.loads(metrics.read_text())["validation"]["mean_jaccard"] == row.validation


def test_what_each_start_has_learnt_from():
    found = [TINY.source("alba", start) for start in STARTS]
    assert [region and region.name for region in found] == [None, "alba", "borea", "corda", "borea"]
    assert TINY.source("corda", "other-continent").name == "alba"


def test_a_network_from_elsewhere_may_be_a_start(tmp_path, done):
    given = done[0] / "sources/supervised/borea"
    recipe = replace(TINY, starts=("random", "given"), given=str(given), seeds=(0,), rates=(0.001,))
    rows = quiet(recipe, tmp_path).execute()
    assert [(row.start, row.source, row.source_seconds) for row in rows] == [
        ("random", "", 0),
        ("given", str(given), 0),
    ]
    # The same network, the same labels, the same training.
    supervised = load_model(done[0] / "trials/alba/supervised/labels_1/rate_0.001/seed_0").state_dict()
    taken = load_model(tmp_path / "trials/alba/given/labels_1/rate_0.001/seed_0").state_dict()
    assert all(bool((supervised[name] == value).all()) for name, value in taken.items())
    other = replace(recipe, given=str(done[0] / "sources/pretrained/corda"))
    assert quiet(other, tmp_path).rows() == rows[:1]
    with pytest.raises(RunError, match="other settings"):
        quiet(other, tmp_path).execute()


@pytest.mark.parametrize("change", [{"starts": ("random", "given")}, {"given": "zoo/resnet8-encoder"}])
def test_a_given_start_is_named(change):
    with pytest.raises(SettingsError, match=r"the start 'given' and 'given', the run folder .* go together"):
        replace(TINY, **change)


def test_done_is_done_and_lost_rows_train_nothing_again(done):
    folder, rows = done
    weights = sorted(folder.rglob("weights.safetensors"))
    assert len(weights) == 2 + 3 * 2 * 2
    stamps = [path.stat().st_mtime_ns for path in weights]
    (folder / ROWS).unlink()
    again = quiet(TINY, folder).execute()
    assert [row.test for row in again] == [row.test for row in rows]
    assert [path.stat().st_mtime_ns for path in weights] == stamps
    with pytest.raises(RunError, match="other settings"):
        quiet(replace(TINY, fit=replace(FIT, weight_decay=0.1)), folder).execute()


def test_a_run_folder_may_be_moved(done, tmp_path):
    folder, rows = done
    moved = shutil.copytree(folder, tmp_path / "moved", copy_function=shutil.copyfile)
    (moved / ROWS).unlink()
    assert [row.fingerprint for row in quiet(TINY, moved).execute()] == [row.fingerprint for row in rows]


def test_networks_over_dates_are_compared_by_places(tmp_path):
    views = ViewSettings(size=16, positions=8, series=2)
    recipe = replace(
        TINY,
        series=3,
        pretrain=replace(TINY.pretrain, views=views),
        land=replace(TINY.land, dates=4),
        regions=TINY.regions[:1],
        starts=("random", "same-region"),
        seeds=(0,),
        rates=(0.01,),
    )
    rows = quiet(recipe, tmp_path).execute()
    assert [(row.start, row.labels, row.test_images) for row in rows] == [("random", 4, 1), ("same-region", 4, 1)]
    assert rows[0].test != rows[1].test
    assert load_model(tmp_path / "trials/alba/random/labels_1/rate_0.01/seed_0").card.family == SERIES_FAMILY
    with pytest.raises(SettingsError, match="set both or none"):
        replace(recipe, series=0)


def test_land_of_other_settings_is_not_taken_for_the_one_asked_for(done):
    folder, _ = done
    other = replace(TINY, land=replace(TINY.land, seed=2))
    with pytest.raises(RunError, match="images that were made with other settings"):
        quiet(other, folder).execute()


def test_sources_see_no_validation_or_test_place(done):
    folder, _ = done
    grid = quiet(TINY, folder)
    land = grid.land("alba")
    split = land.labelled(1.0, 0)
    assert set(split.train) == set(land.split.train)
    assert all("/train_" in name for name in land.split.train)


def test_a_fraction_that_leaves_a_class_empty_ends_it_before_any_training(done):
    folder, _ = done
    before = (folder / ROWS).read_bytes()
    grid = quiet(replace(TINY, fractions=(0.01,)), folder)
    land = grid.land("alba")
    held = np.array([land.cache.entries[land.cache.position(name)].class_pixels for name in land.split.train]) > 0
    assert held.any(axis=0).sum() > held.sum(axis=1).max()
    with pytest.raises(SplitError, match="leaves a class empty"):
        grid.execute()
    assert (folder / ROWS).read_bytes() == before


def test_the_command_prints_tables_and_draws_curves(done, tmp_path, capsys):
    folder, rows = done
    recipe = tmp_path / "recipe.yaml"
    record = {
        "regions": [{"name": region.name, "continent": region.continent} for region in TINY.regions],
        "land": {"country": "alba", "places": [4, 1, 1], "dates": 1, "size": 16, "seed": 1},
        "model": "unet-2",
        "pretrain": {
            "epochs": 1,
            "steps_per_epoch": 1,
            "batch_size": 2,
            "precision": "fp32",
            "monitor_pixels": 0,
            "views": {"size": 16, "positions": 8, "place": r"(p\d+)_d"},
            "contrast": {"width": 4},
        },
        "targets": ["alba"],
        "starts": list(TINY.starts),
        "fractions": [1.0],
        "seeds": [0, 1],
        "rates": [0.001, 0.01],
    }
    budget = {"epochs": 1, "steps_per_epoch": 1, "batch_size": 2, "patch_size": [16, 16], "precision": "fp32"}
    budget |= {"optimiser": "adamw", "keep": "last"}
    recipe.write_text(yaml.safe_dump({**record, "fit": budget, "supervised": budget}))
    words = ["bench", "init-grid", str(recipe), "--out", str(folder), "--rows", str(tmp_path / "rows.jsonl")]
    assert main([*words, "--figure", str(tmp_path / "curves.png")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("| target | labels | random | other-continent | supervised |")
    assert "| alba | 4 (100 %) |" in out
    assert "| class (100 % of labels) |" in out
    assert [row.test for row in InitRow.read(tmp_path / "rows.jsonl")] == [row.test for row in rows]
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def row(start, seed, test, fraction=0.1):
    return InitRow(
        target="alba", start=start, source="", fraction=fraction, seed=seed, fingerprint="x", model="unet-2", labels=4,
        rate=0.1, tried={"0.1": 0.5}, validation=0.5, test=test, test_classes={"water": test, "forest": None},
        test_images=3, steps=1, seconds=1.0, source_seconds=0.0,
    )  # fmt: skip


def test_the_band_is_students_interval_and_the_test_is_paired():
    found = estimate([0.2, 0.3, 0.7])
    low, high = stats.t.interval(0.95, 2, loc=0.4, scale=stats.sem([0.2, 0.3, 0.7]))
    assert (found.mean, found.low, found.high, found.seeds) == (
        pytest.approx(0.4), pytest.approx(low), pytest.approx(high), 3,
    )  # fmt: skip
    assert estimate([0.5]).low == estimate([0.5]).high == 0.5
    assert paired_p([0.5, 0.6, 0.9], [0.1, 0.5, 0.6]) == pytest.approx(stats.ttest_1samp([0.4, 0.1, 0.3], 0.0).pvalue)
    assert paired_p([0.5], [0.1]) is None
    assert paired_p([0.5, 0.5], [0.1, 0.1]) is None
    with pytest.raises(DataError, match="at least one score"):
        estimate([])


def test_tables_show_means_gains_and_classes(tmp_path):
    rows = [row("random", seed, value) for seed, value in enumerate((0.2, 0.3, 0.4))]
    rows += [row("same-region", seed, value) for seed, value in enumerate((0.5, 0.5, 0.8))]
    p = stats.ttest_rel([0.5, 0.5, 0.8], [0.2, 0.3, 0.4]).pvalue
    lines = init_table(rows).splitlines()
    assert lines[2].startswith("| alba | 4 (10 %) | 30.0 ± 24.8 | 60.0 ± ")
    assert f"(+30.0, p = {p:.2g})" in lines[2]
    assert class_table(rows, fraction=0.1).splitlines()[2:] == [
        "| water | 30.0 % | 60.0 % |",
        "| forest | - | - |",
    ]
    draw_curves([*rows, row("random", 0, 0.9, fraction=1.0)], tmp_path / "a.png")
    with pytest.raises(DataError, match="nothing to draw"):
        draw_curves([], tmp_path / "b.png")


def test_documents_take_their_tables_from_committed_rows(tmp_path):
    rows = [row(start, seed, 0.1 * seed) for start in ("random", "same-region") for seed in (1, 2, 3)]
    write_rows(tmp_path / "rows.jsonl", rows)
    rows = InitRow.read(tmp_path / "rows.jsonl")
    entries = {of: {"file": "rows.jsonl", "table": of} for of in ("labels", "classes")}
    (tmp_path / "tables.yaml").write_text(yaml.safe_dump(entries))
    made = make_tables(tmp_path / "tables.yaml")
    assert made == {"labels": f"{init_table(rows)}\n", "classes": f"{class_table(rows, fraction=0.1)}\n"}
    for name, of, message in (
        ("rows.jsonl", "colours", "table: colours; expected one of labels, classes, transfer, students, ablation"),
        ("none.jsonl", "labels", "has no row; make it again"),
        ("none.jsonl", "ablation", "has no row; make it again"),
    ):
        (tmp_path / "tables.yaml").write_text(yaml.safe_dump({"main": {"file": name, "table": of}}))
        with pytest.raises(SettingsError, match=message):
            make_tables(tmp_path / "tables.yaml")


def test_rows_come_back_and_others_are_refused(tmp_path):
    write_rows(tmp_path / "rows.jsonl", [row("random", 0, 0.5)])
    assert InitRow.read(tmp_path / "rows.jsonl") == (row("random", 0, 0.5),)
    assert InitRow.read(tmp_path / "none.jsonl") == ()
    (tmp_path / "rows.jsonl").write_text('{"start": "random"}\n')
    with pytest.raises(RunError, match="line 1 is no row"):
        InitRow.read(tmp_path / "rows.jsonl")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": ()}, "at least one seed"),
        ({"fractions": (0.0,)}, r"fractions and unlabelled must lie in \(0, 1\]"),
        ({"unlabelled": 0.0}, r"fractions and unlabelled must lie in \(0, 1\]"),
        ({"model": "unet-999"}, "unknown student"),
        ({"targets": ("atlantis",)}, "no region is called 'atlantis'"),
        ({"starts": ("random", "luck")}, "unknown start 'luck'"),
        ({"targets": ("corda",)}, "needs a region on the same continent"),
        ({"regions": TINY.regions[:2]}, "needs a region on another continent"),
    ],
)
def test_recipes_that_cannot_be(changes, message):
    with pytest.raises(SettingsError, match=message):
        replace(TINY, **changes)


def test_the_committed_recipe_is_one():
    recipe = read_settings(InitRecipe, RECIPE)
    assert len(recipe.regions) == 4
    assert recipe.starts == STARTS
    assert recipe.fit.epochs < recipe.supervised.epochs
    assert recipe.fit.augment.rotation > 0 == recipe.fit.augment.gamma
