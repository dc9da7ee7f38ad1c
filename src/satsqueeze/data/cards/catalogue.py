"""The cards that come with satsqueeze, and those that users write after them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import pydantic

from satsqueeze.core.errors import CardError, DataError
from satsqueeze.core.names import meant
from satsqueeze.data.cards.card import DatasetCard, Task
from satsqueeze.data.cards.card_text import load_yaml


def card_names() -> tuple[str, ...]:
    """Names of the cards that come with satsqueeze."""
    folder = resources.files("satsqueeze.data") / "cards"
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")))


def load_card(name_or_path: str | Path) -> DatasetCard:
    """A card by name, or from a YAML file.

    Raises:
        CardError: unknown name, or a malformed file.
    """
    name = str(name_or_path)
    if name in card_names():
        return _shipped(name)
    path = Path(name_or_path)
    if path.suffix.lower() not in (".yaml", ".yml"):
        hint = meant(name, card_names())
        raise CardError(f"unknown card {name!r}; {hint}expected one of {', '.join(card_names())}, or a YAML file")
    return card_from(read_yaml(path), where=str(path))


def card_from(record: Mapping[str, Any], *, where: str) -> DatasetCard:
    """A card from the fields of a user's YAML file; ``card`` names the card it starts from, by default ``folder``.

    Raises:
        CardError: unknown or malformed fields.
    """
    fields = dict(record)
    base = str(fields.pop("card", "folder"))
    if base not in card_names():
        hint = meant(base, card_names())
        raise CardError(f"{where}: unknown card {base!r}; {hint}expected one of {', '.join(card_names())}")
    return override(_shipped(base), fields, where=where)


def override(card: DatasetCard, fields: Mapping[str, Any], *, where: str) -> DatasetCard:
    """The card with other values for some fields.

    Raises:
        CardError: unknown or malformed fields.
    """
    try:
        return DatasetCard.model_validate({**card.model_dump(exclude_unset=True), **fields})
    except (pydantic.ValidationError, DataError) as error:
        raise CardError(f"{where}: {_reasons(error)}") from error


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping.

    Raises:
        CardError: absent, unreadable or something else.
    """
    return parse_yaml(_text(path), where=str(path))


def parse_yaml(text: str | bytes, *, where: str) -> dict[str, Any]:
    """YAML text that holds a mapping.

    Raises:
        CardError: unreadable or something else.
    """
    record = load_yaml(text, where=where)
    if not isinstance(record, dict):
        raise CardError(f"{where} must hold 'field: value' lines, got {type(record).__name__}")
    return {str(key): value for key, value in record.items()}


@dataclass(frozen=True, kw_only=True)
class CardSummary:
    """One line of ``satsqueeze data list``."""

    name: str
    task: Task
    sensor: str
    bands: int
    classes: int
    licence: str
    description: str


def summaries() -> tuple[CardSummary, ...]:
    """A summary of each card that comes with satsqueeze, by name."""
    cards = [load_card(name) for name in card_names()]
    return tuple(
        CardSummary(
            name=card.name,
            task=card.task,
            sensor=card.sensor,
            bands=len(card.bands),
            classes=len(card.classes),
            licence=card.licence,
            description=card.description,
        )
        for card in cards
    )


def describe(card: DatasetCard | str) -> dict[str, Any]:
    """All that a card says, JSON-ready."""
    card = load_card(card) if isinstance(card, str) else card
    return card.model_dump(mode="json")


def _text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise CardError(f"{path} is no file; expected a card in YAML")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CardError(f"cannot read {path}: {error}") from error


@cache
def _shipped(name: str) -> DatasetCard:
    text = (resources.files("satsqueeze.data") / "cards" / f"{name}.yaml").read_text(encoding="utf-8")
    try:
        return DatasetCard.model_validate(parse_yaml(text, where=f"card {name}"))
    except pydantic.ValidationError as error:
        raise CardError(f"card {name}: {_reasons(error)}") from error


def _reasons(error: Exception) -> str:
    if not isinstance(error, pydantic.ValidationError):
        return str(error)
    told = "; ".join(_reason(entry["loc"], entry["msg"], entry["input"]) for entry in error.errors())
    unknown = any(entry["type"] == "extra_forbidden" and len(entry["loc"]) == 1 for entry in error.errors())
    return f"{told}. Fields of a card: {', '.join(DatasetCard.model_fields)}" if unknown else told


def _reason(place: tuple[int | str, ...], text: str, found: Any) -> str:
    text = text.removeprefix("Value error, ")
    # Of fields that do not go together, the text tells what was got: the input is the whole card.
    return f"{'.'.join(map(str, place))}: {text}, got {str(found)[:80]!r}" if place else text
