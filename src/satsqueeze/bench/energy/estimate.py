"""A guess at energy from a device's figures, for those who ask for it; always labelled as an estimate."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path

import yaml

from satsqueeze.bench.energy.value import Energy
from satsqueeze.core.errors import SettingsError
from satsqueeze.core.yaml_text import parse_yaml


@dataclass(frozen=True, kw_only=True)
class DeviceProfile:
    """What a device takes per operation, from its maker or from a measurement."""

    name: str
    joules_per_mac: float
    joules_per_byte: float
    """Per byte moved between memory and processor."""
    source: str
    """Where the two figures come from."""

    def __post_init__(self) -> None:
        for name in ("joules_per_mac", "joules_per_byte"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise SettingsError(f"device profile: {name} must be a finite number of at least 0, got {value}")
        if not self.name or not self.source:
            raise SettingsError("a device profile needs a name and the source of its figures, got an empty one")

    @classmethod
    def read(cls, path: Path) -> DeviceProfile:
        """Read a YAML file with the fields of this class.

        Raises:
            SettingsError: absent or malformed.
        """
        names = {field.name for field in fields(cls)}
        try:
            record = parse_yaml(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise SettingsError(f"cannot read the device profile {path}: {error}") from error
        if not isinstance(record, dict) or set(record) != names:
            raise SettingsError(f"{path}: a device profile has exactly {', '.join(sorted(names))}; got {record}")
        try:  # YAML 1.1 reads 5e-12 as text
            figures = {name: float(record[name]) for name in ("joules_per_mac", "joules_per_byte")}
        except (TypeError, ValueError) as error:
            raise SettingsError(f"{path}: joules_per_mac and joules_per_byte must be numbers ({error})") from error
        return cls(name=str(record["name"]), source=str(record["source"]), **figures)


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a computation does, as far as it costs energy."""

    macs: float
    """Multiply-accumulates."""
    bytes_moved: float
    """Bytes of weights and activations that go to or come from memory."""


def estimate_energy(work: Work, profile: DeviceProfile) -> Energy:
    """J/MAC * MACs + J/byte * bytes; nothing was measured, and the figure says so."""
    joules = work.macs * profile.joules_per_mac + work.bytes_moved * profile.joules_per_byte
    method = f"estimate, not a measurement: J per MAC and byte of {profile.name} ({profile.source})"
    return Energy(joules=joules, seconds=0.0, domain=profile.name, method=method)
