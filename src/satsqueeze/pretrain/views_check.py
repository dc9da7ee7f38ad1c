"""What must hold between views and network before pre-training."""

from __future__ import annotations

from satsqueeze.core.errors import SettingsError
from satsqueeze.nets.card import SERIES_FAMILY
from satsqueeze.nets.model import SegmentationModel
from satsqueeze.pretrain.settings import PretrainSettings


def check_views(model: SegmentationModel, settings: PretrainSettings) -> None:
    """Refuse views that a network cannot take.

    Raises:
        SettingsError: the size is not a multiple of what the network asks for, or series for a network of one date or
            for an encoder alone, which knows no dates.
    """
    if settings.views.series and (model.card.family != SERIES_FAMILY or settings.scope != "decoder"):
        raise SettingsError(
            f"views of {settings.views.series} dates need a network over dates, trained with its decoder; got "
            f"{model.card.name} of the family {model.card.family!r} and scope {settings.scope!r}"
        )
    multiple, size = model.size_multiple, settings.views.size
    if size % multiple:
        raise SettingsError(
            f"the network takes sizes that are multiples of {multiple} px, got views of {size} px; use "
            f"--fit.views.size {-(-size // multiple) * multiple}"
        )
