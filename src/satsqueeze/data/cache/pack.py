"""Writing the packed cache: each item is read once, kept for good, and a killed run continues where it stopped."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from satsqueeze.core.errors import DataError, RunError
from satsqueeze.core.files import read_json, write_error, write_json
from satsqueeze.core.run import fingerprint_of
from satsqueeze.data.cache.class_locations import write_locations
from satsqueeze.data.cache.packed import (
    CLASS_FORMAT_VERSION,
    FORMAT_VERSION,
    LABELS,
    LOCATIONS,
    MANIFEST,
    SEGMENTATION,
    PackedCache,
    Quarantined,
)
from satsqueeze.data.cache.packing import Packed, packed_mask, packed_targets
from satsqueeze.data.cache.writer import JOURNAL, CacheWriter
from satsqueeze.data.checksums import Checksums
from satsqueeze.data.dataset import Dataset
from satsqueeze.data.items.item import Item

_WORKERS = 2

Progress = Callable[[int, int], None]
"""Called with the number of items done and of all items."""


def pack(
    dataset: Dataset,
    folder: Path | str,
    *,
    bands: Sequence[str] | None = None,
    on_progress: Progress | None = None,
    overwrite: bool = True,
) -> PackedCache:
    """Read every item once and write the cache; a finished cache of the same files is opened as it is.

    Files are the same if they hold the same bytes, wherever they lie and whenever they were copied there.
    Items that cannot be used are quarantined with their reason, never dropped silently: see
    ``PackedCache.quarantine``. Where labels belong to whole images, entries hold their classes and no pixel has one.

    Args:
        dataset: what to pack.
        folder: where; made if absent.
        bands: common names in channel order; by default all bands the sources share.
        on_progress: told after each item.
        overwrite: whether a finished cache of other files is replaced.

    Raises:
        RunError: the disk is full or the folder cannot be written; what was packed is kept. Or there is a cache of
            other files.
        DataError: every item had to be quarantined.
        CardError: the sources have labels of different kinds.
    """
    folder = Path(folder)
    bands = tuple(bands or dataset.bands)
    version = FORMAT_VERSION if dataset.task == SEGMENTATION else CLASS_FORMAT_VERSION
    done = PackedCache(folder) if (folder / MANIFEST).is_file() else None
    checksums = Checksums(None if done is None else done.checksums)
    items = [_identity(item, checksums) for item in dataset.items]
    key = fingerprint_of([version, bands, dataset.classes, dataset.cards, items])
    if done is not None:
        same = done.fingerprint in (key, _with_quarantine(key, done.quarantine))
        if same and not _mended(done, dataset, bands):
            return _noted(done, dataset.weights, checksums)
        if not overwrite:
            raise RunError(
                f"{folder} holds other images or bands than those asked for, or as they were before they changed; "
                "choose another folder, or remove this one"
            )
        (folder / MANIFEST).unlink()
    writer = _written(folder, key, dataset, bands, on_progress)
    if not writer.entries:
        raise DataError(
            f"none of the {len(dataset.items)} items can be used; the first reason: {writer.quarantine[0].reason}"
        )
    known = _with_quarantine(key, writer.quarantine)
    record = {"format_version": version, "bands": list(bands), "fingerprint": known, "checksums": checksums.to_dict()}
    _finish(folder, writer, dataset, record)
    return PackedCache(folder)


def grown(cache: PackedCache, dataset: Dataset) -> str:
    """What a data set holds by now that its cache lacks, in words; empty where that is nothing.

    Files that are gone or were written anew are no news: the cache holds them as they were.
    """
    known = {*cache.ids, *(entry.id for entry in cache.quarantine)}
    added = [item.id for item in dataset.items if item.id not in known]
    mended = _mended(cache, dataset, cache.bands)
    told = [f"{len(added)} new items, such as {added[0]}"] if added else []
    return " and ".join(told + ([f"items that can be read now, such as {mended}"] if mended else []))


def rewritten(cache: PackedCache, dataset: Dataset) -> tuple[str, ...]:
    """Fields of its cards that say something else by now; none of a cache from before cards were kept."""
    now = json.loads(json.dumps(dataset.cards))
    changed = (
        f"{field} of {source}"
        for source, card in cache.cards.items()
        for field, value in card.items()
        if source in now and now[source].get(field) != value
    )
    return tuple(changed)


def _mended(cache: PackedCache, dataset: Dataset, bands: Sequence[str]) -> str:
    """An item that was quarantined and can be used now: what it lacked may lie outside of its own files."""
    aside = {entry.id for entry in cache.quarantine}
    again = replace(dataset, items=tuple(item for item in dataset.items if item.id in aside))
    found = (item.id for item, outcome in _read_all(again, bands, set()) if not isinstance(outcome, DataError))
    return next(found, "")


def _written(
    folder: Path, key: str, dataset: Dataset, bands: Sequence[str], on_progress: Progress | None
) -> CacheWriter:
    """What wrote all items, or what was left of them."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with CacheWriter(folder, key, channels=len(bands), with_labels=dataset.task == SEGMENTATION) as writer:
            for item, outcome in _read_all(dataset, bands, writer.finished):
                writer.add(item, outcome)
                if on_progress:
                    on_progress(len(writer.finished), len(dataset.items))
    except OSError as error:
        unknown = RunError(f"cannot write {folder}: {error.strerror}; choose another output folder")
        raise write_error(folder, error) or unknown from error
    return writer


