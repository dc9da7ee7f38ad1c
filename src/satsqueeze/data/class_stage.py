"""The data stage where labels belong to whole images: pack, split, take the statistics of the training images."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from satsqueeze.core.errors import DataError
from satsqueeze.core.files import read_json, sha256, write_json
from satsqueeze.core.run import RunFolder
from satsqueeze.core.scaling import Scaling
from satsqueeze.data.cache.band_statistics import scaling_of
from satsqueeze.data.cache.growth import known_place, other_data, require_whole
from satsqueeze.data.cache.pack import pack
from satsqueeze.data.cache.packed import MANIFEST, SEGMENTATION, PackedCache
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.splits.class_split import (
    class_split,
    fraction,
    given_split,
    load_class_split,
    official_split,
    save_class_split,
)
from satsqueeze.data.splits.lists import PARQUET, listed_split
from satsqueeze.data.splits.split import ThreeWaySplit

STAGE = "class-data"
CACHE, SPLIT, SCALING, PLACE = "data/cache", "data/split.json", "data/scaling.json", "data/place.json"


@dataclass(frozen=True, kw_only=True)
class ClassPrepareSettings:
    """What to pack and how to split it."""

    data: str
    """Folder, zip file or YAML list of sources."""
    card: str | None = None
    """Name of the dataset card, where the folder has no dataset.yaml."""
    bands: tuple[str, ...] = ()
    """Common names in channel order; empty: all bands that the sources share."""
    split: str = "seeded"
    """``seeded``: stratified by class; ``official``: as the paths of the data set tell; a file with a split; or lists
    of names, see :func:`satsqueeze.data.splits.lists.listed_split`."""
    shares: tuple[float, float, float] = (0.7, 0.15, 0.15)
    """Of training, validation and test images, where the split is seeded."""
    seed: int = 0
    """Of the split."""
    cache: str = ""
    """Folder to pack to, shared by several runs; empty: within the run."""


@dataclass(frozen=True, kw_only=True)
class ClassPrepared:
    """Packed images with their split."""

    cache: PackedCache
    split: ThreeWaySplit
    scaling: Scaling
    """Of the training images only."""

    @property
    def key(self) -> dict[str, Any]:
        """What later stages depend on."""
        return {"data": self.cache.fingerprint, "split": self.split}


def prepare_classes(
    settings: ClassPrepareSettings, run: RunFolder, on_progress: Callable[[int, int], None] | None = None
) -> ClassPrepared:
    """Pack and split; what is done already is read back.

    Raises:
        DataError: see :func:`satsqueeze.data.dataset.open_dataset` and :func:`satsqueeze.data.cache.pack.pack`; or
            labels of pixels.
        SplitError: a class without images, or too few images for the split.
        RunError: the run folder is about other data, bands or splits, or the data has grown since.
    """
    packed = Path(settings.cache).resolve() if settings.cache else CACHE
    home = known_place(run, STAGE, settings.data, card=settings.card, bands=settings.bands, cache=run.path / packed)
    asked = _asked(replace(settings, data=home))
    outputs = (f"{packed}/{MANIFEST}", SPLIT, SCALING, PLACE)
    if run.is_due(STAGE, asked, refusal=other_data(run, STAGE), outputs=outputs):
        started = time.monotonic()
        dataset = open_dataset(settings.data, card=settings.card)
        if dataset.task == SEGMENTATION:
            raise DataError(
                f"{settings.data} has labels of pixels, not of whole images; use 'satsqueeze squeeze' for it, or "
                "another --card"
            )
        place = Path(settings.cache) if settings.cache else run / CACHE
        # What other runs train on is theirs as well.
        cache = pack(
            dataset, place, bands=settings.bands or None, on_progress=on_progress, overwrite=not settings.cache
        )
        split = _split(cache, settings)
        save_class_split(run / SPLIT, split)
        write_json(run / SCALING, scaling_of(cache, split.train).to_dict())
        write_json(run / PLACE, {"cache": settings.cache and str(place.resolve())})
        result = {"images": len(cache), "quarantined": len(cache.quarantine), "test": len(split.test)}
        run.finish(STAGE, asked, result, time.monotonic() - started)
    prepared = load_classes(run)
    require_whole(prepared.cache, settings.data, card=settings.card, run=run)
    return prepared


def _asked(settings: ClassPrepareSettings) -> object:
    """The settings, with what the lists say that they name: lists are corrected now and then."""
    place = Path(settings.split)
    within = sorted([*place.glob("*.csv"), *place.glob("*.txt")])
    lists = within or ([place] if place.is_file() else [])
    return (settings, {path.name: sha256(path) for path in lists}) if lists else settings


def load_classes(run: RunFolder) -> ClassPrepared:
    """Read back what :func:`prepare_classes` made.

    Raises:
        RunError: the stage has not finished.
    """
    shared = read_json(run / PLACE)["cache"]
    return ClassPrepared(
        cache=PackedCache(Path(shared) if shared else run / CACHE),
        split=load_class_split(run / SPLIT),
        scaling=Scaling.from_dict(read_json(run / SCALING)),
    )


def few_labels(prepared: ClassPrepared, *, share: float, seed: int = 0) -> ClassPrepared:
    """The same with a share of the training labels; the statistics stay those of all training images.

    Raises:
        SettingsError: a share outside (0, 1].
        SplitError: a class would be left without an image.
    """
    if share == 1:
        return prepared
    train = fraction(prepared.cache, prepared.split.train, share=share, seed=seed)
    return replace(prepared, split=replace(prepared.split, train=train))


def _split(cache: PackedCache, settings: ClassPrepareSettings) -> ThreeWaySplit:
    if settings.split == "seeded":
        return class_split(cache, shares=settings.shares, seed=settings.seed)
    if settings.split == "official":
        return official_split(cache)
    place = Path(settings.split)
    if place.is_dir() or place.suffix.lower() in (".csv", ".txt", PARQUET):
        return listed_split(cache, place)
    return given_split(cache, place)
