"""The budget file: limits on the planned network, and on the one that flies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.yaml_text import parse_yaml
from satsqueeze.plan.budget import FIGURES, Budget


@dataclass(frozen=True, kw_only=True)
class Budgets:
    """Limits by the network that they hold for."""

    teacher: Budget = field(default_factory=Budget)
    """Of the planned network; ``train_minutes`` for each fold."""
    student: Budget = field(default_factory=Budget)
    """Of the network that flies; ``train_minutes`` has no meaning for it."""


def read_budgets(path: Path) -> Budgets:
    """Read a YAML file of limits such as ``parameters: 2300000``.

    Lines at the top hold for the planned network, as do those under ``teacher:``; those under ``student:`` hold for the
    network that flies.

    Raises:
        SettingsError: absent, malformed, an unknown limit, or one that is given twice.
    """
    try:
        record = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"cannot read the budget file {path}: {error}") from error
    expected = (
        f"expected lines such as 'parameters: 120000', of {', '.join(FIGURES)}, or sections teacher: and student:"
    )
    if not isinstance(record, Mapping):
        raise SettingsError(f"{path}: got {record!r}, {expected}")
    sections = {name: record[name] or {} for name in ("teacher", "student") if name in record}
    if not all(isinstance(section, Mapping) for section in sections.values()):
        raise SettingsError(f"{path}: got {dict(record)}, {expected}")
    top = {str(name): limit for name, limit in record.items() if name not in sections}
    teacher, student = dict(sections.get("teacher", {})), dict(sections.get("student", {}))
    repeated = sorted(set(top) & set(teacher))
    if repeated:
        raise SettingsError(f"{path}: {', '.join(repeated)} stands at the top and under teacher:; keep one of them")
    if "train_minutes" in student:
        raise SettingsError(f"{path}: train_minutes limits the teacher's training; it cannot stand under student:")
    return Budgets(teacher=_limits({**top, **teacher}, path), student=_limits(student, f"{path}, student"))


def _limits(record: Mapping[str, Any], place: object) -> Budget:
    try:
        return Budget.from_dict(record)
    except SettingsError as error:
        raise SettingsError(f"{place}: {error}") from error
