"""On what machine a figure was measured: without it a latency says nothing."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

REPORTED = ("satsqueeze", "numpy", "onnxruntime", "openvino", "torch", "rasterio")
"""Distributions whose versions go with every figure."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A computer, as far as it matters to a measurement."""

    cpu: str
    """Model name of the processor."""
    cores: int
    """Cores that this process may use."""
    memory_bytes: int
    """Installed memory; 0 where unknown."""
    system: str
    python: str
    versions: dict[str, str]
    """Of the installed ones among ``REPORTED``."""
    load_average: float | None
    """Runnable processes over the last minute, when the record was made; None where the system has no such figure."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)

    def __str__(self) -> str:
        load = "unknown" if self.load_average is None else f"{self.load_average:.1f}"
        return f"{self.cpu}, {self.cores} cores, load average {load}"


def this_machine(root: Path = Path("/"), distributions: Sequence[str] = REPORTED) -> Machine:
    """Describe the computer this runs on.

    Args:
        root: where ``proc`` lies; for tests.
        distributions: packages whose versions are recorded.
    """
    return Machine(
        cpu=_field(root / "proc" / "cpuinfo", "model name") or platform.processor() or platform.machine(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_bytes=int((_field(root / "proc" / "meminfo", "MemTotal") or "0").split()[0]) * 1024,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        versions=installed_versions(distributions),
        load_average=load_average(),
    )


def installed_versions(distributions: Sequence[str] = REPORTED) -> dict[str, str]:
    """Version of each distribution that is installed."""
    found = {}
    for name in distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def load_average() -> float | None:
    """Runnable processes over the last minute; None where the system has no such figure."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def _field(path: Path, name: str) -> str:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name) and ":" in line), "")
