"""Scoring a flight package over dates on the places of a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from satsqueeze.bench.evaluation import judged, left_out, none_scored, scored_with
from satsqueeze.bench.mask_tally import MaskTally, compare_classes
from satsqueeze.core.errors import DataError, GridError, LabelError, SettingsError
from satsqueeze.core.labels import IGNORE
from satsqueeze.data.dataset import Dataset, Item
from satsqueeze.data.items.acquisition import day_of_year
from satsqueeze.data.items.reader import Sample, read_sample
from satsqueeze.data.series import agreed
from satsqueeze.flight.series import FlightSeries


def evaluate_series(
    model: FlightSeries,
    dataset: Dataset,
    *,
    limit: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Score a package on the places of a data set, one after another.

    The label of a place is what its dates agree on. A date that cannot be read is left out and listed, and its place is
    scored from the others; so is a place that does not fit. Sources of role ``train`` are left out.

    Args:
        model: an opened package.
        dataset: its card says which items are dates of one place.
        limit: score the first ``limit`` places only.
        on_progress: called with (done, all) after each place.

    Returns:
        JSON-ready record as that of :func:`satsqueeze.bench.evaluate.evaluate`.

    Raises:
        LabelError: classes that cannot be compared.
        DataError: no place, or none that could be scored.
    """
    places = _places(dataset)[:limit]
    tally = MaskTally(compare_classes(model, dataset))
    for done, dates in enumerate(places, start=1):
        _add(tally, dates, model)
        if on_progress is not None:
            on_progress(done, len(places))
    if not tally.sources:
        raise none_scored(tally.quarantined)
    items = [date for dates in places for date in dates]
    return {**tally.to_dict(), **scored_with(model, items), "protocol": _protocol(model, tally)}


def _places(dataset: Dataset) -> list[list[Item]]:
    """The dates of every place, by name.

    Raises:
        DataError: no item is a date of a place with a label.
    """
    found: dict[str, list[Item]] = {}
    for item in dataset.items:
        if item.role == "evaluate" and item.series and item.date:
            found.setdefault(item.series, []).append(item)
    labelled = {place: dates for place, dates in found.items() if any(d.labelled or d.label_expected for d in dates)}
    if not labelled:
        raise DataError(
            f"none of the {len(dataset)} images is a date of a labelled place; state 'series', 'date' and 'labels' in "
            "dataset.yaml, or name another card with --card"
        )
    return [labelled[place] for place in sorted(labelled)]


def _add(tally: MaskTally, dates: Sequence[Item], model: FlightSeries) -> None:
    """Read the dates of a place, predict and count it; what goes wrong is listed."""
    read = list(_read(tally, dates, model))
    if not read:
        return
    items, samples = zip(*read, strict=True)
    try:
        shapes = sorted({sample.label.shape for sample in samples})
        if len(shapes) > 1:
            raise GridError(f"the dates of {items[0].series} have the sizes {shapes}; bring them to one grid")
        label = agreed([sample.label for sample in samples])[0]
        if (label == IGNORE).all():
            raise LabelError(
                f"no pixel of {items[0].series} has a label that its dates agree on; expected at least one. Leave the "
                "place out, or correct its masks"
            )
        found = model.predict(
            np.stack([sample.raster.values for sample in samples]),
            [day_of_year(item.date) for item in items],
            samples[0].raster.bands,
            valid=np.stack([sample.raster.valid for sample in samples]),
        )
        tally.count(items[0], label, found, model.foreground)
    except (DataError, SettingsError, OSError, MemoryError) as error:
        tally.quarantined.append(left_out(items[0], error))


def _read(tally: MaskTally, dates: Sequence[Item], model: FlightSeries) -> Iterator[tuple[Item, Sample]]:
    for item in dates:
        try:
            yield item, read_sample(item, model.bands)
        except (DataError, SettingsError, OSError, MemoryError) as error:
            tally.quarantined.append(left_out(item, error))


def _protocol(model: FlightSeries, tally: MaskTally) -> str:
    told, places = judged(model.classes, model.foreground), len(tally.metrics.images)
    left_out = f"; {len(tally.quarantined)} dates or places left out" if tally.quarantined else ""
    return (
        f"{told} over {places} places of {', '.join(sorted(tally.sources))}, each from all of its "
        f"dates{left_out}; pixels without label or data do not count; {model.graph.precision} graph on "
        f"{model.engine.name}, whole places, arg-max, no test-time augmentation"
    )
