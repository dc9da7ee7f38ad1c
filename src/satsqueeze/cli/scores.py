"""Scores on the images that nothing was trained or chosen on, the same way for every model of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from satsqueeze.bench.evaluation import judged
from satsqueeze.core.labels import IGNORE
from satsqueeze.core.run import RunFolder
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.stage import Prepared
from satsqueeze.export.onnx import FlightGraph, flight_graph
from satsqueeze.export.settings import ExportSettings
from satsqueeze.flight.opening import open_package
from satsqueeze.flight.runtime import DEFAULT_WINDOW, FlightModel, Precision
from satsqueeze.learn.scoring.evaluate import Evaluation, Prediction, ScoreSettings, empty_evaluation, score
from satsqueeze.learn.scoring.segmenter import Segmenter
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.model import SegmentationModel

TEST = "test"
"""Name of the protocol."""
WHOLE = 1 << 20
"""A window that no image exceeds."""
WHOLE_IMAGES = ScoreSettings(window=WHOLE)


def protocol(prepared: Prepared) -> str:
    """How the test images are scored, in a sentence."""
    cache = prepared.cache
    groups = {group for i in prepared.test for group in cache.entries[cache.position(i)].groups}
    return (
        f"{judged(cache.classes, cache.foreground)} over {len(prepared.test)} test images of {len(groups)} scenes "
        "that nothing was trained or chosen on; pixels without label or data do not count; whole images, arg-max; no "
        "test-time augmentation but for the teacher, which is mirrored as when it teaches, and whose masks are "
        "post-processed where that helps on validation"
    )


@dataclass(frozen=True)
class Unwritten:
    """A graph that is not a file yet, scored as networks are: by logits with all that it adds to them."""

    graph: FlightGraph

    @property
    def card(self) -> ModelCard:
        """Of its network."""
        return self.graph.model.card

    @property
    def size_multiple(self) -> int:
        """Height and width of the input must be multiples of this, in pixels."""
        return self.graph.model.size_multiple

    def __call__(self, reflectance: Tensor) -> Tensor:
        """Logits."""
        return self.graph.logits(reflectance)


def score_graph(model: SegmentationModel, settings: ExportSettings, prepared: Prepared) -> dict[str, Any]:
    """Scores of the float graph that a model is to be exported as; see :func:`score_images`."""
    graph = Unwritten(flight_graph(model, settings.logit_bias))
    return score_images(graph, prepared, ScoreSettings(window=DEFAULT_WINDOW))


def score_images(model: Segmenter, prepared: Prepared, settings: ScoreSettings) -> dict[str, Any]:
    """Metrics of a model on the test images, and the Jaccard of each image under ``per_image``."""
    return _told(score(model, prepared.cache, prepared.test, settings=settings))


def score_package(folder: Path, precision: Precision, prepared: Prepared) -> dict[str, Any]:
    """The same of a flight package, by the masks that it gives.

    Raises:
        PackageError: it cannot be trusted, or has no such graph.
    """
    model = open_package(folder, precision=precision)
    found = empty_evaluation(model, prepared.cache)
    for prediction in flown(model, prepared.cache, prepared.test):
        found.update(prediction)
    return _told(found)


def flown(model: FlightModel, cache: PackedCache, ids: Sequence[str]) -> Iterator[Prediction]:
    """What a package says of labelled images; those without a labelled pixel are passed over."""
    for place in map(cache.position, ids):
        entry, truth = cache.entries[place], cache.label(place)
        if (truth == IGNORE).all():
            continue
        # Not the arg-max of the probabilities: they may tie where the logits, by which the graph decides, do not.
        said = model.predict(cache.image(place), cache.bands, probabilities=True, valid=cache.valid(place))
        yield Prediction(
            id=entry.id,
            source=entry.source,
            groups=entry.groups,
            truth=truth,
            probabilities=said.probabilities,
            mask=said.mask,
        )


def _told(found: Evaluation) -> dict[str, Any]:
    images = {name: None if np.isnan(one.jaccard) else one.jaccard for name, one in found.metrics.per_image().items()}
    return {**found.to_dict(), "per_image": images}


def kept_score(run: RunFolder, name: str, key: object, work: Any) -> dict[str, Any]:
    """A score that is computed once; ``work`` returns it."""
    stage = f"score/{name}"
    if not run.is_done(stage, key):
        run.finish(stage, key, work(), seconds=0.0)
    return run.result(stage)
