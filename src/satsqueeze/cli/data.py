"""``satsqueeze data``: what can be read, and whether a copy of it is sound."""

from __future__ import annotations

from dataclasses import asdict
from json import dumps

from satsqueeze.cli.progress import progress
from satsqueeze.core.run import plain

_PIPED = 200
"""Columns of a table that no terminal shows."""


def list_cards(json: bool = False) -> int:
    """List the dataset cards.

    Args:
        json: print JSON instead of a table.
    """
    from rich.console import Console
    from rich.table import Column, Table

    from satsqueeze.data.cards.catalogue import summaries

    cards = summaries()
    if json:
        print(dumps([asdict(card) for card in cards], indent=2))
        return 0
    table = Table(Column("card", no_wrap=True), "task", "bands", "classes", "description")
    for card in cards:
        table.add_row(card.name, card.task, str(card.bands or "any"), str(card.classes), card.description)
    console = Console()
    # What is piped has no width of its own; at 80 columns a description would be a word per line.
    (console if console.is_terminal else Console(width=_PIPED)).print(table)
    return 0


def describe(card: str) -> int:
    """Print a dataset card as JSON: bands, classes, licence, how to get the data.

    Args:
        card: name of a card, or path of a YAML card.
    """
    from satsqueeze.data.cards.catalogue import describe as describe_card

    print(dumps(describe_card(card), indent=2))
    return 0


def check(data: str, card: str | None = None, json: bool = False) -> int:
    """Read every file of a data set and report every problem; exit status 1 if a file cannot be used.

    Args:
        data: folder, zip file or YAML list of sources.
        card: name of the card, where the folder has no dataset.yaml.
        json: print JSON instead of lines.
    """
    from satsqueeze.data.check import check as check_dataset
    from satsqueeze.data.check import failed
    from satsqueeze.data.dataset import open_dataset

    dataset = open_dataset(data, card=card)
    with progress("reading images") as advance:
        problems = check_dataset(dataset, on_progress=advance)
    if json:
        print(dumps({"items": len(dataset.items), "problems": [plain(asdict(p)) for p in problems]}, indent=2))
    else:
        for problem in problems:
            text = problem.problem if problem.problem.startswith(problem.file) else f"{problem.file}: {problem.problem}"
            print(f"{problem.severity}: {text.rstrip('.')}. {problem.remedy[:1].upper()}{problem.remedy[1:]}")
        print(f"{len(dataset.items)} items read, {len(problems)} problem(s)")
    return 1 if failed(problems) else 0
