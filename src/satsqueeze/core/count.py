"""Counts that callers state."""

from __future__ import annotations

from numbers import Integral

LARGEST_COUNT = 2**53
"""Beyond it floating point no longer counts."""


def is_count(value: object, *, most: int = LARGEST_COUNT) -> bool:
    """Whether a value is a whole number from 1 to ``most``, of Python or of NumPy."""
    return isinstance(value, Integral) and 1 <= int(value) <= most
