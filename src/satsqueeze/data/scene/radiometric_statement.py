"""How a user or a card states radiometry, in one short text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from satsqueeze.core.errors import RadiometryError
from satsqueeze.core.radiometry import LANDSAT_L2_RADIOMETRY, Radiometry, landsat_l1_radiometry

Kind = Literal["auto", "reflectance", "scale", "item", "sentinel2", "landsat-l1", "landsat-l2"]

STATEMENTS = (
    "reflectance (values are reflectance already), sentinel2-n0400 (DN - 1000, baseline 04.00 and later), "
    "sentinel2-old (no offset), landsat-l1:<sun elevation in degrees>, landsat-l2 (Collection 2), "
    "scale:<reflectance per DN>[:<reflectance of DN 0>], such as scale:1e-4"
)


@dataclass(frozen=True)
class Statement:
    """A parsed statement: a kind, and the radiometry where the statement alone decides it."""

    kind: Kind
    radiometry: Radiometry | None = None
    """None where evidence at the files decides or may contradict: ``auto`` and ``sentinel2``."""
    offset_dn: float | None = None
    """The offset stated for Sentinel-2, digital numbers."""


def parse_radiometry(text: str) -> Statement:
    """Parse ``auto``, ``sentinel2`` (evidence at the files decides) or one of the statements of :data:`STATEMENTS`.

    ``item:<scale>:<offset>`` is what a STAC item says of its own assets, which is evidence better than their names.

    Raises:
        RadiometryError: anything else.
    """
    kind, *arguments = text.strip().split(":")
    if kind in ("auto", "sentinel2") and not arguments:
        return Statement("auto" if kind == "auto" else "sentinel2")
    if kind == "reflectance" and not arguments:
        return Statement("reflectance", Radiometry(scale=1.0, provenance="reflectance, as stated"))
    if kind in ("sentinel2-n0400", "sentinel2-old") and not arguments:
        return Statement("sentinel2", offset_dn=-1000.0 if kind == "sentinel2-n0400" else 0.0)
    if kind == "landsat-l2" and not arguments:
        return Statement("landsat-l2", LANDSAT_L2_RADIOMETRY)
    numbers = _numbers(arguments)
    if kind == "landsat-l1" and len(numbers) == 1:
        return Statement("landsat-l1", landsat_l1_radiometry(sun_elevation_deg=numbers[0]))
    if (kind == "scale" and len(numbers) in (1, 2)) or (kind == "item" and len(numbers) == 2):
        scale, offset = (*numbers, 0.0)[:2]
        told = "scale and offset of the STAC item" if kind == "item" else f"stated: {text.strip()}"
        return Statement(kind, Radiometry(scale=scale, offset=offset, provenance=told))  # type: ignore[arg-type]
    raise RadiometryError(f"cannot read the radiometry statement {text!r}; expected auto or one of: {STATEMENTS}")


def _numbers(arguments: list[str]) -> list[float]:
    try:
        return [float(argument) for argument in arguments]
    except ValueError:
        return []
