import pytest
import yaml

from satsqueeze.core.yaml_text import parse_yaml


def test_it_reads_what_the_library_reads():
    text = "a: &a {b: 1, c: [x, 2.5, true, null]}\nd: {<<: *a, b: 2}\n"
    assert parse_yaml(text) == yaml.safe_load(text)
    assert parse_yaml(text)["d"] == {"b": 2, "c": ["x", 2.5, True, None]}
    assert parse_yaml("") is None


def test_what_was_merged_can_be_merged_again():
    text = "a: &a {x: 1, y: 1}\nb: &b {<<: *a, x: 2}\nc: &c {<<: *b, x: 3}\nd: *b\ne: {<<: [*c, *a], y: 4}\n"
    assert parse_yaml(text) == yaml.safe_load(text)
    assert parse_yaml(text)["e"] == {"x": 3, "y": 4}


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\nb: 2\na: 3\n",
        "{a: {b: 1, b: 2}}",
        "- {x: &x {y: 1}, z: {<<: *x, y: 1, y: 2}}",
        "{1: a, 01: b}",
        "{true: a, yes: b}",
    ],
)
def test_no_key_stands_twice(text):
    with pytest.raises(yaml.YAMLError, match="stands twice"):
        parse_yaml(text)


def test_a_number_is_another_key_than_its_text():
    assert parse_yaml("{1: a, '1': b}") == {1: "a", "1": "b"}


def test_tags_of_programs_are_refused():
    with pytest.raises(yaml.YAMLError):
        parse_yaml("!!python/object/apply:os.getcwd []")
