from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from satsqueeze.bench.tables import (
    Column,
    fill_tables,
    format_value,
    lookup,
    make_tables,
    markdown_table,
    read_result,
    select,
)
from satsqueeze.core.errors import RunError, SettingsError

ROOT = Path(__file__).parents[2]


def test_a_table_reads_as_written():
    rows = [{"name": "a|b", "x": 0.12345, "n": 121_601}, {"name": "c", "x": None}]
    columns = [Column(title="Model", value="name"), Column(title="X", value="x", format=".3f")]
    columns.append(Column(title="N", value="n", format=","))
    assert markdown_table(rows, columns) == (
        "| Model | X | N |\n| --- | ---: | ---: |\n| a\\|b | 0.123 | 121,601 |\n| c | \N{EN DASH} | \N{EN DASH} |\n"
    )


def test_a_spread_follows_its_value_where_it_is_known():
    rows = [{"x": 0.5, "s": 0.01}, {"x": 0.25}, {"s": 0.1}]
    table = markdown_table(rows, [Column(title="X", value="x", format=".2f", spread="s")])
    assert table == "| X |\n| ---: |\n| 0.50 ± 0.01 |\n| 0.25 |\n| \N{EN DASH} |\n"


def test_rows_are_selected_and_gathered():
    records = [{"n": "a", "k": 1, "w": "x"}, {"n": "b", "k": 2, "w": "x"}, {"n": "a", "k": 1, "w": "y"}]
    assert select(records) == records
    assert select(records, where={"k": 2}) == records[1:2]
    gathered = select(records, by="n")
    assert [row["n"] for row in gathered] == ["a", "b"]
    assert gathered[0]["rows"] == [records[0], records[2]]
    assert lookup(gathered[0], "rows[w=y].k") == 1
    assert lookup(gathered[1], "rows[w=y].k") is None
    assert [(row["n"], row["w"]) for row in select(records, by=["n", "w"])] == [("a", "x"), ("b", "x"), ("a", "y")]
    assert len(select(records, by=["n", "k"])) == 2


def test_an_empty_table_has_a_head():
    assert markdown_table([], [Column(title="A", value="a")]) == "| A |\n| --- |\n"
    with pytest.raises(SettingsError, match="at least one column"):
        markdown_table([{}], [])


RECORD = {"a": {"b": [10, 20]}, "scores": [{"source": "all", "jaccard": 0.9}, {"source": "38-cloud", "jaccard": 0.8}]}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a.b.1", 20),
        ("a.b.7", None),
        ("a.b.x", None),
        ("a.c.d", None),
        ("scores[source=38-cloud].jaccard", 0.8),
        ("scores[source=none].jaccard", None),
        ("scores.0.source", "all"),
        ("a[x=1]", None),
        ("", RECORD),
    ],
)
def test_lookup_walks_keys_positions_and_selections(path, value):
    assert lookup(RECORD, path) == value


@pytest.mark.parametrize(
    ("value", "specification", "text"),
    [
        (None, ".3f", "\N{EN DASH}"),
        ("text", ".3f", "text"),
        (True, "", "True"),
        (0.5, "", "0.5"),
        (0.1234, "percent", "12.3 %"),
        (999, "bytes", "999 B"),
        (140_000, "bytes", "140 kB"),
        (999_900, "bytes", "1 MB"),
        (39_600_000, "bytes", "39.6 MB"),
        (5e12, "bytes", "5000 GB"),
        (9030, "count", "9.03 k"),
        (46_325_422, "count", "46.3 M"),
        (0, "count", "0"),
    ],
)
def test_values_are_written_short(value, specification, text):
    assert format_value(value, specification) == text


def test_a_format_that_does_not_fit_is_refused():
    with pytest.raises(SettingsError, match="cannot write"):
        format_value(0.5, "d")


def specification(folder, **entry):
    path = folder / "tables.yaml"
    path.write_text(json.dumps({"main": {"file": "r.jsonl", "columns": [{"title": "A", "value": "a"}], **entry}}))
    return path


