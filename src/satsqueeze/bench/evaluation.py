"""What scoring a flight package on a data set tells besides scores, whatever the package decides on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from satsqueeze.core.errors import DataError, LabelError
from satsqueeze.data.dataset import Dataset
from satsqueeze.data.items.item import Item
from satsqueeze.flight.runtime import FlightModel
from satsqueeze.flight.series import FlightSeries


def require_task(model: FlightModel, dataset: Dataset) -> None:
    """Refuse labels of another kind than what a package decides.

    Raises:
        LabelError: labels for another task.
        CardError: sources whose tasks differ.
    """
    if dataset.task != model.manifest.task:
        raise LabelError(
            f"the package is for {model.manifest.task}, the data set for {dataset.task}; choose a data set for the "
            "same task, or its card with --card"
        )


def scored_with(model: FlightModel | FlightSeries, items: Sequence[Item]) -> dict[str, Any]:
    """What gave the answers, and to which images; JSON-ready.

    Returns:
        ``package``, ``graph``, ``graph_precision`` and ``engine`` by their names, ``cards`` of the images, and
        ``notes`` of the package as it was opened.
    """
    return {
        "package": model.manifest.name,
        "graph": model.graph.file,
        "graph_precision": model.graph.precision,
        "engine": model.engine.name,
        "cards": sorted({item.card.name for item in items}),
        "notes": list(model.notes),
    }


def judged(classes: Sequence[str], foreground: Sequence[int]) -> str:
    """What a Jaccard of masks is of, in words."""
    merged = " + ".join(classes[value] for value in foreground)
    return f"global Jaccard of {merged} against the rest" if merged else "mean of the classes' global Jaccards"


def left_out(item: Item, error: Exception) -> dict[str, str]:
    """Which file was left out, and why."""
    return {"file": item.images[0], "item": item.id, "reason": str(error) or type(error).__name__}


def none_scored(quarantined: Sequence[Mapping[str, str]]) -> DataError:
    """What to say where every image was left out; takes the records of :func:`left_out`."""
    first = quarantined[0]
    return DataError(
        f"none of {len(quarantined)} images could be scored; the first, {first['file']}: {first['reason']}"
    )
