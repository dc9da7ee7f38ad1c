"""What files hold, in a number: the same wherever they lie and whenever they were copied there."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from satsqueeze.data.filetree import local_path

_CHUNK = 2**20


class Checksums:
    """CRC-32 of files; one that has neither changed its size nor its time of change is not read again.

    Args:
        known: what :meth:`to_dict` gave before.
    """

    def __init__(self, known: Mapping[str, Sequence[int]] | None = None) -> None:
        self._known = {path: tuple(found) for path, found in (known or {}).items()}
        self._asked: dict[str, tuple[int, ...]] = {}

    def of(self, opened: str) -> list[int]:
        """Size in bytes and CRC-32 of a file or a member of an archive; empty where there is none that can be read.

        Args:
            opened: path to open, as :func:`satsqueeze.data.filetree.list_files` gives it.
        """
        try:
            status = local_path(opened).stat()
            if opened.startswith("/vsizip/"):
                archive, member = opened.removeprefix("/vsizip/{").split("}/", 1)
                return list(_members(archive, status.st_mtime_ns)[member])
            now = status.st_size, status.st_mtime_ns
            *before, checksum = self._known.get(opened, (-1,))
            if tuple(before) != now:
                checksum = _crc32(Path(opened))
        except (OSError, KeyError, zipfile.BadZipFile):
            return []
        self._asked[opened] = (*now, checksum)
        return [status.st_size, checksum]

    def to_dict(self) -> dict[str, list[int]]:
        """Size, time of change in ns and CRC-32 of each file that was asked for outside of archives, by path."""
        return {path: list(found) for path, found in sorted(self._asked.items())}


def _crc32(path: Path) -> int:
    found = 0
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK):
            found = zlib.crc32(chunk, found)
    return found


@lru_cache(maxsize=16)
def _members(archive: str, changed: int) -> dict[str, tuple[int, int]]:  # noqa: ARG001 - read anew when it changes
    with zipfile.ZipFile(archive) as handle:
        return {info.filename: (info.file_size, info.CRC) for info in handle.infolist()}
