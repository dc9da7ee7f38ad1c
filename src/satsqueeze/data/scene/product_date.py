"""When a scene was taken, from the name of its product."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_SENTINEL2 = re.compile(r"(?:MSIL[12][AC]_|T\d{2}[A-Z]{3}_)(\d{8}T\d{6})")
_LANDSAT = re.compile(r"L[COTEM]\d{2}_[A-Z0-9]{4}_\d{6}_(\d{8})_")
_LANDSAT_OLD = re.compile(r"L[COTEM]\d\d{6}(\d{4})(\d{3})")


def acquired_in(name: str) -> datetime | None:
    """The moment (Sentinel-2) or day (Landsat) that a product or file name states, UTC; None where it states none."""
    try:
        if match := _SENTINEL2.search(name):
            return datetime.strptime(match[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        if match := _LANDSAT.search(name):
            return datetime.strptime(match[1], "%Y%m%d").replace(tzinfo=UTC)
        if match := _LANDSAT_OLD.search(name):
            return datetime(int(match[1]), 1, 1, tzinfo=UTC) + timedelta(days=int(match[2]) - 1)
    except (ValueError, OverflowError):
        return None
    return None
