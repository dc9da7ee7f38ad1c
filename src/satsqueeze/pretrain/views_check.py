"""What must hold between views and network before pre-training."""

from __future__ import annotations

from satsqueeze.core.errors import SettingsError
from satsqueeze.nets.model import SegmentationModel
from satsqueeze.pretrain.settings import PretrainSettings


def check_views(model: SegmentationModel, settings: PretrainSettings) -> None:
    """Refuse views that a network cannot take.

    Raises:
        SettingsError: the size is not a multiple of what the network asks for.
    """
    multiple, size = model.size_multiple, settings.views.size
    if size % multiple:
        raise SettingsError(
            f"the network takes sizes that are multiples of {multiple} px, got views of {size} px; use "
            f"--fit.views.size {-(-size // multiple) * multiple}"
        )
