"""The packed cache: all items of a data set in two memory-mapped files, so that training waits for nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import DataError, GridError, RunError
from satsqueeze.core.files import read_json
from satsqueeze.core.labels import IGNORE
from satsqueeze.core.window import Window

FORMAT_VERSION = 1
CLASS_FORMAT_VERSION = 2
"""Of caches whose labels belong to whole images: entries have targets, and there is no plane of labels."""
MANIFEST = "cache.json"
IMAGES = "images.i16"
LABELS = "labels.u8"
LOCATIONS = "locations.npz"
SEGMENTATION = "segmentation"
INVALID = -32768
"""Stored value of pixels that are not valid."""
STEP = 1e-4
"""Reflectance per stored unit; reflectance is clipped to +-3.2767."""

_OFTEN_EMPTY = ("targets", "part", "series", "date", "dtype")


@dataclass(frozen=True, kw_only=True)
class CacheEntry:
    """One packed item."""

    id: str
    source: str
    groups: tuple[str, ...]
    stratum: str
    role: str
    height: int
    width: int
    offset: int
    """First pixel in the packed files, in pixels."""
    labelled: bool
    class_pixels: tuple[int, ...]
    """Labelled pixels of each class; where labels belong to whole images, 1 for each of the image's classes."""
    valid_pixels: int
    gsd_m: float | None
    """Pixel size in metres; None where neither file nor card tells."""
    provenance: str = ""
    """How reflectance was derived."""
    targets: tuple[int, ...] = ()
    """Classes of the whole image, sorted; empty in segmentation."""
    part: str = ""
    """The official part it belongs to, such as ``train``, where paths tell."""
    series: str = ""
    """The place of which it is one date; empty where dates do not make series."""
    date: str = ""
    """When it was taken, see :func:`satsqueeze.data.items.acquisition.normal_date`."""
    dtype: str = ""
    """Type of the numbers in the image's file; empty in caches from before it was kept."""

    @property
    def pixels(self) -> int:
        """Pixels of the image."""
        return self.height * self.width

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> CacheEntry:
        """From its JSON form; what a later version added is left out."""
        known = {item.name for item in fields(cls)}
        found: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in record.items() if key in known
        }
        return cls(**found)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, without what is empty for want of whole-image labels or of series."""
        record = asdict(self)
        return {key: value for key, value in record.items() if value or key not in _OFTEN_EMPTY}


@dataclass(frozen=True, kw_only=True)
class Quarantined:
    """An item that was left out, and why."""

    id: str
    reason: str


def told_types(counts: Counter[str]) -> str:
    """How many images are of which data type, in words, the usual one first."""
    return ", ".join(f"{count} of {dtype}" for dtype, count in counts.most_common())


class PackedCache:
    """Reading side of a cache folder; made by :func:`satsqueeze.data.cache.pack.pack`. Pickles as its path.

    Args:
        folder: what ``pack`` wrote.

    Raises:
        RunError: no finished cache there, another format, or files that do not fit their record.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        record = read_json(self.folder / MANIFEST)
        if record.get("format_version") not in (FORMAT_VERSION, CLASS_FORMAT_VERSION):
            raise RunError(
                f"{self.folder} is a cache of format {record.get('format_version')}, this satsqueeze reads the formats "
                f"{FORMAT_VERSION} and {CLASS_FORMAT_VERSION}; remove the folder and pack again"
            )
        self.task: str = record.get("task", SEGMENTATION)
        """``segmentation``, ``classification`` or ``multi-label``."""
        self.bands: tuple[str, ...] = tuple(record["bands"])
        self.classes: tuple[str, ...] = tuple(record["classes"])
        self.foreground: tuple[int, ...] = tuple(record["foreground"])
        self.weights: dict[str, float] = dict(record["weights"])
        self.cards: dict[str, dict[str, Any]] = dict(record.get("cards", {}))
        """What the card of each source said, see :attr:`satsqueeze.data.cards.card.DatasetCard.reading`."""
        self.entries: tuple[CacheEntry, ...] = tuple(CacheEntry.from_dict(entry) for entry in record["entries"])
        self.quarantine: tuple[Quarantined, ...] = tuple(Quarantined(**entry) for entry in record["quarantine"])
        self.fingerprint: str = record["fingerprint"]
        """Hash of what was packed."""
        self.checksums: dict[str, list[int]] = dict(record.get("checksums", {}))
        """Of the files that it was packed from, see :meth:`satsqueeze.data.checksums.Checksums.to_dict`."""
        self._positions = {entry.id: position for position, entry in enumerate(self.entries)}
        pixels = sum(entry.pixels for entry in self.entries)
        self._images = self._map(IMAGES, "<i2", pixels * len(self.bands))
        self._labels = self._map(LABELS, "u1", pixels if self.task == SEGMENTATION else 0)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def mixed_types(self) -> dict[str, str]:
        """Sources whose files hold numbers of several types, with what they hold: seldom meant, often of two scales."""
        counts: dict[str, Counter[str]] = {}
        for entry in self.entries:
            if entry.dtype:
                counts.setdefault(entry.source, Counter())[entry.dtype] += 1
        return {source: told_types(found) for source, found in counts.items() if len(found) > 1}

    def __reduce__(self) -> tuple[type[PackedCache], tuple[Path]]:
        return type(self), (self.folder,)

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of all packed items."""
        return tuple(self._positions)

    def source_weights(self, ids: Sequence[str]) -> dict[str, float] | None:
        """Weights of the sources of some items, 1 where a source states none; None where no source states any."""
        if not self.weights:
            return None
        present = {self.entries[self.position(item)].source for item in ids}
        return {source: self.weights.get(source, 1.0) for source in sorted(present)}

    def position(self, item_id: str) -> int:
        """Where the item called ``item_id`` stands in ``entries``.

        Raises:
            DataError: it is not in the cache; the message says why where it was quarantined.
        """
        position = self._positions.get(item_id)
        if position is None:
            reason = next((entry.reason for entry in self.quarantine if entry.id == item_id), "it was never packed")
            raise DataError(f"{item_id} is not in the cache {self.folder}: {reason}")
        return position

    def stored(self, position: int, window: Window | None = None) -> NDArray[np.int16]:
        """Stored int16 (C, h, w) in units of 1e-4 reflectance, -32768 where invalid; a view of the file."""
        entry = self.entries[position]
        start = entry.offset * len(self.bands)
        shape = (len(self.bands), entry.height, entry.width)
        whole = self._images[start : start + entry.pixels * len(self.bands)].reshape(shape)
        return whole if window is None else whole[:, *_inside(entry, window)]

    def image(self, position: int, window: Window | None = None) -> NDArray[np.float32]:
        """Reflectance (C, h, w), 0 where invalid.

        Raises:
            GridError: the window leaves the image.
        """
        stored = self.stored(position, window)
        out = np.empty(stored.shape, np.float32)
        dequantise(stored, out)
        return out

    def valid(self, position: int, window: Window | None = None) -> NDArray[np.bool_]:
        """Validity (h, w), True = valid."""
        valid: NDArray[np.bool_] = self.stored(position, window)[0] != INVALID
        return valid

    def label(self, position: int, window: Window | None = None) -> NDArray[np.uint8]:
        """Classes uint8 (h, w), 255 = ignore, as are all where labels belong to whole images; a view of the file."""
        entry = self.entries[position]
        if self.task != SEGMENTATION:
            shape = (entry.height, entry.width) if window is None else (window.height, window.width)
            return np.full(shape, IGNORE, np.uint8)
        whole = self._labels[entry.offset : entry.offset + entry.pixels].reshape(entry.height, entry.width)
        return whole if window is None else whole[_inside(entry, window)]

    def locations(self, position: int, class_value: int) -> NDArray[np.int32]:
        """Flat pixel positions, at most 4096 drawn at random, where the label is ``class_value``."""
        starts, flat = self._locations
        slot = position * len(self.classes) + class_value
        return flat[starts[slot] : starts[slot + 1]]

    @cached_property
    def targets(self) -> NDArray[np.float32]:
        """Float32 (items, K): 1 for each class of an image, else 0."""
        table = np.zeros((len(self.entries), len(self.classes)), np.float32)
        for row, entry in zip(table, self.entries, strict=True):
            row[list(entry.targets)] = 1
        return table

    @cached_property
    def stack(self) -> NDArray[np.int16]:
        """All stored images int16 (items, C, H, W), see :meth:`stored`; a view of the file.

        Raises:
            GridError: the images differ in size.
        """
        sizes = {(entry.height, entry.width) for entry in self.entries}
        if len(sizes) > 1:
            some = ", ".join(f"{height} x {width}" for height, width in sorted(sizes)[:5])
            raise GridError(
                f"the images of {self.folder} have {len(sizes)} sizes ({some} px ...); expected one. Crop or resample "
                "them to one size ('satsqueeze data check' names them), remove this folder and pack again"
            )
        return self._images.reshape(-1, len(self.bands), *next(iter(sizes)))

    @cached_property
    def _locations(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        with np.load(self.folder / LOCATIONS) as arrays:
            return arrays["starts"], arrays["flat"]

    def _map(self, name: str, dtype: str, count: int) -> NDArray[Any]:
        path = self.folder / name
        size = path.stat().st_size if path.is_file() else -1
        expected = count * np.dtype(dtype).itemsize
        if size != expected:
            found = "is missing" if size < 0 else f"has {size} bytes"
            raise RunError(f"{path} {found}, expected {expected} bytes; remove {self.folder} and pack again")
        if not count:
            return np.empty(0, dtype)
        return np.memmap(path, dtype=dtype, mode="r", shape=(count,)).view(np.ndarray)


def quantise(values: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Reflectance (C, H, W) as stored int16; the inverse of :func:`dequantise` within half a unit."""
    scaled = np.rint(values * np.float32(1 / STEP))
    np.clip(scaled, -32767, 32767, out=scaled)
    stored: NDArray[np.int16] = scaled.astype("<i2")
    stored[:, ~valid] = INVALID
    return stored


def dequantise(stored: NDArray[np.int16], out: NDArray[np.float32]) -> None:
    """Write stored int16 (C, ...) as float32 reflectance into ``out``, 0 where invalid."""
    out[...] = stored  # converting and scaling in two passes is twice as fast as one mixed-type multiplication
    out *= np.float32(STEP)
    invalid = stored[0] == INVALID
    if invalid.any():
        out[:, invalid] = 0


def class_counts(label: NDArray[np.uint8], classes: int) -> tuple[int, ...]:
    """Pixels of each class in a label (H, W); 255 is not counted."""
    return tuple(int(count) for count in np.bincount(label.ravel(), minlength=IGNORE + 1)[:classes])


def _inside(entry: CacheEntry, window: Window) -> tuple[slice, slice]:
    if min(window.row, window.col) < 0 or window.stop_row > entry.height or window.stop_col > entry.width:
        raise GridError(f"{window} leaves {entry.id} of {entry.height} x {entry.width} px; clip it first")
    return window.slices
