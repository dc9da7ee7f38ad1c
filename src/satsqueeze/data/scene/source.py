"""A scene that was found, before anything of it is opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from satsqueeze.core.errors import DataError, RadiometryError
from satsqueeze.data.scene.stac_item import StatedNumbers


@dataclass(frozen=True, kw_only=True)
class SceneSource:
    """One scene by its files; nothing is opened yet."""

    id: str
    """Names the outputs; unique within a batch."""
    path: Path
    """What it derives from: a file, a product folder, a STAC item."""
    files: tuple[str, ...] = ()
    file_bands: tuple[str, ...] = ()
    """The band of each file where each has one; empty where the files say."""
    channels: tuple[str, ...] = ()
    """Names of the channels of a file that holds several bands, where metadata beside it names them."""
    stated: tuple[StatedNumbers, ...] = ()
    """Of each file, or of each band where one file holds them all; empty where no metadata says anything."""
    acquired: datetime | None = None
    problem: DataError | None = None
    """Why it cannot be opened, where that is known already."""

    def radiometry(self, wanted: Sequence[str]) -> str:
        """How the product's metadata says that its numbers become reflectance; ``auto`` where it does not.

        Args:
            wanted: the bands that count.

        Raises:
            RadiometryError: not alike for all of them.
        """
        ways = dict.fromkeys(numbers.radiometry for numbers in self._of(wanted)) or {"auto": None}
        if len(ways) > 1:
            raise RadiometryError(
                f"{self.path}: bands state different scales and offsets, or some state none: {', '.join(ways)}; state "
                "--radiometry"
            )
        return next(iter(ways))

    def nodata(self, wanted: Sequence[str]) -> float | None:
        """The number of missing pixels by the product's metadata, None where it is silent; see :meth:`radiometry`."""
        numbers = dict.fromkeys(found.nodata for found in self._of(wanted) if found.nodata is not None)
        if len(numbers) > 1:
            raise RadiometryError(
                f"{self.path}: bands state different numbers of missing pixels: {', '.join(map(str, numbers))}; state "
                "--nodata"
            )
        return next(iter(numbers), None)

    def _of(self, wanted: Sequence[str]) -> Sequence[StatedNumbers]:
        if not self.file_bands:
            return self.stated
        return [said for band, said in zip(self.file_bands, self.stated, strict=False) if band in wanted]
