"""Official splits as lists of image names, as BigEarthNet and SEN12MS publish them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

from satsqueeze.core.errors import SplitError
from satsqueeze.data.cache.packed import PackedCache
from satsqueeze.data.cards.pattern import PathPattern, fill
from satsqueeze.data.splits.class_split import require_every_class, require_known, require_one_part_each
from satsqueeze.data.splits.split import PARTS, ThreeWaySplit

HEADS = frozenset({"patch_id", "patch", "patch_name", "name", "image", "id"})
"""Of the column of names, where a file has a first line of column names."""
FILES = {"train": ("train",), "validation": ("val", "validation"), "test": ("test",)}
"""Names of each part."""
ENDINGS = (".csv", ".txt", "_list.txt")
"""What follows them in names of files."""
PARQUET = ".parquet"


def listed_split(cache: PackedCache, place: Path) -> ThreeWaySplit:
    """The parts that lists of names state; images that no list names are in no part.

    Images that were quarantined when the data set was packed are left out of their part.

    Args:
        cache: images, known by their id or the last part of it, such as a patch's name, with the suffix of a file or
            without; or by what the ``listed`` of their card says.
        place: a folder with ``train.csv``, ``val.csv`` and ``test.csv``, of which the first column counts, or the same
            as ``.txt`` or ``_list.txt``; or one CSV or Parquet file with a column of names (``patch_id``) and a column
            ``split``.

    Raises:
        SplitError: no list, a name that the data set does not have or has twice, a name in two parts, a class that a
            part lacks, or a Parquet file where nothing reads these.
    """
    parts = _of_folder(place) if place.is_dir() else _of_table(place)
    known = _known(cache)
    meant = _meant(cache, known, [name for names in parts.values() for name in names])
    absent = [name for name in meant if meant[name] not in known]
    require_known(place, absent, listed=sum(map(len, parts.values())))
    named = {part: [meant[name] for name in names] for part, names in parts.items()}
    split = ThreeWaySplit(**{part: _ids(names, known, place) for part, names in named.items()})
    require_one_part_each(split, place)
    require_every_class(cache, split)
    return split


def _known(cache: PackedCache) -> dict[str, list[str]]:
    """Ids by every name that a list may use; none for what was quarantined."""
    known: dict[str, list[str]] = {}
    for item_id in cache.ids:
        for name in {item_id, item_id.rpartition("/")[2]}:
            known.setdefault(name, []).append(item_id)
    for entry in cache.quarantine:
        for name in (entry.id, entry.id.rpartition("/")[2]):
            known.setdefault(name, [])
    return known


def _meant(cache: PackedCache, known: Mapping[str, Sequence[str]], listed: Sequence[str]) -> dict[str, str]:
    """Which item's name each listed name stands for: itself, what the card makes of it, or itself without suffix."""
    cards = [card for card in cache.cards.values() if card.get("listed")]
    rules = [(PathPattern(card["listed"]), card["item"]) for card in cards]
    meant: dict[str, str] = {}
    for name in listed:
        found = ((rule.match(name), item) for rule, item in rules)
        filled = next((fill(item, captured) for captured, item in found if captured is not None), "")
        bare = name.rpartition(".")[0]
        meant[name] = next((other for other in (name, filled, bare) if other in known), name)
    return meant


def _ids(names: Sequence[str], known: Mapping[str, Sequence[str]], place: Path) -> tuple[str, ...]:
    for name in names:
        if len(known[name]) > 1:
            raise SplitError(
                f"{place} lists {name}, which the data set has {len(known[name])} times: {', '.join(known[name])}; "
                "list these names instead"
            )
    return tuple(sorted({item_id for name in names for item_id in known[name]}))


def _of_folder(folder: Path) -> dict[str, list[str]]:
    parts: dict[str, list[str]] = {}
    for part, stems in FILES.items():
        names = [stem + ending for stem in stems for ending in ENDINGS]
        paths = [path for name in names if (path := folder / name).is_file()]
        parts[part] = [name for path in paths for name in _column(path)]
    if not parts["train"]:
        raise SplitError(
            f"{folder} holds no list of training images; expected train.csv, val.csv and test.csv there, "
            "or the same as .txt"
        )
    return parts


def _column(path: Path) -> list[str]:
    """Names in the first column of a file, without its head if it has one."""
    names = [row[0] for row in _rows(path)]
    return names[1:] if names and names[0].casefold() in HEADS else names


def _of_table(path: Path) -> dict[str, list[str]]:
    rows = _parquet_rows(path) if path.suffix.lower() == PARQUET else _rows(path)
    heads = [cell.casefold() for cell in rows[0]] if rows else []
    name = next((column for column, head in enumerate(heads) if head in HEADS), None)
    if name is None or "split" not in heads:
        raise SplitError(
            f"{path} needs a first line with a column of names ({', '.join(sorted(HEADS))}) and a column split, got "
            f"{', '.join(heads) or 'nothing'}"
        )
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    for row in rows[1:]:
        stated = row[heads.index("split")].strip().casefold() if len(row) == len(heads) else ""
        part = next((part for part, stems in FILES.items() if stated in stems), None)
        if part is None:
            raise SplitError(f"{path} puts {row[0]} into the part {stated!r}; expected train, validation or test")
        parts[part].append(row[name])
    return parts


def _parquet_rows(path: Path) -> list[list[str]]:
    """Names of the columns of names and parts, then their cells, as a CSV file would have them."""
    try:
        parquet = import_module("pyarrow.parquet")
    except ImportError as error:
        raise SplitError(
            f"{path} is a Parquet file, which pyarrow would read if it were installed. Install it, or write the file "
            f"as CSV where pandas can read it: pandas.read_parquet({path.name!r})[['patch_id', 'split']]"
            f".to_csv({path.with_suffix('.csv').name!r}, index=False); then state --split {path.with_suffix('.csv')}"
        ) from error
    try:
        table = parquet.read_table(path)
    except (OSError, ValueError, NotImplementedError) as error:  # what pyarrow raises is of one of these kinds
        raise SplitError(f"{path} cannot be read as a Parquet file: {error}; fetch it again") from error
    heads = [head for head in table.column_names if head.casefold() in {*HEADS, "split"}]
    columns = [table.column(head).to_pylist() for head in heads]
    return [heads, *([str(cell) for cell in cells] for cells in zip(*columns, strict=True))]


def _rows(path: Path) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            return [[cell.strip() for cell in row] for row in csv.reader(handle) if row and row[0].strip()]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SplitError(f"{path} cannot be read as a list of names: {error}") from error
