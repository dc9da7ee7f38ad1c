"""The summary of a run on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from satsqueeze.bench.row import BenchRow
from satsqueeze.bench.tables import format_value
from satsqueeze.distill.ladder import Rung

COLUMNS = ("model", "precision", "Jaccard", "parameters", "MACs/px", "size", "s/Mpx")
_WIDTH = 100


def print_table(rows: Sequence[BenchRow], ladder: tuple[Sequence[Rung], str]) -> None:
    """Print one line per model and precision on standard output; the chosen student is marked."""
    rungs, chosen = ladder
    compression = {rung.name: rung.compression for rung in rungs}
    table = Table(title="on the test images", title_justify="left")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in COLUMNS[:2] else "right", no_wrap=True)
    for row in rows:
        ratio = f" ({compression[row.name]:,.0f}x fewer)" if row.name in compression else ""
        size = row.int8_bytes if row.precision == "int8" else row.fp32_bytes
        table.add_row(
            f"{row.name} *" if row.name == chosen else row.name,
            row.precision,
            format_value(row.jaccard, ".3f"),
            format_value(row.parameters, ",") + ratio,
            format_value(row.macs_per_pixel, ",.0f"),
            format_value(size, "bytes"),
            format_value(row.latency.p50_s_per_mpixel if row.latency else None, ".3g"),
            style="bold" if row.name == chosen else "",
        )
    console = Console()
    # Piped output has no width of its own; eighty columns would cut the figures.
    Console(width=max(console.width, _WIDTH) if not console.is_terminal else None).print(table)
    notes = [note for row in rows if row.kind == "teacher" for note in row.notes]
    print("\n".join([f"* chosen; teacher: {note}" for note in notes] or ["* chosen"]))
