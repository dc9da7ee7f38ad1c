"""YAML that a person wrote, or a broken disk: read without running out of time, memory or stack."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import yaml

from satsqueeze.core.errors import CardError
from satsqueeze.core.yaml_text import parse_yaml

LARGEST = 2**18
"""Bytes or characters of a card."""
MOST_BRACKETS = 256
"""Brackets open at once, in texts as well."""
MOST_BITS = 1024
"""Bits of an integer: what has more than some thousand cannot be printed."""
DEEPEST = 64
"""Levels of lists and mappings."""
MOST_VALUES = 100_000
"""Values, those counted again that an alias repeats."""


def load_yaml(text: str | bytes, *, where: str) -> Any:
    """What YAML text says.

    Raises:
        CardError: not YAML, too long, nested too deeply, growing without end by its aliases, or not printable.
    """
    if len(text) > LARGEST:
        raise CardError(f"{where} has {len(text)} bytes, more than any card ({LARGEST}); check the path")
    try:
        _check_depth(text, where)
        record = parse_yaml(text)
    # The parser itself lets errors of int(), of dates and of C through.
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise CardError(f"{where} is not readable YAML: {error}") from error
    _check_size(record, where)
    return record


def _check_depth(text: str | bytes, where: str) -> None:
    characters = text if isinstance(text, str) else text.decode("latin-1")
    # The parser takes a time that grows with the square of the open brackets before it tells of the first.
    brackets = accumulate((character in "[{") - (character in "]}") for character in characters)
    if max(brackets, default=0) > MOST_BRACKETS:
        raise CardError(f"{where} opens more than {MOST_BRACKETS} brackets without closing them; expected a card")
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise CardError(f"{where} nests lists and mappings more than {DEEPEST} levels deep; expected a card")


def _check_size(record: Any, where: str) -> None:
    """Walk all values as often as they would be printed: aliases make much out of little, and circles."""
    left, count = [(record, 0)], 0
    while left:
        value, depth = left.pop()
        count += 1
        if count > MOST_VALUES or depth > DEEPEST:
            raise CardError(
                f"{where} holds more than {MOST_VALUES} values or {DEEPEST} levels, by aliases that repeat or contain "
                "themselves; write the values out"
            )
        if isinstance(value, dict):
            left += [(part, depth + 1) for pair in value.items() for part in pair]
        elif isinstance(value, list | tuple | set):
            left += [(part, depth + 1) for part in value]
        elif isinstance(value, int) and value.bit_length() > MOST_BITS:
            raise CardError(f"{where} holds an integer of {value.bit_length()} bits, beyond any number; correct it")
        elif isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
            raise CardError(f"{where} holds half a character (a lone surrogate) in {value[:40]!a}; correct the text")
