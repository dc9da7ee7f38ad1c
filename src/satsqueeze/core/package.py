"""The flight package: a folder that says what it is and can prove that no byte of it has changed.

Layout: ``flight.json`` (the manifest), ``flight.sha256`` (hash of the manifest), graphs, test vectors, a STAC item,
the card of the network. The manifest holds the hash of every other file, so one 32-byte value vouches for the whole.
"""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from satsqueeze.core.errors import PackageError
from satsqueeze.core.files import flush, is_running, sha256, write_text
from satsqueeze.core.manifest import FORMAT_VERSION, FileRecord, FlightManifest

MANIFEST = "flight.json"
SEAL = "flight.sha256"


@contextmanager
def assembling(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``folder`` that takes its place when the block ends well.

    On any failure nothing is left of it, and a package that was already there stays as it was.

    Raises:
        PackageError: ``folder`` exists and is not a flight package.
    """
    if folder.exists() and not (folder / MANIFEST).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise PackageError(f"{folder} exists and is not a flight package; choose another folder")
    _clear_stale(folder)
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        if folder.exists():
            folder.rename(old)
        part.rename(folder)
        flush(folder.parent)  # before what it replaces goes
    except BaseException:
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _clear_stale(folder: Path) -> None:
    """Remove what killed runs have left beside a package; an older package only where there is another in its place."""
    pattern = re.compile(rf"\.{re.escape(folder.name)}\.(\d+)\.(part|old)")
    for path in folder.parent.glob(f".{glob.escape(folder.name)}.*"):
        match = pattern.fullmatch(path.name)
        if match and not is_running(int(match[1])) and (match[2] == "part" or folder.exists()):
            shutil.rmtree(path, ignore_errors=True)


def seal(folder: Path, manifest: FlightManifest) -> FlightManifest:
    """Hash every file of ``folder``, write ``flight.json`` and its seal; returns the manifest as written.

    What is hashed is on disk when this ends: not every writer of a graph sees to that.
    """
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    for name in names:
        flush(folder / name)
    files = {
        name: FileRecord(bytes=(folder / name).stat().st_size, sha256=sha256(folder / name))
        for name in names
        if name not in (MANIFEST, SEAL)
    }
    sealed = manifest.model_copy(update={"files": files})
    write_text(folder / MANIFEST, sealed.model_dump_json(indent=2) + "\n")
    write_text(folder / SEAL, sha256(folder / MANIFEST) + "\n")
    return sealed


def read_manifest(folder: Path) -> FlightManifest:
    """Read ``flight.json`` without verifying the other files.

    Raises:
        PackageError: absent, malformed, or of another format version.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise PackageError(
            f"{folder} is not a flight package: it has no {MANIFEST}. Make one with 'satsqueeze export'."
        )
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        # An unpaired surrogate could be read, but neither printed nor written.
        json.dumps(record, ensure_ascii=False).encode()
        if isinstance(record, dict) and record.get("format_version") != FORMAT_VERSION:
            raise PackageError(
                f"{path} has format {record.get('format_version')}, this satsqueeze reads {FORMAT_VERSION}; "
                "use the version that wrote it or export again"
            )
        return FlightManifest.model_validate(record)
    except (OSError, ValueError, RecursionError) as error:  # what json, the decoder and pydantic raise are ValueErrors
        raise PackageError(f"{path} is not a valid manifest: {error}. Fetch or export the package again.") from error


def verify(folder: Path) -> FlightManifest:
    """Read the manifest and check every byte of the package.

    Raises:
        PackageError: a file is missing, added or changed; the message lists all of them.
    """
    manifest = read_manifest(folder)
    seal_path = folder / SEAL
    problems = []
    if not seal_path.is_file() or seal_path.read_bytes() != (_hash(folder / MANIFEST) + "\n").encode():
        problems.append(f"{MANIFEST}: does not match {SEAL}")
    found = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_symlink() or not p.is_dir()}
    present = found.keys() - {MANIFEST, SEAL}
    problems += [f"{name}: missing" for name in sorted(manifest.files.keys() - present)]
    problems += [f"{name}: not part of the package" for name in sorted(present - manifest.files.keys())]
    problems += [
        f"{name}: changed"
        for name, record in sorted(manifest.files.items())
        if name in present and not _is_as_recorded(found[name], record)
    ]
    # A file that no hash covers, such as one outside the package, is not vouched for.
    others = {manifest.vectors} | ({manifest.native.file} if manifest.native else set())
    needed = {*(graph.file for graph in manifest.graphs), *others} - {"", *manifest.files}
    problems += [f"{name!r}: used, but without a hash" for name in sorted(needed)]
    if problems:
        raise PackageError(
            f"{folder} fails verification: {'; '.join(problems)}. Do not fly it: fetch the package again."
        )
    return manifest


def _is_as_recorded(path: Path, record: FileRecord) -> bool:
    # A pipe has no content to hash: reading it would never end.
    return path.is_file() and path.stat().st_size == record.bytes and _hash(path) == record.sha256


def _hash(path: Path) -> str:
    try:
        return sha256(path)
    except OSError as error:
        raise PackageError(f"{path} cannot be read: {error.strerror}; check its permissions") from error
