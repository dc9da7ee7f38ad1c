"""The course of a run, and what is shown of it."""

import csv
import io
import logging
import warnings

import pytest
from rich.console import Console

from satsqueeze.learn.progress import Course, ProgressBar, quiet_lightning
from satsqueeze.learn.settings import FitSettings


def test_history_as_csv(tmp_path):
    course = Course(history=[{"epoch": 1, "loss": 0.5, "jaccard": None}, {"epoch": 2, "loss": 0.25, "jaccard": 0.75}])
    course.write(tmp_path / "history.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "history.csv").read_text())))
    assert rows == [
        {"epoch": "1", "loss": "0.5", "jaccard": ""},
        {"epoch": "2", "loss": "0.25", "jaccard": "0.75"},
    ]
    assert course.total("loss") == 0.75
    assert course.total("jaccard") == 0.75


def test_first_score_is_best_and_ties_are_not():
    course = Course()
    assert course.add_score(0.5, smoothing=0.9)
    course.history.append({})
    assert not course.add_score(0.5, smoothing=0.9)
    assert course.add_score(0.6, smoothing=0.9)
    assert (course.best_epoch, course.smoothed) == (2, pytest.approx(0.51))
    assert not course.add_score(0.1, smoothing=0.9)
    assert course.best_smoothed == pytest.approx(0.51)


def test_bar_starts_where_the_run_resumes(monkeypatch):
    shown = Console(file=io.StringIO(), force_terminal=True, width=120)
    monkeypatch.setattr("satsqueeze.learn.progress.Console", lambda **_: shown)
    course = Course(history=[{"epoch": 1, "loss": 0.5, "jaccard": None}])
    bar = ProgressBar("tiny", course, FitSettings(epochs=3, steps_per_epoch=4))
    bar.on_train_start(None, None)
    bar.on_train_batch_end()
    bar.on_train_epoch_start(None, None)
    bar.on_train_end(None, None)
    assert "tiny" in shown.file.getvalue()
    assert "5/12" in shown.file.getvalue()
    assert "loss 0.5000" in shown.file.getvalue()
    bar.on_exception(None, None, ValueError())


def test_lightning_is_quiet_only_inside():
    logger = logging.getLogger("lightning.pytorch")
    before = logger.level
    with quiet_lightning():
        assert logger.level == logging.ERROR
        warnings.warn_explicit("hint", UserWarning, "x.py", 1, module="lightning.pytorch.trainer")
    assert logger.level == before
    with pytest.warns(UserWarning, match="hint"):
        warnings.warn_explicit("hint", UserWarning, "x.py", 1, module="lightning.pytorch.trainer")
