"""Figures without a display: how they are made, and how they are written."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from satsqueeze.core.errors import MissingDependencyError
from satsqueeze.core.files import replacing

if TYPE_CHECKING:
    from types import ModuleType

    from matplotlib.figure import Figure

DPI = 120


def new_figure(width: float, height: float, *, dpi: float | None = None) -> Figure:
    """An empty figure whose parts make room for one another.

    Args:
        width: in inches.
        height: in inches.
        dpi: dots per inch while it is drawn; None as in the style.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    figure: Figure = _matplotlib().figure.Figure(figsize=(width, height), layout="constrained", dpi=dpi)
    return figure


def style(settings: Mapping[str, Any]) -> AbstractContextManager[None]:
    """A context within which figures are drawn and written with these of matplotlib's settings.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    context: AbstractContextManager[None] = _matplotlib().rc_context(dict(settings))
    return context


def write_png(figure: Figure, path: Path, *, dpi: float = DPI) -> None:
    """Write a figure as PNG, whole or not at all; the same figure gives the same bytes.

    Raises:
        RunError: the file cannot be written.
    """
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=dpi, format="png", metadata={"Software": None})


def _matplotlib() -> ModuleType:
    # Here, because importing it takes a second and commands that draw nothing do without it.
    try:
        import matplotlib as mpl
        import matplotlib.figure
    except ImportError as error:
        raise MissingDependencyError("matplotlib", "train") from error
    return mpl
