"""Reflectance and labels of one date out of a file of arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.bands import Bands, band_positions
from satsqueeze.core.errors import BandError, GridError, LabelError, RadiometryError, RasterError
from satsqueeze.core.radiometry import Radiometry, sentinel2_radiometry
from satsqueeze.core.raster import Georeference, Raster
from satsqueeze.data.cards.card import ArrayRule
from satsqueeze.data.items.array_file import is_array_file, read_arrays
from satsqueeze.data.items.item import Item
from satsqueeze.data.scene.plausibility import SMALL_SCALE, Look, require_not_scaled_twice, require_plausible
from satsqueeze.data.scene.radiometric_statement import STATEMENTS, parse_radiometry

__all__ = ["FrameReader", "is_array_file", "read_label_array"]

_FRAME_AXES = "CHW"


class FrameReader:
    """Reads what :class:`satsqueeze.data.scene.reader.SceneReader` reads, from one date of a file of arrays.

    Bands of coarser arrays are repeated to the size of the finest, as only whole factors occur. Numbers become
    reflectance by what the card states; arrays carry no other evidence.

    Args:
        item: with ``frame``, of a card with ``arrays``.
        want: bands to read, in this order; by default all reflective ones.

    Raises:
        RasterError: the file cannot be read, or has no such date.
        BandError: another number of channels than the card lists, or wanted bands that are absent.
        GridError: arrays that do not fit onto one another, or whose axes are not those of the card.
        RadiometryError: the card does not state how numbers become reflectance.
    """

    def __init__(self, item: Item, want: Sequence[str] | None = None) -> None:
        card, self._path = item.card, item.images[0]
        names = tuple(band.name for band in card.bands)
        self._digital = _stacked(self._path, card.arrays or ArrayRule(), item.frame or 0, len(names))
        wanted = tuple(want or card.band_names)
        try:
            self._digital = self._digital[band_positions(names, wanted)]
        except BandError as error:
            raise BandError(f"{self._path}: {error}") from error
        self.dtype, (self.height, self.width) = str(self._digital.dtype), self._digital.shape[1:]
        self.georeference: Georeference | None = None
        self.bands = Bands(tuple(card.bands[names.index(name)].band() for name in wanted))
        self.gsd_m: float | None = None
        self._radiometry = _radiometry(item, self._digital.dtype)
        stated = self._radiometry.provenance
        self.provenance = f"{stated}; {card.assumed}" if card.assumed else stated

    def read(self) -> Raster:
        """Reflectance of the date.

        Raises:
            RadiometryError: the values cannot be reflectance.
        """
        values, valid = self._radiometry.to_reflectance(self._digital)
        # Fill is seldom tagged in arrays, and true reflectance is never 0 in all bands.
        valid &= (self._digital != 0).any(axis=0)
        np.copyto(values, 0, where=~valid)
        look, channels = Look(file=self._path, provenance=self.provenance, bands=self.bands.names), range(len(values))
        require_plausible(values, valid, channels, look)
        if self._radiometry.scale < SMALL_SCALE:
            require_not_scaled_twice(self._digital, valid, channels, look)
        return Raster(values=values, valid=valid, bands=self.bands.names, provenance=self.provenance)

    def digital(self) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Numbers as stored (C, H, W), and where none of them is tagged as nodata (H, W): everywhere."""
        return self._digital, np.ones(self._digital.shape[1:], np.bool_)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is open."""


def read_label_array(item: Item) -> NDArray[Any]:
    """Raw labels (H, W) of an item whose label is an array: its only plane, or the first of several.

    Raises:
        LabelError: no array of labels, or one that is not of two or three axes.
    """
    rule, path = item.card.arrays or ArrayRule(), str(item.label)
    arrays = read_arrays(path)
    key = rule.label_key if rule.label_key in arrays else next(iter(arrays), "")
    if rule.label_key and rule.label_key not in arrays:
        raise LabelError(f"{path} holds no '{rule.label_key}', only {', '.join(sorted(arrays))}; correct 'arrays'")
    found = arrays[key]
    if found.ndim == 3:
        found = found[..., 0] if found.shape[-1] == 1 else found[0]
    if found.ndim != 2:
        raise LabelError(f"{path}: labels must be (H, W), or (planes, H, W) whose first counts; got {found.shape}")
    return np.asarray(found)


def _stacked(path: str, rule: ArrayRule, frame: int, channels: int) -> NDArray[Any]:
    """Numbers (C, H, W) of one date."""
    arrays = read_arrays(path)
    parts = [_frame(arrays, key, rule, frame, path) for key in rule.keys or ("",)]
    height, width = (max(part.shape[axis] for part in parts) for axis in (1, 2))
    digital = np.concatenate([_repeated(part, height, width, path) for part in parts])
    if len(digital) != channels:
        raise BandError(f"{path} has {len(digital)} channels; expected the {channels} bands of its card")
    return digital


def _frame(arrays: Mapping[str, NDArray[Any]], key: str, rule: ArrayRule, frame: int, path: str) -> NDArray[Any]:
    found = arrays.get(key)
    if found is None or found.ndim != len(rule.axes):
        got = ", ".join(f"{name or 'an array'} of {array.shape}" for name, array in arrays.items())
        raise GridError(f"{path}: expected {key or 'an array'} with the axes {rule.axes}, got {got}. Correct 'arrays'")
    count = found.shape[rule.axes.index("T")]
    if frame >= count:
        raise RasterError(f"{path} holds {count} dates, but {frame + 1} or more are listed for it; fetch both again")
    one = np.asarray(found.take(frame, axis=rule.axes.index("T")))
    left = rule.axes.replace("T", "")
    if "C" not in left:
        return one[None].transpose(0, *(1 + left.index(axis) for axis in "HW"))
    return one.transpose([left.index(axis) for axis in _FRAME_AXES])


def _repeated(part: NDArray[Any], height: int, width: int, path: str) -> NDArray[Any]:
    down, across = height // part.shape[1], width // part.shape[2]
    if (part.shape[1] * down, part.shape[2] * across) != (height, width):
        raise GridError(
            f"{path}: bands of {part.shape[1]} x {part.shape[2]} px cannot be repeated to {height} x {width} px; "
            "expected whole factors"
        )
    return part.repeat(down, axis=1).repeat(across, axis=2)


def _radiometry(item: Item, dtype: np.dtype[Any]) -> Radiometry:
    card = item.card
    statement = parse_radiometry(card.radiometry_text)
    floating = np.issubdtype(dtype, np.floating)
    found = statement.radiometry
    if statement.kind == "auto" and floating:
        found = Radiometry(scale=1.0, provenance="floating-point values taken as reflectance")
    if statement.offset_dn is not None:
        found = sentinel2_radiometry(stated_offset_dn=statement.offset_dn)
    if found is None or (statement.kind == "reflectance" and not floating):
        raise RadiometryError(
            f"{item.images[0]} holds {dtype} numbers, and arrays carry no evidence of what they mean, but the card "
            f"says {card.radiometry_text!r}. State how they become reflectance: {STATEMENTS}"
        )
    return Radiometry(
        scale=found.scale,
        offset=found.offset,
        nodata=found.nodata if card.nodata is None else card.nodata,
        saturated=found.saturated if card.saturated is None else card.saturated,
        provenance=found.provenance,
    )
