"""An embedding that says the same of every pixel: noticed by its uniformity, and told with the likely cause."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from satsqueeze.core.errors import CollapseError
from satsqueeze.pretrain.settings import PretrainSettings

_FLAT = 0.02  # standard deviations of the data set within an image
_HOT, _FEW = 0.5, 16


class CollapseWarning(UserWarning):
    """An embedding says the same of every pixel, and the run goes on."""


def report_collapse(history: Sequence[float], settings: PretrainSettings, *, pairs: int, contrast: float) -> None:
    """Warn or stop where the last epochs' embeddings were one point.

    A run of fewer epochs than the settings ask for is warned of at its end: they are too few to stop it.

    Args:
        history: uniformity after each epoch.
        settings: of the run.
        pairs: pixels that stood against each other in a batch.
        contrast: mean over images of the standard deviation within them, in that of the data set.

    Raises:
        CollapseError: collapsed, and the run is to stop.
    """
    last = history[-settings.collapse_patience :]
    enough = len(last) == settings.collapse_patience
    ended = 1 < len(last) == settings.epochs  # one epoch alone may just have begun
    if not (enough or ended) or min(last) <= settings.collapsed_above:
        return
    told = (
        f"the embedding has collapsed: uniformity was {last[-1]:.3f} after the last {len(last)} epochs (0 = one point, "
        f"-4 = well spread). {likely_cause(settings, pairs=pairs, contrast=contrast)}"
    )
    if enough and settings.on_collapse == "stop":
        raise CollapseError(told)
    warnings.warn(told, CollapseWarning, stacklevel=2)


def likely_cause(settings: PretrainSettings, *, pairs: int, contrast: float) -> str:
    """A sentence on why, and what to do."""
    if contrast < _FLAT:
        return (
            f"The images hardly vary ({contrast:.3f} standard deviations within an image): they may be nodata, cloud "
            "or water throughout, or wrongly scaled; check them with 'satsqueeze data check'"
        )
    if pairs < _FEW:
        return (
            f"Only {pairs} pairs of pixels stood against each other in a batch: raise views.positions or batch_size, "
            "or look for images that are mostly invalid"
        )
    if settings.contrast.temperature > _HOT:
        return f"The temperature of {settings.contrast.temperature:g} is so high that negatives hardly push; try 0.2"
    return (
        f"The learning rate of {settings.learning_rate:g} with {settings.optimiser} is the likely cause: try a third "
        "of it, or train longer if it was still falling"
    )
