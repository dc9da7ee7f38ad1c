"""Where run folders keep the model that was trained."""

from __future__ import annotations

from pathlib import Path

from satsqueeze.core.errors import RunError
from satsqueeze.nets.model import CARD_FILE

PRETRAINED, NETWORK = "pretrained", "network"
"""Where run folders of ``pretrain`` and ``train DATA`` keep their models."""
_HOMES = ("", PRETRAINED, NETWORK, "classifier", "teacher")


def model_home(folder: Path | str) -> Path:
    """The folder of a run's model: the run folder itself or one within it.

    Raises:
        RunError: there is none.
    """
    places = [Path(folder) / home for home in _HOMES]
    place = next((place for place in places if (place / CARD_FILE).is_file()), None)
    if place is None:
        raise RunError(
            f"{folder} holds no trained model: {CARD_FILE} is neither there nor in its {' or '.join(_HOMES[1:])}; name "
            "the --out folder of a finished 'satsqueeze pretrain', 'satsqueeze train' or 'satsqueeze zoo train', or "
            "one of a teacher's folds, or a flight package"
        )
    return place
