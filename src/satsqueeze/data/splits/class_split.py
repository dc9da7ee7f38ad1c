"""Training, validation and test images where labels belong to whole images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import RunError, SettingsError, SplitError
from satsqueeze.core.files import read_json, write_json
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.splits.split import PARTS, ThreeWaySplit, partition

FORMAT_VERSION = 1


def class_split(
    cache: PackedCache, *, shares: tuple[float, float, float] = (0.7, 0.15, 0.15), seed: int = 0
) -> ThreeWaySplit:
    """Parts in about these shares, each class spread evenly; images of one group stay together.

    Images of role ``train`` are trained on, unless they share a group with one that is not.

    Args:
        cache: images with their classes.
        shares: of training, validation and test images.
        seed: of the order among equals.

    Raises:
        SplitError: a class without an image in every part, or fewer groups than parts.
    """
    evaluated = [entry for entry in cache.entries if entry.role == "evaluate"]
    parts = partition(evaluated, shares=shares, seed=seed)
    held = {group for entry in evaluated for group in entry.groups}
    extra = [entry.id for entry in cache.entries if entry.role == "train" and held.isdisjoint(entry.groups)]
    split = ThreeWaySplit(train=(*parts[0], *extra), validation=parts[1], test=parts[2])
    require_every_class(cache, split)
    return split


def official_split(cache: PackedCache) -> ThreeWaySplit:
    """The parts that the data set itself states by the paths of its files: ``train``, ``val...`` and ``test``.

    Raises:
        SplitError: images without a part or in another one, or a class that a part lacks.
    """
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    strange: dict[str, str] = {}
    for entry in cache.entries:
        name = "validation" if entry.part.casefold().startswith("val") else entry.part.casefold()
        if name in parts:
            parts[name].append(entry.id)
        else:
            strange[entry.id] = entry.part
    if strange:
        first, part = next(iter(strange.items()))
        raise SplitError(
            f"{len(strange)} images are in no official part, such as {first} (part {part!r}); expected train, "
            "validation or test in the paths, as the card's {split}. Make a split instead"
        )
    split = ThreeWaySplit(**{part: tuple(ids) for part, ids in parts.items()})
    require_every_class(cache, split)
    return split


def require_every_class(cache: PackedCache, split: ThreeWaySplit) -> None:
    """Check that there are images to train on, and that each part that holds images holds every class.

    Raises:
        SplitError: no image to train on, or a class has no image in a part, or none at all.
        DataError: an image is not in the cache.
    """
    total = cache.targets.sum(axis=0)
    empty = [name for name, count in zip(cache.classes, total, strict=True) if not count]
    if empty:
        raise SplitError(
            f"the class(es) {', '.join(empty)} have no image among {len(cache)}{_left_out(cache)}; add images, or "
            "leave the class out of 'classes' in dataset.yaml"
        )
    if not split.train:
        raise SplitError(
            f"the split has no image to train on{_left_out(cache)}; name some as the part 'train', or make a split "
            "instead: --split seeded"
        )
    for part in PARTS:
        ids: tuple[str, ...] = getattr(split, part)
        positions = [cache.position(item_id) for item_id in ids]
        present: NDArray[np.float32] = cache.targets[positions].max(axis=0, initial=0)
        lacking = [name for name, found in zip(cache.classes, present, strict=True) if not found]
        if ids and lacking:
            counts = ", ".join(f"{name} ({int(total[cache.classes.index(name)])} images)" for name in lacking)
            raise SplitError(
                f"the {part} part of {len(ids)} images lacks {counts}{_left_out(cache)}; expected every class in every "
                "part. Add images, leave the class out of 'classes' in dataset.yaml, or give the part more images"
            )


def _left_out(cache: PackedCache) -> str:
    """That images could not be used, which may be all of a class."""
    if not cache.quarantine:
        return ""
    first = cache.quarantine[0]
    return f" ({len(cache.quarantine)} more were left out, such as {first.id}: {first.reason})"


def fraction(cache: PackedCache, ids: Sequence[str], *, share: float, seed: int) -> tuple[str, ...]:
    """A share of the images, of every class alike; a smaller share is part of a larger one with the same seed.

    Raises:
        SettingsError: a share outside (0, 1].
        SplitError: a class of the images would be left without one.
        DataError: an image is not in the cache.
    """
    if not 0 < share <= 1:
        raise SettingsError(f"the share of labels must lie in (0, 1], got {share}")
    ordered = _dealt(cache, ids, seed)
    kept = ordered[: round(share * len(ids))]
    targets = cache.targets[[cache.position(item_id) for item_id in ordered]]
    lacking = np.flatnonzero((targets.sum(axis=0) > 0) & (targets[: len(kept)].sum(axis=0) == 0))
    if len(lacking):
        needed = 1 + int(max(targets[:, lacking].argmax(axis=0)))
        raise SplitError(
            f"{share:g} of {len(ids)} labels are {len(kept)}, which leaves "
            f"{', '.join(cache.classes[value] for value in lacking)} without an image; ask for a share of at least "
            f"{needed / len(ids):.6g}, or take another seed"
        )
    return tuple(sorted(kept))


def apart_from(cache: PackedCache, split: ThreeWaySplit, other: PackedCache) -> ThreeWaySplit:
    """The split without the images that show a place of another cache: none shares a group with it.

    Raises:
        SplitError: a part is left without a class, or without any image.
        DataError: an image is not in the cache.
    """
    seen = {group for entry in other.entries for group in entry.groups}
    groups = {entry.id: entry.groups for entry in cache.entries}
    parts = {part: tuple(i for i in getattr(split, part) if seen.isdisjoint(groups.get(i, ()))) for part in PARTS}
    for part, ids in parts.items():
        whole: tuple[str, ...] = getattr(split, part)
        if whole and not ids:
            raise SplitError(
                f"the other data set shows the places of all {len(whole)} images of the {part} part, such as "
                f"{whole[0]}; expected some that it does not show. Take data of other places, or leave some out there"
            )
    kept = ThreeWaySplit(**parts)
    require_every_class(cache, kept)
    return kept


def _dealt(cache: PackedCache, ids: Sequence[str], seed: int) -> list[str]:
    """The images in an order of which every beginning holds about the same share of each set of classes."""
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed)))
    by_class: dict[tuple[int, ...], list[str]] = {}
    for place in generator.permutation(len(ids)):
        by_class.setdefault(cache.entries[cache.position(ids[place])].targets, []).append(ids[place])
    # Each set's images stand at equal distances, from a start of its own, so that rare sets do not all come late.
    places = {
        item_id: (rank + start) / len(members)
        for members, start in zip(by_class.values(), generator.random(len(by_class)), strict=True)
        for rank, item_id in enumerate(members)
    }
    return sorted(places, key=places.__getitem__)


def save_class_split(path: Path, split: ThreeWaySplit) -> None:
    """Write a split as JSON."""
    write_json(path, {"format_version": FORMAT_VERSION, **{part: list(getattr(split, part)) for part in PARTS}})


def load_class_split(path: Path) -> ThreeWaySplit:
    """Read what :func:`save_class_split` wrote.

    Raises:
        RunError: absent, malformed, or of another version.
    """
    record = read_json(path)
    try:
        if record["format_version"] != FORMAT_VERSION:
            raise RunError(
                f"{path} has format {record['format_version']}, this satsqueeze reads {FORMAT_VERSION}; make the split "
                "again"
            )
        return ThreeWaySplit(**{part: tuple(map(str, record[part])) for part in PARTS})
    except (KeyError, TypeError) as error:
        raise RunError(
            f"{path} holds no split ({error!r}); check the path; if the file is damaged, remove it and make the split "
            "again"
        ) from error


def require_one_part_each(split: ThreeWaySplit, place: Path) -> None:
    """Refuse a split that somebody wrote and that lists an image twice.

    Raises:
        SplitError: it does.
    """
    seen: dict[str, str] = {}
    for part in PARTS:
        for item_id in getattr(split, part):
            if item_id in seen:
                raise SplitError(f"{place} lists {item_id} in {seen[item_id]} and in {part}; an image has one part")
            seen[item_id] = part


def require_known(place: Path, absent: Sequence[str], *, listed: int) -> None:
    """Refuse a split that somebody wrote and that lists images which the data set does not have.

    Args:
        place: of the split.
        absent: names of such images.
        listed: number of all images that it lists.

    Raises:
        SplitError: there are any.
    """
    if absent:
        raise SplitError(
            f"{len(absent)} of the {listed} images that {place} lists are not in the data set, such as "
            f"{', '.join(absent[:3])}; fetch them, or take them off the list"
        )


def given_split(cache: PackedCache, path: Path) -> ThreeWaySplit:
    """The split that somebody names, in the form of :func:`save_class_split`.

    Images that were quarantined when the data set was packed are left out of their part.

    Raises:
        SplitError: no split, images that the data set does not have, or that are listed twice, or a class that a part
            lacks.
    """
    listed = read_split(path)
    require_one_part_each(listed, path)
    names = {name for part in PARTS for name in getattr(listed, part)}
    aside = {entry.id for entry in cache.quarantine}
    require_known(path, sorted(names - aside - set(cache.ids)), listed=len(names))
    parts = {part: tuple(name for name in getattr(listed, part) if name not in aside) for part in PARTS}
    split = ThreeWaySplit(**parts)
    require_every_class(cache, split)
    return split


def read_split(path: Path) -> ThreeWaySplit:
    """Read a split that somebody names: a file that is theirs, whatever it holds.

    Raises:
        SplitError: absent, or no split.
    """
    try:
        return load_class_split(path)
    except RunError as error:
        cause = error.__cause__ or error
        raise SplitError(
            f"{path} holds no split that can be read ({type(cause).__name__}: {cause}); expected what a run writes as "
            "data/split.json. Check the path"
        ) from error
