"""What became of every scene: one JSON line each, so that a second run does only what is missing."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from satsqueeze.core.errors import RunError
from satsqueeze.core.files import write_text

LEDGER = "manifest.jsonl"


@dataclass(frozen=True, kw_only=True)
class SceneRow:
    """One scene of a batch."""

    scene: str
    """Its id, which names its outputs."""
    source: str
    """What it derives from."""
    status: Literal["done", "quarantined"]
    reason: str = ""
    """Why it was quarantined."""
    error: str = ""
    """Kind of the error."""
    key: str = ""
    """Of everything that the outputs depend on."""
    outputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """File name and bytes of the mask and all else that was written."""
    height: int = 0
    width: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    """By stage; stages overlap."""
    wall_s: float = 0.0
    mpixel_per_s: float = 0.0
    peak_memory_bytes: int = 0
    shares: Mapping[str, float] = field(default_factory=dict)
    """Of each class among the valid pixels, and of nodata among all."""
    undecided: int | None = None
    """Pixels that a float graph decides by less than the stated margin; None for an int8 graph."""
    plan: Mapping[str, Any] = field(default_factory=dict)
    buffer_px: float = 0.0
    """Pixels by which foreground was widened, 0 where their size is not known."""
    radiometry: str = ""
    graph: str = ""
    engine: str = ""


class Ledger:
    """The rows of a folder of outputs.

    Args:
        folder: of the outputs.

    Raises:
        RunError: there is a file of that name that is something else.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LEDGER
        self._rows: dict[str, dict[str, Any]] = {}
        self._torn = False
        if self.path.exists():
            self._load()

    def _load(self) -> None:
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(f"{self.path} cannot be read ({error}); remove it, or choose another folder") from error
        for number, line in enumerate(lines):
            try:
                row = json.loads(line)
                self._rows[row["scene"]] = row
            except (ValueError, KeyError, TypeError) as error:
                # A run that was killed while writing leaves a torn last line: its scene is done again.
                self._torn = True
                if number < len(lines) - 1:
                    raise RunError(
                        f"line {number + 1} of {self.path} is no row of scenes ({error}); remove the file, or choose "
                        "another folder"
                    ) from error

    def is_done(self, scene: str, key: str) -> bool:
        """Whether a scene was finished with this key and its outputs are still there, complete."""
        row = self._rows.get(scene)
        if row is None or row.get("status") != "done" or row.get("key") != key:
            return False
        outputs = row.get("outputs")
        return isinstance(outputs, dict) and "mask" in outputs and all(map(self._is_there, outputs.values()))

    def outputs(self, scene: str) -> tuple[Path, ...]:
        """Files of a scene that was finished with whatever key; none of any other."""
        found = self._rows.get(scene, {}).get("outputs")
        return tuple(self.path.parent / str(one["file"]) for one in found.values()) if isinstance(found, dict) else ()

    def source(self, scene: str) -> str | None:
        """What a scene derives from; None for one that no run here has met."""
        found = self._rows.get(scene, {}).get("source")
        return None if found is None else str(found)

    @property
    def sources(self) -> dict[str, str]:
        """What every scene that a run here has met derives from, by its id."""
        return {scene: str(row.get("source")) for scene, row in self._rows.items()}

    def _is_there(self, output: Mapping[str, Any]) -> bool:
        path = self.path.parent / str(output["file"])
        expected: int = output["bytes"]
        return path.is_file() and path.stat().st_size == expected

    def row(self, scene: str) -> Mapping[str, Any]:
        """The row of a scene."""
        return self._rows[scene]

    def add(self, row: SceneRow) -> None:
        """Append a row; the last of a scene counts.

        Raises:
            RunError: the file cannot be written.
        """
        if self._torn:
            self.tidy(list(self._rows))
        record = asdict(row)
        self._rows[row.scene] = record
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as handle:
                handle.write(json.dumps(record, sort_keys=True, allow_nan=False) + "\n")
                handle.flush()
                os.fsync(handle.fileno())
        except OSError as error:
            raise RunError(f"cannot write {self.path} ({error.strerror}); the scenes so far are complete") from error

    def _take_in(self) -> None:
        """Rows that another run in the same folder has added meanwhile; none where it left a line that is no row."""
        held = dict(self._rows)
        try:
            self._load()
        except RunError:
            self._rows = held

    def tidy(self, order: Sequence[str]) -> None:
        """Rewrite the file with one row per scene, those of ``order`` first.

        Raises:
            RunError: the file cannot be written.
        """
        self._take_in()
        first = [self._rows[scene] for scene in order if scene in self._rows]
        known = set(order)
        rows = [*first, *(row for scene, row in self._rows.items() if scene not in known)]
        write_text(self.path, "".join(json.dumps(row, sort_keys=True, allow_nan=False) + "\n" for row in rows))
        self._torn = False
