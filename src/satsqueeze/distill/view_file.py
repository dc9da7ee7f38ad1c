"""What a teacher says of every image under every view, in a memory-mapped file with a record of whose and of what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import RunError
from satsqueeze.core.files import read_json, replacing, write_json
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.sampling.dihedral import VIEWS


@dataclass(frozen=True, kw_only=True)
class ViewKind:
    """One kind of thing that teachers are asked for."""

    name: str
    """What it is called in an error, such as ``answers``."""
    record: str
    """File that tells whose and of which data the values are."""
    values: str
    """File of the values."""
    version: int
    """Of the format of both."""
    shape: Callable[[Mapping[str, Any]], tuple[int, ...]]
    """Shape of the values of one view, by the record."""


class ViewFile:
    """Float16 (items, 8, ...) of one teacher, NaN where it was not asked.

    Items are as in the packed cache, views as in :mod:`satsqueeze.data.sampling.dihedral`.

    Args:
        folder: as :meth:`prepared` left it.
        kind: what is kept there.
        cache: the images.

    Raises:
        RunError: nothing there, or another format or other data.
    """

    def __init__(self, folder: Path, kind: ViewKind, cache: PackedCache) -> None:
        self.folder, self.kind = folder, kind
        record: dict[str, Any] = read_json(folder / kind.record)
        if record.get("format_version") != kind.version or record.get("data") != cache.fingerprint:
            raise RunError(
                f"{folder} holds {kind.name} of another format or other data than {cache.folder}; remove the folder "
                "and ask the teachers again"
            )
        self.teacher = str(record["teacher"]["name"])
        """Its name."""
        self.fingerprint = str(record["teacher"]["fingerprint"])
        """Of the teacher, and of how it was asked."""
        self.shape = (len(cache), VIEWS, *kind.shape(record))

    @classmethod
    def prepared(
        cls, folder: Path, kind: ViewKind, cache: PackedCache, *, teacher: Mapping[str, str], further: Mapping[str, Any]
    ) -> ViewFile:
        """The file of a teacher, all NaN if there was none.

        Args:
            folder: for this teacher and this data alone.
            kind: what is kept there.
            cache: the images.
            teacher: ``name`` and ``fingerprint``.
            further: what else goes into the record.

        Raises:
            RunError: another teacher's values, other data, or a damaged file; a full disk.
        """
        if (folder / kind.record).is_file():
            found = cls(folder, kind, cache)
            if found.fingerprint != teacher["fingerprint"]:
                raise RunError(
                    f"{folder} holds {kind.name} of a teacher {found.fingerprint[:12]}, not of '{teacher['name']}' "
                    f"{teacher['fingerprint'][:12]}; remove the folder and ask again"
                )
            found.values()
            return found
        record = {"format_version": kind.version, "teacher": dict(teacher), "data": cache.fingerprint, **further}
        with replacing(folder / kind.values) as temporary, temporary.open("wb") as handle:
            # Written in full, since a full disk under a sparse mapped file would kill the process instead of raising.
            np.save(handle, np.full((len(cache), VIEWS, *kind.shape(record)), np.nan, np.float16))
        write_json(folder / kind.record, record)
        return cls(folder, kind, cache)

    @property
    def described(self) -> str:
        """Who answers, for the record."""
        return f"{self.teacher} {self.fingerprint[:12]}"

    def values(self) -> NDArray[np.float16]:
        """Mapped to be read, as a plain array.

        Raises:
            RunError: a damaged file.
        """
        return self._mapped("r").view(np.ndarray)

    def writable(self) -> np.memmap[Any, np.dtype[np.float16]]:
        """Mapped to be written and flushed.

        Raises:
            RunError: a damaged file.
        """
        return self._mapped("r+")

    def _mapped(self, mode: Literal["r", "r+"]) -> np.memmap[Any, np.dtype[np.float16]]:
        path = self.folder / self.kind.values
        remedy = f"remove {self.folder} and ask"
        try:
            array: np.memmap[Any, np.dtype[np.float16]] = np.load(path, mmap_mode=mode)
        except (OSError, ValueError, EOFError) as error:
            raise RunError(f"{path} is not readable ({error}); {remedy} the teacher again") from error
        if array.shape != self.shape or array.dtype != np.float16:
            raise RunError(f"{path} holds {array.dtype} {array.shape}, expected float16 {self.shape}; {remedy} again")
        return array


def unasked(values: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Which of N items (N, ...) hold something that their teacher was not asked about."""
    missing: NDArray[np.bool_] = np.isnan(values).any(axis=tuple(range(1, values.ndim)))
    return missing


def check_asked(
    values: NDArray[np.floating[Any]],
    positions: NDArray[np.integer[Any]],
    cache: PackedCache,
    *,
    absent: str,
    wanted: str,
) -> None:
    """Refuse values (N, ...) of the items at ``positions`` (N,) unless the teacher was asked about all of them.

    Args:
        values: as read.
        positions: in the packed cache.
        cache: names the first item that is missing.
        absent: what is missing, such as ``teacher answers``.
        wanted: the items to ask about, such as ``training items``.

    Raises:
        RunError: an item is missing.
    """
    missing = unasked(values)
    if missing.any():
        first = cache.entries[int(positions[int(missing.argmax())])].id
        raise RunError(
            f"no {absent} for {int(missing.sum())} of {len(positions)} items, the first being '{first}'; ask the "
            f"teachers about all {wanted} before students learn"
        )
