"""Batches by their step, cut one ahead of need."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
from torch.utils.data import Dataset

from satsqueeze.data.sampler import Batch
from satsqueeze.learn.batch import TrainBatch


class Sampler(Protocol):
    """Cuts the batch of a step, always the same for the same step."""

    def batch(self, step: int) -> Batch:
        """Batch number ``step``."""
        ...


class Feed(Dataset[TrainBatch]):
    """The batches of one epoch after another, as a data set that Lightning iterates.

    A single thread cuts the next batch while the network works on the present one. Numpy releases the interpreter
    for the copies, and a process would have to hand the patches over.

    Args:
        sampler: cuts batches.
        steps: batches per epoch.
        first: number of the first step, > 0 when resuming.
        last: number after the last step.
        channels: which bands to take and in which order; None = all as they are.
    """

    def __init__(
        self, sampler: Sampler, *, steps: int, first: int, last: int, channels: list[int] | None = None
    ) -> None:
        self._sampler, self._channels = sampler, channels
        self._steps, self._next, self._last = steps, first, last
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="feed")
        self._ahead: Future[TrainBatch] | None = None
        self.waited = 0.0
        """Seconds that training waited for batches so far."""

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, index: int) -> TrainBatch:
        start = time.perf_counter()
        pending = self._ahead or self._pool.submit(self._cut, self._next)
        batch = pending.result()
        self._next += 1
        self._ahead = self._pool.submit(self._cut, self._next) if self._next < self._last else None
        self.waited += time.perf_counter() - start
        return batch

    def __iter__(self) -> Iterator[TrainBatch]:
        return (self[index] for index in range(self._steps))

    def close(self) -> None:
        """Stop the thread."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _cut(self, step: int) -> TrainBatch:
        batch = self._sampler.batch(step)
        images = batch.images if self._channels is None else batch.images[:, self._channels]
        return TrainBatch(
            images=torch.from_numpy(np.ascontiguousarray(images)),
            labels=torch.from_numpy(batch.labels),
            soft=None if batch.soft is None else torch.from_numpy(batch.soft),
            step=step,
        )
