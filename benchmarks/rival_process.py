"""Rivals as processes in their own environments."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Rival:
    """A program to compare with."""

    name: str
    python: Path
    """Interpreter of its environment."""
    script: str
    """Beside this file; see ``rival_images.py``."""
    extra: tuple[str, ...] = ()
    """Options of its own."""

    def masks(
        self, images: Sequence[Path], *, bands: Sequence[str], threads: int, masks: Path | None = None
    ) -> RivalRun:
        """Run on images (see ``rival_images.py``), keeping the masks in a folder if one is given."""
        if not self.python.exists():
            return RivalRun(not_measured=f"{self.python} does not exist; {self.script} tells how to make it")
        words = [self.python, HERE / self.script, *images, "--bands", ",".join(bands), "--threads", threads]
        words += [*self.extra, *(("--masks", masks) if masks is not None else ())]
        clean = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
        done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False, env=clean)
        if done.returncode:
            # Killed for memory, it says nothing.
            return RivalRun(not_measured=done.stderr[-500:].strip() or f"ended with status {done.returncode}")
        return RivalRun(reports=tuple(json.loads(line) for line in done.stdout.splitlines()))


@dataclass(frozen=True, kw_only=True)
class RivalRun:
    """What came of a run."""

    reports: tuple[dict[str, Any], ...] = ()
    """One per image."""
    not_measured: str = ""
    """Why there is no report; empty where there is."""


def write_image(path: Path, reflectance: NDArray[np.float32], valid: NDArray[np.bool_]) -> Path:
    """Write reflectance (C, H, W) as rivals read it: (H, W, C), 0 where there is no data."""
    np.save(path, np.ascontiguousarray(np.where(valid, reflectance, np.float32(0)).transpose(1, 2, 0)))
    return path
