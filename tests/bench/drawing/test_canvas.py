"""Figures are written whole, and twice the same."""

from __future__ import annotations

import sys

import pytest
from matplotlib.image import imread

from satsqueeze.bench.drawing.canvas import new_figure, style, write_png
from satsqueeze.core.errors import MissingDependencyError


def test_a_figure_has_its_size_and_nothing_of_the_version(tmp_path):
    for name in ("a", "b"):
        figure = new_figure(2, 1)
        figure.subplots().plot([0, 1])
        write_png(figure, tmp_path / name / "figure.png", dpi=50)
    written = (tmp_path / "a/figure.png").read_bytes()
    assert written == (tmp_path / "b/figure.png").read_bytes()
    assert b"Software" not in written
    assert imread(tmp_path / "a/figure.png").shape[:2] == (50, 100)


def test_a_style_holds_within_its_context():
    before = new_figure(1, 1).dpi
    with style({"figure.dpi": 37}):
        assert new_figure(1, 1).dpi == 37
        assert new_figure(1, 1, dpi=41).dpi == 41
    assert new_figure(1, 1).dpi == before


@pytest.mark.parametrize("make", [lambda: new_figure(1, 1), lambda: style({})])
def test_without_matplotlib_there_is_no_figure(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match="matplotlib"):
        make()
