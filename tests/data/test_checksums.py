from __future__ import annotations

import os
import zipfile
import zlib

from satsqueeze.data import checksums
from satsqueeze.data.checksums import Checksums


def test_a_file_is_known_by_its_content(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"one" * 2**20)
    assert Checksums().of(path.as_posix()) == [3 * 2**20, zlib.crc32(b"one" * 2**20)]
    os.utime(path, ns=(0, 0))
    assert Checksums().of(path.as_posix()) == [3 * 2**20, zlib.crc32(b"one" * 2**20)]
    path.write_bytes(b"two" * 2**20)
    assert Checksums().of(path.as_posix()) == [3 * 2**20, zlib.crc32(b"two" * 2**20)]
    assert Checksums().of((tmp_path / "absent").as_posix()) == []
    assert Checksums().of(tmp_path.as_posix()) == []


def test_a_file_is_read_again_when_it_changes(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("one")
    first = Checksums()
    found = first.of(path.as_posix())
    read = []
    monkeypatch.setattr(checksums, "_crc32", lambda path: read.append(path) or 7)
    assert Checksums(first.to_dict()).of(path.as_posix()) == found
    assert not read
    path.write_text("two, and longer")
    assert Checksums(first.to_dict()).of(path.as_posix()) == [15, 7]
    assert read == [path]


def test_what_is_not_asked_for_is_forgotten(tmp_path):
    assert Checksums({(tmp_path / "gone").as_posix(): [1, 2, 3]}).to_dict() == {}


def test_a_member_of_an_archive_is_known_by_its_content(tmp_path):
    archive = tmp_path / "a.zip"
    member = f"/vsizip/{{{archive.as_posix()}}}/x/1.txt"

    def found(text, changed):
        with zipfile.ZipFile(archive, "w") as handle:
            handle.writestr("x/1.txt", text)
        os.utime(archive, ns=(changed, changed))
        return Checksums().of(member)

    first = found("one", 1)
    assert first == found("one", 2) == [3, zlib.crc32(b"one")]
    assert found("two", 3) != first
    assert Checksums().of(f"{member}.absent") == []
    archive.write_bytes(b"no archive")
    assert Checksums().of(member) == []
