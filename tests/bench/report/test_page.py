from __future__ import annotations

import base64
import io
import re
import sys
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from satsqueeze.bench.drawing.pictures import Panel
from satsqueeze.bench.energy import Energy, NotMeasured
from satsqueeze.bench.latency import Latency
from satsqueeze.bench.report.page import ReportInputs, render_report, write_report
from satsqueeze.bench.row import BenchRow, Score
from satsqueeze.core.errors import MissingDependencyError


def latency(seconds):
    return Latency(
        p50_s_per_mpixel=seconds,
        p95_s_per_mpixel=1.1 * seconds,
        scope="predict",
        engine="onnx",
        threads=1,
        height=512,
        width=512,
        channels=4,
        repeats=20,
        load_average=0.5,
    )


def scores(jaccard, spread=None):
    return tuple(
        Score(
            protocol="5-fold",
            source=source,
            jaccard=jaccard + change,
            spread=spread,
            seeds=3 if spread else 1,
            images=9,
        )
        for source, change in (("all", 0.0), ("38-cloud", 0.02))
    )


ROWS = (
    BenchRow(name="threshold", kind="threshold", scores=scores(0.55), latency=latency(0.02)),
    BenchRow(name="resnet", kind="baseline", scores=scores(0.86), parameters=24_000_000, macs_per_pixel=118_000),
    BenchRow(name="ensemble", kind="teacher", scores=scores(0.90), parameters=33_600_000, macs_per_pixel=214_000),
    BenchRow(
        name="tiny",
        kind="student",
        scores=scores(0.893, 0.002),
        parameters=120_000,
        macs_per_pixel=9000,
        macs_input="256x256",
        fp32_bytes=500_000,
        int8_bytes=140_000,
        latency=latency(0.1),
        energy=Energy(joules=0.4, seconds=0.1, domain="package-0", method="RAPL powercap counters"),
        train_minutes=12,
    ),
    BenchRow(
        name="tiny",
        kind="student",
        precision="int8",
        scores=scores(0.891, 0.002),
        parameters=120_000,
        macs_per_pixel=9000,
        int8_bytes=140_000,
        latency=latency(0.04),
        energy=NotMeasured("no meter here"),
    ),
)


def panel(case="worst", teacher=True):
    rng = np.random.default_rng(0)
    label = rng.integers(0, 4, (20, 30)).astype(np.uint8)
    label[0] = 255
    return Panel(
        image=rng.integers(0, 255, (20, 30, 3)).astype(np.uint8),
        label=label,
        teacher=label if teacher else None,
        student=np.zeros_like(label),
        caption="scene <1>",
        score=0.5,
        case=case,
    )


CURVE = [{"epoch": 1, "loss": 1.0, "jaccard": 0.4}, {"epoch": 2, "loss": 0.5, "jaccard": None}]
FULL = ReportInputs(
    title="A <bold> title & more",
    subtitle="Made for a test.",
    rows=ROWS,
    chosen="tiny",
    curves={"teacher/fold_0": CURVE, "students/tiny": CURVE},
    panels=[panel(), panel("best", teacher=False)],
    decisions=[{"rule": "batch-size", "reason": "memory allows 12 < 13"}],
    parity={"fp32": {"tolerance": 1e-4, "ties": 0}, "int8": {"a.onnx": {"float_layers": ["head", "stem"]}}, "left": {}},
    protocols={"5-fold": "Every image is predicted by models that never saw its scene."},
    provenance={
        "settings": {"epochs": 30, "rate": 0.004, "on": True, "none": None},
        "splits": [{"fold": 0, "n": 12345}],
    },
    notes=["one assumption"],
    made="today",
)


class Page(HTMLParser):
    """Collects identifiers, references and open tags."""

    VOID = frozenset({"meta", "img", "hr", "br", "link", "path", "use", "rect"})

    def __init__(self, text):
        super().__init__()
        self.ids, self.references, self.open, self.texts = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href", "data", "action"):
                self.references.append(value)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope="module")
