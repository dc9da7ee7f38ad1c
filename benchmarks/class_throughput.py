"""Training throughput of a classifier: our fit against a plain fp32 Lightning loop that decodes the JPEGs each epoch.

    python benchmarks/class_throughput.py [--data EuroSAT_RGB.zip] [--pairs 3] [--workers 0] [--threads 2]

Runs plain and ours in turn (A B A B ...), each in a process of its own because the allocator setting lasts, and writes
the paired ratios to ``benchmarks/results/class_throughput.json``. The target is 3 or more. Takes about 3 minutes on 2
idle cores. Wall-clock ratios mean little on a busy machine; the ratio of processor time is given beside them.

Both sides train the same ResNet8 on the same images at the same batch size with AdamW. Ours: packed cache, bfloat16,
channels last, freed memory kept. Plain: torchvision's ImageFolder with flips, float32. Without ``--data``, tiles are
generated. Images are scaled differently on the two sides, which costs the same.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from class_tiles import card_of, packed, write_tiles
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder
from typing_extensions import override

from satsqueeze.bench.machine import this_machine
from satsqueeze.core.files import write_json
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.splits.split import Split
from satsqueeze.learn.class_losses import LabelLoss
from satsqueeze.learn.fit_classifier import ClassFitSettings, fit_classifier
from satsqueeze.learn.progress import quiet_lightning
from satsqueeze.nets.model import SegmentationModel, build_model

RESULT = Path(__file__).parent / "results" / "class_throughput.json"
WARM_UP = 3
LEARNING_RATE, WEIGHT_DECAY, SMOOTHING = 5e-3, 0.05, 0.1


class Timed:
    """The loss both sides train by, which notes when it is called."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.processor: list[float] = []

    def __call__(
        self, logits: torch.Tensor, targets: torch.Tensor, answers: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """Cross-entropy with label smoothing."""
        self.wall.append(time.perf_counter())
        self.processor.append(time.process_time())
        return LabelLoss(smoothing=SMOOTHING)(logits, targets, answers)

    def rates(self, batch: int) -> dict[str, float]:
        """Images per second and per second of processor time, after warming up."""
        steps = len(self.wall) - 1 - WARM_UP
        wall, processor = (times[-1] - times[WARM_UP] for times in (self.wall, self.processor))
        return {"images_per_second": batch * steps / wall, "images_per_processor_second": batch * steps / processor}


def train_ours(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    cache, timed = PackedCache(folder / "cache"), Timed()
    settings = ClassFitSettings(
        epochs=1,
        steps_per_epoch=options.steps,
        batch_size=options.batch,
        learning_rate=LEARNING_RATE,
        weight_decay=WEIGHT_DECAY,
        precision="bf16",
        channels_last=True,
        keep="last",
        progress=False,
    )
    model = build_model(card_of(cache, options.model), seed=0)
    with tempfile.TemporaryDirectory() as out:
        fit_classifier(model, cache, Split(train=cache.ids, validation=()), settings, out, objective=timed)
        header, row = (Path(out) / "history.csv").read_text().splitlines()
    history = dict(zip(header.split(","), row.split(","), strict=True))
    return {**timed.rates(options.batch), "waiting_share": float(history["waiting_share"])}


class PlainTask(pl.LightningModule):
    """What one writes first."""

    def __init__(self, model: SegmentationModel, objective: Timed) -> None:
        super().__init__()
        self.model, self.objective = model, objective

    @override
    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        """Loss of a batch."""
        images, labels = batch
        logits = self.model(images)
        return self.objective(logits, torch.nn.functional.one_hot(labels, logits.shape[1]).float())["loss"]

    @override
    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The same optimiser as ours."""
        return torch.optim.AdamW(self.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)


def train_plain(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    timed = Timed()
    varied = transforms.Compose(
        [transforms.RandomHorizontalFlip(), transforms.RandomVerticalFlip(), transforms.ToTensor()]
    )
    images = ImageFolder(str(folder / "tiles"), transform=varied)
    loader = DataLoader(images, batch_size=options.batch, shuffle=True, drop_last=True, num_workers=options.workers)
    model = build_model(card_of(PackedCache(folder / "cache"), options.model), seed=0)
    with quiet_lightning():
        trainer = pl.Trainer(
            accelerator="cpu",
            max_steps=options.steps,
            max_epochs=-1,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
        trainer.fit(PlainTask(model, timed), loader)
    return timed.rates(options.batch)


def in_own_process(side: str, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    numbers = [f"--{name}={getattr(options, name)}" for name in ("workers", "threads", "steps", "batch", "model")]
    command = [sys.executable, __file__, "--side", side, "--folder", str(folder), *numbers]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def compare(options: argparse.Namespace) -> dict[str, Any]:
    machine = this_machine().to_dict()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_tiles(folder / "tiles", options.data, options.images)
        cache = packed(folder / "tiles", folder / "cache")
        rows: list[dict[str, Any]] = []
        for number in range(options.pairs):
            plain, ours = (in_own_process(side, folder, options) for side in ("plain", "ours"))
            rows.append({"plain": plain, "ours": ours, **{f"ratio_{key}": ours[key] / plain[key] for key in plain}})
            print(f"pair {number + 1}: " + ", ".join(f"{key} {plain[key]:.0f} -> {ours[key]:.0f}" for key in plain))
    summary = {
        f"{key}_median": statistics.median(row[key] for row in rows) for key in rows[0] if key.startswith("ratio_")
    }
    return {
        "network": options.model,
        "images": len(cache),
        "data": options.data.name if options.data else "generated",
        "side": cache.stack.shape[2],
        "batch_size": options.batch,
        "steps": options.steps,
        "plain_loader_workers": options.workers,
        "threads": options.threads,
        "pairs": rows,
        **summary,
        "waiting_share_median": statistics.median(row["ours"]["waiting_share"] for row in rows),
        "machine": machine,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="EuroSAT_RGB.zip or the folder it unpacks to; else generated tiles")
    parser.add_argument("--images", type=int, default=4000, help="how many of them; 0 = all")
    parser.add_argument("--model", default="resnet8")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=30, help=f"of each training, {WARM_UP} to warm up included")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=0, help="loader processes of the plain side")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--side", choices=["ours", "plain"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.steps < WARM_UP + 2:
        parser.error(f"--steps must be at least {WARM_UP + 2}")
    if options.side:
        warnings.simplefilter("ignore")
        torch.set_num_threads(options.threads)
        train = train_ours if options.side == "ours" else train_plain
        print(json.dumps(train(options.folder, options)))
        return
    record = compare(options)
    write_json(options.out, record)
    print(
        f"ratio {record['ratio_images_per_second_median']:.2f} by wall clock, "
        f"{record['ratio_images_per_processor_second_median']:.2f} by processor time, "
        f"waiting {record['waiting_share_median']:.1%} of a step: {options.out}"
    )


if __name__ == "__main__":
    main()
