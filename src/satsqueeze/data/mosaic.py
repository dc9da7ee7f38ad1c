"""Land cover with real texture and exact labels: parcels filled with real tiles of one class each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from satsqueeze.core.bands import SENTINEL2
from satsqueeze.core.errors import BandError, DataError, SettingsError
from satsqueeze.core.files import write_text
from satsqueeze.core.labels import IGNORE
from satsqueeze.data.dataset import Dataset
from satsqueeze.data.items.item import Item
from satsqueeze.data.items.reader import read_image
from satsqueeze.data.made_folder import claim, content_of
from satsqueeze.data.splits.split import PARTS
from satsqueeze.data.synth.noise import stream
from satsqueeze.data.synth.parcels import divide
from satsqueeze.data.synth.scene import SynthScene
from satsqueeze.data.synth.writer import RADIOMETRY, write_scene

PURE = (
    "AnnualCrop", "Forest", "HerbaceousVegetation", "Industrial", "Pasture", "PermanentCrop", "Residential", "SeaLake",
)  # fmt: skip
"""EuroSAT's classes whose tiles show little else. Most pixels of Highway and River tiles are of other classes."""


@dataclass(frozen=True, kw_only=True)
class MosaicSettings:
    """A data set of mosaics."""

    seed: int = 0
    """Of everything that is drawn; the same seed gives the same result on one machine."""
    scenes: tuple[int, int, int] = (60, 10, 20)
    """To train on, to choose by, and to report on; tiles are shared out in these shares, too."""
    size: int = 128
    """Rows and columns, pixels."""
    parcel_px: tuple[float, float] = (24.0, 56.0)
    """Typical side of a parcel, from least to most: below a tile's, so that few tiles are repeated within one."""
    classes: tuple[str, ...] = PURE
    """Classes of the tiles that are used, in the order of their labels."""
    bands: tuple[str, ...] = ()
    """Common names, in channel order; empty: all of the tiles'."""

    def __post_init__(self) -> None:
        if min(self.scenes) < 1 or self.size < 16 or self.seed < 0:
            raise SettingsError(
                f"mosaics need at least one scene per part, 16 px and a seed >= 0, got {self.scenes}, {self.size} and "
                f"{self.seed}"
            )
        if not 4 <= self.parcel_px[0] <= self.parcel_px[1] or len(set(self.classes)) < max(2, len(self.classes)):
            raise SettingsError(
                f"mosaics need parcels of at least 4 px and two classes, each named once; got {self.parcel_px} and "
                f"{self.classes}"
            )


