"""A package with any changed byte is refused."""

from __future__ import annotations

import json
import shutil

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from satsqueeze.core.errors import PackageError
from satsqueeze.core.package import read_manifest, seal, verify
from satsqueeze.flight.opening import open_package
from satsqueeze.flight.vectors import TestVectors
from satsqueeze.flight.verify import verify_package

FILES = ("flight.json", "flight.sha256", "fp32.onnx", "int8.onnx", "vectors.npz")


@pytest.fixture(scope="module")
def copy(package, tmp_path_factory):
    folder = tmp_path_factory.mktemp("copy") / "package"
    shutil.copytree(package, folder)
    return folder


def test_an_untouched_package_passes(package):
    report = verify_package(package, threads=1)
    assert report.files == len(FILES) - 1
    assert [test.graph for test in report.tests] == ["fp32.onnx", "int8.onnx"]
    assert all(test.passed and test.mask_differences == 0 for test in report.tests)
    assert report.skipped == ()
    record = json.loads(json.dumps(report.to_dict()))
    assert (record["name"], record["verified"], len(record["tests"])) == ("hand-made", True, 2)
    assert "int8.onnx: 0 of 1316 classes differ" in report.summary()


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_in_any_file_is_caught(copy, name, where, bit):
    path = copy / name
    before = path.read_bytes()
    changed = bytearray(before)
    changed[int(where * len(changed))] ^= 1 << bit
    path.write_bytes(changed)
    try:
        with pytest.raises(PackageError):
            verify(copy)
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize("name", FILES)
def test_every_byte_of_the_ends_of_files_counts(copy, name):
    path = copy / name
    before = path.read_bytes()
    for changed in (before + b"\n", before[:-1], b""):
        path.write_bytes(changed)
        with pytest.raises(PackageError):
            open_package(copy)
    path.write_bytes(before)
    verify(copy)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_caught(copy, name):
    before = (copy / name).read_bytes()
    (copy / name).unlink()
    with pytest.raises(PackageError, match=r"missing|does not match|not a flight package"):
        verify_package(copy)
    (copy / name).write_bytes(before)


def test_an_added_file_is_caught(copy):
    (copy / "notes").mkdir()
    (copy / "notes" / "extra.txt").write_text("hello")
    with pytest.raises(PackageError, match=r"notes/extra\.txt: not part of the package"):
        verify_package(copy)
    shutil.rmtree(copy / "notes")


def test_hashes_alone_do_not_prove_that_it_computes(package, tmp_path):
    folder = tmp_path / "package"
    shutil.copytree(package, folder)
    graph = onnx.load(folder / "fp32.onnx")
    for tensor in graph.graph.initializer:
        if tensor.name == "c3.w":
            tensor.raw_data = (np.frombuffer(tensor.raw_data, np.float32) * np.float32(1.05)).tobytes()
    onnx.save(graph, folder / "fp32.onnx")
    seal(folder, read_manifest(folder))
    with pytest.raises(PackageError, match=r"fp32\.onnx: probabilities differ"):
        verify_package(folder)


def test_a_graph_without_an_engine_is_skipped_and_said(package, tmp_path):
    folder = tmp_path / "package"
    shutil.copytree(package, folder)
    manifest = read_manifest(folder)
    seal(folder, manifest.model_copy(update={"vectors": ""}))
    assert verify_package(folder).skipped == ("fp32.onnx: no test vectors", "int8.onnx: no test vectors")


def test_vectors_round_trip_to_the_same_bytes(package, tmp_path):
    vectors = TestVectors.read(package / "vectors.npz")
    vectors.write(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (package / "vectors.npz").read_bytes()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not an archive"])
def test_what_is_not_vectors_is_refused(tmp_path, content):
    (tmp_path / "v.npz").write_bytes(content)
    with pytest.raises(PackageError, match="no test vectors"):
        TestVectors.read(tmp_path / "v.npz")


def test_what_is_not_a_package_is_refused(tmp_path):
    with pytest.raises(PackageError, match="not a flight package"):
        open_package(tmp_path)
