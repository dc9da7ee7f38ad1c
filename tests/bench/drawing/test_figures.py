from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satsqueeze.bench.drawing.figures import COSTS, curve_plot, pareto_front, pareto_plot
from satsqueeze.bench.drawing.placement import Box, Label, box_of, place_labels
from satsqueeze.bench.row import BenchRow, Score

NUMBERS = st.floats(0.01, 10, allow_nan=False).map(lambda value: round(value, 1))


@settings(deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=12))
def test_the_front_holds_exactly_what_nothing_beats(points):
    def beaten(point):
        return any(other != point and other[0] <= point[0] and other[1] >= point[1] for other in points)

    assert pareto_front(points) == sorted({point for point in points if not beaten(point)})


def row(name, jaccard, parameters, kind="student"):
    scores = () if jaccard is None else (Score(protocol="p", jaccard=jaccard),)
    return BenchRow(name=name, kind=kind, scores=scores, parameters=parameters)


def test_a_plot_needs_two_models_with_cost_and_quality():
    assert pareto_plot([], COSTS[0]) == ""
    assert pareto_plot([row("a", 0.5, 10), row("b", None, 20), row("c", 0.6, None)], COSTS[0]) == ""
    assert "<svg" in pareto_plot([row("a", 0.5, 10), row("b", 0.6, 20)], COSTS[0])


def test_equal_scores_and_costs_can_be_drawn():
    assert "<svg" in pareto_plot([row("a", 0.5, 10), row("b", 0.5, 10)], COSTS[0])


def test_a_threshold_far_below_is_named_at_the_foot():
    rows = [row("a", 0.90, 1000), row("b", 0.85, 100), row("threshold", 0.4, 1, "threshold")]
    assert "threshold 0.400 \N{DOWNWARDS ARROW}" in pareto_plot(rows, COSTS[0])
    assert "\N{DOWNWARDS ARROW}" not in pareto_plot(rows[:2], COSTS[0])


def test_thresholds_alone_can_be_drawn():
    rows = [row("a", 0.4, 10, "threshold"), row("b", 0.5, 20, "threshold")]
    assert "<svg" in pareto_plot(rows, COSTS[0])


@pytest.mark.parametrize(("costs", "told"), [((2000, 8000), {"2 k", "5 k"}), ((2000, 300_000), {"10 k", "100 k"})])
def test_costs_between_two_powers_of_ten_have_numbers_too(costs, told):
    drawn = pareto_plot([row("a", 0.5, costs[0]), row("b", 0.6, costs[1])], COSTS[0])
    assert set(re.findall(r">(\d+ k)</text>", drawn)) == told


def test_curves_show_what_is_known():
    assert curve_plot({}) == ""
    assert curve_plot({"a": [{"epoch": 1, "loss": None, "jaccard": float("nan")}]}) == ""
    both = curve_plot({"a": [{"epoch": 1, "loss": 1.0}], "b": [{"epoch": 1, "loss": 2.0, "jaccard": 0.5}]})
    assert "Training loss" in both
    assert "Validation Jaccard" in both
    assert "Validation" not in curve_plot({"a": [{"epoch": 1, "loss": 1.0}]})


FRAME = Box(left=0, bottom=0, right=200, top=100)


@pytest.mark.parametrize(("a", "b", "area"), [((0, 0, 4, 4), (2, 2, 6, 6), 4), ((0, 0, 1, 1), (1, 0, 2, 1), 0)])
def test_overlap_is_the_common_area(a, b, area):
    first, second = (Box(left=x0, bottom=y0, right=x1, top=y1) for x0, y0, x1, y1 in (a, b))
    assert first.overlap(second) == second.overlap(first) == area


def test_a_lonely_label_stands_right_and_at_the_border_left():
    middle, border = (place_labels([Label(text="name", x=x, y=50)], FRAME)[0] for x in (100, 195))
    assert (middle.align, border.align) == ("left", "right")


def test_labels_of_near_points_do_not_cover_one_another():
    labels = [Label(text="unet-8", x=100, y=50), Label(text="lite-16", x=104, y=53), Label(text="unet-16", x=98, y=55)]
    boxes = [box_of(label, place) for label, place in zip(labels, place_labels(labels, FRAME), strict=True)]
    assert all(a.overlap(b) == 0 for i, a in enumerate(boxes) for b in boxes[:i])
    assert all(box.outside(FRAME) == 0 for box in boxes)


def test_labels_leave_markers_visible():
    label, marker = Label(text="name", x=100, y=50), (115, 50)
    (bare,), (place,) = (place_labels([label], FRAME, markers=markers) for markers in ([], [marker]))
    covers = [
        box.left <= marker[0] <= box.right and box.bottom <= marker[1] <= box.top
        for box in (box_of(label, bare), box_of(label, place))
    ]
    assert covers == [True, False]
