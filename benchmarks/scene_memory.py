"""The promise of ``--max-ram``: a scene of Sentinel-2's size under an address-space limit, one mask for any memory.

    python benchmarks/scene_memory.py [--side 10980] [--small 1000 2000] [--engine onnx openvino] [--max-ram 256M ...]

Every run is a process of its own. Once its libraries and the graph are loaded it sets RLIMIT_AS, so that mapping more
ends in an error. The limit is what is mapped by then, and what ``--max-ram`` leaves beside what is held by then, and
a reserve for addresses that are mapped and never used: 64 MB for stacks of threads, and a quarter of ``--max-ram``,
as an engine's arena grows by doubling. Its malloc is told to use one arena, as each reserves 64 MB of addresses.

Writes ``benchmarks/results/scene_memory.json``: per engine and memory, whether peak memory stayed below, whether the
masks are byte-identical to that of a run without a limit, and by how much the peak grew from small scenes to the large
one (at most 10 % is wanted, where memory and not the size of the small scene limits the tiles of both). A memory that
is too small is refused before anything is read, and the message is kept. Takes minutes on an idle machine.
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
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any
from unittest import mock

from big_scene import big_scene

from satsqueeze.bench.machine import this_machine
from satsqueeze.cli.predict import parse_size
from satsqueeze.core.files import write_json

RESULT = Path(__file__).parent / "results" / "scene_memory.json"
AMPLE = "4G"
GROWTH_ALLOWED = 0.1
STACK_BYTES = 2**20
STACKS_BYTES = 64 * 2**20
ARENA_SHARE = 4
"""An engine's arena grows by doubling: up to this part of all memory is mapped and not held."""


def limited(words: list[str], max_ram: int) -> int:
    """Run ``predict`` in this process under an address-space limit, set once its graph is loaded."""
    import rasterio.warp  # noqa: F401 - loaded before the limit is set, as all that follows

    from satsqueeze.cli.main import main
    from satsqueeze.flight.opening import open_package
    from satsqueeze.flight.runtime import FlightModel

    def open_and_limit(*arguments: Any, **settings: Any) -> FlightModel:
        model = open_package(*arguments, **settings)
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        mapped, held = (int(status[key].split()[0]) * 1024 for key in ("VmSize", "VmRSS"))
        limit = mapped + max(0, max_ram - held) + STACKS_BYTES + max_ram // ARENA_SHARE
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        return model

    with mock.patch("satsqueeze.cli.predict.open_package", open_and_limit):
        return main(words)


@dataclass(frozen=True, kw_only=True)
class Flights:
    """Runs of one engine."""

    engine: str
    package: Path | None
    out: Path

    def fly(self, scene: Path, *, max_ram: str, limit: bool) -> dict[str, Any]:
        """Run one process; returns its report with the hash of its mask."""
        words = ["predict", scene, "--out", self.out, "--max-ram", max_ram, "--engine", self.engine]
        words += ["--threads", "2", "--json", *([] if self.package is None else ["--package", self.package])]
        mode = ["--child", str(parse_size(max_ram) if limit else 0)]
        done = subprocess.run(
            [sys.executable, __file__, *mode, *map(str, words)],
            env={**os.environ, "MALLOC_ARENA_MAX": "1"},
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_STACK, (STACK_BYTES, resource.RLIM_INFINITY)),
            capture_output=True,
            text=True,
            check=False,
        )
        print(f"{self.engine} {scene.name} {max_ram}: {'failed' if done.returncode else 'flown'}", file=sys.stderr)
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:]
            return {"max_ram": max_ram, "limited": limit, "refused": "MB at least" in done.stderr, "failed": last}
        told = json.loads(done.stdout)
        return {
            "max_ram": max_ram,
            "limited": limit,
            "sha256": hashlib.sha256(self.out.read_bytes()).hexdigest(),
            "kept_promise": told["peak_memory_bytes"] <= parse_size(max_ram),
            **{key: told[key] for key in ("peak_memory_bytes", "wall_s", "mpixel_per_s", "seconds", "plan", "shares")},
        }

    def compared(self, large: Path, small: dict[int, Path], sizes: list[str]) -> dict[str, Any]:
        """The large scene and the small ones, by their sides, in every memory, and the large one without a limit."""
        runs = [self.fly(large, max_ram=ram, limit=True) for ram in sizes]
        runs.append(self.fly(large, max_ram=AMPLE, limit=False))
        smalls = {str(side): [self.fly(path, max_ram=ram, limit=True) for ram in sizes] for side, path in small.items()}
        return {
            "runs": runs,
            "small": smalls,
            "same_bytes": len({run["sha256"] for run in runs if "sha256" in run}) == 1,
            "growth": {
                side: {ram: growth(a, b) for ram, a, b in zip(sizes, flown, runs, strict=False)}
                for side, flown in smalls.items()
            },
        }


def growth(small: dict[str, Any], large: dict[str, Any]) -> float | None:
    """Of peak memory from one run to another; None where one did not fly."""
    key = "peak_memory_bytes"
    return large[key] / small[key] - 1 if key in small and key in large else None


def table_rows(engines: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each memory, with what each engine did in it."""
    rows: dict[str, dict[str, Any]] = {}
    for engine, found in engines.items():
        for run in found["runs"]:
            if run["limited"]:
                row = rows.setdefault(run["max_ram"], {"max_ram": run["max_ram"]})
                grown = {side: by_memory[run["max_ram"]] for side, by_memory in found["growth"].items()}
                row[engine] = {key: run.get(key) for key in ("peak_memory_bytes", "mpixel_per_s")} | {"growth": grown}
    return list(rows.values())


def kept(found: dict[str, Any]) -> bool:
    """Whether every run stayed below its memory with the same mask, or was refused; one at least flew."""
    runs = [*found["runs"], *chain.from_iterable(found["small"].values())]
    good = all(run.get("kept_promise") or run.get("refused") for run in runs)
    return good and found["same_bytes"] and any(run["limited"] and "sha256" in run for run in found["runs"])


def main() -> int:
    """Run everything and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=10980)
    parser.add_argument("--small", nargs="+", type=int, default=[1000, 2000])
    parser.add_argument("--engine", nargs="+", default=["onnx", "openvino"])
    parser.add_argument("--package", type=Path, help="by default the one that is shipped")
    parser.add_argument("--max-ram", nargs="+", default=["256M", "384M", "512M", "1G"])
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    engines = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        large = big_scene(root / f"scene{arguments.side}.tif", arguments.side)
        small = {side: big_scene(root / f"scene{side}.tif", side) for side in arguments.small}
        for engine in arguments.engine:
            flights = Flights(engine=engine, package=arguments.package, out=root / "mask.tif")
            engines[engine] = flights.compared(large, small, arguments.max_ram)
            result = {
                "machine": this_machine().to_dict(),
                "side": arguments.side,
                "small_sides": arguments.small,
                "growth_allowed": GROWTH_ALLOWED,
                "rows": table_rows(engines),
                "engines": engines,
            }
            write_json(arguments.out, result)
    print(json.dumps({name: {key: found[key] for key in ("same_bytes", "growth")} for name, found in engines.items()}))
    return 0 if all(map(kept, engines.values())) else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        allowed = int(sys.argv[2])
        if allowed:
            sys.exit(limited(sys.argv[3:], allowed))
        from satsqueeze.cli.main import main as command

        sys.exit(command(sys.argv[3:]))
    sys.exit(main())
