"""Where the time of a scene goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal

Stage = Literal["open", "read", "pre", "infer", "post", "write"]
STAGES: tuple[Stage, ...] = ("open", "read", "pre", "infer", "post", "write")


@dataclass
class StageTimer:
    """Seconds by stage, over all threads. Stages overlap, so they may add up to more than the scene took."""

    seconds: dict[Stage, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    @contextmanager
    def __call__(self, stage: Stage) -> Iterator[None]:
        """Add the time of a block, of any thread."""
        started = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                self.seconds[stage] += time.perf_counter() - started
