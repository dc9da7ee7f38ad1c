from __future__ import annotations

import json
import os

from satsqueeze.bench.machine import installed_versions, this_machine
from satsqueeze.bench.row import BenchRow
from satsqueeze.bench.row_file import write_rows


def test_reads_what_the_kernel_says(tmp_path):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Fake CPU: 2 GHz\n\nmodel name\t: other\n")
    (tmp_path / "proc" / "meminfo").write_text("MemTotal:       2048 kB\nMemFree: 1 kB\n")
    found = this_machine(tmp_path)
    assert found.cpu == "Fake CPU: 2 GHz"
    assert found.memory_bytes == 2048 * 1024
    assert 1 <= found.cores <= (os.cpu_count() or 1)
    assert "Fake CPU: 2 GHz" in str(found)


def test_a_strange_system_still_has_a_record(tmp_path):
    found = this_machine(tmp_path)
    assert found.memory_bytes == 0
    assert found.cpu


def test_the_record_is_json_even_without_a_load_average(monkeypatch, tmp_path):
    monkeypatch.delattr(os, "getloadavg")
    record = json.loads(json.dumps(this_machine().to_dict(), allow_nan=False))
    assert record["load_average"] is None
    assert "load average unknown" in str(this_machine())
    row = BenchRow(name="x", kind="student", machine=this_machine())
    path = tmp_path / "rows.jsonl"
    write_rows(path, [row])
    assert BenchRow.read(path) == (row,)


def test_only_installed_distributions_have_versions():
    found = installed_versions(("numpy", "no-such-distribution"))
    assert list(found) == ["numpy"]
