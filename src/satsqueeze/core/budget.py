"""What the target can afford."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import yaml

from satsqueeze.core.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Upper limits; None means no limit."""

    parameters: int | None = None
    """Trainable parameters."""
    macs_per_pixel: float | None = None
    """Multiply-accumulates per input pixel."""
    activation_bytes: int | None = None
    """Peak bytes of float32 activations for one window of the planned patch size."""
    train_minutes: float | None = None
    """Minutes of training, for the estimate of the plan."""

    def __post_init__(self) -> None:
        for limit in fields(self):
            value = getattr(self, limit.name)
            if value is not None and value <= 0:
                raise SettingsError(f"budget '{limit.name}' must be positive, got {value}")

    @classmethod
    def read(cls, path: Path) -> Budget:
        """Read a YAML file such as ``parameters: 120000``.

        Raises:
            SettingsError: absent, malformed, or an unknown limit.
        """
        try:
            record = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
            raise SettingsError(f"cannot read the budget file {path}: {error}") from error
        known = {limit.name for limit in fields(cls)}
        if not isinstance(record, dict) or not set(record) <= known:
            raise SettingsError(f"{path}: a budget has the limits {', '.join(sorted(known))}; got {record}")
        return cls(**record)
