"""What must hold between views, network and objective before pre-training."""

from __future__ import annotations

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.window import up
from satsqueeze.nets.card import SERIES_FAMILY
from satsqueeze.nets.model import SegmentationModel
from satsqueeze.pretrain.settings import PretrainSettings


def check_views(model: SegmentationModel, settings: PretrainSettings) -> None:
    """Refuse views that a network cannot take, or that nothing is learnt of.

    Raises:
        SettingsError: the size is not a multiple of what the network asks for, series for a network of one date or
            for an encoder alone, which knows no dates, or all weights of the objective are 0.
    """
    forecast = settings.forecast_weight if settings.views.series else 0
    if not (settings.contrast.counts or forecast):
        raise SettingsError(
            "nothing is to be learnt: contrast.weight and contrast.image_weight are 0, and so is forecast_weight, "
            "which counts for series; set one of them above 0"
        )
    if settings.views.series and (model.card.family != SERIES_FAMILY or settings.scope != "decoder"):
        raise SettingsError(
            f"views of {settings.views.series} dates need a network over dates, trained with its decoder; got "
            f"{model.card.name} of the family {model.card.family!r} and scope {settings.scope!r}"
        )
    multiple, size = model.size_multiple, settings.views.size
    if size % multiple:
        raise SettingsError(
            f"the network takes sizes that are multiples of {multiple} px, got views of {size} px; use "
            f"--fit.views.size {up(size, multiple)}"
        )
