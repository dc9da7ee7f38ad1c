"""Images per second of a classification package: int8 against fp32, in onnxruntime and OpenVINO, and against the peak.

    python benchmarks/class_inference.py [--package zoo/eurosat-resnet8] [--data EuroSAT_RGB.zip] [--threads 2]

Runs every graph on the same batch in turn (A B C A B C ...) and writes rates, paired ratios and the share of the
machine's int8 peak to ``benchmarks/results/class_inference.json``. The target is int8 at twice fp32 or more, in
onnxruntime, at batch 64. The peak is the best of several products of int8 matrices by ``torch._int_mm``. Without
``--package``, an untrained ResNet8 is exported first; without ``--data``, tiles are generated. Takes about a minute.

Shares of the peak count two operations per multiply-accumulate, and none for the rest. Freed memory is kept, for every
engine alike.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from class_tiles import card_of, packed, write_tiles
from numpy.typing import NDArray

from satsqueeze.bench.machine import this_machine
from satsqueeze.core.errors import PackageError
from satsqueeze.core.files import write_json
from satsqueeze.core.manifest import FlightManifest
from satsqueeze.core.package import read_manifest
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.sampling.class_sampler import reflectance
from satsqueeze.export.settings import ClassExportSettings
from satsqueeze.export.stage import export_package
from satsqueeze.flight.engines.by_name import open_engine
from satsqueeze.flight.engines.engine import EngineName, has_openvino
from satsqueeze.learn.memory import keep_freed_memory
from satsqueeze.nets.model import build_model

RESULT = Path(__file__).parent / "results" / "class_inference.json"
WARM_UP = 3


def exported(cache: PackedCache, folder: Path) -> Path:
    """A package of an untrained ResNet8."""
    half = len(cache) // 2
    settings = ClassExportSettings(calibrations=("minmax",), calibration_windows=32, accuracy_loss=1.0, float_share=1.0)
    model = build_model(card_of(cache, "resnet8"), seed=0)
    export_package(model, cache, cache.ids[:half], cache.ids[half:], settings, folder, name="resnet8", description="-")
    return folder


def graphs_of(manifest: FlightManifest, folder: Path) -> dict[str, tuple[EngineName, Path]]:
    """Engine and file by ``ENGINE-PRECISION``; OpenVINO runs ONNX files where the package has none of its own."""
    files = {(graph.engine, graph.precision): folder / graph.file for graph in manifest.graphs}
    engines: list[EngineName] = ["onnx", "openvino"] if has_openvino() else ["onnx"]
    found: dict[str, tuple[EngineName, Path]] = {}
    for engine in engines:
        for precision in ("fp32", "int8"):
            path = files.get((engine, precision)) or files.get(("onnx", precision))
            if path is None:
                raise PackageError(f"{folder} has no {precision} graph; export the package with int8")
            found[f"{engine}-{precision}"] = (engine, path)
    return found


def seconds(works: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Times of each work, taken in turn."""
    for work in works.values():
        for _ in range(WARM_UP):
            work()
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - start)
    return times


def int8_peak(side: int, repeats: int) -> float:
    """Operations per second of the fastest of several products of int8 matrices (side, side)."""
    left, right = (torch.randint(-100, 100, (side, side), dtype=torch.int8) for _ in range(2))
    times = seconds({"peak": lambda: torch._int_mm(left, right)}, repeats)["peak"]
    return 2 * side**3 / min(times)


def measured(folder: Path, images: NDArray[np.float32], options: argparse.Namespace) -> dict[str, Any]:
    manifest = read_manifest(folder)
    engines = {
        name: open_engine(engine, path, threads=options.threads)
        for name, (engine, path) in graphs_of(manifest, folder).items()
    }
    works: dict[str, Callable[[], object]] = {
        name: partial(engine.run, images, probabilities=False) for name, engine in engines.items()
    }
    times = seconds(works, options.repeats)
    rates = {name: len(images) / statistics.median(values) for name, values in times.items()}
    peak = int8_peak(options.matrix, options.repeats)
    operations = 2 * manifest.macs_per_pixel * images.shape[2] * images.shape[3]
    ratios = {
        f"ratio_{engine}": statistics.median(
            fp32 / int8 for fp32, int8 in zip(times[f"{engine}-fp32"], times[f"{engine}-int8"], strict=True)
        )
        for engine in ("onnx", "openvino")
        if f"{engine}-int8" in times
    }
    return {
        "package": manifest.name,
        "batch": len(images),
        "side": images.shape[2],
        "threads": options.threads,
        "repeats": options.repeats,
        "images_per_second": rates,
        **ratios,
        "operations_per_image": operations,
        "int8_peak_operations_per_second": peak,
        "share_of_int8_peak": {n: rate * operations / peak for n, rate in rates.items() if n.endswith("int8")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, help="of a classifier of EuroSAT RGB; else an untrained ResNet8")
    parser.add_argument("--data", type=Path, help="EuroSAT_RGB.zip or the folder it unpacks to; else generated tiles")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--matrix", type=int, default=2048, help="side of the matrices that give the peak")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(options.threads)
    machine = this_machine().to_dict()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_tiles(folder / "tiles", options.data, options.batch)
        cache = packed(folder / "tiles", folder / "cache")
        package = options.package or exported(cache, folder / "package")
        # Batches are made of what there is, over and over.
        bands = [cache.bands.index(band.name) for band in read_manifest(package).bands]
        images = np.ascontiguousarray(np.resize(np.arange(len(cache)), options.batch))
        record = measured(package, reflectance(cache.stack[images][:, bands]), options)
    write_json(options.out, {**record, "data": options.data.name if options.data else "generated", "machine": machine})
    rates = ", ".join(f"{name} {rate:,.0f}" for name, rate in record["images_per_second"].items())
    ratios = ", ".join(f"{key} {value:.2f}" for key, value in record.items() if key.startswith("ratio_"))
    shares = ", ".join(f"{name} {share:.1%}" for name, share in record["share_of_int8_peak"].items())
    print(f"images/s: {rates}; {ratios}; of the int8 peak: {shares}: {options.out}")


if __name__ == "__main__":
    main()
