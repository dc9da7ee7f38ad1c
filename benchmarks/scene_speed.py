"""End-to-end speed of a whole scene, against the network alone and against rivals, in the same run.

    python benchmarks/scene_speed.py [--side 10980] [--threads 2] [--max-ram 1G] [--rival-side 2048] [--also PACKAGE...]
        [--ukis .venv-ukis/bin/python] [--s2cloudless .venv-s2cloudless/bin/python] [--out FILE]

Generates a Sentinel-2-like scene (4 bands, uint16, deflate with predictor, blocks of 512) and takes in turn (A B A B):
``satsqueeze predict`` from the file to the cloud-optimised mask, in a process of its own, per engine; and the network
alone on tiles of the same size as the plan's and of 512 px. ``--also`` flies further packages, named by their folders,
after it. Rivals run in their own environments on the same pixels as
an array of reflectance, so reading and writing cost them nothing; they hold the scene in memory many times over, so
``--rival-side`` gives them its upper left corner only. Memory is the peak of each process.

What bounds it: achieved operations per second of the network alone against the best measured product of int8 and of
float matrices, and bytes in and out of the graph against the measured copying rate. Two operations are counted per
multiply-accumulate, none for the rest. Writes ``benchmarks/results/scene_speed.json``; the targets are 15 Mpixel/s end
to end, 60 % of the network alone, and 40 and 20 times s2cloudless and ukis-csmask.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from big_scene import BANDS, OFFSET_DN, QUANTIFICATION, big_scene
from rival_process import Rival

from satsqueeze.bench.machine import this_machine
from satsqueeze.cli.predict import shipped_package
from satsqueeze.core.files import write_json
from satsqueeze.flight.engines.engine import EngineName, has_openvino
from satsqueeze.flight.opening import open_package

RESULT = Path(__file__).parent / "results" / "scene_speed.json"
TARGETS = {"mpixel_per_s": 15.0, "share_of_network": 0.6, "times_s2cloudless": 40.0, "times_ukis": 20.0}
WARM_UP = 2
ENGINES = {"onnx": "ONNX Runtime", "openvino": "OpenVINO"}
RIVAL_ENGINES = {"ukis-csmask": "ONNX Runtime", "s2cloudless": "LightGBM"}


def flown(scene: Path, out: Path, package: Path, engine: str, options: argparse.Namespace) -> dict[str, Any]:
    """One process of ``predict``; its report, with the time of the whole process."""
    words = [scene, "--out", out, "--package", package, "--engine", engine, "--threads", options.threads]
    started = time.perf_counter()
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "satsqueeze.cli.main",
            "predict",
            *map(str, words),
            "--max-ram",
            options.max_ram,
            "--json",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return {**json.loads(done.stdout), "process_s": time.perf_counter() - started}


def network_rate(
    package: Path, engine: EngineName, shape: tuple[int, int], streams: int, options: argparse.Namespace
) -> float:
    """Pixels per second of the graph alone on inputs of one shape, as many at once as in the flight."""
    model = open_package(package, engine=engine, threads=options.threads, streams=streams)
    batch = np.random.default_rng(0).uniform(0, 0.6, (1, len(model.bands), *shape)).astype(np.float32)
    rounds = streams * max(3, int(options.network_mpixel * 1e6 / batch[0, 0].size / streams))
    model.engine.fit(batch.shape, probabilities=False)
    run = partial(model.engine.run, probabilities=False)
    with ThreadPoolExecutor(streams) as calls:
        list(calls.map(run, [batch] * WARM_UP * streams))
        started = time.perf_counter()
        list(calls.map(run, [batch] * rounds))
        return float(rounds * batch[0, 0].size / (time.perf_counter() - started))


def compared(
    scene: Path, folder: Path, package: Path, engine: EngineName, options: argparse.Namespace
) -> dict[str, Any]:
    """End to end and network alone, in turn."""
    runs, tiles, smalls = [], [], []
    for _ in range(options.repeats):
        runs.append(flown(scene, folder / f"{engine}.tif", package, engine, options))
        plan = runs[-1]["plan"]
        tall = min(plan["strip"] + 2 * plan["halo"], -(-plan["height"] // plan["multiple"]) * plan["multiple"])
        tiles.append(network_rate(package, engine, (tall, plan["tile_width"]), plan["streams"], options))
        smalls.append(network_rate(package, engine, (512, 512), plan["streams"], options))
    rates = [run["mpixel_per_s"] for run in runs]
    best_network = [max(a, b) / 1e6 for a, b in zip(tiles, smalls, strict=True)]
    return {
        "mpixel_per_s": statistics.median(rates),
        "share_of_network": statistics.median(r / n for r, n in zip(rates, best_network, strict=True)),
        "network_tile_mpixel_per_s": statistics.median(tiles) / 1e6,
        "network_512_mpixel_per_s": statistics.median(smalls) / 1e6,
        "peak_memory_bytes": max(run["peak_memory_bytes"] for run in runs),
        "runs": runs,
    }


def best_of(work: Callable[[], object], repeats: int = 5) -> float:
    """Seconds of the fastest of several calls."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def roof(threads: int, side: int) -> dict[str, float | None]:
    """Best measured int8 and float operations per second, and bytes per second of copying."""
    source = np.ones(2**25, np.float32)
    target = np.empty_like(source)
    copied = 2 * source.nbytes / best_of(lambda: np.copyto(target, source))
    try:
        import torch
    except ImportError:
        return {"int8_ops_per_s": None, "fp32_ops_per_s": None, "copy_bytes_per_s": copied}
    torch.set_num_threads(threads)
    left, right = (torch.randint(-100, 100, (side, side), dtype=torch.int8) for _ in range(2))
    image, kernel = (
        torch.rand(1, 256, 128, 128).contiguous(memory_format=torch.channels_last),
        torch.rand(256, 256, 3, 3),
    )
    with torch.inference_mode():
        convolved = best_of(lambda: torch.nn.functional.conv2d(image, kernel, padding=1))
    return {
        "int8_ops_per_s": 2 * side**3 / best_of(lambda: torch._int_mm(left, right)),
        "fp32_ops_per_s": 2 * 9 * 256 * 256 * 128 * 128 / convolved,
        "copy_bytes_per_s": copied,
    }


