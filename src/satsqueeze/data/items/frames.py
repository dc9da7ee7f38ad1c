"""Files that hold all dates of a place: each date becomes an item, which reads its part of the file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from satsqueeze.core.errors import CardError, DataError
from satsqueeze.data.cards.card import ArrayRule, DatasetCard
from satsqueeze.data.cards.pattern import PathPattern, anywhere, fill, join_key
from satsqueeze.data.filetree import FileTree, read_bytes
from satsqueeze.data.items.acquisition import normal_date
from satsqueeze.data.items.array_file import read_arrays
from satsqueeze.data.items.item import Item


@dataclass(frozen=True, kw_only=True)
class _Told:
    """What a file says of the dates of an item."""

    dates: tuple[str, ...]
    group: str = ""


def frame_items(items: Sequence[Item], tree: FileTree, card: DatasetCard) -> tuple[Item, ...]:
    """An item for each date of each file; their names end in ``_t00``, ``_t01``, and so on.

    Args:
        items: one for each file.
        tree: the files among which dates are looked for.
        card: with ``arrays``.

    Raises:
        CardError: dates that are none, or patterns that cannot be joined.
        DataError: a file whose dates are not found.
        RasterError: a file that cannot be read.
    """
    rule = card.arrays or ArrayRule()
    table = _DateFiles(tree, card, rule)
    found: list[Item] = []
    for item in items:
        told = table.told(item)
        groups = (f"{card.group_space or card.name}/{told.group}",) if told.group else item.groups
        found += [
            replace(item, id=f"{item.id}_t{frame:02d}", groups=groups, series=item.id, date=date, frame=frame)
            for frame, date in enumerate(told.dates)
        ]
    return tuple(found)


class _DateFiles:
    """The dates of items, wherever their card says that they stand."""

    def __init__(self, tree: FileTree, card: DatasetCard, rule: ArrayRule) -> None:
        self._card, self._rule = card, rule
        self._names: list[str] = []
        self._files: dict[tuple[str, ...], str] = {}
        self._read: dict[str, Mapping[str, Any]] = {}
        if rule.dates_file:
            pattern = PathPattern(anywhere(rule.dates_file))
            missing = pattern.names - card.image_pattern.names
            if missing:
                raise CardError(
                    f"card '{card.name}': dates_file {rule.dates_file!r} needs {{{', '.join(sorted(missing))}}}, which "
                    f"the image pattern does not capture ({', '.join(sorted(card.image_pattern.names))})"
                )
            self._names = sorted(pattern.names)
            matched = ((pattern.match(path), opened) for path, opened in tree.files.items())
            self._files = {join_key(found, self._names): opened for found, opened in matched if found is not None}

    def told(self, item: Item) -> _Told:
        """Dates and group of an item, the dates as :func:`normal_date` gives them."""
        if self._rule.dates:
            return _Told(dates=tuple(map(normal_date, self._rule.dates)))
        if not self._rule.dates_file:
            return _Told(dates=self._own(item))
        captured = self._captured(item)
        path = self._files.get(join_key(captured, self._names))
        if path is None:
            raise DataError(
                f"{item.images[0]}: no file of dates; expected one like {self._rule.dates_file}. Fetch it, or state "
                "the dates in the card"
            )
        record = self._record(path, captured)
        return _Told(
            dates=_dates(record.get(self._rule.dates_key), path), group=str(record.get(self._rule.group_key, ""))
        )

    def _own(self, item: Item) -> tuple[str, ...]:
        """Dates that the file itself holds; where it holds none they are unknown, but as many as its frames."""
        arrays, path = read_arrays(item.images[0]), item.images[0]
        if self._rule.dates_key:
            if self._rule.dates_key not in arrays:
                raise DataError(f"{path} holds no '{self._rule.dates_key}', only {', '.join(sorted(arrays))}")
            return _dates(arrays[self._rule.dates_key].tolist(), path)
        key = self._rule.keys[0] if self._rule.keys else ""
        if key not in arrays or arrays[key].ndim != len(self._rule.axes):
            raise DataError(f"{path} holds no array '{key}' of the axes {self._rule.axes}; correct 'arrays'")
        return ("",) * int(arrays[key].shape[self._rule.axes.index("T")])

    def _captured(self, item: Item) -> Mapping[str, str]:
        # An archive's members are listed under another path than the one that opens them.
        text = item.images[0].replace("/vsizip/{", "").replace(".zip}/", "/")
        return self._card.image_pattern.match(text) or {}

    def _record(self, path: str, captured: Mapping[str, str]) -> Mapping[str, Any]:
        if path not in self._read:
            self._read[path] = self._loaded(path)
        content = self._read[path]
        if not self._rule.record_key:
            return content
        name = fill(self._rule.record_name, captured)
        if name not in content:
            raise DataError(f"{path} has no record whose {self._rule.record_key} is {name}; fetch the file again")
        found: Mapping[str, Any] = content[name]
        return found

    def _loaded(self, path: str) -> Mapping[str, Any]:
        try:
            content = json.loads(read_bytes(path))
            if not self._rule.record_key:
                return {self._rule.dates_key: content} if isinstance(content, list) else dict(content)
            rows = [dict(feature["properties"]) for feature in content["features"]]
            return {str(row[self._rule.record_key]): row for row in rows}
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} does not hold the dates as its card says ({error!r}); fetch it again") from error


def _dates(found: Any, path: str) -> tuple[str, ...]:
    """Dates out of a list, or of a dictionary whose keys are positions."""
    if isinstance(found, str):  # GeoJSON writers keep a dictionary as text
        try:
            found = json.loads(found.replace("'", '"'))
        except ValueError:
            found = None
    if isinstance(found, dict) and all(str(key).isdigit() for key in found):
        found = [found[key] for key in sorted(found, key=int)]
    if not isinstance(found, list | tuple) or not found:
        raise DataError(f"{path} holds no list of dates where its card says; got {str(found)[:60]}")
    return tuple(normal_date(str(np.asarray(value).item())) for value in found)
