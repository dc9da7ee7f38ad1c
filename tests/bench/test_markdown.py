from satsqueeze.bench.markdown import markdown


def test_a_table_has_one_line_per_row_and_numbers_to_the_right():
    found = markdown(("name", "score", "note"), [("a", "1.0", "x"), ("b", "2.0", "y")], right=(1,))
    assert found == "| name | score | note |\n| --- | ---: | --- |\n| a | 1.0 | x |\n| b | 2.0 | y |"


def test_what_a_row_lacks_is_empty_and_nothing_breaks_the_table():
    assert markdown(("a", "b", "c"), [("x|y", "two\nlines")]).splitlines()[2] == "| x\\|y | two lines |  |"
