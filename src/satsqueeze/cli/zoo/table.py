"""``satsqueeze zoo``: the table of classifiers."""

from __future__ import annotations

from dataclasses import asdict
from json import dumps
from typing import Any

from satsqueeze.core.errors import GridError

_NAME, _FAMILY = 26, 12
"""Columns of the list; names may be longer."""


def list_models(json: bool = False, bands: int = 3, classes: int = 10, size: int = 64) -> int:
    """List the classifiers with their parameters, and multiply-accumulates at a stated size of image.

    Args:
        json: print JSON instead of a table.
        bands: number of bands.
        classes: number of classes.
        size: height and width of an image in pixels.
    """
    from satsqueeze.nets.zoo import ZOO

    if not json:
        print(f"{len(ZOO)} networks for {bands} bands and {classes} classes; MACs, activations at {size} x {size} px")
        print(f"{'name':<{_NAME}}  {'family':<{_FAMILY}}  {'parameters':>11}  {'MACs':>9}  {'activations':>11}")
    records = []
    for name in ZOO:
        records.append(_record(name, bands, classes, size))
        if not json:
            # At once, since the whole list takes seconds.
            print(_line(records[-1]), flush=True)
    if json:
        print(dumps(records, indent=2))
    return 0


def show(name: str, bands: int = 3, classes: int = 10, size: int | None = None) -> int:
    """Print what the zoo knows about a classifier, and what it costs, as JSON.

    Args:
        name: of the zoo.
        bands: number of bands.
        classes: number of classes.
        size: height and width of an image in pixels; the size it is meant for unless stated.
    """
    from satsqueeze.nets.classifier import ClassifierConfig
    from satsqueeze.nets.zoo import zoo_card
    from satsqueeze.nets.zoo.summary import summarise

    card = zoo_card(name)
    size = card.size if size is None else size
    found = summarise(ClassifierConfig(model=name, in_channels=bands, classes=classes, size=size))
    print(dumps({"card": asdict(card), "takes": card.sizes(), "cost": asdict(found)}, indent=2))
    return 0


def _record(name: str, bands: int, classes: int, size: int) -> dict[str, Any]:
    from satsqueeze.nets.classifier import ClassifierConfig
    from satsqueeze.nets.zoo import zoo_card
    from satsqueeze.nets.zoo.summary import summarise

    try:
        return asdict(summarise(ClassifierConfig(model=name, in_channels=bands, classes=classes, size=size)))
    except GridError as error:
        # The list goes on: other networks take this size.
        return {"name": name, "family": zoo_card(name).family, "refused": str(error)}


def _line(record: dict[str, Any]) -> str:
    start = f"{record['name']:<{_NAME}}  {record['family']:<{_FAMILY}}"
    if "refused" in record:
        return f"{start}  {record['refused']}"
    megabytes = record["peak_activation_bytes"] / 1e6
    return f"{start}  {record['parameters']:>11,}  {record['macs'] / 1e6:>7,.1f} M  {megabytes:>8.2f} MB"
