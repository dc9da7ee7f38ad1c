"""Joining files to items by the path patterns of a card."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from satsqueeze.core.errors import CardError, DataError, LabelError
from satsqueeze.data.cards.card import DatasetCard
from satsqueeze.data.cards.pattern import PathPattern, compiled, fill, join_key
from satsqueeze.data.filetree import FileTree, list_files
from satsqueeze.data.items.acquisition import date_in_name, normal_date
from satsqueeze.data.items.item import Item

_FOLDER_NAMES = ("above", "split")


@dataclass
class _Found:
    captured: dict[str, str]
    files: dict[str, str] = field(default_factory=dict)


def index_items(
    tree: FileTree,
    card: DatasetCard,
    source: str,
    *,
    groups: Mapping[str, str] | None = None,
    dates: Mapping[str, str] | None = None,
) -> tuple[Item, ...]:
    """The items that a card finds among files, sorted by name; empty where nothing matches.

    Args:
        tree: the files.
        card: whose patterns to apply.
        source: name for the items.
        groups: from what the ``group`` template gives to the group, where a table says so.
        dates: likewise to the date.

    Raises:
        CardError: patterns that cannot be joined, bands missing in all of the files, or dates that are none.
        LabelError: an image with several labels.
        DataError: two files of one image.
    """
    found = _find_images(tree, card)
    if not found:
        return ()
    _require_groups(card, found)
    labels = _Labels(tree, card, found)
    names = _names(found, card, tree)
    items = [
        _dated(_item(card, f"{source}/{name}", entry, labels, groups or {}), entry, dates)
        for name, entry in zip(names, found, strict=True)
    ]
    return tuple(sorted(items, key=lambda item: item.id))


def idle_labels(tree: FileTree, card: DatasetCard, items: Sequence[Item]) -> tuple[str, ...]:
    """Files where the card looks for labels that are those of no item: their image is missing, or named otherwise."""
    if card.label_kind not in ("mask", "json"):
        return ()
    used = {item.label for item in items} | {image for item in items for image in item.images}
    labels = [
        opened for path, opened in tree.files.items() if any(pattern.match(path) for pattern in card.label_patterns)
    ]
    return tuple(opened for opened in labels if opened not in used)


def _require_groups(card: DatasetCard, found: Sequence[_Found]) -> None:
    """Refuse an expression of groups that tells none apart: splits would cut through scenes, or find none.

    Raises:
        CardError: it is found in no name, or it has no part that differs from name to name.
    """
    name = found[0].captured["name"]
    if not card.group or "{" in card.group:
        return
    if "(" not in card.group and not re.fullmatch(r"[\w -]*", card.group):
        raise CardError(
            f"card '{card.name}': group {card.group!r} would be the same for all images; put what names a scene into "
            f"parentheses, such as '(.+)_\\d+$' for names like {name}"
        )
    if "(" in card.group and not any(compiled(card.group).search(entry.captured["name"]) for entry in found):
        raise CardError(
            f"card '{card.name}': group {card.group!r} is found in none of {len(found)} names, such as {name}; correct "
            "it, for every image would be a scene of its own, on either side of a split"
        )


def _find_images(tree: FileTree, card: DatasetCard) -> list[_Found]:
    pattern = card.image_pattern
    piece = "band" if card.separate_files else "file" if card.files else ""
    keys = sorted(pattern.names - {piece})
    found: dict[tuple[str, ...], _Found] = {}
    twins: dict[str, str] = {}
    for path, opened in tree.files.items():
        captured = pattern.match(path)
        if captured is None:
            continue
        twin = twins.setdefault(re.sub(r"(?i)\.tiff?$", ".tif", path), path)
        if twin != path:
            raise DataError(
                f"{twin} and {path} have the same name, but an image counts once; move away the one that is not meant"
            )
        captured.setdefault("name", PurePosixPath(path).stem)
        name = captured.pop(piece, "")
        key = join_key(captured, keys) if piece else (path,)
        found.setdefault(key, _Found(captured)).files[name.casefold()] = opened
    return list(found.values())


class _Labels:
    """Label files by the names they share with images."""

    def __init__(self, tree: FileTree, card: DatasetCard, found: Sequence[_Found]) -> None:
        self._card = card
        self._tables: list[tuple[list[str], dict[tuple[str, ...], list[str]]]] = []
        self._folders: list[tuple[list[str], dict[tuple[str, ...], str]]] = []
        if card.label_kind not in ("mask", "json") or not card.labels:
            return
        captured = set(found[0].captured)
        files = {**_above(tree, found), **tree.files}
        for pattern in card.label_patterns:
            missing = pattern.names - captured
            if missing:
                raise CardError(
                    f"card '{card.name}': the label pattern {pattern.text!r} needs {{{', '.join(sorted(missing))}}}, "
                    f"which the image pattern does not capture ({', '.join(sorted(captured))})"
                )
            names, table = _label_table(files, pattern)
            self._tables.append((names, table))
            self._folders.append(([name for name in names if name in _FOLDER_NAMES], _folders(names, table)))

    def find(self, captured: Mapping[str, str], image: str) -> str | None:
        """The label file of an image by the first pattern that finds one, or None.

        Raises:
            LabelError: the pattern finds several.
        """
        for names, table in self._tables:
            opened = table.get(join_key(captured, names), [])
            if len(opened) > 1:
                raise LabelError(
                    f"{opened[0]} and {opened[1]} may both be the label of {image}, by card '{self._card.name}'; "
                    "expected one. Move away the one that is not meant, or state 'labels' in dataset.yaml so that it "
                    "finds one, such as 'labels: labels/{name}.tif'"
                )
            if opened:
                return opened[0]
        return None

    def expected(self, captured: Mapping[str, str]) -> str | None:
        """Where the label should lie, if labels lie in that folder for other images; else None."""
        for names, folders in self._folders:
            sibling = folders.get(join_key(captured, names))
            if sibling is not None:
                return f"a label beside {sibling}"
        return None


def _folders(names: Sequence[str], table: Mapping[tuple[str, ...], list[str]]) -> dict[tuple[str, ...], str]:
    """One label file of each folder that holds labels."""
    kept = [position for position, name in enumerate(names) if name in _FOLDER_NAMES]
    folders: dict[tuple[str, ...], str] = {}
    for key, opened in table.items():
        folders.setdefault(tuple(key[position] for position in kept), opened[0])
    return folders


def _label_table(files: Mapping[str, str], pattern: PathPattern) -> tuple[list[str], dict[tuple[str, ...], list[str]]]:
    names = sorted(pattern.names)
    table: dict[tuple[str, ...], list[str]] = {}
    for path, opened in files.items():
        captured = pattern.match(path)
        if captured is not None:
            table.setdefault(join_key(captured, names), []).append(opened)
    return names, table


def _above(tree: FileTree, found: Sequence[_Found]) -> Mapping[str, str]:
    """Files of the folder above, where the root given is itself the image folder of the pattern."""
    folders = {entry.captured.get("above", tree.root) for entry in found}
    outside = [folder for folder in folders if folder and not folder.startswith(tree.root)]
    if not outside or any(opened.startswith("/vsizip/") for opened in tree.files.values()):
        return {}
    return list_files(Path(min(outside, key=len))).files


def _names(found: Sequence[_Found], card: DatasetCard, tree: FileTree) -> list[str]:
    names = [fill(card.item or "{name}", entry.captured) for entry in found]
    counts = Counter(name.casefold() for name in names)
    unique = [
        name if counts[name.casefold()] == 1 else tree.relative(entry.captured.get("above", "")) + name
        for name, entry in zip(names, found, strict=True)
    ]
    if len(set(unique)) == len(unique):
        return unique
    paths = [PurePosixPath(tree.relative(_origin(entry))) for entry in found]
    bare = [path.with_suffix("").as_posix() for path in paths]
    counts = Counter(bare)
    # A picture may lie beside an image of its name: then the suffix tells them apart.
    return [name if counts[name] == 1 else path.as_posix() for name, path in zip(bare, paths, strict=True)]


def _origin(entry: _Found) -> str:
    return next(iter(entry.files.values()))


def _item(card: DatasetCard, item_id: str, entry: _Found, labels: _Labels, groups: Mapping[str, str]) -> Item:
    source, _, name = item_id.partition("/")
    captured = {**entry.captured, "item": name}
    own = _derived(card.group or card.series or "{item}", captured)
    label = labels.find(entry.captured, _origin(entry))
    bands = [(band, entry.files.get(band.file.casefold())) for band in card.bands] if card.separate_files else []
    present = [(band.name, opened) for band, opened in bands if opened is not None]
    whole = [entry.files[file.casefold()] for file in card.files if file.casefold() in entry.files]
    return Item(
        id=item_id,
        source=source,
        card=card,
        images=tuple(opened for _, opened in present) or tuple(whole) or tuple(entry.files.values()),
        file_bands=tuple(band for band, _ in present),
        label=label,
        label_expected=labels.expected(entry.captured) if label is None else None,
        class_name=captured.get("label", ""),
        groups=(f"{card.group_space or card.name}/{groups.get(own, own)}",),
        stratum=_derived(card.stratum, captured) if card.stratum else "",
        part=captured.get("split", "").strip("_"),
    )


def _dated(item: Item, entry: _Found, dates: Mapping[str, str] | None) -> Item:
    """The item with its place and date, where its card makes series of dates."""
    card = item.card
    if not card.series:
        return item
    captured = {**entry.captured, "item": item.id.partition("/")[2]}
    text = _derived(card.date, captured) if card.date else ""
    if card.date_table:
        text = (dates or {}).get(text, "")
    elif not card.date:
        text = date_in_name(PurePosixPath(item.images[0]).name)
    place = _derived(card.series, captured)
    return replace(item, series=f"{item.source}/{place}", date=normal_date(text) if text else "")


def _derived(rule: str, captured: Mapping[str, str]) -> str:
    if "(" not in rule:
        return fill(rule, captured)
    found = compiled(rule).search(captured["name"])
    part = None if found is None else found.group(min(found.re.groups, 1))
    # The part in parentheses may be one of several alternatives, and not the one that was found.
    return captured["name"] if part is None else part
