"""The files under a folder or in a zip archive, under one kind of path."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from satsqueeze.core.errors import RasterError


@dataclass(frozen=True, kw_only=True)
class FileTree:
    """Files by path; archives appear as folders named like the archive without ``.zip``."""

    root: str
    """Absolute path with ``/`` separators and a trailing one."""
    files: Mapping[str, str]
    """Absolute path -> the path to open, ``/vsizip/...`` for members of an archive."""

    def relative(self, path: str) -> str:
        """``path`` without the root, or as it is where it lies elsewhere."""
        return path.removeprefix(self.root)


def list_files(root: Path) -> FileTree:
    """All files of a folder (symbolic links followed) or of a zip archive; hidden files are left out.

    Raises:
        RasterError: nothing there, or an archive that cannot be read.
    """
    root = root.expanduser().absolute()
    try:
        root.stat()
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:  # such as a name that is too long, or holds a NUL
        reason = error.strerror if isinstance(error, OSError) else error
        raise RasterError(f"cannot look at {root.name[:80]!r}: {reason}; check the path") from error
    if root.is_dir():
        files = {path: path for path in sorted(_walk(root))}
        return FileTree(root=_folder(root.as_posix()), files=files)
    if root.is_file() and root.suffix.lower() == ".zip":
        return FileTree(root=_folder(root.with_suffix("").as_posix()), files=_members(root))
    found = "a file that is no zip archive" if root.exists() else "nothing"
    raise RasterError(f"expected a folder or a zip archive at {root}, found {found}; check the path")


def archives_in(root: Path) -> list[Path]:
    """Zip archives directly in a folder."""
    return sorted(path for path in root.iterdir() if path.suffix.lower() == ".zip") if root.is_dir() else []


def local_path(opened: str) -> Path:
    """The file on disk behind a path to open: itself, or the archive that holds it."""
    if not opened.startswith("/vsizip/"):
        return Path(opened)
    return Path(opened.removeprefix("/vsizip/{").split("}/", 1)[0])


def read_bytes(opened: str) -> bytes:
    """Content of a file that :func:`list_files` found.

    Raises:
        RasterError: it cannot be read.
    """
    try:
        if not opened.startswith("/vsizip/"):
            if Path(opened).exists() and not Path(opened).is_file():  # reading a pipe would never end
                raise RasterError(f"{opened} is no file; check the path")
            return Path(opened).read_bytes()
        archive, member = opened.removeprefix("/vsizip/{").split("}/", 1)
        with zipfile.ZipFile(archive) as handle:
            return handle.read(member)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise RasterError(f"cannot read {opened}: {error}; fetch the file again") from error


def _walk(root: Path) -> Iterator[str]:
    visited: set[str] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        base = _folder(Path(folder).as_posix())
        yield from (base + name for name in names if not name.startswith("."))


def _members(archive: Path) -> dict[str, str]:
    base = _folder(archive.with_suffix("").as_posix())
    try:
        with zipfile.ZipFile(archive) as handle:
            names = sorted(info.filename for info in handle.infolist() if not info.is_dir())
    except (OSError, zipfile.BadZipFile) as error:
        raise RasterError(f"{archive} is not a readable zip archive ({error}); fetch it again") from error
    return {base + name: f"/vsizip/{{{archive.as_posix()}}}/{name}" for name in names if not _is_hidden(name)}


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _folder(path: str) -> str:
    return path if path.endswith("/") else path + "/"
