"""Energy of a computation: measured by whatever meter the machine has, or honestly "not measured"."""

from satsqueeze.bench.energy.estimate import DeviceProfile, Work, estimate_energy
from satsqueeze.bench.energy.find import find_meter, measure_energy
from satsqueeze.bench.energy.value import Energy, Meter, NoMeter, NotMeasured

__all__ = [
    "DeviceProfile",
    "Energy",
    "Meter",
    "NoMeter",
    "NotMeasured",
    "Work",
    "estimate_energy",
    "find_meter",
    "measure_energy",
]
