"""A folder of images that were made here, and what from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from satsqueeze.core.errors import RunError
from satsqueeze.core.files import read_json, write_json
from satsqueeze.core.run import fingerprint_of
from satsqueeze.data.checksums import Checksums
from satsqueeze.data.items.item import Item

RECORD = ".made.json"


def content_of(items: Iterable[Item]) -> list[Any]:
    """What images that something is made from are, whatever the place and age of their files."""
    sums = Checksums()
    return [[item.id, item.card.reading, [sums.of(file) for file in item.files]] for item in items]


def claim(folder: Path, making: object) -> None:
    """Take a folder for images that are about to be made; a stopped making may be taken up again.

    Args:
        folder: new or empty, or one that was taken for the same before.
        making: settings and whatever else the images depend on, in JSON-ready form or as dataclasses.

    Raises:
        RunError: the folder holds something else, or images of another making, which would be mixed up with these.
    """
    record, asked = folder / RECORD, {"fingerprint": fingerprint_of(making)}
    if record.exists():
        if read_json(record) != asked:
            raise RunError(
                f"{folder} holds images that were made with other settings, or from other images; choose a new --out, "
                "or remove the folder"
            )
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder} exists and holds something else; choose a new or empty folder for --out")
    write_json(record, asked)
