from __future__ import annotations

import pytest

from satsqueeze.bench.history import find_histories, read_history
from satsqueeze.core.errors import RunError


def test_a_history_is_read_with_its_gaps(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("epoch,loss,jaccard\n1,0.5,\n2,0.25,0.75\n")
    assert read_history(path) == [
        {"epoch": 1, "loss": 0.5, "jaccard": None},
        {"epoch": 2, "loss": 0.25, "jaccard": 0.75},
    ]


@pytest.mark.parametrize("content", ["epoch,loss\n1,much\n", "epoch,loss\n1,2,3\n", "epoch\n\xff\n"])
def test_a_broken_history_is_named(tmp_path, content):
    path = tmp_path / "history.csv"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(RunError, match=r"history\.csv cannot be read"):
        read_history(path)


def test_an_absent_history_is_named(tmp_path):
    with pytest.raises(RunError, match="cannot be read"):
        read_history(tmp_path / "history.csv")


def test_all_histories_of_a_run_are_found(tmp_path):
    for folder in ("teacher/fold_1", "teacher/fold_0", "students/unet-8"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "history.csv").write_text("epoch,loss\n1,0.5\n")
    (tmp_path / "students" / "not-yet").mkdir()
    assert list(find_histories(tmp_path)) == ["teacher/fold_0", "teacher/fold_1", "students/unet-8"]
    assert find_histories(tmp_path / "none") == {}
