"""Scores on the images that nothing was trained or chosen on, the same way for every model of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from satsqueeze.core.run import RunFolder
from satsqueeze.data.stage import Prepared
from satsqueeze.flight.opening import open_package
from satsqueeze.flight.runtime import FlightModel, Precision
from satsqueeze.learn.evaluate import ScoreSettings, score
from satsqueeze.learn.segmenter import Segmenter

TEST = "test"
"""Name of the protocol."""
WHOLE = 1 << 20
"""A window that no image exceeds."""
WHOLE_IMAGES = ScoreSettings(window=WHOLE)


class Flown:
    """A flight package, callable like a network, so that it is scored on the same path.

    Args:
        model: an opened package.
    """

    size_multiple = 1

    def __init__(self, model: FlightModel) -> None:
        self.model = model
        self.bands, self.classes, self.foreground = model.bands, model.classes, model.foreground

    def __call__(self, reflectance: Tensor) -> Tensor:
        """Reflectance (N, C, H, W) to the logarithm of the package's probabilities (N, K, H, W)."""
        answers = [self.model.predict(image, self.bands, probabilities=True) for image in reflectance.numpy()]
        return torch.from_numpy(np.stack([answer.probabilities for answer in answers])).clamp_min(1e-12).log()


def fly(folder: Path, precision: Precision, threads: int | None = None) -> Flown:
    """Open a package at a precision.

    Raises:
        PackageError: it cannot be trusted, or has no such graph.
    """
    return Flown(open_package(folder, precision=precision, threads=threads))


def protocol(prepared: Prepared) -> str:
    """How the test images are scored, in a sentence."""
    cache = prepared.cache
    groups = {group for i in prepared.test for group in cache.entries[cache.position(i)].groups}
    merged = " + ".join(cache.classes[value] for value in cache.foreground)
    judged = f"global Jaccard of {merged} against the rest" if merged else "mean of the classes' global Jaccards"
    return (
        f"{judged} over {len(prepared.test)} test images of {len(groups)} scenes "
        "that nothing was trained or chosen on; pixels without label or data do not count; whole images, arg-max; no "
        "test-time augmentation but for the teacher, which is mirrored as when it teaches, and whose masks are "
        "post-processed where that helps on validation"
    )


def score_images(model: Segmenter, prepared: Prepared, settings: ScoreSettings) -> dict[str, Any]:
    """Metrics of a model on the test images, and the Jaccard of each image under ``per_image``."""
    found = score(model, prepared.cache, prepared.test, settings=settings)
    images = {name: None if np.isnan(one.jaccard) else one.jaccard for name, one in found.metrics.per_image().items()}
    return {**found.to_dict(), "per_image": images}


def kept_score(run: RunFolder, name: str, key: object, work: Any) -> dict[str, Any]:
    """A score that is computed once; ``work`` returns it."""
    stage = f"score/{name}"
    if not run.is_done(stage, key):
        run.finish(stage, key, work(), seconds=0.0)
    return run.result(stage)
