"""How fast a network of the zoo decides and trains, by short trials."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pydantic
import torch

from satsqueeze.bench.energy import Energy, Meter, NotMeasured, find_meter, measure_energy
from satsqueeze.bench.history import read_history
from satsqueeze.bench.machine import Machine, this_machine
from satsqueeze.bench.row_file import Row
from satsqueeze.bench.throughput import Throughput, measure_throughput
from satsqueeze.core.files import write_json
from satsqueeze.core.run import fingerprint_of
from satsqueeze.data.class_stage import ClassPrepared
from satsqueeze.export.class_graph import class_graph
from satsqueeze.export.onnx import export_fp32
from satsqueeze.flight.engines.by_name import open_engine
from satsqueeze.learn.class_settings import ClassFitSettings
from satsqueeze.learn.class_stage import train_classifier
from satsqueeze.learn.progress import HISTORY_FILE
from satsqueeze.learn.scoring.segmenter import Precision, resolved
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.model import build_model

SPEED = "speed.json"
_TIMED = "timed.onnx"  # of weights that are not those of the training
_STEPS = 4  # of each half of a trial of training


class ZooSpeed(Row):
    """How fast the fp32 graph of a network is; its weights do not matter."""

    fingerprint: str
    machine: Machine
    inference: Throughput
    energy: Energy | NotMeasured
    """Of one image."""


@dataclass(frozen=True, kw_only=True)
class SpeedTrial:
    """How the graph of a network is timed."""

    batch: int
    """Images of a call."""
    threads: int
    repeats: int
    """Timed batches."""
    meter: Meter | None = None
    """Of energy; None: the best that this machine has."""

    def speed(self, card: ModelCard, place: Path) -> ZooSpeed:
        """As measured before, or measured now and kept in the folder ``place``."""
        machine, meter = this_machine(), self.meter or find_meter()
        here = [machine.cpu, machine.cores, machine.versions, type(meter).__name__]
        key = fingerprint_of([card.to_dict(), self.batch, self.threads, self.repeats, here])
        known = _read(place / SPEED)
        if known is None or known.fingerprint != key:
            found = self._measured(card, place, meter)
            known = ZooSpeed(fingerprint=key, machine=machine, **found)
            write_json(place / SPEED, known.to_dict())
        return known

    def _measured(self, card: ModelCard, place: Path, meter: Meter) -> dict[str, Any]:
        graph = class_graph(build_model(card, seed=0))
        place.mkdir(parents=True, exist_ok=True)
        path = place / _TIMED
        export_fp32(graph, path)
        engine, side, channels = open_engine("onnx", path, threads=self.threads), graph.side, len(card.bands)
        path.unlink()
        found = measure_throughput(
            engine,
            channels=channels,
            height=side,
            width=side,
            batch=self.batch,
            threads=self.threads,
            repeats=self.repeats,
        )
        image = np.full((1, channels, side, side), 0.2, np.float32)
        repeats = max(1, round(found.images_per_second))
        energy = measure_energy(lambda: engine.run(image, probabilities=False), meter, repeats=repeats)
        return {"inference": found, "energy": energy}


def _read(path: Path) -> ZooSpeed | None:
    """A measurement from before; none where there is none, or where it is no such measurement."""
    try:
        return ZooSpeed.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, pydantic.ValidationError):
        return None


def training_rate(card: ModelCard, prepared: ClassPrepared, fit: ClassFitSettings, place: Path) -> float:
    """Images per second in training, over the second half of a short trial: in the first one, libraries warm up.

    Args:
        card: of the network.
        prepared: images to train on.
        fit: settings of the training that it is a trial of.
        place: folder for the trial; emptied first, and gone afterwards.
    """
    shutil.rmtree(place, ignore_errors=True)  # it may hold one with other settings
    short = replace(fit, epochs=2, steps_per_epoch=_STEPS, keep="last")
    train_classifier(card, replace(prepared, split=replace(prepared.split, validation=())), short, place)
    last: dict[str, Any] = read_history(place / HISTORY_FILE)[-1]
    shutil.rmtree(place)  # weights of a network each
    return float(last["images_per_second"])


def trained_in(precision: Precision) -> Literal["bf16", "fp32"]:
    """What a training computes in."""
    return resolved(precision, torch.device("cuda" if torch.cuda.is_available() else "cpu"))


def precisions(asked: Precision) -> tuple[Literal["bf16", "fp32"], ...]:
    """What a training may compute in; both where ``auto`` would be bfloat16.

    Networks of depthwise convolutions trained up to 1.8 times faster in float32 on processors on which others gain from
    bfloat16.
    """
    found = trained_in(asked)
    return ("bf16", "fp32") if asked == "auto" and found == "bf16" else (found,)
