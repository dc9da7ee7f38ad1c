"""Splits that never put one scene on two sides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import RunError, SplitError
from satsqueeze.core.files import read_json, write_json

FORMAT_VERSION = 1


class Grouped(Protocol):
    """What a split needs to know of an item; both ``Item`` and ``CacheEntry`` fit."""

    @property
    def id(self) -> str:
        """Unique name."""
        ...

    @property
    def source(self) -> str:
        """Where it comes from."""
        ...

    @property
    def groups(self) -> tuple[str, ...]:
        """All scenes it derives from."""
        ...

    @property
    def stratum(self) -> str:
        """What to balance."""
        ...

    @property
    def role(self) -> str:
        """``evaluate`` items are validated on, ``train`` items never."""
        ...


PARTS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class Split:
    """Names of the items on both sides."""

    train: tuple[str, ...]
    validation: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ThreeWaySplit(Split):
    """Names of the images to train on, to choose by, and to report on."""

    test: tuple[str, ...] = ()


def grouped_folds(items: Sequence[Grouped], *, folds: int, seed: int) -> tuple[Split, ...]:
    """Folds in which each labelled ``evaluate`` item is validated on once.

    Items that share a group, also through others, stay together. An item that shares a group with a validation item
    is on neither side's training part. Sources, strata and (where known) classes are spread evenly by a greedy
    assignment, largest groups first; a pure function of its arguments.

    Args:
        items: all items; unlabelled ones are only trained on.
        folds: number of folds, at least 2.
        seed: of the order among equals.

    Raises:
        SplitError: fewer separate groups than folds, or a side that holds one class only.
    """
    validated = [item for item in items if item.role == "evaluate" and getattr(item, "labelled", True)]
    clusters = _clusters(validated)
    if folds < 2 or len(clusters) < folds:
        raise SplitError(
            f"cannot make {folds} folds from {len(validated)} items in {len(clusters)} separate groups; expected at "
            "least 2 folds and as many groups as folds. Use fewer folds, or add scenes"
        )
    assigned = _assign(clusters, np.full(folds, 1 / folds), seed)
    splits = tuple(_split(items, [item for cluster in part for item in cluster]) for part in assigned)
    for number, split in enumerate(splits):
        require_classes(split, items, name=f"fold {number}")
    return splits


def holdout(items: Sequence[Grouped], *, share: float, seed: int) -> Split:
    """One split with about ``share`` of the ``evaluate`` items for validation; see :func:`grouped_folds`.

    Raises:
        SplitError: a share outside (0, 1), fewer than 2 separate groups, or a side that holds one class only.
    """
    validated = [item for item in items if item.role == "evaluate" and getattr(item, "labelled", True)]
    if items and not validated:
        raise SplitError(
            f"none of {len(items)} images has a label to be scored by; put masks where the card looks for them "
            "('satsqueeze data describe' tells), or correct 'labels' in dataset.yaml"
        )
    clusters = _clusters(validated)
    if not 0 < share < 1 or len(clusters) < 2:
        raise SplitError(
            f"cannot hold out a share of {share} of {len(validated)} items in {len(clusters)} separate groups; "
            "expected a share in (0, 1) and at least 2 groups. Add scenes"
        )
    assigned = _assign(clusters, np.array([1 - share, share]), seed)
    split = _split(items, [item for cluster in assigned[1] for item in cluster])
    require_classes(split, items, name="the split")
    return split


def stated_test(items: Sequence[Grouped]) -> Split | None:
    """The test images that paths state on the validation side, all other scenes on the other; None where paths do not
    tell images for training, validation and test apart.

    Raises:
        SplitError: a side that holds one class only.
    """  # noqa: D205 - one thought
    if {getattr(item, "part", "") for item in items} != set(PARTS):
        return None
    split = _split(items, [item for item in items if getattr(item, "part", "") == "test"])
    require_classes(split, items, name="the stated split")
    return split


def partition(items: Sequence[Grouped], *, shares: Sequence[float], seed: int) -> tuple[tuple[str, ...], ...]:
    """Names of the items of each part, in about these shares, as evenly as :func:`grouped_folds` spreads them.

    Raises:
        SplitError: shares that are not positive or do not sum to 1, or fewer separate groups than parts.
    """
    clusters = _clusters(items)
    if min(shares, default=0) <= 0 or abs(sum(shares) - 1) > 1e-9 or len(clusters) < len(shares):
        raise SplitError(
            f"cannot part {len(items)} items in {len(clusters)} separate groups into shares of {list(shares)}; "
            "expected positive shares that sum to 1 and at least as many groups. Add scenes, or ask for other shares"
        )
    assigned = _assign(clusters, np.array(shares), seed)
    return tuple(tuple(sorted(item.id for cluster in part for item in cluster)) for part in assigned)


def require_classes(split: Split, items: Iterable[Grouped], *, name: str) -> None:
    """Check that both sides hold at least two classes, where items know their class pixels.

    Raises:
        SplitError: a side with a single class, on which nothing can be learnt or scored.
    """
    pixels: dict[str, Any] = {item.id: getattr(item, "class_pixels", None) for item in items}
    for side, ids in (("training", split.train), ("validation", split.validation)):
        known: list[Any] = [pixels[item_id] for item_id in ids if pixels.get(item_id) is not None]
        if not known:
            continue
        present = np.flatnonzero(np.sum(known, axis=0))
        if len(present) < 2:
            only = f"only class {int(present[0])}" if len(present) else "no labelled pixel"
            raise SplitError(
                f"the {side} side of {name} holds {only} in its {len(known)} items; expected at least two classes. Use "
                "another seed, fewer folds, or add scenes with the missing classes"
            )


def save_splits(path: Path, splits: Sequence[Split]) -> None:
    """Write splits as JSON."""
    rows = [{"train": list(split.train), "validation": list(split.validation)} for split in splits]
    write_json(path, {"format_version": FORMAT_VERSION, "splits": rows})


def load_splits(path: Path) -> tuple[Split, ...]:
    """Read what :func:`save_splits` wrote.

    Raises:
        RunError: absent, malformed, or of another version.
    """
    record = read_json(path)
    try:
        if record["format_version"] != FORMAT_VERSION:
            raise RunError(
                f"{path} has format {record['format_version']}, this satsqueeze reads {FORMAT_VERSION}; make the "
                "splits again"
            )
        return tuple(Split(train=tuple(row["train"]), validation=tuple(row["validation"])) for row in record["splits"])
    except (KeyError, TypeError) as error:
        raise RunError(f"{path} holds no splits ({error!r}); remove it and make the splits again") from error


def _clusters(items: Sequence[Grouped]) -> list[list[Grouped]]:
    """Items connected through shared groups, by union-find."""
    parent: dict[str, str] = {}

    def root(group: str) -> str:
        while parent.setdefault(group, group) != group:
            parent[group] = group = parent[parent[group]]
        return group

    for item in items:
        for group in item.groups[1:]:
            parent[root(group)] = root(item.groups[0])
    clusters: dict[str, list[Grouped]] = {}
    for item in sorted(items, key=lambda item: item.id):
        clusters.setdefault(root(item.groups[0]), []).append(item)
    return list(clusters.values())


def _assign(clusters: Sequence[list[Grouped]], shares: NDArray[np.float64], seed: int) -> list[list[list[Grouped]]]:
    """Give each cluster to the part that it brings closest to its share of everything to be balanced."""
    wanted = _features(clusters)
    generator = np.random.Generator(np.random.Philox(key=[seed, 0]))
    order = sorted(range(len(clusters)), key=lambda i: (-len(clusters[i]), generator.random()))
    loads = np.zeros((len(shares), wanted.shape[1]))
    parts: list[list[list[Grouped]]] = [[] for _ in shares]
    for index in order:
        after = loads + wanted[index]
        target = shares[:, None]
        gain = ((after - target) ** 2 - (loads - target) ** 2).sum(axis=1)
        empty = np.array([not part for part in parts])
        remaining = len(order) - sum(len(part) for part in parts)
        if remaining <= int(empty.sum()):
            gain = np.where(empty, gain, np.inf)
        chosen = int(gain.argmin())
        loads[chosen] += wanted[index]
        parts[chosen].append(clusters[index])
    return parts


def _features(clusters: Sequence[list[Grouped]]) -> NDArray[np.float64]:
    """What to balance: items, sources, strata and class pixels, each as a share of its total; (clusters, features)."""
    rows: list[dict[str, float]] = []
    for cluster in clusters:
        row: dict[str, float] = {"items": float(len(cluster))}
        for item in cluster:
            for key in (f"source {item.source}", f"stratum {item.source} {item.stratum}"):
                row[key] = row.get(key, 0.0) + 1.0
            pixels: Any = getattr(item, "class_pixels", ())
            for value, count in enumerate(pixels):
                key = f"class {value}"
                row[key] = row.get(key, 0.0) + count / max(sum(pixels), 1)
        rows.append(row)
    names = sorted({name for row in rows for name in row})
    table = np.array([[row.get(name, 0.0) for name in names] for row in rows])
    totals = table.sum(axis=0)
    scaled: NDArray[np.float64] = table[:, totals > 0] / totals[totals > 0]
    return scaled


def _split(items: Sequence[Grouped], validation: Sequence[Grouped]) -> Split:
    held = {group for item in validation for group in item.groups}
    ids = {item.id for item in validation}
    train = [item.id for item in items if item.id not in ids and held.isdisjoint(item.groups)]
    return Split(train=tuple(sorted(train)), validation=tuple(sorted(ids)))