def compared_rival(rival: Rival, image: Path, threads: int) -> dict[str, Any]:
    """A rival in its own environment; its report, or why there is none."""
    run = rival.masks([image], bands=BANDS, threads=threads)
    if run.not_measured:
        return {"not_measured": run.not_measured}
    report = run.reports[0]
    return {**report, "mpixel_per_s": report["pixels"] / 1e6 / report["seconds"]}


def table_rows(record: dict[str, Any]) -> list[dict[str, Any]]:
    """A row per program and engine, for the tables of the documentation."""
    rates = {name: entry["mpixel_per_s"] for name, entry in record["rivals"].items() if "mpixel_per_s" in entry}
    packages = {"satsqueeze": record["engines"], **record["also"]}
    rows = [
        {
            "program": name,
            "engine": ENGINES[engine],
            "side": record["side"],
            "seconds": statistics.median(run["process_s"] for run in entry["runs"]),
            "mpixel_per_s": entry["mpixel_per_s"],
            "times_faster": {rival: entry["mpixel_per_s"] / rate for rival, rate in rates.items()},
            "share_of_network": entry["share_of_network"],
            "peak_memory_bytes": entry["peak_memory_bytes"],
        }
        for name, engines in packages.items()
        for engine, entry in engines.items()
    ]
    for name, entry in record["rivals"].items():
        row = {"program": name, "engine": RIVAL_ENGINES[name], "side": record["rival_side"]}
        if "mpixel_per_s" in entry:
            row |= {key: entry[key] for key in ("seconds", "mpixel_per_s", "peak_memory_bytes")}
        rows.append(row)
    return rows


