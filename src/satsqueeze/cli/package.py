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
