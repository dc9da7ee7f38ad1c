"""What a report and two files tell of a pre-training."""

from __future__ import annotations

import re
import sys
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.image import imread

from satsqueeze.bench.report.embedding import Embedding, EmbeddingPanel
from satsqueeze.bench.report.page import ReportInputs, render_report
from satsqueeze.bench.report.pretraining import PretrainingView, curves_svg, draw_curves, draw_embedding, embedding_uris
from satsqueeze.core.errors import DataError, MissingDependencyError

from .test_page import FULL, Page

HISTORY = [
    {"epoch": 1, "loss": 5.0, "alignment": 0.5, "uniformity": -1.0, "knn": 0.3, "probe": 0.4},
    {"epoch": 2, "loss": 4.0, "alignment": 0.4, "uniformity": -2.0, "knn": 0.5, "probe": None},
]
UNLABELLED = [{name: row[name] for name in ("epoch", "loss", "alignment", "uniformity")} for row in HISTORY]


def panel(name="<a>", labelled=True):
    picture = np.random.default_rng(0).integers(0, 255, (10, 12, 3)).astype(np.uint8)
    label = np.arange(120, dtype=np.uint8).reshape(10, 12) % 2 if labelled else None
    return EmbeddingPanel(name=name, image=picture, before=picture, after=255 - picture, label=label)


VIEW = PretrainingView(
    history=HISTORY,
    images=17,
    embedding=Embedding(panels=(panel(), panel("b", labelled=False)), before=0.75, after=0.8),
    classes=("clear", "cloud"),
)


def test_curves_hold_what_the_history_tells():
    plot = curves_svg(HISTORY)
    for words in ("Loss", "Alignment", "Uniformity", "10 neighbours", "linear probe"):
        assert words in plot
    assert "Told from frozen features" not in curves_svg(UNLABELLED)
    assert curves_svg([]) == ""
    assert curves_svg(HISTORY[:1]) != ""


def test_files_are_pictures_and_twice_the_same(tmp_path):
    for name in ("a", "b"):
        draw_curves(HISTORY, tmp_path / name / "curves.png")
        draw_embedding(VIEW.embedding, tmp_path / name / "embedding.png", classes=VIEW.classes)
    for name in ("curves.png", "embedding.png"):
        assert imread(tmp_path / "a" / name).std() > 0
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    bare = replace(VIEW.embedding, panels=(panel(labelled=False),))
    draw_embedding(bare, tmp_path / "bare.png", classes=VIEW.classes)
    assert imread(tmp_path / "bare.png").shape[1] < imread(tmp_path / "a/embedding.png").shape[1]


def test_pictures_of_the_page_have_names_and_titles():
    shown = embedding_uris(VIEW)
    assert [name for name, _ in shown] == ["<a>", "b"]
    assert [[title for title, _ in pictures] for _, pictures in shown] == [
        ["image", "random features", "learnt features", "label"],
        ["image", "random features", "learnt features"],
    ]


@pytest.mark.parametrize("inputs", [FULL, ReportInputs(title="alone")], ids=["full", "alone"])
def test_the_report_shows_it(inputs):
    text = render_report(replace(inputs, pretraining=VIEW))
    page = Page(text)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    told = re.sub(r"\s+", " ", "".join(page.texts))
    assert "learnt from 17 images without their labels" in told
    assert "75 % of the variance of random features, 80 % of that of learnt ones" in told
    assert "<a>" in told
    assert text.count("data:image/") == render_report(inputs).count("data:image/") + 7
    assert 'href="#pretraining"' in text
    assert "pretraining" not in render_report(inputs)


def test_a_report_without_labels_or_epochs():
    bare = replace(VIEW, history=[], embedding=replace(VIEW.embedding, panels=(panel(labelled=False),)))
    assert Page(render_report(ReportInputs(title="bare", pretraining=bare))).open == []


def test_what_cannot_be_drawn_is_told(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="history of 1 epochs tells nothing of a pre-training"):
        draw_curves([{"epoch": 1, "jaccard": 0.5}], tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match="matplotlib"):
        draw_embedding(VIEW.embedding, tmp_path / "a.png", classes=VIEW.classes)
