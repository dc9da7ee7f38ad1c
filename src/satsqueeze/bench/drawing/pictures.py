"""Pictures of a report: imagery, masks and where they disagree, as data URIs."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import GridError, MissingDependencyError, SettingsError
from satsqueeze.core.labels import IGNORE
from satsqueeze.flight.outputs.palette import NODATA_COLOUR, Colour, class_colours

LARGEST_SIDE = 320
"""Of a picture, in pixels; larger ones are thinned out."""
Case = Literal["best", "typical", "worst"]
AGREEMENT: Mapping[str, Colour] = {"found": (236, 240, 244), "false alarm": (240, 120, 50), "missed": (70, 130, 246)}
"""Colours of a student's mask held against the label: foreground in both, only in the mask, only in the label."""
_BACKDROP = 0.45


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One image with its label and what models make of it."""

    image: NDArray[np.uint8]
    """True colour, uint8 (H, W, 3)."""
    label: NDArray[np.uint8]
    """uint8 (H, W), 255 = does not count."""
    student: NDArray[np.uint8]
    """uint8 (H, W)."""
    teacher: NDArray[np.uint8] | None = None
    """uint8 (H, W)."""
    caption: str
    score: float | None = None
    """Jaccard of the student on this image."""
    case: Case = "typical"

    def __post_init__(self) -> None:
        size = self.label.shape
        masks = [mask for mask in (self.student, self.teacher) if mask is not None]
        if self.image.shape != (*size, 3) or any(mask.shape != size for mask in masks):
            raise GridError(
                f"a panel needs an image (H, W, 3) and masks of its size, got {self.image.shape}, label {size} and "
                f"masks {[mask.shape for mask in masks]}"
            )


def pick_cases(scores: Sequence[float | None], *, each: int = 2) -> list[tuple[int, Case]]:
    """Positions of the worst, the typical (nearest the median) and the best scores, in this order; none twice.

    Args:
        scores: one per image; None and NaN are left out.
        each: how many of each case.

    Raises:
        SettingsError: ``each`` below 1.
    """
    if each < 1:
        raise SettingsError(f"at least one picture of each case is needed, got {each}")
    known = sorted(
        (score, position) for position, score in enumerate(scores) if score is not None and not np.isnan(score)
    )
    order = [position for _, position in known]
    worst = order[:each]
    best = [position for position in order[::-1][:each] if position not in worst]
    middle = sorted(range(len(order)), key=lambda rank: abs(rank - (len(order) - 1) / 2))
    typical = [order[rank] for rank in middle if order[rank] not in (*worst, *best)][:each]
    cases: list[tuple[int, Case]] = [(position, "worst") for position in worst]
    cases += [(position, "typical") for position in typical]
    return [*cases, *((position, "best") for position in best)]


def panel_pictures(panel: Panel, classes: Sequence[str], foreground: Sequence[int]) -> list[tuple[str, str]]:
    """Titles and data URIs of a panel: image, label, teacher, student, and where the student errs."""
    step = max(1, -(-max(panel.label.shape) // LARGEST_SIDE))
    image = panel.image[::step, ::step]
    label, student = panel.label[::step, ::step], panel.student[::step, ::step]
    pictures = [("image", photo_uri(image)), ("label", mask_uri(label, classes))]
    if panel.teacher is not None:
        pictures.append(("teacher", mask_uri(panel.teacher[::step, ::step], classes)))
    pictures.append(("student", mask_uri(student, classes)))
    pictures.append(("student against label", png_uri(agreement(image, label, student, foreground))))
    return pictures


def agreement(
    image: NDArray[np.uint8], label: NDArray[np.uint8], mask: NDArray[np.uint8], foreground: Sequence[int]
) -> NDArray[np.uint8]:
    """Where a mask's foreground is right and wrong, over a dimmed grey image; (H, W, 3)."""
    grey: NDArray[np.uint8] = (image.mean(axis=2, keepdims=True) * _BACKDROP).astype(np.uint8).repeat(3, axis=2)
    counts = label != IGNORE
    truth, found = np.isin(label, list(foreground)), np.isin(mask, list(foreground))
    for where, name in ((truth & found, "found"), (~truth & found, "false alarm"), (truth & ~found, "missed")):
        grey[where & counts] = AGREEMENT[name]
    grey[~counts] = NODATA_COLOUR
    return grey


def mask_uri(mask: NDArray[np.uint8], classes: Sequence[str]) -> str:
    """A mask in the colours of its classes."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(classes)] = class_colours(classes)
    table[IGNORE] = NODATA_COLOUR
    return png_uri(table[mask])


def png_uri(picture: NDArray[np.uint8]) -> str:
    """A picture (H, W, 3) without loss."""
    return _uri(picture, "png", {"optimize": True})


def photo_uri(picture: NDArray[np.uint8]) -> str:
    """A picture (H, W, 3) as JPEG."""
    return _uri(picture, "jpeg", {"quality": 90})


def _uri(picture: NDArray[np.uint8], kind: str, options: dict[str, Any]) -> str:
    try:
        from matplotlib.image import imsave
    except ImportError as error:
        raise MissingDependencyError("matplotlib", "train") from error
    target = io.BytesIO()
    imsave(target, np.ascontiguousarray(picture), format=kind, pil_kwargs=options)
    return f"data:image/{kind};base64,{base64.b64encode(target.getvalue()).decode()}"
