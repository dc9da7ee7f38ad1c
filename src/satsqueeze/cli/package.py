"""``satsqueeze package``: look at a flight package and check it."""

from __future__ import annotations

from json import dumps
from pathlib import Path


def verify(package: Path, json: bool = False) -> int:
    """Check every byte of a package against its manifest, and its answers against its test vectors.

    Args:
        package: folder with a flight.json.
        json: print JSON instead of a sentence.
    """
    from satsqueeze.flight.verify import verify_package

    report = verify_package(package)
    print(dumps(report.to_dict(), indent=2) if json else report.summary())
    return 0


def show(package: Path) -> int:
    """Print the manifest as JSON.

    Args:
        package: folder with a flight.json.
    """
    from satsqueeze.core.package import read_manifest

    print(read_manifest(package).model_dump_json(indent=2))
    return 0


def rows(package: Path) -> int:
    """Add graphs to a package that take an image a few rows at a time: the same mask, in less time and memory.

    New packages have them already, where their int8 graph can be split so.

    Args:
        package: folder with a flight.json; it is replaced once the new one is proven.
    """
    from satsqueeze.export.rows import add_rows

    stream = add_rows(package).stream
    if stream is not None:
        print(f"{package}: images pass in {stream.least_rows} rows or more, the mask is {stream.delay} rows behind")
    return 0
