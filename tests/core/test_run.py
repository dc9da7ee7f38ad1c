from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydantic
import pytest

from satsqueeze.core.errors import RunError
from satsqueeze.core.files import write_json
from satsqueeze.core.run import FORMAT_VERSION, RunFolder, fingerprint_of, plain


class Model(pydantic.BaseModel):
    size: tuple[int, int]


@dataclass(frozen=True)
class Settings:
    epochs: int = 3
    sizes: tuple[int, ...] = (8, 16)


def test_a_stage_is_done_only_with_the_same_settings(tmp_path):
    run = RunFolder(tmp_path / "run")
    assert not run.is_done("train", Settings())
    run.finish("train", Settings(), {"jaccard": np.float32(0.5), "file": Path("a/b")}, 1.23456)
    again = RunFolder(str(tmp_path / "run"))
    assert again.is_done("train", Settings())
    assert not again.is_done("train", Settings(epochs=4))
    assert not again.is_done("other", Settings())
    assert again.result("train") == {"jaccard": 0.5, "file": "a/b"}
    assert again.seconds("train") == 1.235


def test_a_stage_whose_outputs_are_gone_is_due_again_and_others_refused(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.finish("data", {"bands": 4}, {}, 0)
    assert run.lost(["cache/a", "run.json"]) == ["cache/a"]
    assert not run.is_done("data", {"bands": 4}, ["cache/a"])
    assert run.is_due("data", {"bands": 4}, refusal="other data", outputs=["cache/a"])
    with pytest.raises(RunError, match="other data"):
        run.is_due("data", {"bands": 3}, refusal="other data", outputs=["cache/a"])
    (run / "cache").mkdir()
    (run / "cache/a").touch()
    assert run.is_done("data", {"bands": 4}, ["cache/a"])
    assert not run.is_due("data", {"bands": 4}, refusal="other data", outputs=["cache/a"])


def test_nested_stage_names_stay_inside_the_folder(tmp_path):
    run = RunFolder(tmp_path)
    run.finish("students/unet-8", {}, {}, 0)
    assert run.is_done("students/unet-8", {})
    assert (run / "stages" / "students__unet-8.json").is_file()


def test_a_run_of_another_version_is_refused(tmp_path):
    write_json(tmp_path / "run.json", {"format_version": FORMAT_VERSION + 1})
    with pytest.raises(RunError, match=f"format {FORMAT_VERSION + 1}, this satsqueeze reads format {FORMAT_VERSION}"):
        RunFolder(tmp_path)


@pytest.mark.parametrize("content", ["[]", "{}", '{"format_version": "1"}'])
def test_a_strange_manifest_is_refused(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(RunError, match="run folder of format"):
        RunFolder(tmp_path)


def test_a_truncated_manifest_is_refused(tmp_path):
    (tmp_path / "run.json").write_text('{"format')
    with pytest.raises(RunError, match="not readable JSON"):
        RunFolder(tmp_path)


def test_somebody_elses_folder_is_left_alone(tmp_path):
    (tmp_path / "photo.jpg").write_text("")
    with pytest.raises(RunError, match="not a run folder; choose an empty or new folder"):
        RunFolder(tmp_path)
    with pytest.raises(RunError, match="not a run folder"):
        RunFolder(tmp_path / "photo.jpg")
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


def test_a_run_killed_at_birth_can_be_started_again(tmp_path):
    (tmp_path / ".run.4711.part.json").write_text("{")
    RunFolder(tmp_path)
    assert (tmp_path / "run.json").is_file()


def test_the_result_of_an_unfinished_stage_is_an_error(tmp_path):
    with pytest.raises(RunError, match="run the stage that writes it first"):
        RunFolder(tmp_path).result("train")


def test_plain_makes_json_of_what_settings_hold():
    value = {
        "a": Settings(),
        Path("b"): {3, 1, 2},
        "c": [np.int64(4), np.float32(0.5), np.bool_(True), None],
        "d": np.arange(3),
        "e": float("nan"),
        "f": [np.float32("inf"), -float("inf")],
        "g": (Path("x") / "y",),
        "h": Model(size=(1, 2)),
    }
    made = plain(value)
    assert json.loads(json.dumps(made, allow_nan=False)) == {
        "a": {"epochs": 3, "sizes": [8, 16]},
        "b": [1, 2, 3],
        "c": [4, 0.5, True, None],
        "d": [0, 1, 2],
        "e": None,
        "f": [None, None],
        "g": ["x/y"],
        "h": {"size": [1, 2]},
    }


def test_plain_refuses_what_has_no_json_form():
    with pytest.raises(RunError, match="cannot record a object"):
        plain({"x": object()})


def test_a_nan_result_does_not_lose_a_finished_stage(tmp_path):
    run = RunFolder(tmp_path)
    run.finish("train", {}, {"jaccard": float("nan")}, 1)
    assert run.result("train") == {"jaccard": None}


def test_fingerprints_do_not_depend_on_the_order_of_keys():
    assert fingerprint_of({"a": 1, "b": 2}) == fingerprint_of({"b": 2, "a": 1})
    assert fingerprint_of({"a": 1}) != fingerprint_of({"a": 2})
