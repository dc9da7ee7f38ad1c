"""The promise of --max-ram, by the benchmark that measures it, at a small size and with a small package."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "scene_memory.py"


@pytest.mark.skipif(sys.platform != "linux", reason="address-space limits as Linux has them")
def test_the_mask_is_the_same_under_an_address_space_limit(package, tmp_path):
    result = tmp_path / "result.json"
    words = ("--side", 900, "--small", 500, "--max-ram", "224M", "--package", package, "--out", result)
    done = subprocess.run([sys.executable, SCRIPT, *map(str, words)], capture_output=True, text=True, check=False)
    found = json.loads(result.read_text())
    assert done.returncode == 0, (done.stderr, found)
    limited, free = found["runs"]
    assert limited["limited"]
    assert limited["kept_promise"]
    assert limited["sha256"] == free["sha256"]
    assert limited["plan"]["expected_bytes"] < free["plan"]["expected_bytes"]
    assert abs(found["growth"]) < 0.25
