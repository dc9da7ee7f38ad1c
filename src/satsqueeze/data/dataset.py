"""Data sets: the items of one source, or of several mixed."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

import numpy as np

from satsqueeze.core.errors import BandError, CardError, DataError, LabelError
from satsqueeze.core.labels import IGNORE
from satsqueeze.data.cards.card import DatasetCard, GroupTable
from satsqueeze.data.cards.catalogue import card_from, load_card, override, parse_yaml, read_yaml
from satsqueeze.data.cards.pattern import PathPattern, anywhere
from satsqueeze.data.filetree import FileTree, archives_in, list_files, read_bytes
from satsqueeze.data.items.frames import frame_items
from satsqueeze.data.items.indexing import idle_labels, index_items
from satsqueeze.data.items.item import Item, Role
from satsqueeze.data.items.reader import open_item
from satsqueeze.data.scene.raster_file import read_single

__all__ = ["Dataset", "Item", "Role", "open_dataset"]

CARD_FILE = "dataset.yaml"
_LABEL_SAMPLE = 64
_LARGEST_WEIGHT = 1e9
_SOURCE_FIELDS = frozenset({"card", "path", "role", "name", "weight", "overrides"})


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Items with the bands and classes that they share."""

    items: tuple[Item, ...]
    bands: tuple[str, ...]
    """Reflective bands common to all sources, in the order of the first."""
    classes: tuple[str, ...]
    foreground: tuple[int, ...]
    """Classes that count as positive in the headline score."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Sampling weight by source, for sources whose entry states one."""
    idle_labels: tuple[str, ...] = ()
    """Label files that belong to no item."""

    def __len__(self) -> int:
        return len(self.items)

    @property
    def labelled(self) -> tuple[Item, ...]:
        """Items with a mask."""
        return tuple(item for item in self.items if item.labelled)

    @property
    def task(self) -> Literal["segmentation", "classification", "multi-label"]:
        """What labels are of: pixels, or whole images with one class each or any number.

        Raises:
            CardError: the sources differ in it.
        """
        found = {item.card.task for item in self.items} - {"unlabelled"}
        if len(found) > 1:
            raise CardError(
                f"the sources have labels for different tasks ({', '.join(sorted(found))}); pack and train them apart"
            )
        for task in ("classification", "multi-label"):
            if task in found:
                return task
        return "segmentation"

    @property
    def cards(self) -> dict[str, dict[str, Any]]:
        """What the card of each source says, JSON-ready."""
        return {item.source: item.card.reading for item in {one.source: one for one in self.items}.values()}

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources, in order."""
        return tuple(dict.fromkeys(item.source for item in self.items))

    def item(self, item_id: str) -> Item:
        """The item called ``item_id``.

        Raises:
            DataError: there is none.
        """
        found = next((item for item in self.items if item.id == item_id), None)
        if found is None:
            raise DataError(f"the data set has no item {item_id!r}; it has {len(self.items)}: {_first(self.items)}")
        return found


def open_dataset(spec: str | Path, *, card: str | None = None) -> Dataset:
    """Find the items of a data set.

    Args:
        spec: a folder or zip archive (with ``card``, or holding ``dataset.yaml``, or laid out as the card ``folder``
            expects), or a YAML file with ``sources:``, a list of ``{card, path, role, name, weight, overrides}`` whose
            paths, also of card files, are relative to it.
        card: name of a card or path of a card file.

    Raises:
        CardError: unknown card, malformed YAML, or sources whose classes differ.
        RasterError: nothing at ``spec``.
        BandError: no band is common to all sources.
        LabelError: an image with several labels, or masks whose values are ambiguous.
        DataError: no image found, or one twice.
    """
    path = Path(spec).expanduser()
    if path.suffix.lower() in (".yaml", ".yml") and path.is_file():
        record = read_yaml(path)
        if "sources" in record:
            return _mix(record, path)
        path, chosen = path.parent, card_from(record, where=str(path))
        return _combine([_Source(name=chosen.name, card=chosen, path=path)])
    chosen = _card_for(path, card)
    return _combine([_Source(name=chosen.name, card=chosen, path=path)])


@dataclass(frozen=True, kw_only=True)
class _Source:
    name: str
    card: DatasetCard
    path: Path
    role: Role = "evaluate"
    weight: float | None = None


def _card_for(path: Path, card: Any) -> DatasetCard:
    if card not in (None, "folder"):
        return load_card(str(card))
    tree = list_files(path)
    own = min((file for file in tree.files if PurePosixPath(file).name == CARD_FILE), key=len, default=None)
    if own is None:
        return load_card("folder")
    return card_from(parse_yaml(read_bytes(tree.files[own]), where=own), where=own)


def _mix(record: Mapping[str, Any], path: Path) -> Dataset:
    entries = record["sources"]
    if set(record) != {"sources"} or not isinstance(entries, list) or not entries:
        raise CardError(f"{path}: expected only 'sources', a list of {{card, path, role}}, got {', '.join(record)}")
    sources = [_source(entry, f"{path}: source {number}", path.parent) for number, entry in enumerate(entries, 1)]
    names = [source.name for source in sources]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise CardError(f"{path}: several sources are called {', '.join(repeated)}; give each its own 'name'")
    return _combine(sources)


def _source(entry: Any, where: str, folder: Path) -> _Source:
    if not isinstance(entry, dict) or "path" not in entry or not set(entry) <= _SOURCE_FIELDS:
        raise CardError(f"{where}: expected 'path' and some of {', '.join(sorted(_SOURCE_FIELDS))}, got {entry}")
    role = entry.get("role", "evaluate")
    if role not in get_args(Role):
        raise CardError(f"{where}: role must be one of {', '.join(get_args(Role))}, got {role!r}")
    weight = entry.get("weight")
    if weight is not None and not (isinstance(weight, int | float) and 0 < weight <= _LARGEST_WEIGHT):
        raise CardError(f"{where}: weight must be a positive number, got {weight!r}")
    path = folder / Path(str(entry["path"])).expanduser()
    named = entry.get("card")
    is_file = isinstance(named, str) and named.endswith((".yaml", ".yml"))
    card = _card_for(path, str(folder / str(named)) if is_file else named)
    overrides = entry.get("overrides") or {}
    if not isinstance(overrides, dict):
        raise CardError(f"{where}: overrides must be fields of a card with their values, got {overrides!r}")
    card = override(card, overrides, where=where)
    name = str(entry.get("name", card.name))
    if "/" in name:
        raise CardError(f"{where}: a source name cannot hold '/', got {name!r}")
    return _Source(name=name, card=card, path=path, role=role, weight=weight)


def _combine(sources: Sequence[_Source]) -> Dataset:
    found = [(source, *_items(source)) for source in sources]
    items = [replace(item, role=source.role) for source, own, _ in found for item in own]
    bands = [_bands_of(source, items) for source in sources]
    common = tuple(name for name in bands[0] if all(name in others for others in bands))
    if not common:
        listed = "; ".join(f"{source.name}: {', '.join(names)}" for source, names in zip(sources, bands, strict=True))
        raise BandError(f"the sources have no band in common ({listed}); leave one out")
    first, *others = [source for source in sources if source.card.label_kind in ("mask", "constant")] or sources
    for other in others:
        if other.card.classes != first.card.classes:
            raise CardError(
                f"sources have different classes: {first.name}: {', '.join(first.card.classes)}; {other.name}: "
                f"{', '.join(other.card.classes)}. Map them with 'overrides: {{classes: ..., label_map: ...}}'"
            )
    require_unambiguous_labels(items)
    return Dataset(
        items=tuple(items),
        bands=common,
        classes=first.card.classes,
        foreground=first.card.foreground,
        weights={source.name: float(source.weight) for source in sources if source.weight is not None},
        idle_labels=tuple(label for *_, idle in found for label in idle),
    )


def require_unambiguous_labels(items: Sequence[Item]) -> None:
    """Refuse masks of 0 and 255 only, unless their card says what 255 means.

    Raises:
        LabelError: 255 could mean cloud or "ignore".
    """
    open_question = [
        item for item in items if item.label and item.card.label_kind == "mask" and not item.card.label_map
    ]
    sample = [item for item in open_question if item.card.ignore is None]
    step = -(-len(sample) // _LABEL_SAMPLE) or 1
    seen: set[int] = set()
    for item in sample[::step]:
        with suppress(DataError):
            values = np.unique(read_single(str(item.label), item.card.label_band))
            seen.update(int(value) for value in values if np.isfinite(value))
    if seen and seen <= {0, IGNORE} and IGNORE in seen:
        raise LabelError(
            f"the masks, such as {sample[0].label}, hold only 0 and 255, and 255 could mean cloud or 'ignore'. State "
            "it in dataset.yaml: 'label_map: {0: 0, 255: 1}' for cloud, or 'ignore: 255'"
        )


def _items(source: _Source) -> tuple[tuple[Item, ...], tuple[str, ...]]:
    """Items, and labels that are of none of them."""
    trees: Iterator[FileTree] = _trees(source.path)
    for tree in trees:
        card = source.card
        groups, dates = _table(tree, card.group_table), _table(tree, card.date_table)
        found = index_items(tree, card, source.name, groups=groups, dates=dates)
        if found:
            items = found if card.arrays is None else frame_items(found, tree, card)
            return items, idle_labels(tree, card, found)
    raise DataError(
        f"no image of card '{source.card.name}' under {source.path}; expected paths like {source.card.images}. "
        "Check the folder, choose another --card, or state 'images' in dataset.yaml"
    )


def _trees(path: Path) -> Iterator[FileTree]:
    """The folder or archive itself; then all archives in it, together."""
    tree = list_files(path)
    yield tree
    archives = [list_files(archive) for archive in archives_in(path)]
    if archives:
        files = {name: opened for archive in archives for name, opened in archive.files.items()}
        yield FileTree(root=archives[0].root if len(archives) == 1 else tree.root, files=files)


def _table(tree: FileTree, table: GroupTable | None) -> Mapping[str, str]:
    if table is None:
        return {}
    pattern = PathPattern(anywhere(table.file))
    file = next((path for path in tree.files if pattern.match(path)), None)
    if file is None:
        return {}
    rows = csv.DictReader(io.StringIO(read_bytes(tree.files[file]).decode("utf-8-sig", errors="replace")))
    if not {table.key, table.value} <= set(rows.fieldnames or ()):
        raise CardError(f"{file} needs the columns {table.key} and {table.value}, got {rows.fieldnames}")
    return {row[table.key]: row[table.value] for row in rows}


def _bands_of(source: _Source, items: Iterable[Item]) -> tuple[str, ...]:
    if source.card.bands and not source.card.layouts:
        return source.card.band_names
    problem: DataError | None = None
    for item in (item for item in items if item.source == source.name):
        try:
            with open_item(item) as reader:
                return reader.bands.names
        except DataError as error:
            problem = problem or error
    if source.card.bands or problem is None:
        return source.card.band_names
    raise problem


def _first(items: Sequence[Item]) -> str:
    return ", ".join(item.id for item in items[:3]) + (", ..." if len(items) > 3 else "")
