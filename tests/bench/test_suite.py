from __future__ import annotations

from dataclasses import replace

import pytest

from satsqueeze.bench.energy import Energy, NotMeasured
from satsqueeze.bench.latency import LatencySettings
from satsqueeze.bench.row import BenchRow, Score
from satsqueeze.bench.suite import Job, PackageBench, PackageFacts, package_jobs, run_suite, scores_of
from satsqueeze.core.errors import SettingsError, TrainError

FAST = PackageBench(latency=LatencySettings(height=16, width=16, repeats=2, warmup=0), energy_repeats=4)


class FakeMeter:
    def __init__(self, answer):
        self.answer = answer

    def start(self):
        self.started = True

    def stop(self):
        return self.answer


def job(name, made, settings=1, precision="fp32"):
    def make():
        made.append(name)
        return BenchRow(name="whatever", kind="student", parameters=settings)

    return Job(name=name, precision=precision, settings=settings, make=make)


def test_a_second_run_measures_only_what_changed(tmp_path):
    path, made, seen = tmp_path / "bench.jsonl", [], []
    run_suite([job("a", made), job("b", made)], path)
    rows = run_suite(
        [job("a", made), job("b", made, settings=2), job("c", made)], path, on_progress=lambda *x: seen.append(x)
    )
    assert made == ["a", "b", "b", "c"]
    assert [(row.name, row.parameters) for row in rows] == [("a", 1), ("b", 2), ("c", 1)]
    assert seen == [(1, 3, "b"), (2, 3, "c")]


def test_rows_of_models_that_are_no_longer_there_are_dropped(tmp_path):
    path, made = tmp_path / "bench.jsonl", []
    run_suite([job("a", made), job("b", made), job("b", made, precision="int8")], path)
    rows = run_suite([job("b", made)], path)
    assert [row.key for row in rows] == [("b", "fp32")]
    assert BenchRow.read(path) == rows
    assert made == ["a", "b", "b"]


def test_a_suite_that_dies_keeps_what_it_made(tmp_path):
    path, made = tmp_path / "bench.jsonl", []

    def fail():
        raise TrainError("killed")

    jobs = [job("a", made), Job(name="b", precision="fp32", settings=1, make=fail)]
    with pytest.raises(TrainError):
        run_suite(jobs, path)
    run_suite([job("a", made), job("b", made)], path)
    assert made == ["a", "b"]


def test_one_model_is_measured_once(tmp_path):
    with pytest.raises(SettingsError, match="once"):
        run_suite([job("a", []), job("a", [])], tmp_path / "bench.jsonl")


def test_a_package_becomes_a_row(tmp_path, tiny_package):
    meter = FakeMeter(Energy(joules=8, seconds=4, domain="package-0", method="fake"))
    facts = PackageFacts(scores=(Score(protocol="test", jaccard=0.9),), train_minutes=3, seeds=3)
    (row,) = run_suite(package_jobs(tiny_package, facts, FAST, meter=meter), tmp_path / "bench.jsonl")
    assert (row.name, row.precision, row.parameters, row.macs_per_pixel) == ("threshold", "fp32", 6, 4.0)
    assert row.fp32_bytes == (tiny_package / "fp32.onnx").stat().st_size
    assert row.int8_bytes is None
    assert row.jaccard == 0.9
    assert row.latency.scope == "predict"
    assert row.network_latency.scope == "network"
    assert row.energy.joules == pytest.approx(8 / 4 / (16 * 16 / 1e6))
    assert row.energy.watts == pytest.approx(2)
    assert row.machine.cores >= 1
    again = package_jobs(tiny_package, facts, FAST, meter=meter)
    assert run_suite(again, tmp_path / "bench.jsonl") == BenchRow.read(tmp_path / "bench.jsonl")


def test_without_a_meter_the_row_says_not_measured(tmp_path, tiny_package):
    jobs = package_jobs(tiny_package, PackageFacts(), FAST, meter=FakeMeter(NotMeasured("no meter")), name="mine")
    (row,) = run_suite(jobs, tmp_path / "bench.jsonl")
    assert row.energy == NotMeasured("no meter")
    assert row.name == "mine"


def test_energy_is_estimated_on_request_and_says_so(tmp_path, tiny_package):
    profile = tmp_path / "board.yaml"
    profile.write_text("{name: board, joules_per_mac: 1.0e-12, joules_per_byte: 1.0e-11, source: data sheet}")
    asked = replace(FAST, energy_profile=str(profile))
    jobs = package_jobs(tiny_package, PackageFacts(bytes_moved_per_pixel=24), asked)
    (row,) = run_suite(jobs, tmp_path / "bench.jsonl")
    assert row.energy.joules == pytest.approx(1e6 * (4 * 1e-12 + 24 * 1e-11))
    assert row.energy.method.startswith("estimate, not a measurement")
    (row,) = run_suite(package_jobs(tiny_package, PackageFacts(), asked), tmp_path / "bench.jsonl")
    assert isinstance(row.energy, NotMeasured)
    with pytest.raises(SettingsError, match="cannot read the device profile"):
        package_jobs(tiny_package, PackageFacts(), replace(FAST, energy_profile="absent.yaml"))


def test_other_settings_measure_again(tiny_package):
    first, other = (
        package_jobs(tiny_package, facts, FAST)[0].settings for facts in (PackageFacts(), PackageFacts(seeds=3))
    )
    assert first != other


def test_an_evaluation_becomes_scores():
    result = {"jaccard": 0.8, "images": 3, "recall": 0.9, "sources": {}}
    result["sources"] = {"one": {"jaccard": 0.7, "images": 1}, "two": {"jaccard": None, "images": 2}}
    scores = scores_of(result, "validation")
    assert [(s.source, s.jaccard, s.images) for s in scores] == [("all", 0.8, 3), ("one", 0.7, 1), ("two", None, 2)]
    assert scores[0].further == {"recall": 0.9}
    assert len(scores_of({**result, "sources": {"one": result["sources"]["one"]}}, "validation")) == 1
