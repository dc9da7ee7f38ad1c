"""RAPL counters of Intel and AMD processors through the kernel's powercap files.

``energy_uj`` counts microjoules and starts again at 0 after ``max_energy_range_uj``
(Linux, Documentation/power/powercap/powercap.rst).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from satsqueeze.bench.energy.value import Clock, Energy, NotMeasured

_PACKAGE = re.compile(r"^intel-rapl:\d+$")
_PART = re.compile(r"^intel-rapl:\d+:\d+$")


@dataclass(frozen=True, kw_only=True)
class Zone:
    """One counter."""

    name: str
    folder: Path
    range_uj: int
    """Value at which the counter starts again, in microjoules."""

    def read(self) -> int:
        """Microjoules since some moment."""
        return int((self.folder / "energy_uj").read_text())


def elapsed_uj(before: int, after: int, range_uj: int) -> int:
    """Microjoules between two readings of a counter that started again at most once in between."""
    return after - before if after >= before else after - before + range_uj


class PowercapMeter:
    """Sums processor packages and their memory.

    A counter must not start again twice between start and stop: at 100 W that takes about 40 minutes.

    Args:
        zones: counters that do not contain one another.
        clock: seconds; for tests.
    """

    def __init__(self, zones: tuple[Zone, ...], clock: Clock = time.perf_counter) -> None:
        self._zones, self._clock = zones, clock
        self._before: list[int] | None = None
        self._began = 0.0

    def start(self) -> None:
        """Begin to count."""
        self._began = self._clock()
        self._before = self._read()

    def stop(self) -> Energy | NotMeasured:
        """End, and say what was counted."""
        if self._before is None:
            return NotMeasured("the meter was never started")
        after = self._read()
        if not (self._before and after):
            return NotMeasured("a RAPL counter could be read at first, and then no more")
        seconds = self._clock() - self._began
        microjoules = sum(
            elapsed_uj(before, now, zone.range_uj)
            for zone, before, now in zip(self._zones, self._before, after, strict=True)
        )
        if microjoules == 0:
            return NotMeasured("the RAPL counters do not move, as in most virtual machines")
        domain = " + ".join(zone.name for zone in self._zones)
        return Energy(joules=microjoules / 1e6, seconds=seconds, domain=domain, method="RAPL powercap counters")

    def _read(self) -> list[int]:
        """Microjoules of every zone; none where one of them cannot be read any more."""
        try:
            return [zone.read() for zone in self._zones]
        except (OSError, ValueError):
            return []


def find_powercap(root: Path) -> PowercapMeter | NotMeasured:
    """The RAPL meter of the machine whose ``/sys`` lies at ``root``."""
    folders = sorted((root / "class" / "powercap").glob("intel-rapl:*"))
    packages = _zones(folder for folder in folders if _PACKAGE.match(folder.name))
    # "psys" is the whole platform: it contains the packages and must not be added to them.
    chosen = [zone for zone in packages if zone.name != "psys"]
    inside = {folder.name: folder for zone in chosen for folder in zone.folder.glob("intel-rapl:*:*")}
    inside |= {folder.name: folder for folder in folders if chosen and _PART.match(folder.name)}
    memory = [zone for zone in _zones(folder for _, folder in sorted(inside.items())) if zone.name == "dram"]
    zones = (*(chosen or packages), *memory)
    if not zones:
        return NotMeasured("no RAPL counter under class/powercap")
    try:
        for zone in zones:
            zone.read()
    except (OSError, ValueError) as error:
        return NotMeasured(f"a RAPL counter cannot be read ({error}); most systems allow it to root only")
    return PowercapMeter(zones)


def _zones(folders: Iterable[Path]) -> list[Zone]:
    return [zone for zone in map(_zone, folders) if zone is not None]


def _zone(folder: Path) -> Zone | None:
    try:
        return Zone(
            name=(folder / "name").read_text().strip(),
            folder=folder,
            range_uj=int((folder / "max_energy_range_uj").read_text()),
        )
    except (OSError, ValueError):
        return None
