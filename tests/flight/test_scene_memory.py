"""The promise of --max-ram, by the benchmark that measures it, at a small size and with a small package."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from big_scene import big_scene

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "scene_memory.py"


@pytest.mark.skipif(sys.platform != "linux", reason="address-space limits as Linux has them")
def test_the_mask_is_the_same_under_an_address_space_limit(package, tmp_path):
    result = tmp_path / "result.json"
    words = ("--side", 900, "--small", 500, "--max-ram", "192M", "--engine", "onnx", "--package", package)
    words += ("--out", result)
    done = subprocess.run([sys.executable, SCRIPT, *map(str, words)], capture_output=True, text=True, check=False)
    found = json.loads(result.read_text())["engines"]["onnx"]
    assert done.returncode == 0, (done.stderr, found)
    limited, free = found["runs"]
    assert limited["limited"]
    assert limited["kept_promise"]
    assert limited["sha256"] == free["sha256"]
    assert limited["plan"]["expected_bytes"] <= 192 * 2**20
    assert limited["peak_memory_bytes"] <= limited["plan"]["expected_bytes"], "the model errs on the safe side"
    assert abs(found["growth"]["500"]["192M"]) < 0.25


@pytest.mark.skipif(sys.platform != "linux", reason="address-space limits as Linux has them")
def test_the_limit_bites(package, tmp_path):
    scene = big_scene(tmp_path / "scene.tif", 1000)
    words = ("predict", scene, "--out", tmp_path / "mask.tif", "--package", package, "--max-ram", "4G")
    # Planned for far more than the limit allows, as a plan that does not keep its promise would be.
    done = subprocess.run(
        [sys.executable, SCRIPT, "--child", "1", *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert not (tmp_path / "mask.tif").exists()
