"""A run folder: where stages leave their results for one another, resumable at each."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydantic

from satsqueeze.core.errors import RunError
from satsqueeze.core.files import read_json, write_json

FORMAT_VERSION = 1


class RunFolder:
    """A folder with a manifest (``run.json``) and one record per finished stage (``stages/<name>.json``).

    A stage is skipped when its record says that it finished with the same settings and inputs, and its outputs are
    there.

    Args:
        path: created if absent.

    Raises:
        RunError: the folder holds something else, or a run of another format version.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        manifest = self.path / "run.json"
        if manifest.exists():
            record = read_json(manifest)
            found = record.get("format_version") if isinstance(record, dict) else None
            if found != FORMAT_VERSION:
                raise RunError(
                    f"{self.path} is a run folder of format {found}, this satsqueeze reads format {FORMAT_VERSION}; "
                    "use the version that wrote it, or choose a new --out folder"
                )
            return
        if self.path.exists() and (not self.path.is_dir() or any(map(_is_foreign, self.path.iterdir()))):
            raise RunError(f"{self.path} exists and is not a run folder; choose an empty or new folder")
        write_json(manifest, {"format_version": FORMAT_VERSION, "created_unix": int(time.time())})

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def is_done(self, stage: str, settings: object, outputs: Iterable[str] = ()) -> bool:
        """Whether ``stage`` finished with exactly these settings, and the files ``outputs`` that it left are there."""
        record = self._record(stage)
        same = record.exists() and read_json(record).get("fingerprint") == fingerprint_of(settings)
        return same and not self.lost(outputs)

    def lost(self, outputs: Iterable[str]) -> list[str]:
        """Those of the files, by their names in the folder, that are not there."""
        return [name for name in outputs if not (self / name).exists()]

    def has(self, stage: str) -> bool:
        """Whether ``stage`` finished, with whatever settings."""
        return self._record(stage).exists()

    def is_due(self, stage: str, settings: object, *, refusal: str, outputs: Iterable[str] = ()) -> bool:
        """Whether ``stage``, which a run folder has once and for all, has not finished yet, or has lost ``outputs``.

        Raises:
            RunError: it finished with other settings; ``refusal`` is the message.
        """
        if self.has(stage) and not self.is_done(stage, settings):
            raise RunError(refusal)
        return not self.is_done(stage, settings, outputs)

    def finish(self, stage: str, settings: object, result: Mapping[str, Any], seconds: float) -> None:
        """Record that ``stage`` finished, with its JSON-ready result and duration."""
        write_json(
            self._record(stage),
            {
                "fingerprint": fingerprint_of(settings),
                "settings": plain(settings),
                "result": plain(dict(result)),
                "seconds": round(seconds, 3),
            },
        )

    def result(self, stage: str) -> dict[str, Any]:
        """The recorded result of a finished stage.

        Raises:
            RunError: the stage has not finished.
        """
        found: dict[str, Any] = read_json(self._record(stage))["result"]
        return found

    def settings(self, stage: str) -> dict[str, Any]:
        """The recorded settings of a finished stage."""
        found: dict[str, Any] = read_json(self._record(stage))["settings"]
        return found

    def seconds(self, stage: str) -> float:
        """How long a finished stage took, in seconds."""
        return float(read_json(self._record(stage))["seconds"])

    def _record(self, stage: str) -> Path:
        return self.path / "stages" / f"{stage.replace('/', '__')}.json"


def _is_foreign(path: Path) -> bool:
    # A run killed while it wrote its manifest leaves only the temporary file behind.
    return not (path.name.startswith(".run.") and path.name.endswith(".part.json"))


def plain(value: object) -> Any:
    """JSON-ready form of settings: dataclasses, models, paths, sequences, mappings, arrays; NaN and inf become None.

    Raises:
        RunError: a type that has no JSON form.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, pydantic.BaseModel | np.ndarray | np.generic):
        return plain(value.model_dump() if isinstance(value, pydantic.BaseModel) else value.tolist())
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [plain(item) for item in items]
    if isinstance(value, bool | int | float | str | Path) or value is None:
        return _plain_scalar(value)
    raise RunError(f"cannot record a {type(value).__name__} in a run folder")


def _plain_scalar(value: bool | float | str | Path | None) -> bool | float | str | None:
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def fingerprint_of(settings: object) -> str:
    """SHA-256 of the JSON form of ``settings``."""
    return hashlib.sha256(json.dumps(plain(settings), sort_keys=True).encode()).hexdigest()
