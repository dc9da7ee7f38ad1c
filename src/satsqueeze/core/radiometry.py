"""From digital numbers to reflectance, without guessing.

Sentinel-2: reflectance = (DN + offset) / quantification. Since processing baseline 04.00 the offset is -1000
(ESA, Sentinel-2 Products Specification); reprocessed older scenes carry it too, so a date is no evidence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import RadiometryError
from satsqueeze.core.raster import sanitise

_BASELINE = re.compile(r"_N(\d{2})\.?(\d{2})(?=[_./\\]|$)")
_USER_PROCESSED = 9999
_BASELINE_TAG = "PROCESSING_BASELINE"
_OFFSET_TAGS = ("BOA_ADD_OFFSET", "RADIO_ADD_OFFSET")
_QUANTIFICATION_TAGS = ("BOA_QUANTIFICATION_VALUE", "QUANTIFICATION_VALUE")
_QUANTIFICATION = 10000.0
_LARGEST_QUANTIFICATION = 1e6
OFFSET_SINCE_BASELINE = 400
"""First Sentinel-2 processing baseline, times 100, with an additive offset."""
SENTINEL2_OFFSETS_DN = (0.0, -1000.0)
"""The additive offsets that Sentinel-2 products have had, in digital numbers."""


@dataclass(frozen=True, kw_only=True)
class Radiometry:
    """Reflectance = DN * scale + offset, with what is not a measurement."""

    scale: float
    """Reflectance per digital number."""
    offset: float = 0.0
    """Reflectance of digital number 0."""
    nodata: float | None = None
    """Digital number that means "no measurement"; None where there is none."""
    saturated: float | None = None
    """Digital number at and above which a pixel is saturated, hence invalid; None to keep all."""
    provenance: str = "stated"
    """Where scale and offset come from."""

    def __post_init__(self) -> None:
        if not np.isfinite(self.scale) or self.scale <= 0 or not np.isfinite(self.offset):
            raise RadiometryError(
                f"reflectance needs a positive finite scale and a finite offset, got {self.scale} and {self.offset}"
            )

    def to_reflectance(
        self, digital: NDArray[Any], out: NDArray[np.float32] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Reflectance and validity.

        Args:
            digital: (C, H, W), any numeric dtype.
            out: float32 (C, H, W) to fill; None for a new array.

        Returns:
            Float32 (C, H, W), 0 where invalid, and (H, W) with True = valid. Negative reflectance is kept:
            it is legal in atmospherically corrected products.
        """
        valid = np.ones(digital.shape[1:], dtype=bool)
        # Band by band: what is compared is read once more from the processor's cache.
        for numbers in digital:
            if self.nodata is not None:
                valid &= ~np.isnan(numbers) if np.isnan(self.nodata) else numbers != self.nodata
            if self.saturated is not None:
                valid &= ~(numbers >= self.saturated)
        values = np.empty(digital.shape, np.float32) if out is None else out
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows float32 becomes inf, hence invalid
            np.copyto(values, digital, casting="unsafe")
            values *= np.float32(self.scale)
            values += np.float32(self.offset)
        if not self._stays_finite(digital.dtype):
            values[:], valid = sanitise(values, valid)
        elif not valid.all():
            np.copyto(values, 0, where=~valid)
        return values, valid

    def _stays_finite(self, dtype: np.dtype[Any]) -> bool:
        """Whether no number of a type can become NaN or inf."""
        if not np.issubdtype(dtype, np.integer):
            return False
        limits = np.iinfo(dtype)
        largest = max(abs(int(limits.min)), int(limits.max)) * self.scale + abs(self.offset)
        return bool(largest < np.finfo(np.float32).max / 2)


def sentinel2_radiometry(
    *, product_name: str = "", metadata_xml: str = "", stated_offset_dn: float | None = None
) -> Radiometry:
    """Radiometry of a Sentinel-2 product, from the best evidence there is.

    The ladder: product metadata, else the processing baseline in the product name (the N-field, not the tile),
    else an explicit setting, else an error. A setting that contradicts evidence is an error too.

    Args:
        product_name: such as ``S2B_MSIL1C_20240101T000000_N0510_R008_T31UFT_20240101T000000.SAFE``.
        metadata_xml: text of ``MTD_MSIL1C.xml`` or ``MTD_MSIL2A.xml``.
        stated_offset_dn: offset in digital numbers, 0 or -1000, stated by the user.

    Raises:
        RadiometryError: no evidence, unreadable or self-contradicting metadata or name, a stated offset that no
            Sentinel-2 product has, or one that contradicts the evidence.
    """
    if stated_offset_dn is not None and stated_offset_dn not in SENTINEL2_OFFSETS_DN:
        raise RadiometryError(
            f"offset_dn must be -1000 (processing baseline 04.00 and later) or 0 (before), got {stated_offset_dn:g}"
        )
    metadata = _from_metadata(metadata_xml) if metadata_xml else _Evidence()
    found = metadata if metadata.offset_dn is not None else _from_baseline(product_name)
    if found.offset_dn is None:
        if stated_offset_dn is None:
            raise RadiometryError(
                f"the radiometric offset of Sentinel-2 product {product_name or '(unnamed)'!r} is unknown: no product "
                "metadata that tells it and no _Nxxxx_ field in its name. State it: offset_dn: -1000 for processing "
                "baseline 04.00 and later, 0 before."
            )
        found = _Evidence(offset_dn=stated_offset_dn, source=f"offset {stated_offset_dn:g} DN stated by the user")
    elif stated_offset_dn is not None and stated_offset_dn != found.offset_dn:
        raise RadiometryError(
            f"the stated offset of {stated_offset_dn:g} DN contradicts {found.source}, which says "
            f"{found.offset_dn:g} DN. Remove the setting, or the wrong metadata."
        )
    quantification = metadata.quantification or _QUANTIFICATION
    return Radiometry(
        scale=1 / quantification,
        offset=(found.offset_dn or 0.0) / quantification,
        nodata=0,
        saturated=65535,
        provenance=found.source,
    )


