"""Colours of classes in masks and pictures."""

from __future__ import annotations

from collections.abc import Sequence

Colour = tuple[int, int, int]
"""Red, green, blue, each 0..255."""

NODATA_COLOUR: Colour = (0, 0, 0)
_NAMED: dict[str, Colour] = {
    "clear": (32, 78, 95),
    "thick cloud": (255, 255, 255),
    "cloud": (255, 255, 255),
    "thin cloud": (120, 205, 240),
    "shadow": (126, 72, 138),
}
_OTHERS: tuple[Colour, ...] = (
    (230, 159, 0),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
    (86, 180, 233),
    (153, 153, 153),
)
"""Okabe and Ito's palette, told apart by colour-blind readers too."""


_SEEN: dict[str, Colour] = {"thick cloud": (213, 94, 0), "cloud": (213, 94, 0)}
"""White would not be seen on a white cloud."""


def overlay_colours(classes: Sequence[str]) -> tuple[Colour, ...]:
    """As :func:`class_colours`, but all can be told from the picture beneath them."""
    return tuple(_SEEN.get(name, colour) for name, colour in zip(classes, class_colours(classes), strict=True))


def class_colours(classes: Sequence[str]) -> tuple[Colour, ...]:
    """One colour per class: fixed for cloud classes, from a colour-blind-safe cycle for others."""
    return tuple(_NAMED.get(name, _OTHERS[i % len(_OTHERS)]) for i, name in enumerate(classes))
