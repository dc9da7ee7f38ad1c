"""Batches by their step, cut one ahead of need."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch.utils.data import Dataset

from satsqueeze.data.sampling.class_sampler import ImageBatch
from satsqueeze.data.sampling.sampler import Batch
from satsqueeze.learn.batch import ClassBatch, TrainBatch

BatchT = TypeVar("BatchT")


class PatchSource(Protocol):
    """Cuts the patches of a step, always the same for the same step."""

    def batch(self, step: int) -> Batch:
        """Batch number ``step``."""
        ...


class ImageSource(Protocol):
    """Deals the whole images of a step, always the same for the same step."""

    def batch(self, step: int) -> ImageBatch:
        """Batch number ``step``."""
        ...


class Feed(Dataset[BatchT]):
    """The batches of one epoch after another, as a data set that Lightning iterates.

    A single thread cuts the next batch while the network works on the present one. Numpy releases the interpreter
    for the copies, and a process would have to hand the patches over.

    Args:
        cut: makes the batch of a step.
        steps: batches per epoch.
        first: number of the first step, > 0 when resuming.
        last: number after the last step.
    """

    def __init__(self, cut: Callable[[int], BatchT], *, steps: int, first: int, last: int) -> None:
        self._cut = cut
        self._steps, self._next, self._last = steps, first, last
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="feed")
        self._ahead: Future[BatchT] | None = None
        self.waited = 0.0
        """Seconds that training waited for batches so far."""

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, index: int) -> BatchT:
        start = time.perf_counter()
        pending = self._ahead or self._pool.submit(self._cut, self._next)
        batch = pending.result()
        self._next += 1
        self._ahead = self._pool.submit(self._cut, self._next) if self._next < self._last else None
        self.waited += time.perf_counter() - start
        return batch

    def __iter__(self) -> Iterator[BatchT]:
        return (self[index] for index in range(self._steps))

    def close(self) -> None:
        """Stop the thread."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def patches(sampler: PatchSource, channels: list[int] | None = None) -> Callable[[int], TrainBatch]:
    """What cuts a sampler's patches as tensors.

    Args:
        sampler: cuts patches.
        channels: which bands to take and in which order; None = all as they are.
    """

    def cut(step: int) -> TrainBatch:
        batch = sampler.batch(step)
        return TrainBatch(
            images=_tensor(batch.images, channels),
            labels=torch.from_numpy(batch.labels),
            soft=None if batch.soft is None else torch.from_numpy(batch.soft),
            step=step,
        )

    return cut


def whole_images(sampler: ImageSource, channels: list[int] | None = None) -> Callable[[int], ClassBatch]:
    """What deals a sampler's images as tensors; arguments as for :func:`patches`."""

    def deal(step: int) -> ClassBatch:
        batch = sampler.batch(step)
        return ClassBatch(
            images=_tensor(batch.images, channels),
            targets=torch.from_numpy(batch.targets),
            answers=None if batch.answers is None else torch.from_numpy(batch.answers),
            step=step,
            maps=tuple(map(torch.from_numpy, batch.maps)),
        )

    return deal


def _tensor(images: np.ndarray[tuple[int, ...], np.dtype[np.float32]], channels: list[int] | None) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(images if channels is None else images[:, channels]))