def _with_quarantine(key: str, quarantine: Sequence[Quarantined]) -> str:
    """Hash of what was packed: not all that there is, where items were put aside."""
    return fingerprint_of([key, sorted(entry.id for entry in quarantine)]) if quarantine else key


def _noted(cache: PackedCache, weights: Mapping[str, float], checksums: Checksums) -> PackedCache:
    """The same cache with what is known by now and changes nothing that is packed: weights, and where files lie."""
    known = {"weights": dict(weights), "checksums": checksums.to_dict()}
    if known == {"weights": cache.weights, "checksums": cache.checksums}:
        return cache
    write_json(cache.folder / MANIFEST, {**read_json(cache.folder / MANIFEST), **known})
    return PackedCache(cache.folder)


def _read_all(dataset: Dataset, bands: Sequence[str], finished: set[str]) -> Iterator[tuple[Item, Packed | DataError]]:
    waiting: deque[tuple[Item, Future[Packed | DataError]]] = deque()
    read = packed_mask if dataset.task == SEGMENTATION else packed_targets
    with ThreadPoolExecutor(_WORKERS) as pool:
        for item in dataset.items:
            if item.id in finished:
                continue
            waiting.append((item, pool.submit(read, item, bands, len(dataset.classes))))
            if len(waiting) > 2 * _WORKERS:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()


def _finish(folder: Path, writer: CacheWriter, dataset: Dataset, record: dict[str, Any]) -> None:
    entries = writer.entries
    if dataset.task == SEGMENTATION:
        labels = np.memmap(folder / LABELS, np.uint8, "r")
        write_locations(folder / LOCATIONS, entries, labels, len(dataset.classes))
    write_json(
        folder / MANIFEST,
        {
            **record,
            **({} if dataset.task == SEGMENTATION else {"task": dataset.task}),
            "classes": list(dataset.classes),
            "foreground": list(dataset.foreground),
            "weights": dict(dataset.weights),
            "cards": dataset.cards,
            "entries": [entry.to_dict() for entry in entries],
            "quarantine": [asdict(entry) for entry in writer.quarantine],
        },
    )
    (folder / JOURNAL).unlink(missing_ok=True)


def _identity(item: Item, checksums: Checksums) -> list[Any]:
    told = (item.groups, item.stratum, item.role, item.part, item.class_name, item.series, item.date, item.frame)
    label = item.label and checksums.of(item.label)
    images = [(band, checksums.of(path)) for band, path in zip_longest(item.file_bands, item.images)]
    return [item.id, item.source, told, images, label]
