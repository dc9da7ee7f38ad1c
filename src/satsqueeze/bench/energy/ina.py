"""INA power sensors, as on Jetson boards and many single-board computers, through sysfs.

Two layouts: hwmon (``in<N>_input`` in mV, ``curr<N>_input`` in mA, ``power<N>_input`` in uW; Linux,
Documentation/hwmon/sysfs-interface.rst) and the older Jetson driver (``in_power<N>_input`` in mW, ``rail_name_<N>``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from satsqueeze.bench.energy.polling import PollingMeter
from satsqueeze.bench.energy.value import NotMeasured

TOTAL_RAILS = ("VDD_IN", "POM_5V_IN")
"""Rails that feed a whole Jetson module: others are parts of them and must not be added."""
_NO_RAILS = ("NC", "SUM OF SHUNT VOLTAGES", "SUM OF SHUNTS")
"""Labels of channels that nothing is connected to, or that repeat the others."""


@dataclass(frozen=True, kw_only=True)
class Rail:
    """A supply line with its power."""

    name: str
    """Its label; empty where it has none."""
    sensor: str
    watts: Callable[[], float]


def find_ina(root: Path) -> PollingMeter | NotMeasured:
    """The meter of an INA sensor of the machine whose ``/sys`` lies at ``root``.

    The rail that feeds the whole module is taken where there is one. Else those with a label are parts of it and are
    added, as on Jetson AGX boards; the meter's domain names them. Without labels nothing tells which rail feeds which,
    and the first of the first sensor is taken.
    """
    rails = [*_hwmon_rails(root), *_jetson_rails(root)]
    if not rails:
        return NotMeasured("no INA power sensor under class/hwmon or bus/i2c")
    whole = [rail for name in TOTAL_RAILS for rail in rails if rail.name.upper() == name][:1]
    parts = [rail for rail in rails if rail.name and rail.name.upper() not in _NO_RAILS]
    chosen = whole or parts or rails[:1]
    domain = " + ".join(rail.name or "an unnamed rail" for rail in chosen)
    return PollingMeter(
        lambda: sum(rail.watts() for rail in chosen), domain=domain, method=f"{chosen[0].sensor} power sensor"
    )


def _hwmon_rails(root: Path) -> Iterator[Rail]:
    for folder in sorted((root / "class" / "hwmon").glob("hwmon*")):
        sensor = _text(folder / "name")
        if not sensor.startswith("ina"):
            continue
        for number in _numbers(folder, r"power(\d+)_input"):
            name = _text(folder / f"power{number}_label") or _text(folder / f"in{number}_label")
            yield Rail(name=name, sensor=sensor, watts=_Product((folder / f"power{number}_input",), 1e-6))
        measured = set(_numbers(folder, r"power(\d+)_input"))
        for number in _numbers(folder, r"curr(\d+)_input"):
            factors = (folder / f"in{number}_input", folder / f"curr{number}_input")
            if number not in measured and factors[0].exists():
                yield Rail(name=_text(folder / f"in{number}_label"), sensor=sensor, watts=_Product(factors, 1e-6))


def _jetson_rails(root: Path) -> Iterator[Rail]:
    for folder in sorted((root / "bus" / "i2c" / "drivers").glob("ina3221x/*/iio*")):
        for number in _numbers(folder, r"in_power(\d+)_input"):
            name = _text(folder / f"rail_name_{number}")
            yield Rail(name=name, sensor="ina3221", watts=_Product((folder / f"in_power{number}_input",), 1e-3))


@dataclass(frozen=True)
class _Product:
    files: tuple[Path, ...]
    unit: float

    def __call__(self) -> float:
        product = self.unit
        for file in self.files:
            product *= int(file.read_text())
        return product


def _numbers(folder: Path, pattern: str) -> list[int]:
    matches = (re.fullmatch(pattern, path.name) for path in folder.iterdir())
    return sorted(int(match[1]) for match in matches if match)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
