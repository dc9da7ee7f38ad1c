"""The data stage: pack a data set, split it by scene, take its fingerprint."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from satsqueeze.core.errors import DataError, RunError, SettingsError
from satsqueeze.core.files import read_json, write_json
from satsqueeze.core.run import RunFolder
from satsqueeze.data.cache.fingerprint import Fingerprint, fingerprint
from satsqueeze.data.cache.growth import known_place, other_data, require_whole
from satsqueeze.data.cache.pack import pack
from satsqueeze.data.cache.packed import MANIFEST, SEGMENTATION, PackedCache
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.splits.split import Split, grouped_folds, holdout, load_splits, save_splits, stated_test

STAGE = "data"
CACHE, SPLITS, FINGERPRINT = "data/cache", "data/splits.json", "fingerprint.json"
OUTPUTS = (f"{CACHE}/{MANIFEST}", SPLITS, FINGERPRINT)


@dataclass(frozen=True, kw_only=True)
class PrepareSettings:
    """What to pack and how to split it."""

    data: str
    """Folder, zip file or YAML list of sources."""
    card: str | None = None
    """Name of the dataset card, where the folder has no dataset.yaml."""
    bands: tuple[str, ...] = ()
    """Common names in channel order; empty: all bands that the sources share."""
    folds: int = 3
    """Folds of the teacher ensemble, by scene."""
    test_share: float = 0.2
    """Share of the scenes that nothing is trained or chosen on, unless paths state which images are for training,
    validation and test: then it is the latter, and folds are of the others."""
    seed: int = 0
    """Of everything that is drawn; the same seed gives the same result on one machine."""

    def __post_init__(self) -> None:
        if self.folds < 2 or not 0 < self.test_share < 1:
            raise SettingsError(
                f"at least 2 folds and a test share in (0, 1) are needed, got {self.folds} and {self.test_share}"
            )


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Packed data with its splits."""

    cache: PackedCache
    fingerprint: Fingerprint
    """Of the training images only."""
    test: tuple[str, ...]
    """Items that were set aside."""
    folds: tuple[Split, ...]
    """Splits of all other items."""

    @property
    def learnable(self) -> tuple[str, ...]:
        """Items of all folds, labelled or not, sorted: none is of a scene that is tested on."""
        return tuple(sorted({name for fold in self.folds for name in (*fold.train, *fold.validation)}))

    @property
    def key(self) -> dict[str, Any]:
        """What later stages depend on."""
        return {"data": self.cache.fingerprint, "test": self.test, "folds": self.folds}


def prepare(
    settings: PrepareSettings, run: RunFolder, on_progress: Callable[[int, int], None] | None = None
) -> Prepared:
    """Pack, split and fingerprint; what is done already is read back.

    Raises:
        DataError: see :func:`satsqueeze.data.dataset.open_dataset` and :func:`satsqueeze.data.cache.pack.pack`; or
            labels of whole images.
        SplitError: too few scenes for the split.
        RunError: the run folder is about other data, bands or splits, or the data has grown since.
    """
    place = known_place(run, STAGE, settings.data, card=settings.card, bands=settings.bands, cache=run / CACHE)
    asked = replace(settings, data=place)
    if run.is_due(STAGE, asked, refusal=other_data(run, STAGE), outputs=OUTPUTS):
        started = time.monotonic()
        dataset = open_dataset(settings.data, card=settings.card)
        if dataset.task != SEGMENTATION:
            raise DataError(
                f"{settings.data} has labels of whole images ({dataset.task}), not of pixels; use 'satsqueeze zoo "
                "train' for it, or another --card"
            )
        cache = pack(dataset, run / CACHE, bands=settings.bands or None, on_progress=on_progress)
        aside = stated_test(cache.entries) or holdout(cache.entries, share=settings.test_share, seed=settings.seed)
        kept = set(aside.train)
        rest = [entry for entry in cache.entries if entry.id in kept]
        folds = grouped_folds(rest, folds=settings.folds, seed=settings.seed)
        save_splits(run / SPLITS, (aside, *folds))
        found = fingerprint(cache, aside.train).to_dict()
        result = {"items": len(cache.entries), "quarantined": len(cache.quarantine), "test": len(aside.validation)}
        write_json(run / FINGERPRINT, found)
        run.finish(STAGE, asked, result, time.monotonic() - started)
    prepared = load_prepared(run)
    require_whole(prepared.cache, settings.data, card=settings.card, run=run)
    return prepared


def load_prepared(run: RunFolder) -> Prepared:
    """Read back what :func:`prepare` made.

    Raises:
        RunError: the stage has not finished, or what it made is gone.
    """
    lost = run.lost(OUTPUTS)
    if lost and run.has(STAGE):
        raise RunError(
            f"{run / lost[0]} is gone; make it again with the 'satsqueeze squeeze', 'plan' or 'fingerprint' that made "
            f"{run.path} (its data and settings stand in {run / f'stages/{STAGE}.json'})"
        )
    aside, *folds = load_splits(run / SPLITS)
    return Prepared(
        cache=PackedCache(run / CACHE),
        fingerprint=Fingerprint.from_dict(read_json(run / FINGERPRINT)),
        test=aside.validation,
        folds=tuple(folds),
    )
