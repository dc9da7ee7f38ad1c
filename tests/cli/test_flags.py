"""Flags from signatures."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from satsqueeze.cli.flags import parse, read_settings
from satsqueeze.core.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class Inner:
    """Innermost.

    Attributes:
        epochs: how many.
    """

    epochs: int = 3
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise SettingsError(f"epochs: got {self.epochs}, expected at least 1")


@dataclass(frozen=True, kw_only=True)
class Outer:
    """Outer."""

    inner: Inner = field(default_factory=Inner)
    names: tuple[str, ...] = ()


def command(
    data: str,
    *,
    out: Path = Path("here"),
    bands: list[str] | None = None,
    outer: Outer = Outer(),
    json: bool = False,
) -> int:
    """Do something.

    Args:
        data: what to read.
        out: where to write.
        bands: names.
        outer: settings.
        json: print JSON.
    """
    raise AssertionError


def several(images: list[Path], bands: list[str] = ["blue"]) -> int:  # noqa: B006
    """Take several.

    Args:
        images: some files.
        bands: names.
    """
    raise AssertionError


def read(*words, function=command):
    return parse(function, words, prog="test")


def test_defaults_and_positional_words():
    assert read("d") == {"data": "d", "out": Path("here"), "bands": None, "outer": Outer(), "json": False}


def test_a_switch_needs_no_value():
    assert read("d", "--json")["json"] is True
    assert read("--json", "d")["json"] is True


@pytest.mark.parametrize(
    "words",
    [("--bands", "blue,nir08"), ("--bands=blue,nir08",), ("--bands", "[blue, nir08]"), ("--bands", "blue, nir08")],
)
def test_names_are_joined_by_commas(words):
    assert read(*words, "d")["bands"] == ["blue", "nir08"]
    assert read("d", *words)["data"] == "d"


def test_numbers_are_joined_by_commas():
    def count(levels: list[int] | None = None) -> int:
        raise AssertionError

    assert read("--levels", "1,5", function=count) == {"levels": [1, 5]}
    assert read("--levels=2", function=count) == {"levels": [2]}


def test_one_name_is_a_list_of_one():
    assert read("x.tif", "--bands", "blue", function=several) == {"images": [Path("x.tif")], "bands": ["blue"]}


def test_several_files():
    found = read("a.tif", "b.tif", "--bands", "blue,nir", function=several)
    assert found == {"images": [Path("a.tif"), Path("b.tif")], "bands": ["blue", "nir"]}


def test_settings_are_dotted_flags():
    outer = read("d", "--outer.inner.epochs", "5", "--outer.inner.size", "[3, 4]", "--outer.names", "[a, b]")["outer"]
    assert outer == Outer(inner=Inner(epochs=5, size=(3, 4)), names=("a", "b"))


def test_a_file_gives_any_of_them_and_later_words_win(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("outer: {inner: {epochs: 7}, names: [c]}\nout: there\n")
    found = read("d", "--config", str(path), "--outer.inner.epochs", "8")
    assert (found["outer"], found["out"]) == (Outer(inner=Inner(epochs=8), names=("c",)), Path("there"))


def test_settings_check_themselves():
    with pytest.raises(SettingsError, match="epochs: got 0, expected at least 1"):
        read("d", "--outer.inner.epochs", "0")


def test_help_holds_the_documentation(capsys):
    with pytest.raises(SystemExit) as stop:
        read("--help")
    assert stop.value.code == 0
    out = capsys.readouterr().out
    for text in ("Do something.", "what to read", "where to write", "how many", "--outer.inner.epochs"):
        assert text in out


def test_settings_of_a_file(tmp_path):
    path = tmp_path / "outer.yaml"
    path.write_text("inner: {epochs: 7}\nnames: [a]\n")
    assert read_settings(Outer, path) == Outer(inner=Inner(epochs=7), names=("a",))


def test_a_file_says_what_differs_from_its_base(tmp_path):
    (tmp_path / "first.yaml").write_text("inner: {epochs: 7}\nnames: [a, b]\n")
    (tmp_path / "second.yaml").write_text("base: first.yaml\nnames: [c]\n")
    (tmp_path / "third.yaml").write_text("base: second.yaml\ninner: {epochs: 8}\n")
    assert read_settings(Outer, tmp_path / "second.yaml") == Outer(inner=Inner(epochs=7), names=("c",))
    assert read_settings(Outer, tmp_path / "third.yaml") == Outer(inner=Inner(epochs=8), names=("c",))


def test_a_file_that_is_its_own_base_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_text("base: b.yaml\n")
    (tmp_path / "b.yaml").write_text("base: a.yaml\n")
    with pytest.raises(SettingsError, match=r"a.yaml is its own base, by way of .*b.yaml; take 'base' out"):
        read_settings(Outer, tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"inner: {epoch: 7}", "cannot be used: "),
        (b"names: 3", "cannot be used: "),
        (b"[1", "cannot be used: "),
        (b"inner: {epochs: many}", "cannot be used: "),
        (b"names: [a]\nnames: [b]", "the key 'names' stands twice"),
        (b"\xff\xfe\x00", "cannot be used: 'utf-8' codec"),
        (b"base: nowhere.yaml", "nowhere.yaml as its base, which is no file"),
        (b"[1, 2]", "holds a list; expected names with values"),
        (b"", "holds nothing; expected names with values"),
    ],
)
def test_a_wrong_file_of_settings_is_refused(tmp_path, text, message):
    path = tmp_path / "outer.yaml"
    path.write_bytes(text)
    with pytest.raises(SettingsError, match=r"outer.yaml ") as caught:
        read_settings(Outer, path)
    assert message in str(caught.value)
    with pytest.raises(SettingsError, match=r"absent.yaml cannot be used"):
        read_settings(Outer, tmp_path / "absent.yaml")
