"""Names that people type."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_SIMILAR = 0.6


def meant(name: str, known: Iterable[str]) -> str:
    """What an unknown name may stand for, as the start of a hint: ``did you mean a or b? ``, or nothing.

    Args:
        name: as it was typed.
        known: names that there are.
    """
    by_lower = {other.lower(): other for other in known}
    close = get_close_matches(name.lower(), by_lower, n=3, cutoff=_SIMILAR)
    return f"did you mean {' or '.join(by_lower[found] for found in close)}? " if close else ""
