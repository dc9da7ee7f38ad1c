from __future__ import annotations

import zipfile

import pytest

from satsqueeze.core.errors import RasterError
from satsqueeze.data.filetree import archives_in, list_files, local_path, read_bytes


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
