"""One pass over the images of a data set, in batches that a package can be asked about, with a list of what is not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from satsqueeze.bench.classes.images import ScoredImage, class_places, read_images, scored_items
from satsqueeze.bench.evaluation import left_out, none_scored
from satsqueeze.core.errors import DataError
from satsqueeze.data.dataset import Dataset, Item
from satsqueeze.flight.classifier import BATCH, FlightClassifier

Progress = Callable[[int, int], None]
Count = Callable[[Sequence[ScoredImage]], None]
"""Takes in images of a batch, all or, raising DataError, none."""


class ClassPass:
    """Images to score with a package; memory does not grow with their number.

    Args:
        model: an opened package.
        dataset: labels of whole images.
        ids: only these; by default all that are not for training only.
        limit: the first ``limit`` of them.

    Raises:
        LabelError: labels for another task, or classes that the package does not know.
        DataError: there is no image, or one of ``ids`` is not in the data set.
    """

    def __init__(
        self,
        model: FlightClassifier,
        dataset: Dataset,
        *,
        ids: Collection[str] | None = None,
        limit: int | None = None,
    ) -> None:
        self._model, self._places = model, class_places(model, dataset)
        self.items: list[Item] = scored_items(dataset, ids=ids, limit=limit)
        self.quarantined: list[dict[str, str]] = []
        """Images that cannot be used, as :func:`satsqueeze.bench.evaluation.left_out` tells of them."""
        self._scored = 0

    def batches(self, on_progress: Progress | None = None) -> Iterator[list[ScoredImage]]:
        """Readable images in order, to be handed to :meth:`counted`.

        Args:
            on_progress: called with (done, all) after each image.

        Raises:
            DataError: at the end, if none was counted.
        """
        waiting: list[ScoredImage] = []
        for done, found in enumerate(read_images(self.items, self._model, self._places), start=1):
            if isinstance(found, dict):
                self.quarantined.append(found)
            else:
                waiting.append(found)
            if len(waiting) == BATCH:
                yield waiting
                waiting = []
            if on_progress is not None:
                on_progress(done, len(self.items))
        if waiting:
            yield waiting
        if not self._scored:
            raise none_scored(self.quarantined)

    def counted(self, images: Sequence[ScoredImage], count: Count) -> list[ScoredImage]:
        """Count images; returns those that the package takes, and lists the others."""
        try:
            count(images)
        except DataError as error:
            if len(images) == 1:
                self.quarantined.append(left_out(images[0].item, error))
                return []
            # One image spoils the batch: find it.
            return [kept for image in images for kept in self.counted([image], count)]
        self._scored += len(images)
        return list(images)
