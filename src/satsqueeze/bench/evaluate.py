"""Scoring a flight package on any data set, image by image, as it flies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from satsqueeze.bench.classes.evaluate import evaluate_classes
from satsqueeze.bench.evaluation import judged, left_out, none_scored, require_task, scored_with
from satsqueeze.bench.mask_tally import MaskTally, compare_classes
from satsqueeze.bench.series_evaluate import evaluate_series
from satsqueeze.core.errors import DataError, LabelError, SettingsError
from satsqueeze.core.labels import IGNORE
from satsqueeze.core.package import read_manifest
from satsqueeze.data.dataset import Dataset, Item
from satsqueeze.data.items.reader import read_sample
from satsqueeze.flight.classifier import FlightClassifier
from satsqueeze.flight.opening import open_package
from satsqueeze.flight.runtime import FlightModel
from satsqueeze.flight.series import open_series


def evaluate(
    package: Path | str,
    dataset: Dataset,
    *,
    precision: Literal["auto", "fp32", "int8"] = "auto",
    limit: int | None = None,
    threads: int | None = None,
    buffer_m: float | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Score a flight package on the labelled images of a data set.

    Images are read, predicted and counted one after another, so memory does not grow with their number. One that
    cannot be read or does not fit is left out and listed, and the job goes on. Sources of role ``train`` are left out.
    A package that decides on whole images is scored by :func:`satsqueeze.bench.classes.evaluate.evaluate_classes`, one
    over dates by :func:`satsqueeze.bench.series_evaluate.evaluate_series`.

    Args:
        package: folder of a flight package.
        dataset: see :func:`satsqueeze.data.dataset.open_dataset`.
        precision: which graph.
        limit: score the first ``limit`` images only.
        threads: of one prediction; None leaves it to the engine.
        buffer_m: metres by which foreground is widened where a pixel's size is known; None for the package's.
        on_progress: called with (done, all) after each image.

    Returns:
        JSON-ready record: global scores flat (``jaccard`` the headline, then ``precision``, ``recall``,
        ``specificity``, ``f1``, ``accuracy`` as fractions, ``pixels``), ``jaccard_per_image_mean``,
        ``jaccard_per_group_mean``, ``calibration_error``, ``classes``, ``jaccard_per_class``,
        ``groups`` and ``sources`` with their own scores, ``quarantined`` with file and reason, ``package``, ``graph``,
        ``graph_precision``, ``engine``, ``cards``, ``notes`` and ``protocol`` in words (``precision`` is the score).
        Undefined scores are None. All are of the foreground, or where the classes have none, means over the classes.

    Raises:
        PackageError: the package cannot be trusted or opened.
        LabelError: labels for another task, or classes that cannot be compared.
        DataError: no labelled image, or none that could be scored.
        SettingsError: a limit below 1, or an impossible buffer.
    """
    if limit is not None and limit < 1:
        raise SettingsError(f"limit must be at least 1, got {limit}")
    if read_manifest(Path(package)).task == "series":
        if buffer_m:
            raise SettingsError(f"a package for series has no buffer, got {buffer_m} m; leave it out")
        series = open_series(package, precision=precision, threads=threads)
        return evaluate_series(series, dataset, limit=limit, on_progress=on_progress)
    model = open_package(package, precision=precision, threads=threads, buffer_m=buffer_m)
    if isinstance(model, FlightClassifier):
        return evaluate_classes(model, dataset, limit=limit, on_progress=on_progress)
    items = _scored_items(model, dataset)[:limit]
    tally = MaskTally(compare_classes(model, dataset))
    for done, item in enumerate(items, start=1):
        _add(tally, item, model)
        if on_progress is not None:
            on_progress(done, len(items))
    if not tally.sources:
        raise none_scored(tally.quarantined)
    return {**tally.to_dict(), **scored_with(model, items), "protocol": _protocol(model, tally, items)}


def _add(tally: MaskTally, item: Item, model: FlightModel) -> None:
    """Read, predict and count one image; what goes wrong with it is listed."""
    try:
        sample = read_sample(item, model.bands)
        raster = sample.raster
        if (sample.label == IGNORE).all():
            raise LabelError(
                "no pixel has both data and a label (all are nodata, NaN, saturated or ignored); expected at least "
                "one. Leave the image out, or correct 'nodata' in its card"
            )
        found = model.predict(raster.values, raster.bands, probabilities=True, valid=raster.valid, gsd_m=sample.gsd_m)
        tally.count(item, sample.label, found, model.foreground)
    except (DataError, SettingsError, OSError, MemoryError) as error:
        tally.quarantined.append(left_out(item, error))


def _scored_items(model: FlightModel, dataset: Dataset) -> list[Item]:
    items = [item for item in dataset.items if item.role == "evaluate" and (item.labelled or item.label_expected)]
    if not items:
        require_task(model, dataset)  # classes of whole images are labels as well, though no masks
        raise DataError(
            f"the data set has no labelled image to score among its {len(dataset)}; add masks, or a card that says "
            "where they are"
        )
    return items


def _protocol(model: FlightModel, tally: MaskTally, items: Sequence[Item]) -> str:
    scheme = tally.scheme
    counted = len(items) - len(tally.quarantined)
    sources = ", ".join(sorted(tally.sources))
    tiles = f"whole images, tiled above {model.tiling.window} px"
    reduced = "" if scheme.is_binary else f"; {len(scheme.classes)} classes"
    left_out = f"; {len(tally.quarantined)} left out" if tally.quarantined else ""
    widened = f"; masks widened by {model.buffer_m:g} m where pixels have a size" if model.buffer_m else ""
    return (
        f"{judged(model.classes, model.foreground)} over {counted} images of {sources}{left_out}{reduced}; pixels "
        f"without label or data do not count; {model.graph.precision} graph on {model.engine.name}, {tiles}, arg-max, "
        f"no test-time augmentation{widened}"
    )
