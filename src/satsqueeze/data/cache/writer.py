"""The writing side of a packed cache: files that grow by an item at a time, and the journal of what is in them."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from satsqueeze.core.errors import DataError
from satsqueeze.core.files import write_text
from satsqueeze.data.cache.packed import IMAGES, LABELS, CacheEntry, Quarantined
from satsqueeze.data.cache.packing import Packed
from satsqueeze.data.items.item import Item

JOURNAL = "packing.jsonl"


class CacheWriter:
    """Appends items to the packed files; a context manager.

    The journal records each item only after its pixels are written, so that a killed run continues where it stopped.
    Where pixels are lost that it tells of, as when the power fails, all items are written anew.

    Args:
        folder: of the cache.
        key: of what is packed; a journal about something else is begun anew.
        channels: of every image.
        with_labels: whether pixels have labels.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """

    def __init__(self, folder: Path, key: str, *, channels: int, with_labels: bool) -> None:
        self.entries: list[CacheEntry] = []
        self.quarantine: list[Quarantined] = []
        self._pixels = 0
        self._journal_path = folder / JOURNAL
        paths = folder / IMAGES, folder / LABELS
        pixel_bytes = 2 * channels, 1 if with_labels else 0
        held = min(_size(path) // each for path, each in zip(paths, pixel_bytes, strict=True) if each)
        known = self._resume(key, held)
        sizes = [self._pixels * each for each in pixel_bytes]
        self._files = [_open_at(path, size) for path, size in zip(paths, sizes, strict=True)]
        self._journal = self._journal_path.open("a", encoding="utf-8")
        if not known:
            self._record({"key": key})

    @property
    def finished(self) -> set[str]:
        """Names of items that need not be read again."""
        return {entry.id for entry in self.entries} | {entry.id for entry in self.quarantine}

    def add(self, item: Item, outcome: Packed | DataError) -> None:
        """Keep an item, or the reason why not."""
        if isinstance(outcome, DataError):
            self.quarantine.append(Quarantined(id=item.id, reason=str(outcome)))
            self._record({"quarantined": asdict(self.quarantine[-1])})
            return
        entry = replace(outcome.entry, offset=self._pixels)
        label = b"" if outcome.label is None else outcome.label.tobytes()
        for handle, content in zip(self._files, (outcome.image.tobytes(), label), strict=True):
            handle.write(content)
            handle.flush()
        self._pixels += entry.pixels
        self.entries.append(entry)
        self._record({"entry": entry.to_dict()})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as stack:
            for handle in (*self._files, self._journal):
                stack.enter_context(handle)
                if kind is None:
                    handle.flush()
                    os.fsync(handle.fileno())

    def _record(self, line: dict[str, Any]) -> None:
        self._journal.write(json.dumps(line) + "\n")
        self._journal.flush()

    def _resume(self, key: str, held: int) -> bool:
        """Take up what the journal tells; False where there is none, of something else, or of more pixels than held."""
        lines = _journal_lines(self._journal_path)
        known = bool(lines) and lines[0] == {"key": key}
        entries = [CacheEntry.from_dict(line["entry"]) for line in lines if known and "entry" in line]
        pixels = sum(entry.pixels for entry in entries)
        if not known or pixels > held:
            self._journal_path.unlink(missing_ok=True)
            return False
        self.entries, self._pixels = entries, pixels
        self.quarantine = [Quarantined(**line["quarantined"]) for line in lines if "quarantined" in line]
        # A line cut short by a kill must not swallow the next one; nor may another kill lose what is told here.
        write_text(self._journal_path, "".join(json.dumps(line) + "\n" for line in lines))
        return True


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _open_at(path: Path, size: int) -> Any:
    handle = path.open("r+b" if path.exists() else "w+b")
    handle.truncate(size)
    handle.seek(size)
    return handle


def _journal_lines(path: Path) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    if path.is_file():
        for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                lines.append(json.loads(text))
            except json.JSONDecodeError:
                break
    return lines
