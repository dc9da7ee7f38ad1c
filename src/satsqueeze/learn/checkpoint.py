"""Saving a run so that it continues after any interruption as if there had been none."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import torch

from satsqueeze.core.errors import RunError
from satsqueeze.core.files import replacing

FORMAT_VERSION = 1
LAST_FILE = "last.ckpt"
BEST_FILE = "best.ckpt"


def save_checkpoint(path: Path, record: dict[str, Any]) -> None:
    """Write tensors and plain values, whole or not at all.

    Raises:
        RunError: the disk is full, or the folder cannot be written.
    """
    with replacing(path) as temporary:
        torch.save({"format_version": FORMAT_VERSION, **record}, temporary)


def load_checkpoint(path: Path, fingerprint: str) -> dict[str, Any] | None:
    """Read what :func:`save_checkpoint` wrote; None if there is no such file.

    Args:
        path: of the checkpoint.
        fingerprint: what the record's ``fingerprint`` must be.

    Raises:
        RunError: unreadable, of another version, or of a run with other settings.
    """
    if not path.exists():
        return None
    try:
        record: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, BadZipFile, pickle.UnpicklingError) as error:
        raise RunError(f"{path} is not a readable checkpoint ({error}); remove it to train from the start") from error
    if record.get("format_version") != FORMAT_VERSION:
        raise RunError(
            f"{path} has format {record.get('format_version')}, this satsqueeze reads {FORMAT_VERSION}; use the "
            "version that wrote it, or remove it to train from the start"
        )
    if record.get("fingerprint") != fingerprint:
        raise RunError(
            f"{path.parent} holds training with other settings, data or network; choose a new folder, or remove this "
            "one to train anew"
        )
    return record


def remove_checkpoints(folder: Path) -> None:
    """Remove the checkpoints of a finished run, and what an interrupted one left half-written."""
    for pattern in (LAST_FILE, BEST_FILE, ".*.part.*"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)
