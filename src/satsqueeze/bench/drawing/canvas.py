"""Figures without a display: how they are made, and how they are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from satsqueeze.core.errors import MissingDependencyError
from satsqueeze.core.files import replacing

if TYPE_CHECKING:
    from types import ModuleType

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 120
_TWO_DECADES = 100


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


def number_decades(axes: Axes, told: Callable[[float], str]) -> None:
    """Write numbers below a logarithmic axis whose limits are known, once all is drawn.

    Args:
        axes: whose horizontal axis is logarithmic.
        told: how a number is written.
    """
    left, right = axes.get_xlim()
    if right < _TWO_DECADES * left:
        # There may be no power of ten within, and then there would be no number at all.
        axes.xaxis.set_major_locator(_matplotlib().ticker.LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda value, _: told(float(f"{value:.3g}")))
    axes.xaxis.set_minor_formatter("")


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
        import matplotlib.ticker
    except ImportError as error:
        raise MissingDependencyError("matplotlib", "train") from error
    return mpl
