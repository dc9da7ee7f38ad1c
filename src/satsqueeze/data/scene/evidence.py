"""Evidence for radiometry that lies in and beside files: tags, product names, product metadata."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from satsqueeze.core.errors import RadiometryError, RasterError
from satsqueeze.core.radiometry import (
    LANDSAT_C1_RADIOMETRY,
    LANDSAT_L2_RADIOMETRY,
    Radiometry,
    landsat_l1_radiometry,
    sentinel2_radiometry,
)
from satsqueeze.data.filetree import local_path, read_bytes
from satsqueeze.data.scene.band_naming import band_token, sensor_in
from satsqueeze.data.scene.radiometric_statement import STATEMENTS, Statement
from satsqueeze.data.scene.safe_product import METADATA

_PRODUCT = re.compile(r"S2[ABCD]_MSIL(?:1C|2A)_\w+")
_UNKNOWN_BASELINE = "_N9999_"
_LEVELS_UP = 6
_LANDSAT_PRODUCT = re.compile(r"L[CEMOT]\d+_?")
_COLLECTION_1 = re.compile(r"_01_(?:T1|T2|RT)(?![A-Z0-9])")
_ROUNDED = 0.01
"""By how much a stated scale may differ from the product's: people state the sun's elevation in whole degrees."""
_MTL_LINE = re.compile(r"^\s*(\w+)\s*=\s*\"?([^\"\n]*?)\"?\s*$", re.MULTILINE)


def evidence_files(path: str) -> list[Path]:
    """What lies beside or above a file and says how it is read: metadata of products, masks, notes of GDAL."""
    place = Path(path)
    beside = [place.with_name(f"{place.name}{ending}") for ending in (".msk", ".aux.xml")]
    above = [folder / name for folder in place.parents[:_LEVELS_UP] for name in METADATA]
    return [found for found in (*beside, *sorted(place.parent.glob("*MTL.txt")), *above) if found.is_file()]


def radiometry_of(path: str, dataset: Any, channel: int, statement: Statement) -> Radiometry:
    """Radiometry of one channel, from the best evidence there is.

    The ladder of ``auto``: scale and offset tags of the file; float values, which are taken for reflectance and
    checked when read; Sentinel-2 or Landsat product metadata or names; else an error.

    Args:
        path: the file, also inside an archive.
        dataset: the file, open.
        channel: counted from 0.
        statement: what the user or card states.

    Raises:
        RadiometryError: no evidence, or evidence that contradicts the statement.
    """
    if dataset.dtypes[channel].startswith("complex"):
        raise RadiometryError(
            f"{path} holds complex numbers, as radar's do, which are no reflectance; expected integers or floating "
            "point numbers. Leave the file out"
        )
    found = _best(path, dataset, channel, statement)
    tags = dataset.scales[channel], dataset.offsets[channel]
    if tags != (1.0, 0.0) and not np.allclose(tags, (found.scale, found.offset), rtol=1e-6, atol=1e-9):
        raise RadiometryError(
            f"{path} is tagged with scale {tags[0]:g} and offset {tags[1]:g}, which contradicts {found.provenance} "
            f"(scale {found.scale:g}, offset {found.offset:g}). Remove the statement, or the wrong tags"
        )
    return found


def _best(path: str, dataset: Any, channel: int, statement: Statement) -> Radiometry:
    floating = np.issubdtype(np.dtype(dataset.dtypes[channel]), np.floating)
    _require_sensor(path, statement)
    if statement.kind == "sentinel2":
        if dataset.dtypes[channel] == "uint8":
            raise RadiometryError(
                f"{path} holds bytes, but Sentinel-2's numbers have 16 bits: it is a picture that was stretched to be "
                "looked at. Take the product's band files"
            )
        return _sentinel2(path, statement.offset_dn)
    if statement.kind == "reflectance" and not floating:
        raise RadiometryError(
            f"{path} holds {dataset.dtypes[channel]} numbers but its radiometry is stated as 'reflectance', which is "
            f"floating point. State how they become reflectance: {STATEMENTS}"
        )
    if statement.radiometry is not None:
        if statement.kind in ("scale", "landsat-l1", "landsat-l2") and not floating:
            _require_uncontradicted(path, dataset.dtypes[channel], statement.kind, statement.radiometry)
        return statement.radiometry
    scale, offset = dataset.scales[channel], dataset.offsets[channel]
    if (scale, offset) != (1.0, 0.0):
        return Radiometry(scale=scale, offset=offset, provenance="scale and offset tags of the file")
    if floating:
        return Radiometry(scale=1.0, provenance="floating-point values taken as reflectance")
    sensor = sensor_in(path)
    if sensor == "sentinel-2":
        return _sentinel2(path, None)
    if sensor is not None:
        return _landsat(path)
    raise RadiometryError(
        f"nothing tells how the {dataset.dtypes[channel]} numbers of {path} become reflectance: no scale tags, no "
        f"product name, no product metadata. State it with 'radiometry' in dataset.yaml or --radiometry: {STATEMENTS}"
    )


def _require_sensor(path: str, statement: Statement) -> None:
    """Refuse a statement about one mission for a file that is named as another's."""
    sensor, mission = sensor_in(PurePosixPath(path).name), statement.kind.partition("-")[0]
    stated = mission in ("sentinel2", "landsat")
    if stated and sensor is not None and not sensor.replace("-", "").startswith(mission):
        raise RadiometryError(
            f"the name of {path} is of {sensor}, which contradicts the stated radiometry of {statement.kind}; remove "
            "the statement, or give the file another name"
        )