@dataclass(frozen=True, kw_only=True)
class _Evidence:
    """What a source tells of a Sentinel-2 product; None where it is silent."""

    offset_dn: float | None = None
    quantification: float | None = None
    source: str = ""


def _from_metadata(text: str) -> _Evidence:
    values = _metadata_values(text)
    offsets = next((values[tag] for tag in _OFFSET_TAGS if tag in values), set())
    quantifications = next((values[tag] for tag in _QUANTIFICATION_TAGS if tag in values), set())
    # Baseline 99.99 marks products that a user made with Sen2Cor: it says nothing about the offset.
    baselines = {value for value in values.get(_BASELINE_TAG, set()) if not np.isclose(value * 100, _USER_PROCESSED)}
    if not offsets and any(not value * 100 < OFFSET_SINCE_BASELINE for value in baselines):
        raise RadiometryError(
            f"the product metadata states baseline {max(baselines):05.2f}, which has an offset, but holds "
            f"no {' or '.join(_OFFSET_TAGS)}; fetch the metadata file again"
        )
    if len(offsets) > 1 or len(quantifications) > 1 or not all(value > 0 for value in quantifications):
        raise RadiometryError(
            f"the product metadata states offset {sorted(offsets)} and quantification {sorted(quantifications)}; "
            "one of each is supported, the same for all bands and above 0"
        )
    quantification = next(iter(quantifications), None)
    largest = quantification or _QUANTIFICATION
    # Products from before there were offsets state their baseline and no offset.
    offset = next(iter(offsets), 0.0 if baselines else None)
    if not largest <= _LARGEST_QUANTIFICATION or not abs(offset or 0.0) <= largest:
        raise RadiometryError(
            f"the product metadata states offset {offset or 0:g} and quantification {largest:g}, which no "
            f"Sentinel-2 product has (about -1000 and 10000); fetch the metadata file again"
        )
    return _Evidence(offset_dn=offset, quantification=quantification, source="product metadata")


def _metadata_values(text: str) -> dict[str, set[float]]:
    values: dict[str, set[float]] = {}
    try:
        root = ET.fromstring(text)  # noqa: S314 - product metadata from the user's own disk
        for element in root.iter():
            tag = element.tag.rsplit("}", 1)[-1]
            if tag in (*_OFFSET_TAGS, *_QUANTIFICATION_TAGS, _BASELINE_TAG) and element.text:
                values.setdefault(tag, set()).add(float(element.text))
    except (ET.ParseError, ValueError) as error:
        raise RadiometryError(f"the product metadata is not readable ({error}); fetch the product again") from error
    return values


def _from_baseline(product_name: str) -> _Evidence:
    found = {int(match[1] + match[2]) for match in _BASELINE.finditer(product_name)} - {_USER_PROCESSED}
    offsets = {SENTINEL2_OFFSETS_DN[baseline >= OFFSET_SINCE_BASELINE] for baseline in found}
    if len(offsets) > 1:
        raise RadiometryError(
            f"{product_name!r} names processing baselines with different offsets; pass the name of one product"
        )
    baselines = " and ".join(f"{baseline / 100:05.2f}" for baseline in sorted(found))
    source = f"processing baseline {baselines} in the product name"
    return _Evidence(offset_dn=next(iter(offsets), None), source=source)


_LANDSAT_MULT = (1e-7, 0.1)


def landsat_l1_radiometry(*, sun_elevation_deg: float, mult: float = 2e-5, add: float = -0.1) -> Radiometry:
    """Top-of-atmosphere reflectance of a Landsat 8/9 level-1 band: (mult * DN + add) / sin(sun elevation).

    Source: USGS, Landsat 8-9 Data Users Handbook, section 5. DN 0 is fill.

    Raises:
        RadiometryError: a sun elevation outside (0, 90], or factors that no Landsat has.
    """
    if not 0 < sun_elevation_deg <= 90:
        raise RadiometryError(f"sun elevation must lie in (0, 90] degrees, got {sun_elevation_deg}")
    # Landsat 8 and 9 have 2e-5 and -0.1, older sensors up to some 1e-2 and -0.02.
    if not _LANDSAT_MULT[0] <= mult <= _LANDSAT_MULT[1] or not abs(add) <= 1:
        raise RadiometryError(
            f"no Landsat band has REFLECTANCE_MULT {mult:g} and REFLECTANCE_ADD {add:g} (about 2e-5 and -0.1); fetch "
            "the MTL file again"
        )
    sine = float(np.sin(np.deg2rad(sun_elevation_deg)))
    return Radiometry(
        scale=mult / sine,
        offset=add / sine,
        nodata=0,
        saturated=65535,
        provenance=f"Landsat level 1, sun elevation {sun_elevation_deg:g} degrees",
    )


LANDSAT_L2_RADIOMETRY = Radiometry(
    scale=2.75e-5, offset=-0.2, nodata=0, saturated=65535, provenance="Landsat Collection 2 level 2"
)
"""Surface reflectance of Landsat Collection 2 (USGS, Landsat 8-9 Collection 2 Level 2 Science Product Guide)."""
LANDSAT_C1_RADIOMETRY = Radiometry(
    scale=1e-4, nodata=-9999, saturated=20000, provenance="Landsat Collection 1 surface reflectance"
)
"""Surface reflectance of Landsat Collection 1, int16 (USGS, Landsat 8 Surface Reflectance Code Product Guide)."""
