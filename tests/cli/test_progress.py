"""What the bar of a scene tells."""

from __future__ import annotations

from rich.progress import Progress

from satsqueeze.cli.progress import PeakMemoryColumn, PixelRateColumn, scene_progress


def test_the_columns_tell_rate_and_memory():
    clock = iter(range(100))
    with Progress(disable=True, get_time=lambda: float(next(clock))) as bar:
        number = bar.add_task("scene", total=10e6)
        task = bar.tasks[0]
        assert PixelRateColumn().render(task).plain == ""
        for done in (2e6, 4e6, 6e6):
            bar.update(number, completed=done)
        assert PixelRateColumn().render(task).plain.endswith("Mpixel/s")
        assert float(PixelRateColumn().render(task).plain.split()[0]) > 0
        words = PeakMemoryColumn().render(task).plain.split()
        assert words[0] == "peak"
        assert float(words[1]) > 10


def test_nothing_is_drawn_where_there_is_no_terminal(capsys):
    with scene_progress(2) as advance:
        advance("a", 5, 10)
        advance("a", 10, 10)
        advance("b", 10, 10)
    assert capsys.readouterr().err.strip() == ""
