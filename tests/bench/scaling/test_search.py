"""The search for a rule of compound scaling on generated tiles, and the plot of score against cost."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from satsqueeze.bench.row_file import record_row, write_rows
from satsqueeze.bench.scaling import figure as scaling_figure
from satsqueeze.bench.scaling import search as module
from satsqueeze.bench.scaling import trials as scaling_trials
from satsqueeze.bench.scaling.figure import draw_scaling, scaling_table
from satsqueeze.bench.scaling.plot import plot_scores, series_of
from satsqueeze.bench.scaling.row import ScalingRow, ranked
from satsqueeze.bench.scaling.search import ROWS, ScalingSearch
from satsqueeze.bench.scaling.settings import ScalingSettings
from satsqueeze.bench.scaling.trials import TOLERANCE, counted_macs, trials
from satsqueeze.bench.zoo.row import ZooRow
from satsqueeze.cli.main import main
from satsqueeze.core.errors import DataError, RunError, SettingsError, SplitError, TrainError
from satsqueeze.core.run import RunFolder
from satsqueeze.data.class_stage import ClassPrepareSettings, prepare_classes
from satsqueeze.learn.class_settings import ClassFitSettings
from satsqueeze.nets.zoo.scaling import SCALING, CompoundScaling
from satsqueeze.nets.zoo.scaling_config import ScaledConfig

SIDE = 16
FIT = ClassFitSettings(epochs=1, batch_size=8, learning_rate=0.02, precision="fp32", keep="last", progress=False)
SETTINGS = ScalingSettings(depths=(1.0,), resolutions=(1.0, 1.25), fit=FIT)


@pytest.fixture(scope="module")
def tiles(tmp_path_factory, write_tiles):
    return write_tiles(tmp_path_factory.mktemp("scaling") / "tiles", side=SIDE, each=8, spread=150, gain=800)


@pytest.fixture(scope="module")
def prepared(tiles):
    return prepare_classes(ClassPrepareSettings(data=str(tiles)), RunFolder(tiles.parent / "run"))


def test_trials_cost_the_same_and_the_shipped_rule_comes_first(monkeypatch):
    config = ScaledConfig(in_channels=3, classes=10, size=64, scaling=SCALING)
    found = trials(ScalingSettings(depths=(1.0, 5 / 3), resolutions=(1.0, 1.375)), config)
    base = counted_macs(replace(config, phi=0))
    shipped = SCALING.at_cost(2)
    # Five thirds of the blocks at 1.375 times the side cost more than twice as much at B0's width already.
    pairs = [(shipped.depth, shipped.resolution), (1, 1.375), (5 / 3, 1)]
    assert [(rule.depth, rule.resolution) for rule in found] == pairs
    for rule in found:
        assert counted_macs(replace(config, scaling=rule)) == pytest.approx(2 * base, rel=TOLERANCE)
        assert rule.width >= 1
    monkeypatch.setattr(scaling_trials, "TOLERANCE", 1e-6)
    with pytest.raises(SettingsError, match=r"no depth in \(1.0,\) .* costs 2.0 times .*higher cost"):
        trials(SETTINGS, replace(config, size=16))


def test_a_search_is_resumed_and_never_looks_at_test_images(prepared, tmp_path, monkeypatch):
    blind = replace(prepared, split=replace(prepared.split, test=()))
    seen = []
    rows = ScalingSearch(blind, SETTINGS, tmp_path).run(seen.append)
    assert tuple(seen) == rows == ScalingRow.read(tmp_path / ROWS)
    assert [(row.side, row.epochs, row.size, row.metric) for row in rows] == [
        (16, 1, SIDE, "accuracy"),
        (20, 1, SIDE, "accuracy"),
    ]
    assert all(0 <= row.validation <= 1 and row.images == 8 * -(-len(blind.split.train) // 8) for row in rows)
    assert all(row.blocks == row.scaling.blocks(1) and row.widths == row.scaling.widths(1) for row in rows)

    def fail(*_):
        raise TrainError("it diverged")

    monkeypatch.setattr(module, "train_classifier", fail)
    assert ScalingSearch(blind, SETTINGS, tmp_path).run() == rows
    more = ScalingSearch(blind, replace(SETTINGS, seeds=(0, 1)), tmp_path).run()
    assert [row.failure for row in more] == [""] * len(rows) + ["TrainError: it diverged"] * len(rows)
    assert ranked(more) == ranked(rows)
    monkeypatch.undo()
    again = ScalingSearch(blind, replace(SETTINGS, seeds=(0, 1)), tmp_path).run()
    assert not any(row.failure for row in again)
    assert len(ScalingRow.read(tmp_path / ROWS)) == 2 * len(rows)
    with pytest.raises(SplitError, match="decided by validation images"):
        ScalingSearch(replace(prepared, split=replace(prepared.split, validation=())), SETTINGS, tmp_path)


def row(depth, validation, *, seed=0, macs=100):
    return ScalingRow(
        depth=depth,
        width=1.1,
        resolution=1.0,
        seed=seed,
        fingerprint=f"{depth}-{seed}",
        macs=macs,
        validation=validation,
        failure="" if validation else "x",
    )


def test_rules_are_ranked_by_the_mean_over_seeds():
    rows = [row(1, 0.9), row(1, 0.7, seed=1), row(2, 0.85), row(3, 0.85, macs=90), row(4, None)]
    found = ranked(rows)
    assert [one.scaling.depth for one in found] == [3, 2, 1]
    assert found[2].score == pytest.approx(0.8)
    assert found[2].spread == pytest.approx(np.std([0.9, 0.7], ddof=1))
    assert (found[0].spread, found[2].seeds, found[2].row) == (None, 2, rows[0])


def tried(rule, side, scores):
    fields = {"blocks": (1, 1, 1), "widths": (48, 92, 184), "side": side, "parameters": 626360, "macs": 362728556}
    factors = {"depth": rule.depth, "width": rule.width, "resolution": rule.resolution}
    return [
        ScalingRow(**factors, **fields, seed=seed, fingerprint=f"{side}-{seed}", validation=score)
        for seed, score in enumerate(scores)
    ]


def test_the_table_and_the_figure_of_a_search(tmp_path):
    wide = CompoundScaling(depth=1.0, width=1.42, resolution=1.0)
    deep = CompoundScaling(depth=1.21, width=1.1, resolution=1.06)
    rows = [*tried(deep, 68, [0.7, 0.8]), *tried(wide, 64, [0.83, 0.85]), row(4, None)]
    lines = scaling_table(rows).splitlines()
    assert len(lines) == 4
    cells = "| 48-92-184 | 64 | 1.000 | 1.420 | 1.000 | 626,360 | 362,728,556 | 84.00% ± 1.41% | 2 |"
    assert lines[2] == f"| 1-1-1 (shipped rule) {cells}"
    assert lines[3].startswith("| 1-1-1 | 48-92-184 | 68 | 1.21")
    draw_scaling(rows, tmp_path / "scaling.png")
    first = (tmp_path / "scaling.png").read_bytes()
    draw_scaling(rows, tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").read_bytes() == first
    with pytest.raises(DataError, match="no trial of the search was scored"):
        draw_scaling([row(4, None)], tmp_path / "none.png")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": ()}, "at least one seed"),
        ({"cost": 1.0}, "a cost above 1"),
        ({"depths": (0.5,)}, "at least 1"),
        ({"resolutions": (0.9,)}, "at least 1"),
        ({"depths": ()}, "at least 1"),
        ({"resolutions": ()}, "at least 1"),
        ({"fit": replace(FIT, keep="best")}, "set fit.keep to last"),
    ],
)
def test_refused_searches(changes, message):
    with pytest.raises(SettingsError, match=message):
        replace(SETTINGS, **changes)


def test_rows_are_read_back_or_refused(tmp_path):
    rows = (row(1, 0.9), row(2, None))
    write_rows(tmp_path / ROWS, rows)
    assert ScalingRow.read(tmp_path / ROWS) == rows
    assert ScalingRow.read(tmp_path / "none") == ()
    (tmp_path / ROWS).write_text("{}\n")
    with pytest.raises(RunError, match="line 1 is no trial of a rule"):
        ScalingRow.read(tmp_path / ROWS)
    with pytest.raises(RunError, match="cannot be read"):
        ScalingRow.read(tmp_path)


def test_the_command(tiles, tmp_path, capsys):
    words = ["zoo", "scale", str(tiles), "--out", str(tmp_path), "--search.depths", "[1.0]"]
    words += ["--search.resolutions", "[1.25]", "--search.fit.epochs", "1", "--search.fit.batch_size", "8"]
    words += ["--rows", str(tmp_path / "kept.jsonl")]
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [json.loads(line) for line in (tmp_path / ROWS).read_text().splitlines()]
    assert len(rows) == 2
    assert (tmp_path / "kept.jsonl").read_text() == (tmp_path / ROWS).read_text()
    with Image.open(tmp_path / "scaling.png") as picture:
        assert min(picture.size) > 300
    best = max(rows, key=lambda one: (one["validation"], -one["macs"]))
    step = CompoundScaling(**{key: best[key] for key in ("depth", "width", "resolution")}).at_cost(SCALING.cost)
    told = [re.findall(r"\d\.\d{3}", line) for line in lines[-2:]]
    assert told[0] == [f"{value:.3f}" for value in (step.depth, step.width, step.resolution)]
    assert told[1] == ["1.000", "1.227", "1.000"]


@pytest.mark.parametrize("ours", [SCALING, CompoundScaling(depth=1.12, width=1.12, resolution=1.035)])
def test_the_shipped_rule_is_known_at_any_cost(monkeypatch, ours):
    monkeypatch.setattr(scaling_figure, "SCALING", ours)
    assert all(scaling_figure.is_shipped(replace(ours.at_cost(cost), width=1.3)) for cost in (1.3, 2, 5))
    others = [(1.12, 1.2), (1.5, 1.0), (1.0, 1.3)]
    assert not any(
        scaling_figure.is_shipped(CompoundScaling(depth=depth, width=1.1, resolution=resolution))
        for depth, resolution in others
    )


def scored(model, macs, test, **changes):
    fields = {"seed": 0, "fingerprint": model, "metric": "accuracy", "size": 64, "validation": test, **changes}
    return ZooRow(model=model, macs=macs, test=test, **fields)


ZOO_ROWS = (
    scored("resnet8", 58_000_000, 0.96),
    scored("resnet50", 330_000_000, 0.95),
    scored("wrn-eca-b10", 900_000_000, 0.985),
    scored("wrn-eca-b2", 400_000_000, 0.98),
    scored("mixer-tiny", 90_000_000, 0.9),
    ZooRow(model="vit6", seed=0, fingerprint="x", failure="it diverged"),
)


def test_the_plot_names_the_front_the_series_and_the_baseline(tmp_path):
    plot_scores(ZOO_ROWS, tmp_path / "zoo.svg")
    text = (tmp_path / "zoo.svg").read_text()
    named = set(re.findall(r"<!-- (.*?) -->", text))
    assert {"resnet8", "resnet50", "B2", "B10", "front", "scaled WRN-ECA"} <= named
    assert not {"mixer-tiny", "vit6"} & named
    assert "accuracy on test images, %" in named
    assert "multiply-accumulates of one image of 64 px, in millions" in named
    assert {"50", "100", "500", "1000"} <= named
    assert not any("times" in name for name in named)
    again = tmp_path / "again.svg"
    plot_scores(ZOO_ROWS, again)
    assert again.read_text() == text
    plot_scores([*ZOO_ROWS[:2], scored("resnet16", 1e8, None, validation=0.9)], again)
    assert "accuracy on validation images, %" in again.read_text()
    assert series_of(["wrn-eca-b10", "wrn-eca", "wrn-eca-b2", "wrn-eca-b2x"]) == ["wrn-eca-b2", "wrn-eca-b10"]


def test_the_plot_command_and_its_mistakes(tmp_path, capsys):
    rows, out = tmp_path / "zoo.jsonl", tmp_path / "zoo.png"
    assert main(["zoo", "plot", str(rows)]) == 2
    assert "expected the zoo.jsonl in the run folder" in capsys.readouterr().err
    for one in ZOO_ROWS:
        record_row(rows, one)
    assert main(["zoo", "plot", str(rows), "--out", str(out)]) == 0
    with Image.open(out) as picture:
        assert min(picture.size) > 500
    with pytest.raises(SettingsError, match=r"\.png, \.svg, \.pdf, got zoo\.bmp"):
        plot_scores(ZOO_ROWS, tmp_path / "zoo.bmp")
    with pytest.raises(SettingsError, match=r"at least two networks.*got 1 networks"):
        plot_scores(ZOO_ROWS[:1], out)
    with pytest.raises(SettingsError, match="one metric and size of image"):
        plot_scores([*ZOO_ROWS, scored("vgg16", 1, 0.5, size=32)], out)
