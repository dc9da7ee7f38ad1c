"""Teacher outputs, computed once and kept as quantised memory-mapped arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.bands import band_positions
from satsqueeze.core.errors import RunError, TrainError
from satsqueeze.core.files import read_json, replacing, write_json
from satsqueeze.core.run import fingerprint_of
from satsqueeze.core.window import Window
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.distill.combination import Combination, teacher_weight

RECORD = "soft.json"
_MAPPED = 128


class Teacher(Protocol):
    """Anything that turns reflectance into class probabilities."""

    name: str
    bands: tuple[str, ...]
    classes: tuple[str, ...]
    fingerprint: str
    """Changes whenever the answers may."""

    def probabilities(self, reflectance: NDArray[np.float32]) -> NDArray[np.float32]:
        """Float32 probabilities (K, H, W) of float32 reflectance (C, H, W), bands in the order of ``bands``."""
        ...


class SoftCache:
    """Teacher probabilities of every item, uint8 (K, H, W) in units of 1/255; one file per item.

    Several teachers are one, or kept apart as (T, K, H, W).

    Args:
        folder: written by :func:`teach`.

    Raises:
        RunError: the folder holds no finished cache.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record = read_json(folder / RECORD)
        self._arrays: dict[str, NDArray[np.uint8]] = {}

    @property
    def teachers(self) -> str:
        """Who answered, for the record, and how the answers were combined where not by their mean."""
        named = ", ".join(f"{one['name']} {one['fingerprint'][:12]}" for one in self.record["teachers"])
        return f"{named}, by {self.record['combine']}" if "combine" in self.record else named

    def window(self, id: str, window: Window) -> NDArray[np.uint8]:  # noqa: A002 - the sampler's protocol
        """Probabilities times 255, uint8 (K, h, w); 0 outside of the image and where the image is invalid.

        Of teachers that are kept apart, (T, K, h, w).

        Raises:
            RunError: the teachers were not asked about this item.
        """
        array = self._array(id)
        out = np.zeros((*array.shape[:-2], window.height, window.width), np.uint8)
        top, left = max(window.row, 0), max(window.col, 0)
        part = array[..., top : window.stop_row, left : window.stop_col]
        row, col = top - window.row, left - window.col
        out[..., row : row + part.shape[-2], col : col + part.shape[-1]] = part
        return out

    def _array(self, item: str) -> NDArray[np.uint8]:
        if item not in self._arrays:
            name = self.record["files"].get(item)
            if name is None:
                raise RunError(f"no teacher output for '{item}' in {self.folder}; remove the folder and distil again")
            # Every file that is mapped stays open, and a process may open some hundreds only: the oldest goes.
            if len(self._arrays) == _MAPPED:
                del self._arrays[next(iter(self._arrays))]
            self._arrays[item] = np.load(self.folder / name, mmap_mode="r")
        return self._arrays[item]


def teach(
    teachers: Sequence[Teacher],
    cache: PackedCache,
    ids: Sequence[str],
    folder: Path,
    on_progress: Callable[[int, int], None] | None = None,
    *,
    combine: Combination = "mean",
    apart: bool = False,
) -> SoftCache:
    """Ask every teacher about every item, once; resumable item by item.

    Args:
        teachers: at least one.
        cache: the images.
        ids: items to ask about; they need no labels.
        folder: each set of teachers, images and items gets a folder of its own in it.
        on_progress: called with (done, total).
        combine: how several teachers become one.
        apart: keep the answer of each teacher instead.

    Raises:
        RunError: teachers whose classes differ from the data's, or no teacher; a full disk.
        TrainError: a teacher answers with NaN or inf.
        BandError: a teacher needs a band that the data lacks.
    """
    _check(teachers, cache)
    files = {item: f"{i:06d}.npy" for i, item in enumerate(sorted(ids))}
    if len(teachers) == 1 or apart:
        combine = "mean"  # of one answer, which then is not asked for twice
    record: dict[str, Any] = {
        "teachers": [{"name": teacher.name, "fingerprint": teacher.fingerprint} for teacher in teachers],
        "data": cache.fingerprint,
        "classes": list(cache.classes),
        "files": files,
    }
    if combine != "mean":
        # Only then, so that answers from before there was a choice stay valid.
        record["combine"] = combine
    if apart:
        record["apart"] = True
    folder = folder / fingerprint_of(record)[:12]
    for done, (item, name) in enumerate(files.items()):
        if on_progress:
            on_progress(done, len(files))
        if not (folder / name).exists():
            _save(folder / name, _apart(teachers, cache, item) if apart else _answer(teachers, cache, item, combine))
    if on_progress:
        on_progress(len(files), len(files))
    if not (folder / RECORD).exists():
        write_json(folder / RECORD, record)
    return SoftCache(folder)


def _apart(teachers: Sequence[Teacher], cache: PackedCache, item: str) -> NDArray[np.uint8]:
    return np.stack([_answer([teacher], cache, item, "mean") for teacher in teachers])


def _answer(teachers: Sequence[Teacher], cache: PackedCache, item: str, combine: Combination) -> NDArray[np.uint8]:
    position = cache.position(item)
    image, valid = cache.image(position), cache.valid(position)
    total = np.zeros((len(cache.classes), *valid.shape), np.float32)
    weights = np.zeros(valid.shape, np.float32)
    for teacher in teachers:
        found = teacher.probabilities(image[band_positions(cache.bands, teacher.bands)])
        if not np.isfinite(found).all():
            raise TrainError(
                f"teacher '{teacher.name}' answers {item} with NaN or inf, from which nothing can be learnt; ask it in "
                "fp32 (asking.precision), check it with 'satsqueeze evaluate', or leave it out"
            )
        weight = teacher_weight(found, combine)
        total += weight * found
        weights += weight
    quantised = np.rint(np.clip(total / weights, 0, 1) * 255).astype(np.uint8)
    return np.where(valid, quantised, np.uint8(0))


def _save(path: Path, array: NDArray[np.uint8]) -> None:
    with replacing(path) as temporary, temporary.open("wb") as handle:
        np.save(handle, array)


def _check(teachers: Sequence[Teacher], cache: PackedCache) -> None:
    if not teachers:
        raise RunError("distillation needs at least one teacher, got none")
    for teacher in teachers:
        require_same_classes(teacher, cache)
        band_positions(cache.bands, teacher.bands)


def require_same_classes(teacher: Teacher, cache: PackedCache) -> None:
    """Refuse a teacher that knows other classes than the data, or in another order.

    Raises:
        RunError: it does.
    """
    if tuple(teacher.classes) != tuple(cache.classes):
        raise RunError(
            f"teacher '{teacher.name}' knows the classes {', '.join(teacher.classes)}, the data has "
            f"{', '.join(cache.classes)}; map them in its contract, or take a teacher of the same classes"
        )
