"""A mask as a STAC item, by pystac."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pystac
from pystac.extensions.classification import Classification, ClassificationExtension
from pystac.extensions.eo import EOExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.raster import DataType, RasterBand, RasterExtension
from rasterio._err import CPLE_BaseError  # transforming raises GDAL's own errors, which have no public name
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.warp import transform_geom

from satsqueeze.core.labels import IGNORE
from satsqueeze.core.manifest import FlightManifest
from satsqueeze.core.raster import Georeference
from satsqueeze.flight.outputs.palette import class_colours
from satsqueeze.flight.outputs.sinks import PROBABILITY_STEPS

_PROCESSING = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"
_SHARES = "satsqueeze:shares"
_CLOUD = frozenset({"cloud", "clouds", "cloudy"})
_NONE = frozenset({"no", "not", "non", "without", "free", "shadow", "shadows"})
_EDGE_POINTS = 8
_AROUND = 360 - 1e-3
"""Degrees of longitude of a grid around the whole Earth, but for rounding."""
_COG = pystac.MediaType.COG


@dataclass(frozen=True, kw_only=True)
class MaskRecord:
    """What is known about a written mask."""

    id: str
    source: Path
    """What it derives from."""
    package: Path
    """Folder of the flight package."""
    manifest: FlightManifest
    buffer_m: float
    """Metres by which foreground was widened."""
    graph: str
    engine: str
    georeference: Georeference | None
    gsd_m: float | None
    """Side of a pixel in metres; None where the grid is not of metres."""
    height: int
    width: int
    shares: Mapping[str, float]
    radiometry: str
    acquired: datetime | None
    mask: Path
    probabilities: Path | None
    version: str
    """Of this software."""


def mask_item(record: MaskRecord) -> pystac.Item:
    """The item; its assets are relative to it, its links lead to the source and to the model's own item."""
    geometry = _outline(record)
    item = pystac.Item(
        id=record.id,
        geometry=geometry,
        bbox=None if geometry is None else _bbox(geometry),
        datetime=record.acquired or datetime.now(UTC).replace(microsecond=0),
        properties={
            "created": datetime.now(UTC).replace(microsecond=0).isoformat(),
            "processing:software": {"satsqueeze": record.version},
            "processing:lineage": (
                f"{record.manifest.name} ({record.graph} on {record.engine}) on reflectance; {record.radiometry}"
            ),
            _SHARES: dict(record.shares),
            "satsqueeze:buffer_m": record.buffer_m,
            # An item must have a time; where the scene states none it is that of the processing.
            "satsqueeze:datetime_is": "acquisition" if record.acquired else "processing",
        },
        stac_extensions=[_PROCESSING],
    )
    clouds = [name for name in record.manifest.classes if is_cloud(name)]
    if clouds:
        cover = 100 * sum(record.shares.get(name, 0.0) for name in clouds)
        EOExtension.ext(item, add_if_missing=True).cloud_cover = round(min(cover, 100.0), 4)
    _project(item, record)
    item.add_asset("mask", _mask_asset(record))
    _describe(item.assets["mask"], record)
    if record.probabilities is not None:
        item.add_asset("probabilities", _probability_asset(record))
    item.add_link(pystac.Link("derived_from", record.source.as_uri(), title=record.source.name))
    item.add_link(pystac.Link("mlm:model", (record.package / "item.json").as_uri(), media_type="application/geo+json"))
    return item


def is_cloud(name: str) -> bool:
    """Whether a class is cloud, by its name: "cloud shadow", "no cloud" and "cloud-free" bear the word, too."""
    words = set(re.findall("[a-z]+", name.lower()))
    return bool(words & _CLOUD) and not words & _NONE


def source_of(item: Path) -> str | None:
    """Address of the scene that an item of :func:`mask_item` derives from; None for any other file."""
    try:
        record = json.loads(item.read_text(encoding="utf-8"))
        links = record["links"] if _SHARES in record["properties"] else ()
        return next((str(link["href"]) for link in links if link["rel"] == pystac.RelType.DERIVED_FROM), None)
    except (OSError, ValueError, RecursionError, LookupError, TypeError):
        return None


def _project(item: pystac.Item, record: MaskRecord) -> None:
    projection = ProjectionExtension.ext(item, add_if_missing=True)
    projection.shape = [record.height, record.width]
    if record.georeference is None:
        return
    projection.transform = list(record.georeference.transform)
    crs = CRS.from_string(record.georeference.crs)
    authority = crs.to_authority()
    if authority is not None:
        projection.code = ":".join(authority)
    else:
        projection.wkt2 = crs.to_wkt(version="WKT2_2019")


def _mask_asset(record: MaskRecord) -> pystac.Asset:
    return pystac.Asset(f"./{record.mask.name}", title="class of every pixel", media_type=_COG, roles=["data"])


