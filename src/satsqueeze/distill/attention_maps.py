"""Attention maps of teachers for every image under every view, computed once and kept in a memory-mapped file each.

The map of a view is the view of the map only nearly: strides and even paddings favour one side, and no network was
trained to be the same under turns. So all eight views are asked, as for the answers, and a student is compared with
what its teachers look at in the very image that it sees. 8 x 8 cells of 8 views in float16 are 1 KiB per image.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from satsqueeze.core.bands import band_positions
from satsqueeze.core.errors import GridError, RunError
from satsqueeze.core.run import fingerprint_of
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.sampling.class_sampler import reflectance
from satsqueeze.data.sampling.dihedral import VIEWS, view_of
from satsqueeze.distill.attention_energy import energy, unit_map
from satsqueeze.distill.attention_layer import feature_layer
from satsqueeze.distill.class_teachers import ClassModelTeacher
from satsqueeze.distill.view_file import ViewFile, ViewKind, check_asked, unasked
from satsqueeze.learn.guide import Tap
from satsqueeze.nets.model import SegmentationModel

RECORD, MAPS = "attention.json", "attention.npy"
FORMAT_VERSION = 1
MOST = 8
"""Cells along a side that are kept."""
_KIND = ViewKind(
    name="attention maps",
    record=RECORD,
    values=MAPS,
    version=FORMAT_VERSION,
    shape=lambda record: (record["cells"], record["cells"]),
)


class TeacherMaps:
    """Cached attention maps of one or several teachers for the images of a packed data set.

    Each folder holds float16 (items, 8, g, g) of norm 1, NaN where the teacher was not asked: items as in the packed
    cache, views as in :mod:`satsqueeze.data.sampling.dihedral`.

    Args:
        folders: of each teacher, as :func:`ask_maps` returns them.
        cache: the images.

    Raises:
        RunError: no maps there, or those of other data; a damaged file.
    """

    def __init__(self, folders: Sequence[Path], cache: PackedCache) -> None:
        if not folders:
            raise RunError("attention transfer needs the maps of at least one teacher, got none")
        self.folders, self.cache = tuple(folders), cache
        files = [ViewFile(folder, _KIND, cache) for folder in folders]
        self.described = ", ".join(file.described for file in files)
        """Who looks, for the record."""
        self._arrays = [file.values() for file in files]

    def rows(
        self, positions: NDArray[np.integer[Any]], views: NDArray[np.integer[Any]]
    ) -> tuple[NDArray[np.float32], ...]:
        """Of each teacher, float32 maps (N, g, g) of the items at ``positions`` (N,), each under its view (N,).

        Raises:
            RunError: a teacher was not asked about an item.
        """
        found = tuple(array[positions, views].astype(np.float32) for array in self._arrays)
        for maps in found:
            check_asked(maps, positions, self.cache, absent="attention map", wanted="training items")
        return found


def ask_maps(
    teachers: Sequence[ClassModelTeacher], cache: PackedCache, ids: Sequence[str], folder: Path, *, batch_size: int = 64
) -> TeacherMaps:
    """Ask every teacher what it looks at in the eight views of every image, once; a killed run continues.

    Args:
        teachers: at least one; of several members, their maps are averaged.
        cache: square images of one size.
        ids: items to ask about.
        folder: each teacher gets a folder of its own in it.
        batch_size: images per call of a teacher.

    Raises:
        RunError: no teacher, maps that are not finite, a full disk.
        SettingsError: a teacher without maps; see :func:`satsqueeze.distill.attention_layer.feature_layer`.
        BandError: a teacher needs a band that the data lacks.
        DataError: an item is not in the cache.
        GridError: the images differ in size, or are not square.
    """
    height, width = cache.stack.shape[2:]
    if height != width:
        raise GridError(f"attention maps are of square images, got {height} x {width} px; set attention to 0")
    wanted = np.array(sorted({cache.position(item) for item in ids}), np.int64)
    homes = []
    for teacher in teachers:
        looker, bands = _Looker(teacher), band_positions(cache.bands, teacher.bands)
        file = _file(folder, looker, cache)
        maps = file.writable()
        missing = wanted[unasked(maps[wanted])]
        for start in range(0, len(missing), batch_size):
            chunk = missing[start : start + batch_size]
            images = reflectance(cache.stack[chunk])[:, bands]
            maps[chunk] = np.stack([looker.look(view_of(images, view)) for view in range(VIEWS)], axis=1)
            maps.flush()
        homes.append(file.folder)
    return TeacherMaps(homes, cache)


class _Looker:
    """A teacher with the layers at which its members' attention is read."""

    def __init__(self, teacher: ClassModelTeacher) -> None:
        self.teacher = teacher
        members = [member for member in teacher.ensemble.models if isinstance(member, SegmentationModel)]
        layers = [feature_layer(member) for member in members]
        self.cells = min(MOST, *(layer.side for layer in layers))
        self._taps = [Tap(member, layer.name) for member, layer in zip(members, layers, strict=True)]
        self.fingerprint = fingerprint_of(
            [FORMAT_VERSION, teacher.fingerprint, self.cells, [layer.name for layer in layers]]
        )

    def look(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Unit maps (N, g, g) of reflectance (N, C, H, W)."""
        with ExitStack() as stack:
            for tap in self._taps:
                stack.enter_context(tap)
            self.teacher.logits(np.ascontiguousarray(images))
            found = torch.stack([unit_map(energy(tap.output), self.cells) for tap in self._taps])
        maps: NDArray[np.float32] = unit_map(found.mean(dim=0), self.cells).cpu().numpy()
        if len(maps) != len(images) or not np.isfinite(maps).all():
            raise RunError(
                f"teacher '{self.teacher.name}' gives {len(maps)} maps for {len(images)} images, or maps that are not "
                "finite; take a teacher that looks at every image once, and train it again if it answers NaN"
            )
        return maps


def _file(folder: Path, looker: _Looker, cache: PackedCache) -> ViewFile:
    return ViewFile.prepared(
        folder / fingerprint_of([looker.fingerprint, cache.fingerprint])[:12],
        _KIND,
        cache,
        teacher={"name": looker.teacher.name, "fingerprint": looker.fingerprint},
        further={"cells": looker.cells},
    )
