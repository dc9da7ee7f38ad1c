"""Training throughput: our fit against a plain fp32 Lightning loop that reads GeoTIFFs, on the same network.

    python benchmarks/train_throughput.py [--pairs 3] [--workers 0] [--threads 2]

Runs plain and ours in turn (A B A B ...), each in a process of its own because the allocator setting lasts, and writes
the paired ratios to ``benchmarks/results/train_throughput.json``. Takes about 2 minutes on 2 idle cores. Wall-clock
ratios mean little on a busy machine; the ratio of processor time is given beside them.

Both sides train the double-convolution U-Net 16-32-64-128 on 256 px patches of generated 512 px scenes, batch 4, by the
same loss and optimiser. Ours adds the whole augmentation; the plain loop flips only.
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
from satsqueeze.data.cache import PackedCache, pack
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.fingerprint import fingerprint
from satsqueeze.data.sampler import PatchSampler
from satsqueeze.data.splits import Split
from satsqueeze.data.synth import DatasetSettings, write_dataset
from satsqueeze.learn.fit import FitSettings, fit
from satsqueeze.learn.losses import DiceCE
from satsqueeze.learn.progress import quiet_lightning
from satsqueeze.nets.model import ModelCard, SegmentationModel, build_model
from satsqueeze.nets.students import plain_student

RESULT = Path(__file__).parent / "results" / "train_throughput.json"
SCENES, SIDE, PATCH, BATCH = 8, 512, 256, 4
STEPS, WARM_UP = 20, 5
LEARNING_RATE = 1e-2


def network(cache: PackedCache) -> SegmentationModel:
    scaling = fingerprint(cache, cache.ids).scaling()
    config = plain_student(16, 4, in_channels=len(cache.bands), classes=len(cache.classes))
    card = ModelCard(
        name="unet-16",
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


def train_ours(folder: Path) -> dict[str, float]:
    cache, timed = PackedCache.open(folder / "cache"), Timed()
    settings = FitSettings(
        epochs=1,
        steps_per_epoch=STEPS,
        batch_size=BATCH,
        patch_size=(PATCH, PATCH),
        learning_rate=LEARNING_RATE,
        progress=False,
    )
    with tempfile.TemporaryDirectory() as out:
        fit(network(cache), cache, Split(train=cache.ids, validation=()), settings, out, objective=timed)
        header, row = (Path(out) / "history.csv").read_text().splitlines()
    history = dict(zip(header.split(","), map(float, row.split(",")), strict=True))
    rates = timed.rates()
    sampler = PatchSampler(cache, cache.ids, patch_size=(PATCH, PATCH), batch_size=BATCH, seed=0)
    start = time.process_time()
    for step in range(STEPS):
        sampler.batch(step)
    cutting = (time.process_time() - start) / STEPS
    share = cutting * rates["images_per_processor_second"] / BATCH
    return {**rates, "waiting_share": history["waiting_share"], "cutting_share": share}


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


def train_plain(folder: Path, workers: int) -> dict[str, float]:
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
        trainer.fit(PlainTask(network(PackedCache.open(folder / "cache")), timed), loader)
    return timed.rates()


def in_own_process(side: str, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    numbers = ["--workers", str(options.workers), "--threads", str(options.threads)]
    command = [sys.executable, __file__, "--side", side, "--folder", str(folder), *numbers]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def compare(options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_dataset(DatasetSettings(seed=0, scenes=SCENES, size=SIDE), folder / "scenes")
        pack(open_dataset(folder / "scenes"), folder / "cache")
        rows: list[dict[str, Any]] = []
        for number in range(options.pairs):
            plain, ours = (in_own_process(side, folder, options) for side in ("plain", "ours"))
            rows.append({"plain": plain, "ours": ours, **{f"ratio_{key}": ours[key] / plain[key] for key in plain}})
            print(f"pair {number + 1}: " + ", ".join(f"{key} {plain[key]:.1f} -> {ours[key]:.1f}" for key in plain))
    summary = {
        f"{key}_median": statistics.median(row[key] for row in rows) for key in rows[0] if key.startswith("ratio_")
    }
    return {
        "network": "U-Net 16-32-64-128, double convolution, batch norm",
        "patch_size": PATCH,
        "batch_size": BATCH,
        "plain_loader_workers": options.workers,
        "pairs": rows,
        **summary,
        "waiting_share_median": statistics.median(row["ours"]["waiting_share"] for row in rows),
        "cutting_share_median": statistics.median(row["ours"]["cutting_share"] for row in rows),
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
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=0, help="loader processes of the plain side")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--side", choices=["ours", "plain"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        warnings.simplefilter("ignore")
        torch.set_num_threads(options.threads)
        ours = options.side == "ours"
        print(json.dumps(train_ours(options.folder) if ours else train_plain(options.folder, options.workers)))
        return
    options.load = os.getloadavg()[0]
    record = compare(options)
    write_json(RESULT, record)
    print(
        f"ratio {record['ratio_images_per_second_median']:.2f} by wall clock, "
        f"{record['ratio_images_per_processor_second_median']:.2f} by processor time, "
        f"waiting {record['waiting_share_median']:.1%} of a step: {RESULT}"
    )


if __name__ == "__main__":
    main()
