"""Where to write the names of points so that they cover neither points nor one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Box:
    """A rectangle on paper."""

    left: float
    bottom: float
    right: float
    top: float

    def overlap(self, other: Box) -> float:
        """Area in common."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return width * height if width > 0 and height > 0 else 0.0

    def outside(self, frame: Box) -> float:
        """Area that lies beside a frame."""
        area = (self.right - self.left) * (self.top - self.bottom)
        return area - self.overlap(frame)


@dataclass(frozen=True, kw_only=True)
class Label:
    """A name at a point."""

    text: str
    x: float
    y: float


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a label goes, relative to its point."""

    dx: float
    dy: float
    align: Literal["left", "right", "center"]


PLACES = (
    Place(dx=9, dy=0, align="left"),
    Place(dx=-9, dy=0, align="right"),
    Place(dx=0, dy=11, align="center"),
    Place(dx=0, dy=-12, align="center"),
    Place(dx=8, dy=-11, align="left"),
    Place(dx=-8, dy=11, align="right"),
    Place(dx=8, dy=11, align="left"),
    Place(dx=-8, dy=-11, align="right"),
    Place(dx=0, dy=22, align="center"),
    Place(dx=0, dy=-23, align="center"),
)
"""Tried in this order, in points."""
CHARACTER_WIDTH, LINE_HEIGHT, MARKER = 5.0, 10.0, 5.0


def place_labels(labels: Sequence[Label], frame: Box, *, markers: Sequence[tuple[float, float]] = ()) -> list[Place]:
    """The first place of each label that covers least; the topmost label chooses first.

    Args:
        labels: points and names, coordinates in points (1/72 inch).
        frame: that labels should not leave.
        markers: further points that should stay visible.
    """
    points = [*((label.x, label.y) for label in labels), *markers]
    taken = [Box(left=x - MARKER, right=x + MARKER, bottom=y - MARKER, top=y + MARKER) for x, y in points]
    chosen: dict[int, Place] = {}
    for position in sorted(range(len(labels)), key=lambda i: -labels[i].y):
        label = labels[position]

        def harm(place: Place, label: Label = label) -> float:
            box = box_of(label, place)
            return sum(box.overlap(other) for other in taken) + 2 * box.outside(frame)

        chosen[position] = min(PLACES, key=harm)
        taken.append(box_of(label, chosen[position]))
    return [chosen[position] for position in range(len(labels))]


def box_of(label: Label, place: Place) -> Box:
    """The rectangle that a label covers."""
    width = CHARACTER_WIDTH * len(label.text)
    left = label.x + place.dx - {"left": 0.0, "right": width, "center": width / 2}[place.align]
    middle = label.y + place.dy
    return Box(left=left, right=left + width, bottom=middle - LINE_HEIGHT / 2, top=middle + LINE_HEIGHT / 2)
