"""Flags of a subcommand, made from the signature and docstring of its function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Container, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import docstring_parser
import yaml
from jsonargparse import ArgumentError, ArgumentParser, set_parsing_settings

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.yaml_text import parse_yaml

Settings = TypeVar("Settings")

_JOINED = (list[str], list[str] | None, list[int], list[int] | None)

set_parsing_settings(docstring_parse_attribute_docstrings=True)


def parse(function: Callable[..., Any], arguments: Sequence[str], *, prog: str) -> dict[str, Any]:
    """Keyword arguments for ``function`` from command-line words.

    A parameter without a default is positional; one of type ``list[Path]`` takes several words; a ``bool`` is a
    switch; one of type ``list[str]`` or ``list[int]`` takes values joined by commas; a settings dataclass becomes
    dotted flags such as ``--fit.epochs``. ``--config FILE`` reads any of them from YAML.

    Args:
        function: what the command runs.
        arguments: the words after the command's name.
        prog: the command's name, for ``--help``.
    """
    hints = get_type_hints(function)
    parser = ArgumentParser(
        prog=prog, description=(inspect.getdoc(function) or "").split("\n\n")[0], allow_abbrev=False
    )
    parser.add_argument("--config", action="config", help="YAML file with any of the options below")
    several = [name for name, hint in hints.items() if hint == list[Path]]
    for name in several:
        parser.add_argument(name, nargs="+", type=str, help=_help(function, name))
    parser.add_function_arguments(function, skip=set(several), as_positional=True)
    switches = {f"--{name}" for name, hint in hints.items() if hint is bool}
    lists = {f"--{name}" for name, hint in hints.items() if hint in _JOINED}
    plain = [_underscored(word) for word in arguments]
    words = _switched(_bracketed(plain, lists), switches)
    try:
        values = dict(parser.instantiate(parser.parse_args(words)).items())
    except UnicodeDecodeError as error:
        raise SettingsError(f"--config names a file that is no text ({error}); expected YAML") from error
    values.pop("config", None)
    return {key: [Path(word) for word in value] if key in several else value for key, value in values.items()}


def _switched(words: Sequence[str], switches: Container[str]) -> list[str]:
    """The words with ``--json`` and ``--json true`` written as ``--json=true``."""
    found: list[str] = []
    for word in words:
        if found and found[-1] in switches:
            stated = word in ("true", "false")
            found[-1] = f"{found[-1]}={word if stated else 'true'}"
            if stated:
                continue
        found.append(word)
    if found and found[-1] in switches:
        found[-1] = f"{found[-1]}=true"
    return found


def _underscored(word: str) -> str:
    """``--max-ram`` as ``--max_ram``; other words as they are."""
    flag, equals, value = word.partition("=")
    return f"--{flag[2:].replace('-', '_')}{equals}{value}" if flag.startswith("--") else word


def _bracketed(arguments: Sequence[str], lists: Container[str]) -> list[str]:
    """The words with ``blue,green`` after a flag of ``lists`` written as a YAML list."""
    words: list[str] = []
    for word in arguments:
        flag, equals, value = word.partition("=")
        if equals and flag in lists:
            words.append(f"{flag}={_as_list(value)}")
        elif words and words[-1] in lists and not word.startswith("--"):
            words.append(_as_list(word))
        else:
            words.append(word)
    return words


def _as_list(names: str) -> str:
    return names if names.startswith("[") else f"[{names}]"


def _help(function: Callable[..., Any], name: str) -> str:
    documented = docstring_parser.parse(inspect.getdoc(function) or "").params
    return next((p.description or "" for p in documented if p.arg_name == name), "")


def read_settings(kind: type[Settings], path: Path, *changes: Mapping[str, Any]) -> Settings:
    """Read a settings dataclass from a YAML file; anchors and merges are allowed.

    A file may name another beside it as its ``base``, and then says only what differs: mappings are merged, anything
    else is replaced. So are ``changes``, one after another.

    Raises:
        SettingsError: a file is absent, malformed, its own base, or names what the settings do not have.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--settings", type=kind)
    try:
        record = reduce(_merged, changes, _based(path))
        if not isinstance(record, Mapping):
            held = "nothing" if record is None else f"a {type(record).__name__}"
            raise SettingsError(f"{path} holds {held}; expected names with values, such as 'seed: 0'")
        found: Settings = parser.instantiate(parser.parse_object({"settings": record}))["settings"]
    except (OSError, ValueError, yaml.YAMLError, ArgumentError) as error:
        # A ValueError is of no text, or of settings that may be left out and cannot be as they are.
        raise SettingsError(f"{path} cannot be used: {error}") from error
    return found


def _based(path: Path, seen: tuple[Path, ...] = ()) -> Any:
    """A YAML file's content, merged over that of its base."""
    if path.resolve() in seen:
        raise SettingsError(f"{path} is its own base, by way of {seen[-1]}; take 'base' out of one of them")
    record = parse_yaml(path.read_text(encoding="utf-8"))
    if not isinstance(record, dict) or "base" not in record:
        return record
    place = path.parent / str(record.pop("base"))
    if not place.is_file():
        raise SettingsError(f"{path} names {place} as its base, which is no file; correct 'base', or leave it out")
    return _merged(_based(place, (*seen, path.resolve())), record)


def _merged(base: Any, over: Any) -> Any:
    if not (isinstance(base, Mapping) and isinstance(over, Mapping)):
        return over
    return {**base, **{key: _merged(base.get(key), value) for key, value in over.items()}}
