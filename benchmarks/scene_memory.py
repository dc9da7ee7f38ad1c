"""The promise of ``--max-ram``: a scene of Sentinel-2's size under an address-space limit, one mask for any memory.

    python benchmarks/scene_memory.py [--side 10980] [--engine onnx] [--small 1000]

Every run is a process of its own. Before it opens anything it sets RLIMIT_AS to what it has mapped so far plus what
``--max-ram`` leaves beside what it holds, so that mapping more ends in an error. Its libraries are loaded by then, and
its malloc is told to use one arena and its threads small stacks, as both reserve addresses that are never used.
Writes peak memory, its growth from a small to the large scene (the target is 10 % at most) and whether the masks are
byte-identical to ``benchmarks/results/scene_memory.json``. Takes minutes on an idle machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from big_scene import big_scene

from satsqueeze.bench.machine import this_machine
from satsqueeze.cli.predict import parse_size
from satsqueeze.core.files import write_json

RESULT = Path(__file__).parent / "results" / "scene_memory.json"
STACK_BYTES = 2**20
RESERVE_BYTES = 64 * 2**20
"""Addresses that are mapped but not held: stacks, and what allocators round up."""


def limited(words: list[str], max_ram: int) -> int:
    """Run ``predict`` in this process under an address-space limit."""
    import onnxruntime  # noqa: F401 - loaded before the limit is set, as all that follows
    import rasterio.warp  # noqa: F401

    from satsqueeze.cli.main import main
    from satsqueeze.cli.predict import predict  # noqa: F401
    from satsqueeze.flight.engine import has_openvino

    if has_openvino() and "openvino" in words:
        import openvino

        openvino.Core().available_devices  # noqa: B018 - loads the plugins
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    mapped, held = (int(status[key].split()[0]) * 1024 for key in ("VmSize", "VmRSS"))
    limit = mapped + max(0, max_ram - held) + RESERVE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    return main(words)


def fly(scene: Path, out: Path, *, max_ram: str, engine: str, limit: bool, package: Path | None) -> dict[str, Any]:
    """Run one process; returns its report with the hash of its mask."""
    words = ["predict", scene, "--out", out, "--max-ram", max_ram, "--engine", engine, "--threads", "2", "--json"]
    words += [] if package is None else ["--package", package]
    mode = ["--child", str(parse_size(max_ram))] if limit else ["--child", "0"]
    done = subprocess.run(
        [sys.executable, __file__, *mode, *map(str, words)],
        env={**os.environ, "MALLOC_ARENA_MAX": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_STACK, (STACK_BYTES, resource.RLIM_INFINITY)),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return {"max_ram": max_ram, "limited": limit, "failed": done.stderr[-800:]}
    told = json.loads(done.stdout)
    return {
        "max_ram": max_ram,
        "limited": limit,
        "sha256": hashlib.sha256(out.read_bytes()).hexdigest(),
        "kept_promise": told["peak_memory_bytes"] <= parse_size(max_ram),
        **{key: told[key] for key in ("peak_memory_bytes", "wall_s", "mpixel_per_s", "seconds", "plan", "shares")},
    }


def main() -> int:
    """Run everything and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=10980)
    parser.add_argument("--small", type=int, default=1000)
    parser.add_argument("--engine", default="onnx")
    parser.add_argument("--package", type=Path, help="by default the one that is shipped")
    parser.add_argument("--max-ram", nargs="+", default=["384M", "512M", "1G"])
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        large, small = (big_scene(root / f"scene{side}.tif", side) for side in (arguments.side, arguments.small))
        settings = {"engine": arguments.engine, "package": arguments.package}
        runs = [fly(large, root / "a.tif", max_ram=ram, limit=True, **settings) for ram in arguments.max_ram]
        runs.append(fly(large, root / "a.tif", max_ram="4G", limit=False, **settings))
        first = fly(small, root / "b.tif", max_ram=arguments.max_ram[0], limit=True, **settings)
    flown = [run for run in runs if "failed" not in run]
    peaks = [run["peak_memory_bytes"] for run in (first, runs[0]) if "failed" not in run]
    result = {
        "machine": this_machine().to_dict(),
        "side": arguments.side,
        "small_side": arguments.small,
        "engine": arguments.engine,
        "runs": runs,
        "small": first,
        "same_bytes": len({run["sha256"] for run in flown}) == 1 and len(flown) == len(runs),
        "growth": peaks[1] / peaks[0] - 1 if len(peaks) == 2 else None,
        "growth_allowed": 0.1,
    }
    write_json(arguments.out, result)
    print(json.dumps({key: result[key] for key in ("same_bytes", "growth")}, indent=2))
    return 0 if result["same_bytes"] and all(run.get("kept_promise") for run in runs) else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        allowed = int(sys.argv[2])
        if allowed:
            sys.exit(limited(sys.argv[3:], allowed))
        from satsqueeze.cli.main import main as command

        sys.exit(command(sys.argv[3:]))
    sys.exit(main())
