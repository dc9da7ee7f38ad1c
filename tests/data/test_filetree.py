from __future__ import annotations

import os
import zipfile

import pytest

from satsqueeze.core.errors import RasterError
from satsqueeze.data.filetree import archives_in, list_files, local_path, read_bytes, stamp


def test_folder_and_archive_list_the_same(tmp_path):
    for name in ("a/1.txt", "b/2.txt", ".hidden/3.txt", "a/.4.txt"):
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name in ("a/1.txt", "b/2.txt", "a/.4.txt"):
            archive.write(tmp_path / "set" / name, name)
        archive.write(tmp_path / "set" / "a/1.txt", "__MACOSX/a/1.txt")
    folder, zipped = list_files(tmp_path / "set"), list_files(tmp_path / "set.zip")
    assert list(folder.files) == list(zipped.files)
    assert folder.root == zipped.root
    for path in folder.files:
        assert read_bytes(folder.files[path]) == read_bytes(zipped.files[path])
        assert local_path(zipped.files[path]) == tmp_path / "set.zip"
    assert archives_in(tmp_path) == [tmp_path / "set.zip"]
    assert folder.relative(folder.root + "a/1.txt") == "a/1.txt"


def test_links_in_circles_end(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.txt").write_text("x")
    (tmp_path / "a" / "back").symlink_to(tmp_path)
    assert len(list_files(tmp_path).files) == 1


def test_links_to_folders_are_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "1.txt").write_text("x")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "real")
    assert len(list_files(tmp_path / "root").files) == 1


def test_errors(tmp_path):
    with pytest.raises(RasterError, match=r"expected a folder or a zip archive at .*, found nothing"):
        list_files(tmp_path / "none")
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(RasterError, match="found a file that is no zip archive"):
        list_files(tmp_path / "x.txt")
    (tmp_path / "x.zip").write_text("x")
    with pytest.raises(RasterError, match="not a readable zip archive"):
        list_files(tmp_path / "x.zip")
    with pytest.raises(RasterError, match="cannot read"):
        read_bytes(str(tmp_path / "none"))


def test_a_file_has_another_stamp_when_it_changes(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one")
    before = stamp(path.as_posix())
    assert before == stamp(path.as_posix()) != []
    os.utime(path, ns=(0, 0))
    assert stamp(path.as_posix()) != before
    assert stamp((tmp_path / "absent").as_posix()) == []


def test_a_member_of_an_archive_is_known_by_its_content(tmp_path):
    archive = tmp_path / "a.zip"
    member = f"/vsizip/{{{archive.as_posix()}}}/x/1.txt"

    def stamped(text, changed):
        with zipfile.ZipFile(archive, "w") as handle:
            handle.writestr("x/1.txt", text)
        os.utime(archive, ns=(changed, changed))
        return stamp(member)

    first = stamped("one", 1)
    assert stamped("one", 2) == first != []
    assert stamped("two", 3) != first
    assert stamp(f"{member}.absent") == []
    archive.write_bytes(b"no archive")
    assert stamp(member) == []
