"""What distillation from two cached teachers adds to an epoch of a classifier.

    python benchmarks/class_distill_overhead.py [--data EuroSAT_RGB.zip] [--pairs 5] [--student resnet8] [--threads 2]

Trains one epoch from labels alone and one with the cached answers of two teachers in turn (A B A B ...) and writes the
paired ratios to ``benchmarks/results/class_distill_overhead.json``. The target is 1.15 or less. Takes about 3 minutes
on 2 idle cores. Validation is left out of both. On a busy machine, look at the ratio of processor time. Without
``--data``, tiles are generated.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from class_tiles import card_of, packed, write_tiles
from numpy.typing import NDArray

from satsqueeze.bench.machine import this_machine
from satsqueeze.core.files import write_json
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.splits.split import Split
from satsqueeze.distill.answers import TeacherAnswers, answer
from satsqueeze.distill.class_objective import ClassDistillation
from satsqueeze.distill.weighting import policy_named
from satsqueeze.learn.fit_classifier import ClassFitSettings, fit_classifier
from satsqueeze.nets.card import Task
from satsqueeze.nets.model import build_model

RESULT = Path(__file__).parent / "results" / "class_distill_overhead.json"
TEACHERS = 2


class Anyone:
    """A teacher whose answers cost nothing: the benchmark is about using them."""

    task: Task = "classification"

    def __init__(self, cache: PackedCache, number: int) -> None:
        self.bands, self.classes = cache.bands, cache.classes
        self.name = self.fingerprint = f"anyone-{number}"
        self._draws = np.random.default_rng(number)

    def logits(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Random ones."""
        return self._draws.normal(0, 2, (len(batch), len(self.classes))).astype(np.float32)


def epoch(cache: PackedCache, options: argparse.Namespace, answers: TeacherAnswers | None) -> dict[str, float]:
    """Wall and processor seconds of one epoch."""
    settings = ClassFitSettings(epochs=1, batch_size=options.batch, keep="last", progress=False)
    policy = policy_named(options.policy, teachers=TEACHERS)
    objective = None if answers is None else ClassDistillation(policy=policy, teacher_temperatures=(1.5,) * TEACHERS)
    model = build_model(card_of(cache, options.student), seed=0)
    with tempfile.TemporaryDirectory() as out:
        started = time.process_time()
        split = Split(train=cache.ids, validation=())
        fit_classifier(model, cache, split, settings, out, objective=objective, answers=answers)
        processor = time.process_time() - started
        header, row = (Path(out) / "history.csv").read_text().splitlines()
    history = dict(zip(header.split(","), row.split(","), strict=True))
    return {"seconds": float(history["seconds"]), "processor_seconds": processor}


def pair(cache: PackedCache, options: argparse.Namespace, answers: TeacherAnswers) -> dict[str, Any]:
    labels, distilled = epoch(cache, options, None), epoch(cache, options, answers)
    ratios = {f"ratio_{name}": distilled[name] / labels[name] for name in labels}
    return {"labels": labels, "distilled": distilled, **ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="EuroSAT_RGB.zip or the folder it unpacks to; else generated tiles")
    parser.add_argument("--images", type=int, default=4000, help="how many of them; 0 = all")
    parser.add_argument("--student", default="resnet8")
    parser.add_argument("--policy", default="confidence")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    machine = this_machine().to_dict()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_tiles(folder / "tiles", options.data, options.images)
        cache = packed(folder / "tiles", folder / "cache")
        teachers = [Anyone(cache, number) for number in range(TEACHERS)]
        answers = answer(teachers, cache, cache.ids, folder / "answers", batch_size=512)
        epoch(cache, options, answers)
        pairs = [pair(cache, options, answers) for _ in range(options.pairs)]
    medians = {
        f"{key}_median": statistics.median(entry[key] for entry in pairs)
        for key in ("ratio_seconds", "ratio_processor_seconds")
    }
    record = {
        "student": options.student,
        "teachers": TEACHERS,
        "policy": options.policy,
        "images": len(cache),
        "data": options.data.name if options.data else "generated",
        "batch_size": options.batch,
        "threads": options.threads,
        "pairs": pairs,
        **medians,
        "machine": machine,
    }
    write_json(options.out, record)
    print(f"{options.out}: {medians}")


if __name__ == "__main__":
    main()