def write_mosaics(
    dataset: Dataset,
    settings: MosaicSettings,
    folder: Path,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Write mosaics with their labels, and their card ``dataset.yaml`` last.

    A tile, with all that share its group, is used in one part only: the one that its paths state, or, by its role, in
    training; the others are shared out.

    Args:
        dataset: tiles with one class each.
        settings: what to make.
        folder: where; made if absent.
        on_progress: told after each scene.

    Returns:
        Names of the scenes, ``<part>_m<number>``.

    Raises:
        DataError: a class without tiles for a part, or a tile that cannot be read.
        BandError: a band of which the wavelength is not known, or that the tiles lack.
        RunError: the disk is full or the folder cannot be written.
    """
    bands = settings.bands or dataset.bands
    unknown = [band for band in bands if band not in SENTINEL2]
    if unknown:
        raise BandError(f"mosaics are written with Sentinel-2's bands, got {', '.join(unknown)}; choose others")
    tiles = shared_out(dataset.items, settings)
    parts = [part for part, count in zip(PARTS, settings.scenes, strict=True) for _ in range(count)]
    claim(folder, [settings, bands, content_of(dataset.items)])
    names: list[str] = []
    for number, part in enumerate(parts):
        names.append(f"{part}_m{number:04d}")
        write_scene(_mosaic(tiles[part], bands, settings, number), folder, names[-1])
        if on_progress:
            on_progress(number + 1, len(parts))
    write_text(folder / "dataset.yaml", yaml.safe_dump(_card(dataset, bands, settings), sort_keys=False))
    return names


def shared_out(items: Sequence[Item], settings: MosaicSettings) -> dict[str, dict[str, list[Item]]]:
    """Tiles by part and class; those of one group are in one part.

    Raises:
        DataError: a class without a group for one of the parts.
    """
    if not any(item.class_name for item in items):
        raise DataError(
            f"none of {len(items)} images has one class as a whole, such as by its folder; mosaics are made of "
            "tiles of one class each. Name a card of classification with --card"
        )
    shares = np.array(settings.scenes) / sum(settings.scenes)
    parts: dict[str, dict[str, list[Item]]] = {part: {} for part in PARTS}
    homes = _stated(items)
    for name in settings.classes:
        groups: dict[tuple[str, ...], list[Item]] = {}
        for item in items:
            if item.class_name == name:
                groups.setdefault(item.groups, []).append(item)
        order = [group for group in sorted(groups) if group not in homes]
        stream(settings.seed, "tiles", name).shuffle(order)
        ends = np.cumsum(_counts(shares, len(order)))
        homes |= {group: PARTS[int(np.searchsorted(ends, k, side="right"))] for k, group in enumerate(order)}
        for group in (*order, *(group for group in sorted(groups) if group not in set(order))):
            parts[homes[group]].setdefault(name, []).extend(groups[group])
        lacking = [part for part in PARTS if name not in parts[part]]
        if lacking:
            raise DataError(
                f"the class {name} has {len(groups)} groups of tiles and none for {', '.join(lacking)}; each of "
                f"{', '.join(PARTS)} needs one, and tiles of one group stay together. Add tiles, or leave the class out"
            )
    return parts


def _stated(items: Sequence[Item]) -> dict[tuple[str, ...], str]:
    """Parts of the groups whose paths state one, and of those that may only be trained on."""
    homes = {item.groups: item.part for item in items if item.part in PARTS}
    return homes | {item.groups: PARTS[0] for item in items if item.role == "train"}


def _counts(shares: NDArray[np.float64], groups: int) -> NDArray[np.int64]:
    """Groups of each part: one at least where there are enough."""
    counts = np.maximum(np.floor(shares * groups), 1).astype(np.int64)
    counts[0] = groups - counts[1:].sum()
    if counts[0] < 1:
        counts[1 + int(counts[1:].argmax())] += counts[0] - 1
        counts[0] = 1
    return counts


def _mosaic(tiles: dict[str, list[Item]], bands: Sequence[str], settings: MosaicSettings, number: int) -> SynthScene:
    rng, size = stream(settings.seed, "mosaic", str(number)), settings.size
    low, high = np.log(settings.parcel_px)
    parcels = divide(rng, size, size, size_px=float(np.exp(rng.uniform(low, high))), blocks=int(rng.integers(3, 8)))
    reflectance = np.zeros((len(bands), size, size), np.float32)
    labels = np.full((size, size), IGNORE, np.uint8)
    for where in _regions(parcels.ids):
        kind = int(rng.integers(len(settings.classes)))
        choices = tiles[settings.classes[kind]]
        item = choices[int(rng.integers(len(choices)))]
        raster = read_image(item, bands)
        rows, cols = _reflected(where, raster.values.shape[1:], rng)
        seen = raster.valid[rows, cols]
        for channel, values in enumerate(raster.values):
            reflectance[channel][where] = np.where(seen, values[rows, cols], 0)
        labels[where] = np.where(seen, np.uint8(kind), np.uint8(IGNORE))
    return SynthScene(
        reflectance=reflectance,
        labels=labels,
        land_cover=labels,
        valid=labels != IGNORE,
        bands=tuple(bands),
        gsd=10.0,
        sun_zenith_deg=0.0,
        sun_azimuth_deg=0.0,
        biome="farmland",
    )


def _regions(ids: NDArray[np.int32]) -> Iterator[tuple[NDArray[np.intp], ...]]:
    """Pixels (rows, cols) of each parcel in the order of its number."""
    order = np.argsort(ids, axis=None, kind="stable")
    starts = np.flatnonzero(np.diff(ids.ravel()[order])) + 1
    for part in np.split(order, starts):
        yield np.unravel_index(part, ids.shape)


def _reflected(
    where: tuple[NDArray[np.intp], ...], shape: tuple[int, ...], rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pixels of a tile for those of a parcel: laid from a random corner, mirrored where the tile ends, never resampled.

    Real pixels stay neighbours, flipped or turned by quarters at most.
    """
    turned = bool(rng.integers(2)) and shape[0] == shape[1]
    found = []
    for places, side in zip(where, shape, strict=True):
        period = 2 * side
        position = (places - places.min() + int(rng.integers(period))) % period
        found.append(np.where(position < side, position, period - 1 - position))
    rows, cols = (found[1], found[0]) if turned else (found[0], found[1])
    return rows, cols


def _card(dataset: Dataset, bands: Sequence[str], settings: MosaicSettings) -> dict[str, Any]:
    licences = ", ".join(dict.fromkeys(item.card.licence for item in dataset.items))
    return {
        "name": "mosaic",
        "task": "segmentation",
        "images": f"images/{{split:{'|'.join(PARTS)}}}_{{number}}.tif",
        "labels": "labels/{name}.tif",
        "bands": [{"name": band, "wavelength_nm": SENTINEL2[band].wavelength_nm, "gsd_m": 10.0} for band in bands],
        "scale": RADIOMETRY.scale,
        "offset": RADIOMETRY.offset,
        "nodata": 0,
        "classes": list(settings.classes),
        "foreground": [],
        "ignore": IGNORE,
        "licence": f"as of the tiles: {licences}",
        "source": f"parcels filled with tiles of {', '.join(dataset.sources)}, seed {settings.seed}",
    }
