"""The legend of a picture of classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from satsqueeze.flight.outputs.palette import Colour

LINE = 20
"""Height of a line in pixels."""
_TEXT, _SWATCH, _SPACE = 14, 12, 6


@dataclass(frozen=True)
class Entry:
    """One line of a legend."""

    name: str
    colour: Colour
    share: float
    """As a fraction."""
    fate: str = ""
    """What becomes of its pixels: keep or drop; empty where nothing is decided."""

    @property
    def text(self) -> str:
        """Name, share in percent, and fate."""
        return f"{self.name} {self.share:.1%} {self.fate}".rstrip()


def legend(entries: Sequence[Entry], *, width: int) -> NDArray[np.uint8]:
    """Swatches with names and shares on white, as many in a line as fit: uint8 (lines * LINE, W, 3).

    Args:
        entries: at least one, in order.
        width: of the picture, in pixels; W is more where an entry alone is wider.
    """
    # Here, because masks are flown without pictures where every library counts.
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size=_TEXT)
    lengths = [2 * _SPACE + _SWATCH + round(font.getlength(entry.text)) + 2 * _SPACE for entry in entries]
    lines = list(_lines(lengths, width))
    picture = Image.new("RGB", (max(width, *lengths), LINE * len(lines)), "white")
    draw = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        left, top = _SPACE, number * LINE + (LINE - _SWATCH) // 2
        for position in line:
            entry = entries[position]
            draw.rectangle((left, top, left + _SWATCH, top + _SWATCH), fill=entry.colour, outline="black")
            beside = (left + _SWATCH + _SPACE, number * LINE + LINE // 2)
            draw.text(beside, entry.text, fill="black", font=font, anchor="lm")
            left += lengths[position]
    return np.asarray(picture)


def _lines(lengths: Sequence[int], width: int) -> Iterator[list[int]]:
    """Positions of the entries of each line."""
    line: list[int] = []
    for position, length in enumerate(lengths):
        if line and sum(lengths[i] for i in line) + length > width:
            yield line
            line = []
        line.append(position)
    yield line