def reflectance_array(scene: Path, side: int, path: Path) -> Path:
    """The upper left ``side`` pixels as float32 (H, W, 4), 0 where there is no data, written row by row."""
    import rasterio
    from rasterio.windows import Window

    with rasterio.open(scene) as source:
        side = min(side, source.height)
        array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(side, side, source.count))
        for row in range(0, side, 512):
            numbers = source.read(window=Window(0, row, side, min(512, side - row))).transpose(1, 2, 0)
            values = (numbers.astype(np.float32) + OFFSET_DN) / QUANTIFICATION
            array[row : row + len(values)] = np.where(numbers == 0, 0, values)
        array.flush()
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=10980)
    parser.add_argument("--package", type=Path, default=shipped_package())
    parser.add_argument("--also", type=Path, nargs="*", default=[], help="further packages, named by their folders")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--max-ram", default="1G")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--network-mpixel", type=float, default=30.0, help="pixels per timing of the network alone")
    parser.add_argument("--matrix", type=int, default=2048, help="side of the matrices that give the peak")
    parser.add_argument("--rival-side", type=int, default=2048)
    parser.add_argument("--ukis", type=Path, default=Path(".venv-ukis/bin/python"))
    parser.add_argument("--s2cloudless", type=Path, default=Path(".venv-s2cloudless/bin/python"))
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    machine = this_machine().to_dict()
    peak = roof(options.threads, options.matrix)
    engines: list[EngineName] = ["onnx", "openvino"] if has_openvino() else ["onnx"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scene = big_scene(folder / "scene.tif", options.side)
        ours = {engine: compared(scene, folder, options.package, engine, options) for engine in engines}
        also = {
            path.name: {engine: compared(scene, folder, path, engine, options) for engine in engines}
            for path in options.also
        }
        image = reflectance_array(scene, options.rival_side, folder / "scene.npy")
        others = [
            Rival(name="ukis-csmask", python=options.ukis, script="rival_ukis.py"),
            Rival(
                name="s2cloudless", python=options.s2cloudless, script="rival_s2cloudless.py", extra=("--stand-ins",)
            ),
        ]
        rivals = {other.name: compared_rival(other, image, options.threads) for other in others}
        scene_bytes = scene.stat().st_size
    manifest = open_package(options.package).manifest
    for entry in ours.values():
        network = 1e6 * max(entry["network_tile_mpixel_per_s"], entry["network_512_mpixel_per_s"])
        operations = 2 * manifest.macs_per_pixel * network
        moved = network * (4 * len(manifest.bands) + 1)
        entry["network_ops_per_s"] = operations
        entry["share_of_int8_peak"] = operations / peak["int8_ops_per_s"] if peak["int8_ops_per_s"] else None
        entry["share_of_fp32_peak"] = operations / peak["fp32_ops_per_s"] if peak["fp32_ops_per_s"] else None
        entry["share_of_copying_by_input_and_output"] = moved / (peak["copy_bytes_per_s"] or 1)
    record = {
        "machine": machine, "side": options.side, "scene_bytes": scene_bytes, "threads": options.threads,
        "max_ram": options.max_ram, "package": manifest.name, "repeats": options.repeats, "targets": TARGETS,
        "roof": peak, "engines": ours, "also": also, "rivals": rivals,
        "rival_side": min(options.side, options.rival_side),
    }  # fmt: skip
    rows = table_rows(record)
    write_json(options.out, record | {"rows": rows})
    told = [
        f"{row['program']} in {row['engine']}: {row['mpixel_per_s']:.2f} Mpixel/s, "
        + ", ".join(f"{times:.1f} x {rival}" for rival, times in row["times_faster"].items())
        for row in rows
        if "times_faster" in row
    ]
    print("; ".join(told), options.out)


if __name__ == "__main__":
    main()
