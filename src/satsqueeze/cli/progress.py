"""Progress bars."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from satsqueeze.flight.plans.memory import peak_bytes


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on a terminal; yields a function of (done, total)."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield advance


class PixelRateColumn(ProgressColumn):
    """Millions of pixels per second."""

    def render(self, task: Task) -> Text:
        """Text for one bar."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed / 1e6:.2f} Mpixel/s", style="progress.data.speed")


class PeakMemoryColumn(ProgressColumn):
    """The most memory that this process has held since the scene began."""

    def render(self, task: Task) -> Text:  # noqa: ARG002 - memory is the process's, not a task's
        """Text for one bar."""
        return Text(f"peak {peak_bytes() / 2**20:.0f} MB")


@contextmanager
def scene_progress(scenes: int = 1) -> Iterator[Callable[[str, int, int], None]]:
    """A bar of pixels on a terminal; yields a function of (scene, pixels done, pixels in all).

    Args:
        scenes: how many there are.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        PixelRateColumn(),
        PeakMemoryColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        seen: dict[str, TaskID] = {}

        def advance(scene: str, done: int, total: int) -> None:
            if scene not in seen:
                for earlier in seen.values():
                    bar.update(earlier, visible=False)
                label = scene if scenes == 1 else f"{scene} ({len(seen) + 1} of {scenes})"
                seen[scene] = bar.add_task(label, total=total)
            bar.update(seen[scene], completed=done, total=total)

        yield advance
