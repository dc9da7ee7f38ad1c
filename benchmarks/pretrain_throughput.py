"""Throughput of pre-training against supervised training of the same network on the same images.

    python benchmarks/pretrain_throughput.py [--model unet-8] [--steps 30] [--threads 2] [--pairs 3]

Runs both in turn (A B A B ...) in one process, after a warm-up of each, and writes views per second of pre-training,
two per pair, patches per second of supervised training, their ratio and the peak memory to
``benchmarks/results/pretrain_throughput.json``. Wall-clock figures mean little on a busy machine: the load average is
written beside them. Takes about 2 minutes on 2 idle cores.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from satsqueeze.bench.machine import this_machine
from satsqueeze.core.files import write_json
from satsqueeze.data.cache import PackedCache, pack
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.parts import named_split
from satsqueeze.data.splits import Split
from satsqueeze.data.synth.landcover_writer import PLACE, LandCoverSettings, write_land_cover
from satsqueeze.learn.augment import AugmentSettings
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="unet-8")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=3)
    told = parser.parse_args()
    torch.set_num_threads(told.threads)
    ways = {"pretrain": pretrained, "supervised": supervised}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        land = replace(LandCoverSettings(country="alba"), places=(8, 1, 1), dates=4)
        write_land_cover(land, root / "data")
        cache = pack(open_dataset(root / "data"), root / "cache")
        for name, run in ways.items():
            run(cache, told.model, 3, root / f"warm-{name}")
        for number in range(told.pairs):
            for name, run in ways.items():
                rates[name].append(run(cache, told.model, told.steps, root / f"{name}-{number}"))
    ratios = [first / second for first, second in zip(rates["pretrain"], rates["supervised"], strict=True)]
    record = {
        "model": told.model,
        "size": SIZE,
        "threads": told.threads,
        "views_per_second": rates["pretrain"],
        "patches_per_second": rates["supervised"],
        "ratio_median": statistics.median(ratios),
        "ratios": ratios,
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "load_average": os.getloadavg()[0],
        "machine": this_machine().to_dict(),
    }
    write_json(RESULT, record)
    print(f"pre-training runs at {record['ratio_median']:.2f} times the rate of supervised training ({RESULT})")


if __name__ == "__main__":
    main()
