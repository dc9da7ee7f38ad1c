"""The manifest, its seal, and packages that appear whole or not at all."""

from __future__ import annotations

import json
import os

import pydantic
import pytest

from satsqueeze.core.errors import PackageError
from satsqueeze.core.manifest import FlightManifest, Graph, PackageBand, PackageScaling, Quality
from satsqueeze.core.package import MANIFEST, SEAL, assembling, read_manifest, seal, verify
from satsqueeze.core.scaling import Scaling


def manifest(**changes):
    scaling = Scaling(bands=("red", "nir"), mean=(0.1, 0.2), std=(0.3, 0.4))
    values = {
        "name": "test",
        "description": "A test.",
        "bands": tuple(PackageBand(name=b, wavelength_nm=600.0, gsd_m=10.0) for b in ("red", "nir")),
        "classes": ("clear", "cloud"),
        "foreground": (1,),
        "scaling": PackageScaling.of(scaling),
        "size_multiple": 8,
        "receptive_field": 20,
        "parameters": 10,
        "macs_per_pixel": 1.5,
        "macs_input": "256x256",
        "graphs": (Graph(file="fp32.onnx", precision="fp32", engine="onnx"),),
        "default_graph": "fp32.onnx",
        "quality": (Quality(metric="jaccard", value=0.9, protocol="5-fold", graph="fp32.onnx"),),
    }
    return FlightManifest(**(values | changes))


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "package"
    (path / "deep").mkdir(parents=True)
    (path / "fp32.onnx").write_bytes(b"graph")
    (path / "deep" / "file.bin").write_bytes(b"\x00\x01")
    seal(path, manifest())
    return path


def test_what_is_sealed_is_what_is_read(folder):
    found = verify(folder)
    assert found == read_manifest(folder)
    assert set(found.files) == {"fp32.onnx", "deep/file.bin"}
    assert found.files["fp32.onnx"].bytes == 5
    assert found.band_names == ("red", "nir")
    assert found.graph("fp32.onnx").precision == "fp32"
    with pytest.raises(PackageError, match=r"no graph 'other\.onnx'; it has fp32\.onnx"):
        found.graph("other.onnx")


def test_sealing_again_changes_nothing(folder):
    before = (folder / MANIFEST).read_bytes()
    seal(folder, read_manifest(folder))
    assert (folder / MANIFEST).read_bytes() == before


@pytest.mark.parametrize("name", ["fp32.onnx", "deep/file.bin", MANIFEST, SEAL])
def test_bytes_count_everywhere(folder, name):
    path = folder / name
    before = path.read_bytes()
    for position in range(0, len(before), max(1, len(before) // 100)):
        changed = bytearray(before)
        changed[position] ^= 1
        path.write_bytes(changed)
        with pytest.raises(PackageError):
            verify(folder)
    path.write_bytes(before)
    verify(folder)


def test_all_problems_are_listed_at_once(folder):
    (folder / "fp32.onnx").write_bytes(b"other")
    (folder / "deep" / "file.bin").unlink()
    (folder / "extra.txt").write_text("x")
    with pytest.raises(PackageError) as caught:
        verify(folder)
    for part in ("fp32.onnx: changed", "deep/file.bin: missing", "extra.txt: not part", "fetch the package again"):
        assert part in str(caught.value)


def test_a_seal_over_another_manifest_is_refused(folder):
    record = json.loads((folder / MANIFEST).read_text())
    record["quality"][0]["value"] = 0.99
    (folder / MANIFEST).write_text(json.dumps(record))
    with pytest.raises(PackageError, match=r"flight\.json: does not match flight\.sha256"):
        verify(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not a valid manifest"),
        ("[]", "not a valid manifest"),
        ('{"format_version": 2}', "has format 2, this satsqueeze reads 1"),
        ('{"format_version": 1}', "not a valid manifest"),
    ],
)
def test_what_is_not_a_manifest_is_refused(folder, content, message):
    (folder / MANIFEST).write_text(content)
    with pytest.raises(PackageError, match=message):
        read_manifest(folder)


def test_a_folder_without_a_manifest_is_refused(tmp_path):
    with pytest.raises(PackageError, match=r"has no flight\.json"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bands": (PackageBand(name="red", wavelength_nm=600.0, gsd_m=10.0),)}, "scaling is for"),
        ({"default_graph": "int8.onnx"}, "not among the graphs"),
        ({"foreground": (2,)}, "does not fit 2 classes"),
        ({"size_multiple": 0}, "impossible"),
        ({"buffer_m": -1.0}, "a buffer of -1.0 m is impossible"),
        ({"buffer_m": 25.0, "window_invariant": False}, "0 where tiles are blended"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(changes, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        manifest(**changes)


def test_assembling_shows_the_folder_only_when_done(tmp_path):
    target = tmp_path / "package"
    with assembling(target) as part:
        (part / "fp32.onnx").write_bytes(b"graph")
        seal(part, manifest())
        assert not target.exists()
    verify(target)
    assert [p.name for p in tmp_path.iterdir()] == ["package"]


def test_a_failure_leaves_nothing_or_the_older_package(tmp_path, folder):
    before = (folder / MANIFEST).read_bytes()
    for target in (tmp_path / "new", folder):
        with pytest.raises(FileNotFoundError), assembling(target) as part:
            (part / "absent" / "half").write_text("x")
    assert (folder / MANIFEST).read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["package"]


def test_an_older_package_is_replaced_whole(tmp_path, folder):
    with assembling(folder) as part:
        (part / "fp32.onnx").write_bytes(b"newer")
        seal(part, manifest(name="newer"))
    assert verify(folder).name == "newer"
    assert not (folder / "deep").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["package"]


def test_something_else_is_never_replaced(tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(PackageError, match="is not a flight package"), assembling(tmp_path):
        pass
    with pytest.raises(PackageError, match="is not a flight package"), assembling(tmp_path / "precious.txt"):
        pass
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_what_killed_runs_left_is_cleared_away(tmp_path):
    folder, dead, living = tmp_path / "mine[1]", 2**22 + 1, os.getppid()
    left = {name: tmp_path / name for name in (f".mine[1].{dead}.part", f".mine[1].{dead}.old", f".other.{dead}.part")}
    used = tmp_path / f".mine[1].{living}.part"
    for path in (*left.values(), used):
        path.mkdir()
    with assembling(folder) as part:
        (part / MANIFEST).write_text("{}")
    # An older package is kept as long as no other stands in its place.
    assert [path.exists() for path in left.values()] == [False, True, True]
    with assembling(folder) as part:
        (part / MANIFEST).write_text("{}")
    assert [path.exists() for path in left.values()] == [False, False, True]
    assert used.exists()
