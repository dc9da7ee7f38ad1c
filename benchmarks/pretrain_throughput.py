"""Throughput of pre-training against supervised training of the same network on the same images.

    python benchmarks/pretrain_throughput.py [--model unet-8] [--steps 30] [--threads 2] [--pairs 3] [--out FILE]

Runs both in turn (A B A B ...) in one process, after a warm-up of each, and writes views per second of pre-training,
two per pair, patches per second of supervised training and their ratio; then each once more in a process of its own,
for its peak memory. Wall-clock figures mean little on a busy machine: the load average is written beside them. Takes
about 2 minutes on 2 idle cores.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from satsqueeze.bench.machine import this_machine
from satsqueeze.core.files import write_json
from satsqueeze.data.cache.pack import pack
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.splits.parts import named_split
from satsqueeze.data.splits.split import Split
from satsqueeze.data.synth.landcover_writer import PLACE, LandCoverSettings, write_land_cover
from satsqueeze.learn.augment.patches import AugmentSettings
from satsqueeze.learn.settings import FitSettings
from satsqueeze.learn.stage import train_network
from satsqueeze.nets.model import build_model
from satsqueeze.pretrain.card import CLASSES, network_card
from satsqueeze.pretrain.pretraining import pretrain
from satsqueeze.pretrain.settings import PretrainSettings
from satsqueeze.pretrain.view_settings import ViewSettings

RESULT = Path(__file__).parent / "results" / "pretrain_throughput.json"
SIZE, PAIRS_OF_VIEWS = 64, 8


def pretrained(cache: PackedCache, model: str, steps: int, folder: Path) -> float:
    """Views per second."""
    ids = named_split(cache.entries).train
    settings = PretrainSettings(
        epochs=1,
        steps_per_epoch=steps,
        batch_size=PAIRS_OF_VIEWS,
        views=ViewSettings(size=SIZE, place=PLACE, avoid_unlabelled=True),
        monitor_pixels=0,
        progress=False,
    )
    card = network_card(model, cache, ids, classes=CLASSES)
    return 2 * pretrain(build_model(card, seed=0), cache, ids, settings, folder).images_per_second


def supervised(cache: PackedCache, model: str, steps: int, folder: Path) -> float:
    """Patches per second, as many in a batch as there are views."""
    split = named_split(cache.entries)
    settings = FitSettings(
        epochs=1,
        steps_per_epoch=steps,
        batch_size=2 * PAIRS_OF_VIEWS,
        patch_size=(SIZE, SIZE),
        optimiser="adamw",
        learning_rate=3e-3,
        augment=AugmentSettings.geometric(),
        keep="last",
        progress=False,
    )
    card = network_card(model, cache, split.train, classes=cache.classes)
    return train_network(card, cache, Split(train=split.train, validation=()), settings, folder).images_per_second


WAYS: dict[str, Callable[[PackedCache, str, int, Path], float]] = {"pretrain": pretrained, "supervised": supervised}


def own_peak_mib() -> float:
    """Largest resident memory of this process so far; ``ru_maxrss`` would count its parent's."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    if found is None:
        raise SystemExit("/proc/self/status does not tell VmHWM; memory is measured on Linux only")
    return int(found[1]) / 1024


def peak_of(way: str, root: Path, told: argparse.Namespace) -> float:
    """Peak memory of one way in a process of its own, MiB, interpreter and libraries included."""
    words = ["--way", way, "--folder", root, "--model", told.model, "--steps", told.steps, "--threads", told.threads]
    command = [sys.executable, __file__, *map(str, words)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measured(root: Path, told: argparse.Namespace) -> dict[str, list[float]]:
    """Rates by way, taken in turn."""
    rates: dict[str, list[float]] = {name: [] for name in WAYS}
    cache = PackedCache(root / "cache")
    for name, run in WAYS.items():
        run(cache, told.model, 3, root / f"warm-{name}")
    for number in range(told.pairs):
        for name, run in WAYS.items():
            rates[name].append(run(cache, told.model, told.steps, root / f"{name}-{number}"))
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="unet-8")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--way", choices=list(WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    told = parser.parse_args()
    torch.set_num_threads(told.threads)
    if told.way:
        WAYS[told.way](PackedCache(told.folder / "cache"), told.model, told.steps, told.folder / f"own-{told.way}")
        print(own_peak_mib())
        return
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        land = replace(LandCoverSettings(country="alba"), places=(8, 1, 1), dates=4)
        write_land_cover(land, root / "data")
        pack(open_dataset(root / "data"), root / "cache")
        rates = measured(root, told)
        peaks = {name: peak_of(name, root, told) for name in WAYS}
    ratios = [first / second for first, second in zip(rates["pretrain"], rates["supervised"], strict=True)]
    record = {
        "model": told.model,
        "size": SIZE,
        "steps": told.steps,
        "threads": told.threads,
        "views_per_second": rates["pretrain"],
        "patches_per_second": rates["supervised"],
        "ratio_median": statistics.median(ratios),
        "ratios": ratios,
        "peak_memory_mib": peaks,
        "load_average": os.getloadavg()[0],
        "machine": this_machine().to_dict(),
    }
    write_json(told.out, record)
    shown = ", ".join(f"{name} {peak:.0f} MiB" for name, peak in peaks.items())
    print(
        f"pre-training runs at {record['ratio_median']:.2f} times the rate of supervised training; {shown} ({told.out})"
    )


if __name__ == "__main__":
    main()
