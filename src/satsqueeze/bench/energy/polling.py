"""Energy from a power reading that is taken again and again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from satsqueeze.bench.energy.value import Clock, Energy, NotMeasured


@dataclass
class PowerIntegral:
    """Trapezoidal integral of power over time."""

    joules: float = 0.0
    seconds: float = 0.0
    readings: int = 0
    _time: float = 0.0
    _watts: float = 0.0

    def add(self, at: float, watts: float) -> None:
        """Take in a reading.

        Args:
            at: when, in seconds, not before the last one.
            watts: power.
        """
        if self.readings:
            self.joules += (at - self._time) * (watts + self._watts) / 2
            self.seconds += at - self._time
        self._time, self._watts, self.readings = at, watts, self.readings + 1


class PollingMeter:
    """Reads power in a thread of its own and integrates it.

    Args:
        watts: reads the power; may raise OSError or ValueError.
        domain: what is measured.
        method: how, for the record.
        interval_s: seconds between readings.
        clock: seconds; for tests.
    """

    def __init__(
        self,
        watts: Callable[[], float],
        *,
        domain: str,
        method: str,
        interval_s: float = 0.02,
        clock: Clock = time.perf_counter,
    ) -> None:
        self._watts, self._domain, self._method = watts, domain, method
        self._interval_s, self._clock = interval_s, clock
        self._integral = PowerIntegral()
        self._failure = ""
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to count."""
        self._integral, self._failure = PowerIntegral(), ""
        self._stopping.clear()
        self._read()
        self._thread = threading.Thread(target=self._poll, name="energy meter", daemon=True)
        self._thread.start()

    def stop(self) -> Energy | NotMeasured:
        """End, and say what was counted."""
        if self._thread is None:
            return NotMeasured("the meter was never started")
        self._stopping.set()
        self._thread.join()
        self._thread = None
        self._read()
        if self._failure:
            return NotMeasured(self._failure)
        found = self._integral
        method = f"{self._method}, {found.readings} readings integrated"
        return Energy(joules=found.joules, seconds=found.seconds, domain=self._domain, method=method)

    def _poll(self) -> None:
        while not self._failure and not self._stopping.wait(self._interval_s):
            self._read()

    def _read(self) -> None:
        try:
            self._integral.add(self._clock(), self._watts())
        except (OSError, ValueError) as error:
            self._failure = f"{self._domain} cannot be read ({error})"
