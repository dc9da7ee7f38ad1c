"""Sweeps that resume, go on past failures, and keep to a stated budget."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from satsqueeze.bench.energy import NoMeter
from satsqueeze.bench.history import read_history
from satsqueeze.bench.machine import this_machine
from satsqueeze.bench.row_file import record_row
from satsqueeze.bench.throughput import Throughput, measure_throughput
from satsqueeze.bench.zoo import speed as zoo_speed
from satsqueeze.bench.zoo import sweep as zoo_sweep
from satsqueeze.bench.zoo.row import ZooRow, zoo_table
from satsqueeze.bench.zoo.speed import SPEED, SpeedTrial, precisions, training_rate
from satsqueeze.bench.zoo.sweep import ROWS, SweepSettings, ZooSweep, failures
from satsqueeze.cli.main import main
from satsqueeze.cli.zoo import bench as zoo_bench
from satsqueeze.core.errors import ExportError, RunError, SettingsError
from satsqueeze.core.run import RunFolder
from satsqueeze.data.class_stage import ClassPrepareSettings, prepare_classes
from satsqueeze.learn.class_settings import ClassFitSettings
from satsqueeze.learn.class_stage import classifier_card
from satsqueeze.learn.scoring import segmenter

SIDE = 8
FIT = ClassFitSettings(epochs=2, batch_size=8, learning_rate=0.02, precision="fp32")
SETTINGS = SweepSettings(models=("resnet8", "resnet16"), fit=FIT, batch=4, repeats=2)


def no_luck(*_):
    raise ExportError("no such luck")


def width(model):
    if model == "resnet50":
        raise ExportError("no such luck")
    return 8 if model == "resnet8" else 12


@pytest.fixture(autouse=True)
def _small_networks(small_zoo):
    """Of the zoo; resnet50 cannot be built."""
    small_zoo(width)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, write_tiles):
    root = tmp_path_factory.mktemp("zoo")
    data = write_tiles(root / "tiles", side=SIDE, each=12, spread=150, gain=800)
    return prepare_classes(ClassPrepareSettings(data=str(data)), RunFolder(root / "run"))


def sweep(prepared, folder, **changes):
    return ZooSweep(prepared, replace(SETTINGS, **changes), folder, NoMeter("none here"))


def test_one_row_each_that_is_kept(prepared, tmp_path):
    seen = []
    rows = sweep(prepared, tmp_path).run(seen.append)
    assert [row.key for row in rows] == [("resnet8", 0), ("resnet16", 0)]
    assert tuple(seen) == rows == ZooRow.read(tmp_path / ROWS)
    first = rows[0]
    assert first.parameters == 3 * 8 * 9 + 2 * 8 + 3 * (32 + 1)
    assert (first.size, first.epochs, first.steps, first.train_batch) == (SIDE, 2, 6, 8)
    assert first.macs == (3 * 9 * 8) * SIDE**2 + 32 * 3
    assert first.inference.batch == 4
    assert first.inference.images_per_second > 0
    assert first.fp32_bytes > 0
    assert first.metric == "accuracy"
    assert 0 <= first.test <= 1
    # Nothing is trained or timed again, except for what is new.
    again = sweep(prepared, tmp_path).run()
    assert again == rows
    more = sweep(prepared, tmp_path, seeds=(0, 1), models=("resnet8",)).run()
    assert [row.key for row in more] == [("resnet8", 0), ("resnet8", 1)]
    assert len(ZooRow.read(tmp_path / ROWS)) == 3


def test_a_failure_is_a_row_and_is_tried_again(prepared, tmp_path):
    rows = sweep(prepared, tmp_path, models=("resnet50", "resnet8")).run()
    assert [row.failure for row in rows] == ["ExportError: no such luck", ""]
    assert failures(rows) == rows[:1]
    table = zoo_table(rows)
    assert "| resnet50 (seed 0) | failed: ExportError: no such luck |" in table
    assert table.splitlines()[2].startswith("| resnet8 | ")
    assert "not measured" in table


def test_a_budget_in_minutes_is_decided_once(prepared, tmp_path):
    # Speed is measured; what it comes to is written down.
    first = sweep(prepared, tmp_path, models=("resnet8",), minutes=1e-4).run()[0]
    record = json.loads((tmp_path / "resnet8" / "seed_0" / "budget.json").read_text())
    steps = record["epochs"] * record["steps_per_epoch"]
    assert first.steps == steps
    assert 8 * steps <= max(8, 1e-4 * 60 * record["images_per_second"])
    (tmp_path / ROWS).unlink()
    assert sweep(prepared, tmp_path, models=("resnet8",), minutes=1e-4).run()[0].steps == steps
    (tmp_path / ROWS).unlink()
    message = r"its length was chosen for 0.0001 minutes, 3 are asked for; choose a new --out"
    with pytest.raises(RunError, match=message):
        sweep(prepared, tmp_path, models=("resnet8",), minutes=3.0).run()
    assert not (tmp_path / ROWS).exists()


def test_figures_of_another_training_are_not_lost(prepared, tmp_path, monkeypatch):
    first = sweep(prepared, tmp_path, models=("resnet8",)).run()
    kept = (tmp_path / ROWS).read_text()
    fewer = replace(prepared, split=replace(prepared.split, train=prepared.split.train[1:]))
    longer = {"fit": replace(FIT, epochs=3)}
    for other in (
        sweep(prepared, tmp_path, models=("resnet16", "resnet8"), **longer),
        sweep(prepared, tmp_path, models=("resnet8",), minutes=3.0),
        sweep(fewer, tmp_path, models=("resnet8",)),
    ):
        with pytest.raises(
            RunError, match=r"holds figures of resnet8 \(seed 0\).*choose another --out, or ask for the"
        ):
            other.run()
    assert (tmp_path / ROWS).read_text() == kept
    assert not (tmp_path / "resnet16").exists()
    # The same training may be measured anew, and a row without figures has none to lose.
    again = sweep(prepared, tmp_path, models=("resnet8",), batch=2, repeats=1).run()[0]
    assert (again.test, again.inference.batch, again.train_minutes) == (first[0].test, 2, first[0].train_minutes)
    # One that fails loses nothing either.
    failing = sweep(prepared, tmp_path, models=("resnet8",), batch=3)
    with monkeypatch.context() as patch:
        patch.setattr(SpeedTrial, "speed", no_luck)
        assert failing.run()[0].failure == "ExportError: no such luck"
    assert ZooRow.read(tmp_path / ROWS)[0] == again
    failed = again.model_copy(update={"failure": "no such luck"})
    record_row(tmp_path / ROWS, failed)
    assert sweep(prepared, tmp_path, models=("resnet8",), **longer).run()[0].failure.startswith("RunError")


def test_the_command_says_what_failed(prepared, tmp_path, capsys, monkeypatch):
    rows = (
        ZooRow(model="a", seed=0, fingerprint="x", failure="no such luck"),
        ZooRow(model="b", seed=1, fingerprint="x", test=0.5),
        ZooRow(model="c", seed=2, fingerprint="x"),
    )
    monkeypatch.setattr(zoo_bench, "prepare_classes", lambda *_: prepared)
    monkeypatch.setattr(ZooSweep, "run", lambda _, on_row, on_timed: [on_row(row) for row in rows] and rows)
    assert main(["zoo", "bench", "tiles", "--out", str(tmp_path), "--models", "resnet8"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[:3] == ["a (seed 0): failed: no such luck", "b (seed 1): 0.5000", "c (seed 2): done"]


def test_a_budget_counts_for_its_settings_and_data_alone(prepared, tmp_path):
    asked = {"models": ("resnet8",), "minutes": 1e-4}
    place = tmp_path / "resnet8" / "seed_0"
    sweep(prepared, tmp_path, **asked).run()
    (tmp_path / ROWS).unlink()
    fewer = replace(prepared, split=replace(prepared.split, train=prepared.split.train[1:]))
    faster = {**asked, "fit": replace(FIT, learning_rate=0.01)}
    for other in (sweep(prepared, tmp_path, **faster), sweep(fewer, tmp_path, **asked)):
        with pytest.raises(RunError, match=r"seed_0 holds a training for other minutes, settings or data"):
            other.run()
    # As long as nothing was trained, the length is chosen anew, though there was a trial.
    for name in ("metrics.json", "weights.safetensors", "model.json"):
        (place / name).unlink()
    before = json.loads((place / "budget.json").read_text())
    row = sweep(prepared, tmp_path, **faster, batch=2).run()[0]
    assert not row.failure
    after = json.loads((place / "budget.json").read_text())
    assert (after["fingerprint"] != before["fingerprint"], after["minutes"]) == (True, 1e-4)


def test_a_budget_without_a_fingerprint_is_of_other_settings(prepared, tmp_path):
    asked = {"models": ("resnet8",), "minutes": 1e-4}
    record = tmp_path / "resnet8" / "seed_0" / "budget.json"
    rows = sweep(prepared, tmp_path, **asked).run()
    told = json.loads(record.read_text())
    record.write_text(json.dumps({key: value for key, value in told.items() if key != "fingerprint"}))
    # A finished row tells its settings itself.
    assert sweep(prepared, tmp_path, **asked).run() == rows
    (tmp_path / ROWS).unlink()
    with pytest.raises(RunError, match=r"by an older satsqueeze.*remove that folder"):
        sweep(prepared, tmp_path, **asked).run()


def test_a_sweep_without_a_budget_forgets_one_that_was_not_used(prepared, tmp_path):
    record = tmp_path / "resnet8" / "seed_0" / "budget.json"
    record.parent.mkdir(parents=True)
    record.write_text('{"minutes": 3}')
    first = sweep(prepared, tmp_path, models=("resnet8",)).run()
    assert (first[0].epochs, record.exists()) == (FIT.epochs, False)
    (tmp_path / ROWS).unlink()
    assert sweep(prepared, tmp_path, models=("resnet8",)).run()[0].test == first[0].test


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": ("resnet9",)}, "did you mean resnet8"),
        ({"minutes": -1.0}, "minutes >= 0"),
        ({"seeds": ()}, "at least one seed"),
        ({"batch": 0}, "at least 1"),
        ({"models": ("resnet8", "resnet16", "resnet8")}, "name each network once, got resnet8, resnet16, resnet8"),
    ],
)
def test_refused_sweeps(changes, message):
    with pytest.raises(SettingsError, match=message):
        replace(SETTINGS, **changes)


def test_rows_are_read_back_or_refused(tmp_path):
    path = tmp_path / ROWS
    row = ZooRow(model="a", seed=0, fingerprint="x", failure="y")
    record_row(path, row)
    assert record_row(path, row.model_copy(update={"failure": "z"}))[0].failure == "z"
    assert len(ZooRow.read(path)) == 1
    path.write_text(path.read_text() + "{}\n")
    with pytest.raises(RunError, match="line 2 is no row of a sweep"):
        ZooRow.read(path)


def test_all_are_timed_before_any_is_trained(prepared, tmp_path):
    told = []
    asked = {"models": ("resnet8", "resnet50", "resnet16"), "minutes": 1e-4}
    rows = sweep(prepared, tmp_path, **asked).run(
        lambda row: told.append(row.model), lambda name: told.append(f"{name}?")
    )
    assert told == ["resnet8?", "resnet16?", "resnet8", "resnet50", "resnet16"]
    for row in (rows[0], rows[2]):
        place = tmp_path / row.model / "seed_0"
        assert json.loads((place / SPEED).read_text())["inference"] == row.to_dict()["inference"]
        assert json.loads((place / "budget.json").read_text())["images_per_second"] == row.train_images_per_second


def test_a_speed_is_measured_once_and_anew_where_it_is_damaged(prepared, tmp_path):
    card = classifier_card("resnet8", prepared)
    trial = SpeedTrial(batch=4, threads=1, repeats=1, meter=NoMeter("none here"))
    first = trial.speed(card, tmp_path)
    assert trial.speed(card, tmp_path) == first
    assert replace(trial, batch=2).speed(card, tmp_path).inference.batch == 2
    (tmp_path / SPEED).write_text("{")
    assert trial.speed(card, tmp_path).inference.batch == 4


@pytest.mark.parametrize(
    ("fast", "asked", "tried"),
    [
        (True, "auto", ("bf16", "fp32")),
        (False, "auto", ("fp32",)),
        (True, "fp32", ("fp32",)),
        (False, "bf16", ("bf16",)),
    ],
)
def test_both_precisions_are_tried_where_either_may_be_faster(monkeypatch, fast, asked, tried):
    monkeypatch.setattr(segmenter, "has_fast_bf16", lambda device: fast)
    assert precisions(asked) == tried


def test_the_faster_precision_is_trained_in(prepared, tmp_path, monkeypatch):
    rates = {"bf16": 2000.0, "fp32": 3000.0}
    monkeypatch.setattr(segmenter, "has_fast_bf16", lambda device: True)
    monkeypatch.setattr(zoo_sweep, "training_rate", lambda card, prepared, fit, place: rates[fit.precision])
    fit = replace(FIT, precision="auto")
    row = sweep(prepared, tmp_path, models=("resnet8",), minutes=1e-4, fit=fit).run()[0]
    assert (row.train_precision, row.train_images_per_second) == ("fp32", 3000)
    assert row.steps == int(1e-4 * 60 * 3000 / FIT.batch_size)


def test_the_rate_of_training_is_that_of_the_second_half(prepared, tmp_path, monkeypatch):
    place, seen = tmp_path / "trial", []
    place.mkdir()
    (place / "older").write_text("of another trial")

    def read(path):
        assert not (place / "older").exists()
        seen.extend(read_history(path))
        return seen

    monkeypatch.setattr(zoo_speed, "read_history", read)
    rate = training_rate(classifier_card("resnet8", prepared), prepared, FIT, place)
    assert [rate] == [row["images_per_second"] for row in seen[1:]]
    assert not place.exists()


def test_another_machine_is_timed_anew(prepared, tmp_path, monkeypatch):
    card, trial = classifier_card("resnet8", prepared), SpeedTrial(batch=4, threads=1, repeats=1, meter=NoMeter("none"))
    first = trial.speed(card, tmp_path)
    other = replace(this_machine(), cpu="another")
    monkeypatch.setattr(zoo_speed, "this_machine", lambda: other)
    again = trial.speed(card, tmp_path)
    assert (again.machine.cpu, again.fingerprint != first.fingerprint) == ("another", True)


def test_throughput_is_the_median():
    class Engine:
        name = "onnx"
        calls = 0

        def run(self, batch, *, probabilities):
            assert batch.shape == (5, 3, 4, 4)
            self.calls += 1

    ticks = iter([0, 1, 10, 12, 20, 29])
    engine = Engine()
    found = measure_throughput(
        engine, channels=3, height=4, width=4, batch=5, repeats=3, warmup=1, clock=lambda: next(ticks)
    )
    assert isinstance(found, Throughput)
    assert found.images_per_second == 2.5
    assert engine.calls == 4
    with pytest.raises(SettingsError, match="at least 1"):
        measure_throughput(engine, channels=3, height=4, width=4, batch=0)
