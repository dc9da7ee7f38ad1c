from __future__ import annotations

import pytest

from satsqueeze.bench.energy import Energy
from satsqueeze.bench.report.comparison import cost_table, source_tables
from satsqueeze.bench.report.summary import fewer, signed, summarise
from satsqueeze.bench.row import BenchRow, Score


def row(name, kind, jaccard, precision="fp32", **changes):
    scores = (Score(protocol="p", jaccard=jaccard),)
    return BenchRow(name=name, kind=kind, precision=precision, **{"scores": scores, **changes})


ROWS = [
    row("t1", "teacher", 0.88),
    row("t2", "teacher", 0.90, parameters=1000),
    row("small", "student", 0.85, parameters=10),
    row("large", "student", 0.89, parameters=100, fp32_bytes=4000),
    row("large", "student", 0.885, "int8", parameters=100, int8_bytes=1000),
]


def test_the_best_student_and_teacher_are_found():
    found = summarise(ROWS)
    assert (found.student, found.student_int8, found.teacher) == (ROWS[3], ROWS[4], ROWS[1])
    assert found.sentence == (
        "Student large reaches a Jaccard of 0.890, 0.010 below its teacher's 0.900, with 10 times fewer parameters; in "
        "8-bit integers it reaches 0.885."
    )


def test_a_chosen_student_comes_first():
    assert summarise(ROWS, "small").student == ROWS[2]
    assert summarise(ROWS, "small").student_int8 is None
    assert summarise(ROWS, "nobody").sentence == "No student has been scored yet."


def test_a_student_may_stand_alone_or_beat_its_teacher():
    assert summarise([ROWS[2]]).sentence == "Student small reaches a Jaccard of 0.850."
    assert "0.050 above its teacher's" in summarise([row("s", "student", 0.95), ROWS[1]]).sentence


def test_an_int8_student_alone_is_the_student():
    found = summarise([ROWS[4]])
    assert found.student == ROWS[4]


def test_ratio_and_sign():
    assert fewer(ROWS[2], ROWS[1]) == 100
    assert fewer(ROWS[2], ROWS[0]) is None
    assert signed(-0.0071) == "\N{MINUS SIGN}0.007"
    assert signed(0.0071) == "+0.007"


def test_columns_that_nobody_fills_are_left_out():
    table = cost_table(ROWS, summarise(ROWS))
    assert [title for title, _ in table.titles] == ["Jaccard", "To teacher", "Parameters", "Size"]
    line = table.lines[4]
    assert (line.name, line.precision, line.is_chosen) == ("large", "int8", True)
    assert [cell.text for cell in line.cells] == ["0.885", "\N{MINUS SIGN}0.015", "100", "1 kB"]
    assert line.cells[2].note == "10 times fewer"


def test_an_undefined_score_is_not_a_zero():
    table = cost_table([row("a", "student", None)], summarise([]))
    assert table.lines[0].cells[0].text == "undefined"


def test_sources_have_a_table_where_there_are_several():
    assert source_tables(ROWS, summarise(ROWS)) == {}
    values = {"a": (0.8, 0.9), "b": (0.7, 0.95)}
    rows = [
        row(
            name,
            "student",
            None,
            scores=tuple(
                Score(protocol="p", source=source, jaccard=value, images=4)
                for source, value in zip(("one", "all"), pair, strict=True)
            ),
        )
        for name, pair in values.items()
    ]
    (table,) = source_tables(rows, summarise(rows)).values()
    assert table.titles == (("all", "4 images"), ("one", "4 images"))
    assert [[(cell.text, cell.is_best) for cell in line.cells] for line in table.lines] == [
        [("0.900", False), ("0.800", True)],
        [("0.950", True), ("0.700", False)],
    ]


def test_headline_figures_tell_only_what_is_known():
    assert [figure.label for figure in summarise(ROWS).figures] == ["Jaccard", "Parameters", "Graph, fp32"]
    energy = Energy(joules=1.5, seconds=1, domain="d", method="RAPL")
    found = summarise([row("s", "student", 0.9, energy=energy)])
    assert [(figure.label, figure.value) for figure in found.figures] == [("Jaccard", "0.900"), ("Energy", "1.5")]
    assert summarise([]).figures == ()


@pytest.mark.parametrize("rows", [[], [BenchRow(name="x", kind="student")]])
def test_nothing_scored_is_said(rows):
    assert summarise(rows).sentence == "No student has been scored yet."
