"""What distillation adds to a student's epoch, its teacher's answers being cached.

    python benchmarks/distill_overhead.py [--pairs 5] [--student unet-2] [--threads 2]

Trains one epoch from labels alone and one with cached answers in turn (A B A B ...) and writes the paired ratios to
``benchmarks/results/distill_overhead.json``. The target is 1.15 or less. Takes about 2 minutes on 2 idle cores.
Validation is left out of both. On a busy machine, look at the ratio of processor time.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from satsqueeze.core.files import write_json
from satsqueeze.data.cache.fingerprint import fingerprint
from satsqueeze.data.cache.pack import pack
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.splits.split import Split
from satsqueeze.data.synth import DatasetSettings, write_dataset
from satsqueeze.distill.soft import SoftCache, teach
from satsqueeze.distill.stage import DistillSettings, train_student
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.students import plain_student, student_card

RESULT = Path(__file__).parent / "results" / "distill_overhead.json"
SCENES, SIDE, STEPS = 16, 256, 40


class Anyone:
    """A teacher whose answers cost nothing: the benchmark is about using them."""

    name = fingerprint = "anyone"

    def __init__(self, cache: PackedCache) -> None:
        self.bands, self.classes = cache.bands, cache.classes

    def probabilities(self, reflectance: NDArray[np.float32]) -> NDArray[np.float32]:
        """Random shares."""
        draw = np.random.default_rng(0).random((len(self.classes), *reflectance.shape[1:]), np.float32)
        shares: NDArray[np.float32] = draw / draw.sum(axis=0)
        return shares


def teacher_card(cache: PackedCache) -> ModelCard:
    return ModelCard(
        name="teacher",
        family="unet",
        config=plain_student(8, 4, in_channels=len(cache.bands), classes=len(cache.classes)),
        scaling=fingerprint(cache, cache.ids).scaling(),
        bands=cache.bands,
        classes=cache.classes,
        foreground=cache.foreground,
    )


def epoch(cache: PackedCache, student: str, soft: SoftCache | None) -> dict[str, float]:
    """Wall and processor seconds of one epoch of the student recipe."""
    settings = DistillSettings()
    settings = replace(settings, fit=replace(settings.fit, epochs=1, steps_per_epoch=STEPS, progress=False))
    split = Split(train=cache.ids, validation=())
    with tempfile.TemporaryDirectory() as out:
        started = time.process_time()
        folder = train_student(
            student_card(student), teacher_card(cache), cache, split, settings=settings, folder=Path(out), soft=soft
        )
        processor = time.process_time() - started
        header, row = (folder / "history.csv").read_text().splitlines()
    history = dict(zip(header.split(","), row.split(","), strict=True))
    return {"seconds": float(history["seconds"]), "processor_seconds": processor}


def pair(cache: PackedCache, student: str, soft: SoftCache) -> dict[str, Any]:
    labels, distilled = epoch(cache, student, None), epoch(cache, student, soft)
    ratios = {f"ratio_{name}": distilled[name] / labels[name] for name in labels}
    return {"labels": labels, "distilled": distilled, **ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--student", default="unet-2")
    parser.add_argument("--threads", type=int, default=2)
    words = parser.parse_args()
    torch.set_num_threads(words.threads)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_dataset(DatasetSettings(seed=0, scenes=SCENES, size=SIDE), folder / "scenes")
        cache = pack(open_dataset(folder / "scenes"), folder / "cache")
        soft = teach([Anyone(cache)], cache, cache.ids, folder / "soft")
        epoch(cache, words.student, soft)
        pairs = [pair(cache, words.student, soft) for _ in range(words.pairs)]
    medians = {
        f"{key}_median": statistics.median(entry[key] for entry in pairs)
        for key in ("ratio_seconds", "ratio_processor_seconds")
    }
    settings = DistillSettings().fit
    record = {
        "student": words.student,
        "batch_size": settings.batch_size,
        "patch_size": settings.patch_size[0],
        "steps": STEPS,
        "classes": len(cache.classes),
        "threads": words.threads,
        "processor": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "load_average_before": load,
        "pairs": pairs,
        **medians,
    }
    write_json(RESULT, record)
    print(f"{RESULT}: {medians}")


if __name__ == "__main__":
    main()
