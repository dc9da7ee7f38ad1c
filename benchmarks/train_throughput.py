"""Training throughput: our fit against a plain fp32 Lightning loop that reads GeoTIFFs, on the same network.

    python benchmarks/train_throughput.py [--pairs 3] [--workers 0]

Runs plain and ours in turn (A B A B ...), each in a process of its own because the allocator setting lasts, and writes
the paired ratios to ``benchmarks/results/train_throughput.json``. Takes about 4 minutes on 2 cores.

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
from lightning.pytorch.callbacks import Callback
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
EPOCHS, STEPS = 4, 10  # the first epoch warms up and is not counted
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


def train_ours(folder: Path) -> dict[str, float]:
    cache = PackedCache.open(folder / "cache")
    settings = FitSettings(
        epochs=EPOCHS,
        steps_per_epoch=STEPS,
        batch_size=BATCH,
        patch_size=(PATCH, PATCH),
        learning_rate=LEARNING_RATE,
        progress=False,
    )
    with tempfile.TemporaryDirectory() as out:
        fit(network(cache), cache, Split(train=cache.ids, validation=()), settings, out)
        rows = _read_csv(Path(out) / "history.csv")[1:]
    rate = statistics.median(row["images_per_second"] for row in rows)
    sampler = PatchSampler(cache, cache.ids, patch_size=(PATCH, PATCH), batch_size=BATCH, seed=0)
    start = time.perf_counter()
    for step in range(20):
        sampler.batch(step)
    cutting = (time.perf_counter() - start) / 20
    return {
        "images_per_second": rate,
        "waiting_share": statistics.median(row["waiting_share"] for row in rows),
        "cutting_share": cutting * rate / BATCH,
    }


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

    def __init__(self, model: SegmentationModel) -> None:
        super().__init__()
        self.model, self.objective = model, DiceCE()

    @override
    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        """Loss of a batch."""
        images, labels = batch
        return self.objective(self.model(images), labels)["loss"]

    @override
    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The same optimiser as ours."""
        return torch.optim.SGD(self.parameters(), lr=LEARNING_RATE, momentum=0.99, nesterov=True, weight_decay=3e-5)


class Clock(Callback):
    """Seconds of every epoch."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    @override
    def on_train_epoch_start(self, *args: object) -> None:
        """Start."""
        self._start = time.perf_counter()

    @override
    def on_train_epoch_end(self, *args: object) -> None:
        """Stop."""
        self.seconds.append(time.perf_counter() - self._start)


def train_plain(folder: Path, workers: int) -> dict[str, float]:
    clock = Clock()
    loader = DataLoader(
        GeoTiffPatches(folder / "scenes", STEPS * BATCH),
        batch_size=BATCH,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    with quiet_lightning():
        plain_trainer(clock).fit(PlainTask(network(PackedCache.open(folder / "cache"))), loader)
    return {"images_per_second": STEPS * BATCH / statistics.median(clock.seconds[1:])}


def plain_trainer(clock: Clock) -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu",
        max_epochs=EPOCHS,
        gradient_clip_val=12.0,
        callbacks=[clock],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )


def _read_csv(path: Path) -> list[dict[str, float]]:
    header, *lines = path.read_text().splitlines()
    return [dict(zip(header.split(","), map(float, line.split(",")), strict=True)) for line in lines]


def in_own_process(side: str, folder: Path, workers: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--side", side, "--folder", str(folder), "--workers", str(workers)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def compare(pairs: int, workers: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_dataset(DatasetSettings(seed=0, scenes=SCENES, size=SIDE), folder / "scenes")
        pack(open_dataset(folder / "scenes"), folder / "cache")
        rows = []
        for number in range(pairs):
            plain = in_own_process("plain", folder, workers)
            ours = in_own_process("ours", folder, workers)
            ratio = ours["images_per_second"] / plain["images_per_second"]
            rows.append({"plain": plain, "ours": ours, "ratio": ratio})
            print(
                f"pair {number + 1}: plain {plain['images_per_second']:.1f}, ours {ours['images_per_second']:.1f} "
                f"images/s, ratio {ratio:.2f}"
            )
    ratios = [row["ratio"] for row in rows]
    return {
        "network": "U-Net 16-32-64-128, double convolution",
        "patch_size": PATCH,
        "batch_size": BATCH,
        "plain_loader_workers": workers,
        "pairs": rows,
        "ratio_median": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
        "waiting_share_median": statistics.median(row["ours"]["waiting_share"] for row in rows),
        "cutting_share_median": statistics.median(row["ours"]["cutting_share"] for row in rows),
        "threads": torch.get_num_threads(),
        "load_average": os.getloadavg()[0],
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
    parser.add_argument("--side", choices=["ours", "plain"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        warnings.simplefilter("ignore")
        ours = options.side == "ours"
        print(json.dumps(train_ours(options.folder) if ours else train_plain(options.folder, options.workers)))
        return
    record = compare(options.pairs, options.workers)
    write_json(RESULT, record)
    print(f"ratio {record['ratio_median']:.2f}, waiting {record['waiting_share_median']:.1%} of a step: {RESULT}")


if __name__ == "__main__":
    main()