def _require_uncontradicted(path: str, dtype: str, kind: str, stated: Radiometry) -> None:
    """Refuse a statement that product name or metadata contradict, and factors of Landsat 8 for older sensors."""
    sensor = sensor_in(PurePosixPath(path).name)
    try:
        known = _sentinel2(path, None) if sensor == "sentinel-2" else _landsat(path) if sensor else None
    except RadiometryError:
        known = None  # nothing tells
    if known is not None:
        if not np.allclose((stated.scale, stated.offset), (known.scale, known.offset), rtol=_ROUNDED, atol=0):
            raise RadiometryError(
                f"{path}: the stated radiometry ({stated.provenance}; scale {stated.scale:g}, offset "
                f"{stated.offset:g}) contradicts the product's ({known.provenance}; scale {known.scale:g}, offset "
                f"{known.offset:g}). Remove the statement; if the numbers were converted, give the file a name that is "
                "not the product's"
            )
    elif kind == "landsat-l1" and (dtype == "uint8" or sensor_in(path) == "landsat-tm"):
        raise RadiometryError(
            f"{path} holds {dtype} numbers of an older Landsat, each band with factors of its own, but landsat-l1 "
            "states those of Landsat 8 and 9. Put the product's *_MTL.txt beside it and remove the statement, or state "
            "scale:<reflectance per DN>:<reflectance of DN 0>"
        )


def _sentinel2(path: str, stated_offset_dn: float | None) -> Radiometry:
    names = [part for part in PurePosixPath(path).parts if _PRODUCT.search(part)]
    # N9999 marks products processed by their user: the number says nothing about the offset.
    known = [name for name in names if _UNKNOWN_BASELINE not in name]
    product = next((name for name in known if re.search(r"_N\d{4}_", name)), known[-1] if known else "")
    try:
        return sentinel2_radiometry(
            product_name=product,
            metadata_xml=_product_metadata(str(PurePosixPath(path).parent)),
            stated_offset_dn=stated_offset_dn,
        )
    except RadiometryError as error:
        raise RadiometryError(
            f"{path}: {error} (--radiometry sentinel2-n0400 states -1000, sentinel2-old states 0)"
        ) from error


def _product_metadata(folder: str) -> str:
    """Text of the product's metadata above a folder; empty where there is none."""
    try:
        return _found_metadata(folder)
    except RasterError:
        return ""


@lru_cache(maxsize=256)
def _found_metadata(folder: str) -> str:
    # What is not there raises, so that only what was found is remembered: the file may be put there later.
    parent = PurePosixPath(folder)
    for _ in range(_LEVELS_UP):
        for name in METADATA:
            text = _text_or_none(str(parent / name))
            if text is not None:
                return text
        if parent == parent.parent or parent.name.endswith("}"):
            break
        parent = parent.parent
    raise RasterError(f"no metadata of a Sentinel-2 product lies above {folder}")


def _landsat(path: str) -> Radiometry:
    name = PurePosixPath(path).name.upper()
    if "_SR_BAND" in name or (_COLLECTION_1.search(name) and "_SR_" in name):
        return LANDSAT_C1_RADIOMETRY
    if "_SR_B" in name or re.search(r"_L2S[PR]_", name):
        return LANDSAT_L2_RADIOMETRY
    token = band_token(PurePosixPath(path).stem)
    values = _mtl(path) if token else {}
    number = str(int(token[1:])) if token and token[1:].isdigit() else ""
    try:
        return landsat_l1_radiometry(
            sun_elevation_deg=float(values["SUN_ELEVATION"]),
            mult=float(values[f"REFLECTANCE_MULT_BAND_{number}"]),
            add=float(values[f"REFLECTANCE_ADD_BAND_{number}"]),
        )
    except (KeyError, ValueError) as error:
        raise RadiometryError(
            f"{path} looks like a Landsat level-1 band, whose sun elevation is needed: no usable *_MTL.txt lies beside "
            "it. Put the MTL file there, or state --radiometry landsat-l1:<sun elevation in degrees> (or landsat-l2 "
            "for a level-2 product)"
        ) from error


def _mtl(path: str) -> dict[str, str]:
    if path.startswith("/vsizip/"):
        return {}
    beside = sorted(local_path(path).parent.glob("*MTL.txt"))
    product = re.split(r"_B\d", PurePosixPath(path).name)[0]
    matching = [mtl for mtl in beside if mtl.name.startswith(product)]
    if matching:
        return _mtl_values(matching[0])
    if len(beside) != 1:
        return {}
    values = _mtl_values(beside[0])
    return {} if _of_another(product, beside[0], values) else values


def _mtl_values(mtl: Path) -> dict[str, str]:
    values: dict[str, str] = {}
    for key, value in _MTL_LINE.findall(_text_or_none(mtl.as_posix()) or ""):
        values.setdefault(key, value)
    return values


def _of_another(product: str, mtl: Path, values: Mapping[str, str]) -> bool:
    """Whether a file whose name says which Landsat product it is of lies beside the metadata of another."""
    if not _LANDSAT_PRODUCT.match(product):
        return False
    stated = {values.get("LANDSAT_PRODUCT_ID", ""), values.get("LANDSAT_SCENE_ID", ""), re.split("_?MTL", mtl.name)[0]}
    return not any(name and (product.startswith(name) or name.startswith(product)) for name in stated)


def _text_or_none(path: str) -> str | None:
    try:
        return read_bytes(path).decode("utf-8", errors="replace")
    except RasterError:
        return None
