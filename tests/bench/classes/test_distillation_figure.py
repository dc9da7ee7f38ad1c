"""Curves of a distillation hold what its history tells."""

from __future__ import annotations

import pytest
from matplotlib.image import imread

from satsqueeze.bench.classes.distillation_figure import draw_distillation
from satsqueeze.core.errors import DataError

HISTORY = [
    {"epoch": n, "loss": 2.0 / n, "hard": 1.5 / n, "distillation": 0.5 / n, "share_hard": 0.5, "share_1": 0.1 * n}
    for n in range(1, 4)
]
SCORED = [{**row, "accuracy": 0.2 * row["epoch"]} for row in HISTORY]


def test_there_is_a_panel_for_each_thing_told(tmp_path):
    for name in ("a", "b"):
        draw_distillation(HISTORY, tmp_path / f"{name}.png", teachers=("big",))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    draw_distillation(SCORED, tmp_path / "scored.png", teachers=("big",))
    two, three = imread(tmp_path / "a.png"), imread(tmp_path / "scored.png")
    assert three.shape[1] / two.shape[1] == pytest.approx(3 / 2, abs=0.01)


def test_every_teacher_has_a_curve(tmp_path):
    """More curves than colours: none is left out."""
    many = [{**row, **{f"share_{k}": 0.01 * k for k in range(1, 9)}} for row in HISTORY]
    fewer = tmp_path / "fewer.png"
    draw_distillation(many, tmp_path / "all.png", teachers=[f"t{k}" for k in range(1, 9)])
    draw_distillation(many, fewer, teachers=[f"t{k}" for k in range(1, 8)])
    assert (tmp_path / "all.png").read_bytes() != fewer.read_bytes()


def test_a_history_of_something_else_is_refused(tmp_path):
    with pytest.raises(DataError, match="history of 1 epochs tells nothing of a distillation"):
        draw_distillation([{"epoch": 1, "jaccard": 0.5}], tmp_path / "a.png", teachers=())