def _describe(asset: pystac.Asset, record: MaskRecord) -> None:
    raster = RasterExtension.ext(asset, add_if_missing=True)
    raster.bands = [RasterBand.create(nodata=IGNORE, data_type=DataType.UINT8, spatial_resolution=record.gsd_m)]
    colours = ["{:02X}{:02X}{:02X}".format(*colour) for colour in class_colours(record.manifest.classes)]
    classes = [
        Classification.create(value=value, name=name.replace(" ", "_"), description=name, color_hint=colour)
        for value, (name, colour) in enumerate(zip(record.manifest.classes, colours, strict=True))
    ]
    missing = Classification.create(value=IGNORE, name="nodata", description="no measurement", nodata=True)
    ClassificationExtension.ext(asset, add_if_missing=True).classes = [*classes, missing]


def _probability_asset(record: MaskRecord) -> pystac.Asset:
    band = {"nodata": IGNORE, "data_type": "uint8", "scale": 1 / PROBABILITY_STEPS}
    name = "" if record.probabilities is None else record.probabilities.name
    return pystac.Asset(
        f"./{name}",
        title="probability of each class",
        media_type=_COG,
        roles=["data"],
        extra_fields={"raster:bands": [band] * len(record.manifest.classes)},
    )


def _outline(record: MaskRecord) -> dict[str, Any] | None:
    """Polygon in degrees, its sides with points between, as straight lines bend between projections."""
    place = record.georeference
    if place is None:
        return None
    steps = [number / _EDGE_POINTS for number in range(_EDGE_POINTS)]
    tall, wide = record.height, record.width
    ring = (
        [(wide * t, 0.0) for t in steps]
        + [(float(wide), tall * t) for t in steps]
        + [(wide * (1 - t), float(tall)) for t in steps]
        + [(0.0, tall * (1 - t)) for t in steps]
    )
    a, b, c, d, e, f = place.transform
    corners = [[a * col + b * row + c, d * col + e * row + f] for col, row in [*ring, ring[0]]]
    try:
        parts = _cut(corners) if CRS.from_string(place.crs).is_geographic else [corners]
        one = {"type": "Polygon", "coordinates": parts}
        outline = one if len(parts) == 1 else {"type": "MultiPolygon", "coordinates": [[part] for part in parts]}
        found = transform_geom(place.crs, "EPSG:4326", outline, precision=7)
    # A local system that nobody can place on Earth, or corners beyond it, as those of a geostationary disk.
    except (CRSError, CPLE_BaseError, SystemError):
        return None
    coordinates = _listed(found["coordinates"])
    rings = [polygon[0] for polygon in coordinates] if found["type"] == "MultiPolygon" else coordinates[:1]
    for ring in rings:
        if _area(ring) < 0:
            ring.reverse()
    return {"type": found["type"], "coordinates": coordinates}


def _cut(ring: list[list[float]]) -> list[list[list[float]]]:
    """A ring in degrees, cut where it goes beyond 180, as GDAL does with what it projects; whole around the Earth."""
    west, east = (end(x for x, _ in ring) for end in (min, max))
    if west >= -180 and east <= 180:
        return [ring]
    if east - west > _AROUND:
        return [[[(x - west) * 360 / (east - west) - 180, y] for x, y in ring]]
    turn = 360 if west < -180 else 0
    moved = [[x + turn, y] for x, y in ring]
    beyond = _clipped([[360 - x, y] for x, y in moved])
    return [part for part in (_clipped(moved), [[-x, y] for x, y in beyond]) if _area(part)]


def _clipped(ring: list[list[float]]) -> list[list[float]]:
    """The part of a ring that lies west of 180 degrees, by Sutherland and Hodgman; empty where there is none."""
    kept: list[list[float]] = []
    for (x, y), (u, v) in pairwise(ring):
        if x <= 180:
            kept.append([x, y])
        if (x < 180 < u) or (u < 180 < x):
            kept.append([180.0, y + (v - y) * (180 - x) / (u - x)])
    return [*kept, kept[0]] if kept else []


def _area(ring: Sequence[Sequence[float]]) -> float:
    """Signed, in square degrees; positive where the ring is counter-clockwise, as RFC 7946, section 3.1.6, wants it."""
    return sum(x * v - u * y for (x, y), (u, v) in pairwise(ring)) / 2


def _listed(coordinates: Any) -> Any:
    """Nested sequences as lists, numbers as they are."""
    return [_listed(part) for part in coordinates] if isinstance(coordinates, list | tuple) else coordinates


def _bbox(geometry: Mapping[str, Any]) -> list[float]:
    """West, south, east, north in degrees; west of an outline that crosses the antimeridian is larger than east.

    Source: RFC 7946, sections 3.1.9 and 5.2. Such an outline is cut there, into polygons on both sides.
    """
    cut = geometry["type"] == "MultiPolygon"
    polygons = geometry["coordinates"] if cut else [geometry["coordinates"]]
    outlines = [[point for ring in polygon for point in ring] for polygon in polygons]
    spans = [(min(x for x, _ in outline), max(x for x, _ in outline)) for outline in outlines]
    # Of polygons on both sides of the antimeridian, those that lie more in the east begin the outline.
    west = min((low for low, high in spans if low + high > 0 or not cut), default=-180.0)
    east = max((high for low, high in spans if low + high < 0 or not cut), default=180.0)
    latitudes = [y for outline in outlines for _, y in outline]
    return [west, min(latitudes), east, max(latitudes)]
