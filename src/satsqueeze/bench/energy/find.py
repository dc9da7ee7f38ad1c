"""Finding a meter and using it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from satsqueeze.bench.energy.ina import find_ina
from satsqueeze.bench.energy.nvml import find_nvml
from satsqueeze.bench.energy.powercap import find_powercap
from satsqueeze.bench.energy.value import Energy, Meter, NoMeter, NotMeasured
from satsqueeze.core.errors import SettingsError


def find_meter(root: Path = Path("/sys"), *, device: Literal["cpu", "gpu"] = "cpu") -> Meter:
    """The best meter this machine has for a device.

    Args:
        root: where the kernel's sysfs lies; for tests.
        device: ``cpu``: RAPL counters, else an INA sensor of the board; ``gpu``: NVML.

    Returns:
        A meter; one whose answer is :class:`NotMeasured`, with all reasons, where there is none.
    """
    found: list[Meter | NotMeasured]
    found = [find_nvml()] if device == "gpu" else [find_powercap(root), find_ina(root)]
    reasons = [one.reason for one in found if isinstance(one, NotMeasured)]
    return next((one for one in found if not isinstance(one, NotMeasured)), NoMeter("; ".join(reasons)))


def measure_energy(work: Callable[[], object], meter: Meter, *, repeats: int = 1) -> Energy | NotMeasured:
    """Energy of one call of ``work``, as the mean of ``repeats`` calls in a row, the machine's idle draw included.

    Raises:
        SettingsError: fewer than one repeat.
    """
    if repeats < 1:
        raise SettingsError(f"energy is measured over at least 1 repeat, got {repeats}")
    meter.start()
    try:
        for _ in range(repeats):
            work()
    finally:
        found = meter.stop()
    if isinstance(found, NotMeasured):
        return found
    return Energy(
        joules=found.joules / repeats, seconds=found.seconds / repeats, domain=found.domain, method=found.method
    )
