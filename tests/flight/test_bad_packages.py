"""A damaged package is refused with a reason: none crashes, hangs or passes where a hash or the manifest disagrees."""

from __future__ import annotations

import signal
from contextlib import contextmanager

import pytest

from satsqueeze.cli.main import main
from satsqueeze.core.errors import PackageError
from satsqueeze.flight.opening import open_package
from satsqueeze.flight.verify import verify_package

from .package_damage import damaged_packages, fresh_copy

LIMIT_S = 60


@contextmanager
def in_time(name):
    def ring(*_):
        raise AssertionError(f"{name} takes longer than {LIMIT_S} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(LIMIT_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def reason_to_refuse(folder):
    try:
        verify_package(folder, threads=1)
    except PackageError as error:
        return str(error)
    return None


def test_two_hundred_damaged_packages(package, tmp_path):
    damaged = list(damaged_packages(package))
    assert len(damaged) >= 200
    assert len({case.name for case in damaged}) == len(damaged)
    for case in damaged:
        folder = fresh_copy(package, tmp_path / "package")
        case.spoil(folder)
        with in_time(case.name):
            reason = reason_to_refuse(folder)
        assert reason is None or len(reason.encode()) > 40, case.name
        assert reason or case.expect == "either", f"{case.name} passed"


def test_the_reader_that_flies_refuses_the_same(package, tmp_path):
    damaged = [case for case in damaged_packages(package, seed=1) if case.expect == "refused"]
    for case in damaged[::3]:
        folder = fresh_copy(package, tmp_path / "package")
        case.spoil(folder)
        with in_time(case.name):
            try:
                found = open_package(folder, threads=1)
            except PackageError:
                continue
        # Vectors of the first graph alone are spoilt, so that another graph may fly.
        assert found.notes, f"{case.name} passed"


def test_a_command_line_tells_it_in_a_sentence(package, tmp_path, capsys):
    folder = fresh_copy(package, tmp_path / "package")
    (folder / "flight.json").write_text("[" * 100_000)
    assert main(["package", "verify", str(folder)]) == 2
    assert "PackageError" in capsys.readouterr().err


def test_a_package_without_vectors_is_tried_out(make_package, tmp_path):
    from satsqueeze.core.manifest import FlightManifest
    from satsqueeze.core.package import read_manifest, seal

    folder = make_package(tmp_path / "package", vectors=False)
    record = read_manifest(folder).model_dump(mode="json")
    assert open_package(folder).notes == ()
    changes = (
        {"classes": ["a", "b"], "foreground": [1]},
        {"size_multiple": 3},
        {"task": "classification", "input_size": [32, 32]},
    )
    for change in changes:
        seal(folder, FlightManifest.model_validate({**record, **change, "files": {}}))
        with pytest.raises(PackageError, match=r"does not run|gives probabilities"):
            open_package(folder)
