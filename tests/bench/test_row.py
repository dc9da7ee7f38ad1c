from __future__ import annotations

import errno
import json
import os

import pytest

from satsqueeze.bench.energy import Energy, NotMeasured
from satsqueeze.bench.latency import Latency
from satsqueeze.bench.machine import this_machine
from satsqueeze.bench.row import BenchRow, Score
from satsqueeze.bench.row_file import record_row, write_rows
from satsqueeze.core.errors import RunError

LATENCY = Latency(
    p50_s_per_mpixel=0.1,
    p95_s_per_mpixel=0.2,
    scope="predict",
    engine="onnx",
    threads=1,
    height=512,
    width=512,
    channels=4,
    repeats=20,
    load_average=0.5,
)
FULL = BenchRow(
    name="student",
    kind="student",
    precision="int8",
    scores=(
        Score(protocol="5-fold", jaccard=0.88, spread=0.002, seeds=3, images=31, further={"recall": 0.9}),
        Score(protocol="5-fold", source="38-cloud", jaccard=None),
    ),
    parameters=121_601,
    macs_per_pixel=9000.5,
    macs_input="256x256",
    fp32_bytes=500_000,
    int8_bytes=140_000,
    peak_activation_bytes=8_000_000,
    latency=LATENCY,
    network_latency=LATENCY,
    energy=Energy(joules=1.5, seconds=2.0, domain="package-0", method="RAPL powercap counters"),
    train_minutes=12.5,
    seeds=3,
    machine=this_machine(),
    notes=("assumed sun elevation",),
    fingerprint="abc",
)


def test_rows_survive_json_lines(tmp_path):
    rows = (FULL, BenchRow(name="threshold", kind="threshold", energy=NotMeasured("no meter")))
    write_rows(tmp_path / "bench.jsonl", rows)
    assert BenchRow.read(tmp_path / "bench.jsonl") == rows
    assert len((tmp_path / "bench.jsonl").read_text().splitlines()) == 2


def test_not_measured_is_a_value_that_survives():
    row = BenchRow.from_dict(json.loads(json.dumps(BenchRow(name="x", kind="teacher").to_dict())))
    assert row.energy == NotMeasured("nobody asked for it")
    assert isinstance(BenchRow.from_dict(FULL.to_dict()).energy, Energy)


def test_nan_becomes_none_on_the_way(tmp_path):
    write_rows(tmp_path / "x.jsonl", [FULL.model_copy(update={"train_minutes": float("nan")})])
    assert BenchRow.read(tmp_path / "x.jsonl")[0].train_minutes is None


def test_the_first_score_is_the_headline():
    assert FULL.jaccard == 0.88
    assert FULL.score("5-fold", "38-cloud").jaccard is None
    assert FULL.score("other") is None
    assert BenchRow(name="x", kind="teacher").jaccard is None


def test_a_rerun_replaces_its_own_row_in_place(tmp_path):
    path = tmp_path / "bench.jsonl"
    for name in ("a", "b", "c"):
        record_row(path, BenchRow(name=name, kind="student"))
    record_row(path, BenchRow(name="b", kind="student", parameters=5))
    record_row(path, BenchRow(name="b", kind="student", precision="int8"))
    rows = BenchRow.read(path)
    assert [row.key for row in rows] == [("a", "fp32"), ("b", "fp32"), ("c", "fp32"), ("b", "int8")]
    assert rows[1].parameters == 5


def test_no_file_means_no_rows(tmp_path):
    assert BenchRow.read(tmp_path / "none.jsonl") == ()


@pytest.mark.parametrize("line", ["{", "[]", '{"name": "x"}', '{"name": "x", "kind": "hero"}', '{"unknown": 1}'])
def test_a_broken_line_is_named(tmp_path, line):
    path = tmp_path / "bench.jsonl"
    write_rows(path, [FULL])
    path.write_text(path.read_text() + "\n" + line + "\n")
    with pytest.raises(RunError, match="line 3"):
        BenchRow.read(path)


def test_unreadable_files_are_run_errors(tmp_path):
    (tmp_path / "x.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(RunError, match="cannot be read"):
        BenchRow.read(tmp_path / "x.jsonl")


def test_a_full_disk_keeps_the_rows_there_were(tmp_path, monkeypatch):
    path = tmp_path / "bench.jsonl"
    record_row(path, FULL)

    def full(_handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="disk is full"):
        record_row(path, BenchRow(name="other", kind="student"))
    assert BenchRow.read(path) == (FULL,)
