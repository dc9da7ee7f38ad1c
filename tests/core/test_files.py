from __future__ import annotations

import errno
import hashlib
import os
import shutil

import pytest

from satsqueeze.core.errors import DataError, RunError
from satsqueeze.core.files import read_json, replacing, sha256, write_json, write_text


def left_behind(folder):
    return sorted(path.name for path in folder.iterdir())


def half_written(path, error):
    path.write_text("half")
    raise error


def test_writes_whole_files_and_makes_folders(tmp_path):
    path = tmp_path / "a" / "b.json"
    write_json(path, {"b": [1, 2.5], "a": None})
    assert read_json(path) == {"a": None, "b": [1, 2.5]}
    assert path.read_text() == '{\n  "a": null,\n  "b": [\n    1,\n    2.5\n  ]\n}\n'
    assert left_behind(path.parent) == ["b.json"]


def test_an_error_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "x.txt"
    write_text(path, "old")
    for error in (DataError("mine"), KeyboardInterrupt()):
        with pytest.raises(type(error)), replacing(path) as temporary:
            half_written(temporary, error)
    assert path.read_text() == "old"
    assert left_behind(tmp_path) == ["x.txt"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_loses_nothing_and_says_what_to_do(tmp_path, monkeypatch, code):
    path = tmp_path / "x.json"
    write_json(path, {"old": 1})

    def full(_handle):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"the disk is full while writing .*x\.json.*run the same command again"):
        write_json(path, {"new": 2})
    assert read_json(path) == {"old": 1}
    assert left_behind(tmp_path) == ["x.json"]


@pytest.mark.parametrize("error", [OSError("1000 requested and 0 written"), RuntimeError("file write failed")])
def test_writers_that_hide_the_cause_are_seen_through(tmp_path, monkeypatch, error):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=0))
    with pytest.raises(RunError, match="disk is full"), replacing(tmp_path / "x"):
        raise error


def test_other_failures_keep_their_own_error(tmp_path):
    with pytest.raises(RuntimeError, match="unrelated"), replacing(tmp_path / "x"):
        raise RuntimeError("unrelated")
    with pytest.raises(OSError, match="broken"), replacing(tmp_path / "x"):
        raise OSError(errno.EIO, "broken")
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.EPERM])
def test_unwritable_folders_are_named(tmp_path, monkeypatch, code):
    def refuse(_handle):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(RunError, match="choose another output folder"):
        write_text(tmp_path / "x", "text")


def test_a_file_in_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot write .*choose another output folder"):
        write_text(tmp_path / "file" / "x", "text")
    with pytest.raises(RunError, match="cannot write"):
        write_text(tmp_path / "file" / "deeper" / "x", "text")


def test_nan_never_reaches_a_json_file(tmp_path):
    write_json(tmp_path / "x.json", 1)
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", float("nan"))
    assert read_json(tmp_path / "x.json") == 1


def test_reading_says_which_stage_to_run(tmp_path):
    with pytest.raises(RunError, match="run the stage that writes it first"):
        read_json(tmp_path / "none.json")
    for content in (b'{"half": ', b"\xff\xfe"):
        (tmp_path / "bad.json").write_bytes(content)
        with pytest.raises(RunError, match="remove it and run its stage again"):
            read_json(tmp_path / "bad.json")
    with pytest.raises(RunError, match="not readable"):
        read_json(tmp_path)


def test_hash_is_that_of_hashlib(tmp_path):
    content = bytes(range(256)) * 9000
    (tmp_path / "x").write_bytes(content)
    assert sha256(tmp_path / "x") == hashlib.sha256(content).hexdigest()