def test_tables_come_from_result_files(tmp_path):
    (tmp_path / "r.jsonl").write_text('{"a": 1}\n\n{"a": 2}\n')
    assert make_tables(specification(tmp_path))["main"].endswith("| 1 |\n| 2 |\n")
    (tmp_path / "r.json").write_text('{"deep": {"rows": [{"a": 3}]}}')
    assert make_tables(specification(tmp_path, file="r.json", rows="deep.rows"))["main"].endswith("| 3 |\n")


def test_rows_of_another_file_stand_beside(tmp_path):
    (tmp_path / "r.jsonl").write_text('{"a": 1, "n": "x"}\n{"a": 2, "n": "y"}\n')
    (tmp_path / "q.json").write_text('{"rows": [{"n": "x", "q": 0.5}, {"n": "x", "q": 0.9}, {"n": "z", "q": 1}]}')
    beside = {"quality": {"file": "q.json", "rows": "rows", "by": "n"}}
    columns = [{"title": "A", "value": "a"}, {"title": "Q", "value": "quality.q"}]
    made = make_tables(specification(tmp_path, columns=columns, beside=beside))["main"]
    assert made.endswith("| 1 | 0.5 |\n| 2 | \N{EN DASH} |\n")
    with pytest.raises(SettingsError, match="expected NAME"):
        make_tables(specification(tmp_path, beside={"quality": {"file": "q.json", "rows": "rows"}}))


def test_missing_and_malformed_result_files_are_run_errors(tmp_path):
    with pytest.raises(RunError, match="cannot be read"):
        make_tables(specification(tmp_path))
    (tmp_path / "r.jsonl").write_text("{")
    with pytest.raises(RunError, match="cannot be read"):
        make_tables(specification(tmp_path))
    (tmp_path / "x.json").write_text('{"rows": 5}')
    with pytest.raises(RunError, match="no list of records at 'rows'"):
        read_result(tmp_path / "x.json", "rows")


@pytest.mark.parametrize(
    "text", ["[1]", "main: {}", "main: {file: r.jsonl, columns: [{titel: A}]}", "main: [", "main: 5"]
)
def test_malformed_specifications_are_refused(tmp_path, text):
    (tmp_path / "r.jsonl").write_text("{}\n")
    (tmp_path / "tables.yaml").write_text(text)
    with pytest.raises(SettingsError, match="expected NAME"):
        make_tables(tmp_path / "tables.yaml")


def test_only_what_lies_between_the_markers_is_replaced():
    text = "a\n<!-- table:main -->\nold\n<!-- /table -->\nb <!-- table:two -->\n<!-- /table -->\n"
    filled = fill_tables(text, {"main": "new\n", "two": "2\n", "unused": ""})
    assert filled == "a\n<!-- table:main -->\nnew\n<!-- /table -->\nb <!-- table:two -->\n2\n<!-- /table -->\n"
    assert fill_tables(filled, {"main": "new\n", "two": "2\n"}) == filled


@pytest.mark.parametrize(
    "text",
    ["<!-- table:main -->\nno end", "<!-- table:other -->\n<!-- /table -->", "<!-- table:main --> x <!-- /table -->"],
)
def test_broken_markers_are_refused(text):
    with pytest.raises(SettingsError, match="table markers"):
        fill_tables(text, {"main": ""})


def load_script():
    spec = importlib.util.spec_from_file_location("update_tables", ROOT / "scripts" / "update_tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script_finds_what_is_out_of_date(tmp_path):
    script = load_script()
    assert script.outdated(tmp_path) == {}
    results = tmp_path / "docs" / "results"
    results.mkdir(parents=True)
    (results / "r.jsonl").write_text('{"a": 1}\n')
    specification(results)
    (tmp_path / "README.md").write_text("<!-- table:main -->\n<!-- /table -->\n")
    found = script.outdated(tmp_path)
    assert found == {tmp_path / "README.md": "<!-- table:main -->\n| A |\n| ---: |\n| 1 |\n<!-- /table -->\n"}


def test_the_tables_of_this_project_are_up_to_date():
    found = load_script().outdated()
    assert not found, "run: python scripts/update_tables.py"
