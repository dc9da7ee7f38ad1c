"""Training throughput: our fit, as by default and compiled, against a plain fp32 Lightning loop that reads GeoTIFFs.

    python benchmarks/train_throughput.py [--networks unet-16 lite-28 coarse-64] [--pairs 3] [--workers 0] [--threads 2]

Runs the three in turn (A B C A B C ...), each in a process of its own because the allocator setting lasts, and writes
the ratios to ``benchmarks/results/train_throughput.json``. Takes about 6 minutes on 2 idle cores. Wall-clock ratios
mean little on a busy machine; the ratio of processor time is given beside them. Compiling (``fit.compile``) takes time
before the first step, which is stated and not part of the rates.

All sides train the same network on 256 px patches of generated 512 px scenes, batch 4, by the same loss and optimiser:
``unet-16``, double convolutions of widths 16-32-64-128; ``lite-28``, what ships for clouds, widths 28-44-56-84-112 on
cells of 2 x 2 pixels; ``coarse-64``, widths 64-80-128-176 on cells of 4 x 4.
Ours adds the whole augmentation; the plain loop flips only.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import rasterio
import torch
from rasterio.windows import Window as RasterWindow
from torch.utils.data import DataLoader, Dataset
from typing_extensions import override

from satsqueeze.core.files import write_json
from satsqueeze.data.cache.fingerprint import fingerprint
from satsqueeze.data.cache.pack import pack
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.sampling.sampler import PatchSampler
from satsqueeze.data.splits.split import Split
from satsqueeze.data.synth import DatasetSettings, write_dataset
from satsqueeze.learn.fit import FitSettings, fit
from satsqueeze.learn.losses import DiceCE
from satsqueeze.learn.progress import quiet_lightning
from satsqueeze.nets.model import ModelCard, SegmentationModel, build_model
from satsqueeze.nets.students import coarse_student, lite_student, plain_student

RESULT = Path(__file__).parent / "results" / "train_throughput.json"
NETWORKS = {
    "unet-16": partial(plain_student, 16, 4),
    "lite-28": partial(lite_student, 28),
    "coarse-64": partial(coarse_student, 64),
}
SCENES, SIDE, PATCH, BATCH = 8, 512, 256, 4
STEPS, WARM_UP = 20, 5
LEARNING_RATE = 1e-2
SIDES = ("plain", "ours", "compiled")


def network(name: str, cache: PackedCache) -> SegmentationModel:
    scaling = fingerprint(cache, cache.ids).scaling()
    config = NETWORKS[name](in_channels=len(cache.bands), classes=len(cache.classes))
    card = ModelCard(
        name=name,
        family="unet",
        config=config,
        scaling=scaling,
        bands=cache.bands,
        classes=cache.classes,
        foreground=cache.foreground,
    )
    return build_model(card, seed=0)


class Timed:
    """The loss both sides train by, which notes when it is called."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.processor: list[float] = []

    def __call__(
        self, logits: torch.Tensor | list[torch.Tensor], labels: torch.Tensor, soft: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """Dice and cross-entropy."""
        self.wall.append(time.perf_counter())
        self.processor.append(time.process_time())
        return DiceCE()(logits, labels, soft)

    def rates(self) -> dict[str, float]:
        """Images per second and per second of processor time, after warming up."""
        wall, processor = (np.diff(times[WARM_UP:]) for times in (self.wall, self.processor))
        return {
            "images_per_second": BATCH / float(np.median(wall)),
            "images_per_processor_second": BATCH / float(np.median(processor)),
        }


def train_ours(name: str, folder: Path, *, compiled: bool) -> dict[str, float]:
    cache, timed = PackedCache(folder / "cache"), Timed()
    settings = FitSettings(
        epochs=1,
        steps_per_epoch=STEPS,
        batch_size=BATCH,
        patch_size=(PATCH, PATCH),
        learning_rate=LEARNING_RATE,
        compile=compiled,
        progress=False,
    )
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as out:
        fit(network(name, cache), cache, Split(train=cache.ids, validation=()), settings, out, objective=timed)
        header, row = (Path(out) / "history.csv").read_text().splitlines()
    history = dict(zip(header.split(","), map(float, row.split(",")), strict=True))
    rates = timed.rates()
    ready = timed.wall[WARM_UP] - begun - WARM_UP * BATCH / rates["images_per_second"]
    sampler = PatchSampler(cache, cache.ids, patch_size=(PATCH, PATCH), batch_size=BATCH, seed=0)
    start = time.process_time()
    for step in range(STEPS):
        sampler.batch(step)
    cutting = (time.process_time() - start) / STEPS
    share = cutting * rates["images_per_processor_second"] / BATCH
    return {**rates, "ready_s": ready, "waiting_share": history["waiting_share"], "cutting_share": share}


class GeoTiffPatches(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Random patches, read from the files at every step."""

    def __init__(self, folder: Path, length: int) -> None:
        self.images = sorted((folder / "images").glob("*.tif"))
        self.labels = [folder / "labels" / path.name for path in self.images]
        self.length = length
        self.generator = np.random.default_rng(0)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        draw = self.generator
        chosen = int(draw.integers(len(self.images)))
        row, col = draw.integers(SIDE - PATCH + 1, size=2)
        window = RasterWindow(int(col), int(row), PATCH, PATCH)
        with rasterio.open(self.images[chosen]) as handle:
            dn = handle.read(window=window)
        with rasterio.open(self.labels[chosen]) as handle:
            label = handle.read(1, window=window)
        image = np.where(dn == 0, 0, (dn.astype(np.float32) - 1000) / 10000).astype(np.float32)
        for axis in (-1, -2):
            if draw.random() < 0.5:
                image, label = np.flip(image, axis), np.flip(label, axis)
        return torch.from_numpy(image.copy()), torch.from_numpy(label.astype(np.int64))


class PlainTask(pl.LightningModule):
    """What one writes first."""

    def __init__(self, model: SegmentationModel, objective: Timed) -> None:
        super().__init__()
        self.model, self.objective = model, objective

    @override
    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        """Loss of a batch."""
        images, labels = batch
        return self.objective(self.model(images), labels)["loss"]

    @override
    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The same optimiser as ours."""
        return torch.optim.SGD(self.parameters(), lr=LEARNING_RATE, momentum=0.99, nesterov=True, weight_decay=3e-5)


def train_plain(name: str, folder: Path, workers: int) -> dict[str, float]:
    timed = Timed()
    loader = DataLoader(GeoTiffPatches(folder / "scenes", STEPS * BATCH), batch_size=BATCH, num_workers=workers)
    with quiet_lightning():
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=1,
            gradient_clip_val=12.0,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
        trainer.fit(PlainTask(network(name, PackedCache(folder / "cache")), timed), loader)
    return timed.rates()


def in_own_process(side: str, name: str, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    numbers = ["--workers", str(options.workers), "--threads", str(options.threads)]
    command = [sys.executable, __file__, "--side", side, "--networks", name, "--folder", str(folder), *numbers]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def compared(name: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Rounds of one network, with the medians of their ratios to the plain loop."""
    rounds: list[dict[str, dict[str, float]]] = []
    for number in range(options.pairs):
        found = {side: in_own_process(side, name, folder, options) for side in SIDES}
        rounds.append(found)
        rates = ", ".join(f"{side} {rate['images_per_second']:.1f}" for side, rate in found.items())
        print(f"{name} {number + 1}: {rates} images/s")
    return {
        "rounds": rounds,
        **{side: _against_plain([(one[side], one["plain"]) for one in rounds]) for side in SIDES if side != "plain"},
    }


def _against_plain(pairs: Sequence[tuple[dict[str, float], dict[str, float]]]) -> dict[str, float]:
    """Medians over pairs of a side of ours and the plain loop."""
    ratios = {key: statistics.median(ours[key] / plain[key] for ours, plain in pairs) for key in pairs[0][1]}
    own = {key: statistics.median(ours[key] for ours, _ in pairs) for key in pairs[0][0] if key not in ratios}
    return {**{f"ratio_{key}": value for key, value in ratios.items()}, **own}


def compare(options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_dataset(DatasetSettings(seed=0, scenes=SCENES, size=SIDE), folder / "scenes")
        pack(open_dataset(folder / "scenes"), folder / "cache")
        networks = {name: compared(name, folder, options) for name in options.networks}
    return {
        "networks": networks,
        "patch_size": PATCH,
        "batch_size": BATCH,
        "plain_loader_workers": options.workers,
        "threads": options.threads,
        "load_average_before": options.load,
        "processor": _processor(),
        "torch": torch.__version__,
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=0, help="loader processes of the plain side")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        warnings.simplefilter("ignore")
        torch.set_num_threads(options.threads)
        (name,) = options.networks
        if options.side == "plain":
            rates = train_plain(name, options.folder, options.workers)
        else:
            rates = train_ours(name, options.folder, compiled=options.side == "compiled")
        print(json.dumps(rates))
        return
    options.load = os.getloadavg()[0]
    record = compare(options)
    write_json(RESULT, record)
    print(RESULT)
    for name, found in record["networks"].items():
        for side in SIDES[1:]:
            print(
                f"{name}, {side}: {found[side]['ratio_images_per_second']:.2f} times plain by wall clock, "
                f"{found[side]['ratio_images_per_processor_second']:.2f} by processor time, "
                f"waiting {found[side]['waiting_share']:.1%} of a step, ready after {found[side]['ready_s']:.0f} s"
            )


if __name__ == "__main__":
    main()
