"""Names that people type."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

from satsqueeze.core.errors import SettingsError

Value = TypeVar("Value")

_SIMILAR = 0.6
_PATH_LIKE = re.compile(r"[/\\\x00]|^\.*$")


def meant(name: str, known: Iterable[str]) -> str:
    """What an unknown name may stand for, as the start of a hint: ``did you mean a or b? ``, or nothing.

    Args:
        name: as it was typed.
        known: names that there are.
    """
    by_lower = {other.lower(): other for other in known}
    close = get_close_matches(name.lower(), by_lower, n=3, cutoff=_SIMILAR)
    return f"did you mean {' or '.join(by_lower[found] for found in close)}? " if close else ""


def named(known: Mapping[str, Value], name: str, kind: str) -> Value:
    """What is known by a name.

    Args:
        known: by name.
        name: as it was typed.
        kind: of what is known, for the message.

    Raises:
        SettingsError: there is nothing of that name; the message tells the closest ones, and all.
    """
    if name not in known:
        raise SettingsError(f"unknown {kind} {name!r}; {meant(name, known)}known: {', '.join(known)}")
    return known[name]


def require_folder_names(names: Iterable[str]) -> None:
    """Refuse names that would lead out of the folder in which each has one of its own.

    Raises:
        SettingsError: a name with a slash or backslash, or of nothing but dots.
    """
    for name in names:
        if _PATH_LIKE.search(name):
            raise SettingsError(f"{name!r} cannot name a folder of the run; use letters, digits, '-', '_' and '.'")


def require_seeds(seeds: Iterable[int], *, of: str) -> None:
    """Refuse seeds that cannot be drawn from, or that repeat, which would count one training as several.

    Args:
        seeds: as they were stated.
        of: what they are of, for the message.

    Raises:
        SettingsError: no seed, one below 0, or one that stands twice.
    """
    found = list(seeds)
    if not found or min(found) < 0 or len(set(found)) < len(found):
        raise SettingsError(f"{of}: expected at least one seed, each >= 0 and named once; got {found}")
