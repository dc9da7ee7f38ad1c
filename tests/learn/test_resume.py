"""A run killed at any moment ends as an uninterrupted one."""

import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from satsqueeze.core.errors import RunError
from satsqueeze.data.splits.split import Split
from satsqueeze.learn.checkpoint import BEST_FILE, LAST_FILE, load_checkpoint, remove_checkpoints, save_checkpoint
from satsqueeze.learn.fit import FitSettings, fit
from satsqueeze.learn.progress import Course
from satsqueeze.nets.model import build_model

SETTINGS = FitSettings(
    epochs=6,
    steps_per_epoch=3,
    batch_size=4,
    patch_size=(32, 32),
    learning_rate=0.01,
    optimiser="adamw",
    schedule="onecycle",
    average_decay=0.9,
    seed=1,
)
SCRIPT = """
import pickle, sys
import torch
from satsqueeze.learn.fit import fit
from satsqueeze.nets.model import build_model
torch.set_num_threads(1)
card, cache, split, settings = pickle.load(open(sys.argv[1], "rb"))
fit(build_model(card, seed=0), cache, split, settings, sys.argv[2])
"""


class Stop(Exception):
    """Stands for anything that ends a run from within."""


def weights(folder: Path) -> bytes:
    return (folder / "weights.safetensors").read_bytes()


def epochs_of(folder: Path) -> list[str]:
    return [line.split(",")[0] for line in (folder / "history.csv").read_text().splitlines()]


@pytest.fixture
def job(model_card, cache):
    return model_card(), cache, Split(train=cache.ids[:6], validation=cache.ids[6:]), SETTINGS


def test_killed_run_ends_in_the_same_bits(job, tmp_path):
    card, cache, split, settings = job
    fit(build_model(card, seed=0), cache, split, settings, tmp_path / "whole")
    (tmp_path / "job.pickle").write_bytes(pickle.dumps(job))
    killed = tmp_path / "killed"
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(tmp_path / "job.pickle"), str(killed)]
    with subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}) as process:
        deadline = time.monotonic() + 300
        while not (killed / LAST_FILE).exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL
    assert not (killed / "metrics.json").exists()
    fit(build_model(card, seed=0), cache, split, settings, killed)
    assert weights(killed) == weights(tmp_path / "whole")
    assert sorted(path.name for path in killed.iterdir()) == sorted(p.name for p in (tmp_path / "whole").iterdir())
    assert epochs_of(killed) == epochs_of(tmp_path / "whole")


@pytest.mark.parametrize(
    "changes", [{"optimiser": "sgd", "average_decay": None, "schedule": "poly"}, {"keep": "last", "optimiser": "muon"}]
)
def test_stopped_amid_an_epoch_and_again(job, tmp_path, changes):
    card, cache, split, settings = job
    settings = replace(settings, **changes)
    result = fit(build_model(card, seed=0), cache, split, settings, tmp_path / "whole", objective=Until(10**9))
    for seed, steps in ((0, 5), (5, 7)):
        with pytest.raises(Stop):
            fit(build_model(card, seed=seed), cache, split, settings, tmp_path / "cut", objective=Until(steps))
    again = fit(build_model(card, seed=6), cache, split, settings, tmp_path / "cut", objective=Until(10**9))
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")
    assert (again.best_score, again.best_epoch) == (result.best_score, result.best_epoch)
    histories = [(tmp_path / name / "history.csv").read_text().splitlines() for name in ("cut", "whole")]
    # Epoch, learning rate, losses and scores agree; times do not.
    assert [line.split(",")[:7] for line in histories[0]] == [line.split(",")[:7] for line in histories[1]]


class Until:
    """Dice + cross-entropy that gives up after some steps."""

    def __init__(self, steps):
        from satsqueeze.learn.losses import DiceCE

        self.left, self.inner = steps, DiceCE()

    def __call__(self, logits, labels, soft):
        if not self.left:
            raise Stop
        self.left -= 1
        return self.inner(logits, labels, soft)


def test_killed_between_the_last_epoch_and_the_metrics(job, tmp_path, monkeypatch):
    card, cache, split, settings = job
    fit(build_model(card, seed=0), cache, split, settings, tmp_path / "whole")

    def fail(*args):
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr("satsqueeze.learn.training.save_model", fail)
        with pytest.raises(Stop):
            fit(build_model(card, seed=0), cache, split, settings, tmp_path / "cut")
    fit(build_model(card, seed=0), cache, split, settings, tmp_path / "cut")
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")


def test_killed_between_a_checkpoint_and_the_history_of_its_epoch(job, tmp_path, monkeypatch):
    card, cache, split, settings = job
    write, written = Course.write, []

    def fail_at_last(course, path):
        written.append(course.epochs)
        if course.epochs == settings.epochs:
            raise Stop
        write(course, path)

    with monkeypatch.context() as patch:
        patch.setattr(Course, "write", fail_at_last)
        with pytest.raises(Stop):
            fit(build_model(card, seed=0), cache, split, settings, tmp_path / "cut")
    assert written[-1] == settings.epochs
    fit(build_model(card, seed=0), cache, split, settings, tmp_path / "cut")
    assert epochs_of(tmp_path / "cut") == ["epoch", *map(str, range(1, settings.epochs + 1))]


def test_checkpoint_round_trip_and_refusals(tmp_path):
    path = tmp_path / LAST_FILE
    assert load_checkpoint(path, "a") is None
    course = Course(history=[{"epoch": 1, "loss": 0.5, "jaccard": None}], smoothed=0.1)
    save_checkpoint(path, {"fingerprint": "a", "course": course.to_dict(), "weights": torch.arange(3)})
    record = load_checkpoint(path, "a")
    assert Course(**record["course"]) == course
    assert torch.equal(record["weights"], torch.arange(3))
    with pytest.raises(RunError, match="other settings"):
        load_checkpoint(path, "b")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RunError, match="not a readable checkpoint"):
        load_checkpoint(path, "a")
    torch.save({"format_version": 0}, path)
    with pytest.raises(RunError, match="format 0, this satsqueeze reads 1"):
        load_checkpoint(path, "a")


def test_leftovers_are_removed(tmp_path):
    for name in (LAST_FILE, BEST_FILE, ".last.77.part.ckpt", "history.csv"):
        (tmp_path / name).write_text("x")
    remove_checkpoints(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]
