"""Tables as Markdown writes them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]], *, right: Collection[int] = ()) -> str:
    """A table of cells as they are written, without a newline at its end.

    Args:
        heads: of the columns.
        rows: cells of each line; columns that it lacks stay empty.
        right: positions of the columns that are aligned right, as numbers are.
    """
    rules = ["---:" if position in right else "---" for position in range(len(heads))]
    cells = ([*row, *[""] * (len(heads) - len(row))] for row in rows)
    return "\n".join(_line(line) for line in (heads, rules, *cells))


def _line(cells: Iterable[str]) -> str:
    written = (cell.replace("|", "\\|").replace("\n", " ") for cell in cells)
    return f"| {' | '.join(written)} |"
