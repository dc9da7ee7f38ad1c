"""Energy of an NVIDIA GPU through its management library, where the ``pynvml`` module is installed."""

from __future__ import annotations

import importlib
import time
from typing import Any

from satsqueeze.bench.energy.polling import PollingMeter
from satsqueeze.bench.energy.value import Clock, Energy, Meter, NotMeasured


class NvmlCounterMeter:
    """Reads the energy counter that GPUs since Volta have, in millijoules.

    Args:
        module: ``pynvml``, initialised.
        handle: of the GPU.
        domain: name of the GPU.
        clock: seconds; for tests.
    """

    def __init__(self, module: Any, handle: Any, domain: str, clock: Clock = time.perf_counter) -> None:
        self._module, self._handle, self._domain, self._clock = module, handle, domain, clock
        self._before: int | None = None
        self._began = 0.0

    def start(self) -> None:
        """Begin to count."""
        self._began = self._clock()
        try:
            self._before = self._read()
        except OSError:
            self._before = None

    def stop(self) -> Energy | NotMeasured:
        """End, and say what was counted."""
        if self._before is None:
            return NotMeasured("the meter was never started, or could not be read")
        try:
            joules = (self._read() - self._before) / 1e3
        except OSError as error:
            return NotMeasured(f"{self._domain} cannot be read ({error})")
        seconds = self._clock() - self._began
        if joules <= 0:
            return NotMeasured(f"the energy counter of {self._domain} did not move; measure longer")
        return Energy(joules=joules, seconds=seconds, domain=self._domain, method="NVML energy counter")

    def _read(self) -> int:
        return _answer(self._module, "nvmlDeviceGetTotalEnergyConsumption", self._handle)


def _answer(module: Any, question: str, handle: Any) -> int:
    """What the library answers.

    Raises:
        OSError: it fails, whose own error is of no kind that others know.
    """
    try:
        return int(getattr(module, question)(handle))
    except module.NVMLError as error:
        raise OSError(str(error)) from error


def find_nvml(module: Any = None, *, index: int = 0) -> Meter | NotMeasured:
    """The meter of a GPU.

    Args:
        module: ``pynvml``; imported by default.
        index: of the GPU.
    """
    if module is None:
        try:
            module = importlib.import_module("pynvml")
        except ImportError:
            return NotMeasured("pynvml is not installed")
    try:
        module.nvmlInit()
        handle = module.nvmlDeviceGetHandleByIndex(index)
        name = module.nvmlDeviceGetName(handle)
    except module.NVMLError as error:
        return NotMeasured(f"NVML finds no GPU {index} ({error})")
    domain = f"GPU {index}, {name.decode() if isinstance(name, bytes) else name}"
    try:
        _answer(module, "nvmlDeviceGetTotalEnergyConsumption", handle)
    except OSError:
        return PollingMeter(
            lambda: _answer(module, "nvmlDeviceGetPowerUsage", handle) / 1e3, domain=domain, method="NVML power reading"
        )
    return NvmlCounterMeter(module, handle, domain)