def text():
    return render_report(FULL)


def test_the_file_needs_nothing_else(text):
    page = Page(text)
    assert page.open == []
    assert page.references
    assert all(reference.startswith(("#", "data:image/")) for reference in page.references)
    assert "<script" not in text
    assert "<link" not in text
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)


def test_identifiers_are_unique_and_references_resolve(text):
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    inner = {reference[1:] for reference in page.references if reference.startswith("#")}
    inner |= set(re.findall(r"url\(#([^)]+)\)", text))
    assert inner <= set(page.ids)


def test_everything_given_is_told_and_escaped(text):
    shown = "".join(Page(text).texts)
    for words in (
        "A <bold> title & more",
        "Made for a test.",
        "Student tiny reaches a Jaccard of 0.893, 0.007 below its teacher's 0.900, with 280 times fewer parameters",
        "in 8-bit integers it reaches 0.891",
        "one assumption",
        "memory allows 12 < 13",
        "Every image is predicted by models that never saw its scene.",
        "Energy not measured: no meter here",
        "scene <1>",
        "head, stem",
        "12,345",
        "38-cloud",
        "standard deviation over 3 trainings",
        "today",
    ):
        assert words in shown, words
    assert "<bold>" not in text


def test_plots_are_xml_in_the_colours_and_the_font_of_the_page(text):
    plots = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(plots) == 3 + 2
    for plot in plots:
        ET.fromstring(plot)
        assert "#0101" not in plot
        assert "#0102" not in plot
        assert "#0103" not in plot
        assert "var(--ink)" in plot
        assert "DejaVu" not in plot
        assert "var(--font)" in plot


def test_pictures_are_pictures(text):
    from matplotlib.image import imread

    uris = re.findall(r'src="data:image/(\w+);base64,([^"]+)"', text)
    assert len(uris) == 5 + 4
    for kind, data in uris:
        assert imread(io.BytesIO(base64.b64decode(data)), format=kind).shape[:2] == (20, 30)


def test_the_same_inputs_give_the_same_bytes(text):
    assert render_report(FULL) == text


def test_light_and_dark_define_the_same_variables(text):
    light, dark = re.findall(r":root \{(.*?)\}", text, re.DOTALL)[:2]
    names = [set(re.findall(r"--([\w-]+):", block)) for block in (light, dark)]
    assert names[0] - names[1] == {"font", "mono"}
    assert set(re.findall(r"var\(--([\w-]+)\)", text)) <= names[0] | {"kind", "share"}


@pytest.mark.parametrize(
    "inputs",
    [
        ReportInputs(title="nothing"),
        ReportInputs(title="one row", rows=ROWS[:1]),
        ReportInputs(title="no score", rows=[BenchRow(name="a", kind="student")]),
        ReportInputs(
            title="undefined", rows=[BenchRow(name="a", kind="student", scores=(Score(protocol="p", jaccard=None),))]
        ),
        ReportInputs(title="curves without values", curves={"a": [{"epoch": 1, "loss": None}]}),
        ReportInputs(title="only a curve", curves={"a": CURVE}),
        ReportInputs(title="only panels", panels=[panel()]),
        ReportInputs(title="other classes", panels=[panel()], classes=("a", "b", "c", "d"), foreground=(3,)),
        ReportInputs(title="unknown choice", rows=ROWS, chosen="nobody"),
    ],
    ids=lambda inputs: inputs.title,
)
def test_a_report_of_little_is_still_a_report(inputs):
    page = Page(render_report(inputs))
    assert page.open == []
    assert inputs.title in "".join(page.texts)


def test_the_file_is_written_whole(tmp_path):
    path = write_report(FULL, tmp_path / "deep" / "report.html")
    assert path.read_text(encoding="utf-8").endswith("</html>\n") or path.read_text(encoding="utf-8").endswith(
        "</html>"
    )
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


@pytest.mark.parametrize("module", ["jinja2", "matplotlib"])
def test_a_missing_library_is_named(module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=module):
        render_report(FULL)
