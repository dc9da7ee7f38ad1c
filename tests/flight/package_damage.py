"""Packages with something wrong: more than 200, written from a seed.

Each kind says what may become of it. ``refused``: a hash, the manifest or the test vectors must give it away.
``either``: sealed again over changed bytes, so that hashes agree and only what the change does can tell.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from satsqueeze.core.files import sha256
from satsqueeze.core.package import read_manifest, seal

FILES = ("flight.json", "flight.sha256", "fp32.onnx", "int8.onnx", "vectors.npz")
ODD = (None, True, -1, 0, 1.5, 10**30, "", "\0", "\ud800", "../../etc/passwd", [], {}, [[]], [None], {"a": {"b": []}})


@dataclass(frozen=True, kw_only=True)
class DamagedPackage:
    """How to spoil a sound package that lies in a folder."""

    name: str
    spoil: Callable[[Path], object]
    expect: Literal["refused", "either"] = "refused"


def damaged_packages(sound: Path, *, seed: int = 0) -> Iterator[DamagedPackage]:
    """Every kind of damage to copies of ``sound``."""
    generator = np.random.default_rng(seed)
    record = json.loads((sound / "flight.json").read_text())
    yield from _bytes(sound, generator)
    yield from _entries()
    yield from _texts(json.dumps(record))
    yield from _fields(record)
    yield from _contradictions(record)
    yield from _sealed_again(sound, generator)
    yield from _vectors()


def _bytes(sound: Path, generator: np.random.Generator) -> Iterator[DamagedPackage]:
    for file in FILES:
        data = (sound / file).read_bytes()
        for number in range(6):
            changed = _flipped(data, generator)
            yield DamagedPackage(name=f"flip{number} {file}", spoil=_writer(file, changed))
        for number, share in enumerate((0, 0.3, 0.7, 0.99)):
            yield DamagedPackage(name=f"cut{number} {file}", spoil=_writer(file, data[: int(share * len(data))]))
        yield DamagedPackage(name=f"longer {file}", spoil=_writer(file, data + b"\0"))
        yield DamagedPackage(name=f"missing {file}", spoil=lambda folder, file=file: (folder / file).unlink())
        yield DamagedPackage(name=f"folder {file}", spoil=lambda folder, file=file: _swap(folder / file, os.mkdir))
        yield DamagedPackage(name=f"pipe {file}", spoil=lambda folder, file=file: _swap(folder / file, os.mkfifo))


def _entries() -> Iterator[DamagedPackage]:
    yield DamagedPackage(name="extra file", spoil=lambda folder: (folder / "extra").write_bytes(b""))
    yield DamagedPackage(name="extra pipe", spoil=lambda folder: os.mkfifo(folder / "extra"))
    yield DamagedPackage(name="dangling link", spoil=lambda folder: (folder / "extra").symlink_to("nowhere"))
    yield DamagedPackage(name="link to itself", spoil=lambda folder: (folder / "extra").symlink_to(folder))
    yield DamagedPackage(name="odd name", spoil=lambda folder: (folder / "\u202e\U0001f6f0").write_bytes(b""))


def _texts(text: str) -> Iterator[DamagedPackage]:
    texts = {
        "empty": "", "null": "null", "list": "[1]", "number": "5", "cut": text[:-1], "deep list": "[" * 100_000,
        "deep object": '{"a":' * 100_000, "other format": text.replace('"format_version": 1', '"format_version": 2'),
        "many digits": text.replace('"size_multiple": 4', '"size_multiple": ' + "9" * 5000),
        "not a number": text.replace('"macs_per_pixel": 1000.0', '"macs_per_pixel": NaN'),
        "infinite": text.replace('"low": -0.2', '"low": -Infinity'),
    }  # fmt: skip
    encoded = {"utf-16": text.encode("utf-16"), "latin-1": b'"\xe9"' + text.encode(), "mark": b"\xef\xbb\xbf" + b"{}"}
    for name, content in {**{key: value.encode() for key, value in texts.items()}, **encoded}.items():
        yield DamagedPackage(name=f"manifest {name}", spoil=lambda folder, content=content: _sealed(folder, content))


def _fields(record: dict) -> Iterator[DamagedPackage]:
    """Each field of the manifest with values of other types and beyond all bounds."""
    for key in ("bands", "classes", "scaling", "size_multiple", "receptive_field", "graphs", "default_graph", "files"):
        for number, value in enumerate(ODD):
            if key == "receptive_field" and value in (0, True):
                continue  # small, but possible
            yield _record(f"{key} odd{number}", {**record, key: value})
    for key in (
        "name",
        "task",
        "input_size",
        "thresholds",
        "vectors",
        "window_invariant",
        "format_version",
        "surprise",
    ):
        for number, value in ((8, "\ud800"), (12, [[]]), (14, {"a": {"b": []}}), (15, 10**400)):
            yield _record(f"{key} odd{number}", {**record, key: value})


def _contradictions(record: dict) -> Iterator[DamagedPackage]:
    graph, scaling, files = record["graphs"][0], record["scaling"], record["files"]
    outside = {**graph, "file": "../outside.onnx"}
    three = {**scaling, "bands": scaling["bands"][:3], "mean": [0.5] * 3, "std": [0.2] * 3}
    changes = {
        "a band less": {"bands": record["bands"][:3], "scaling": three},
        "a band twice": {"bands": record["bands"][:1] * 4, "scaling": {**scaling, "bands": ["blue"] * 4}},
        "a mean less": {"scaling": {**scaling, "mean": [0.5] * 3}},
        "deviation 0": {"scaling": {**scaling, "std": [0.0] * 4}},
        "a class less": {"classes": record["classes"][:3]},
        "300 classes": {"classes": ["c"] * 300},
        "huge multiple": {"size_multiple": 10**9},
        "huge field": {"receptive_field": 10**9},
        "graph outside": {"graphs": [outside], "default_graph": outside["file"]},
        "graph not there": {"graphs": [{**graph, "file": "x.onnx"}], "default_graph": "x.onnx"},
        "graph with NUL": {"graphs": [{**graph, "file": "a\0b"}], "default_graph": "a\0b"},
        "graph is text": {"graphs": [{**graph, "file": "vectors.npz"}], "default_graph": "vectors.npz"},
        "vectors outside": {"vectors": "../vectors.npz"},
        "vectors are a folder": {"vectors": "."},
        "vectors are a graph": {"vectors": "fp32.onnx"},
        "size wrong": {"files": {**files, "fp32.onnx": {**files["fp32.onnx"], "bytes": 1}}},
        "hash wrong": {"files": {**files, "fp32.onnx": {**files["fp32.onnx"], "sha256": "0" * 64}}},
        "hash of another folder": {"files": {**files, "../x": files["fp32.onnx"]}},
        "whole images": {"task": "classification", "input_size": [32, 40]},
        "huge images": {"task": "classification", "input_size": [10**9, 10**9]},
        "images of no size": {"task": "classification", "input_size": [0, -1]},
        "labels": {"task": "multi-label", "input_size": [32, 40], "thresholds": [0.5] * 4},
    }
    for name, change in changes.items():
        yield _record(name, {**record, **change})


def _sealed_again(sound: Path, generator: np.random.Generator) -> Iterator[DamagedPackage]:
    for file, count in (("fp32.onnx", 8), ("int8.onnx", 8), ("vectors.npz", 14)):
        data = (sound / file).read_bytes()
        for number in range(count):
            changed = _flipped(data, generator) if number % 4 else data[: int(number / count * len(data))]
            yield DamagedPackage(name=f"sealed {file} {number}", spoil=_resealing(file, changed), expect="either")


def _vectors() -> Iterator[DamagedPackage]:
    images: dict[str, Callable] = {
        "double": lambda a: a.astype(np.float64), "text": lambda a: a.astype("U3"), "flat": lambda a: a[0],
        "a band less": lambda a: a[:3], "no pixel": lambda a: a[:, :0], "complex": lambda a: a.astype(np.complex64),
        "numbers": lambda a: a * np.float32(1e4),
    }  # fmt: skip
    masks = {"cut": lambda a: a[:3], "flat": np.ravel, "float": lambda a: a.astype(np.float32), "none": lambda a: None}
    chances = {
        "cut": lambda a: a[:3], "scalar": lambda a: np.float32(0), "nan": lambda a: a * np.float32(np.nan),
        "text": lambda a: a.astype("U3"), "empty": lambda a: a[:, :0, :0], "one": lambda a: a[:1],
        "other": lambda a: 1 - a, "none": lambda a: None,
    }  # fmt: skip
    yield DamagedPackage(name="vectors without images", spoil=_arrays("image", lambda a: None))
    yield DamagedPackage(name="vectors of another graph", spoil=_arrays("mask", lambda a: None, also="probabilities"))
    for prefix, kinds in (("image.0", images), ("mask.0", masks), ("probabilities.0", chances)):
        for name, change in kinds.items():
            yield DamagedPackage(name=f"vectors {prefix} {name}", spoil=_arrays(prefix, change))


def _flipped(data: bytes, generator: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for place in generator.integers(0, len(data), size=3):
        changed[place] ^= int(generator.integers(1, 256))
    return bytes(changed)


def _writer(file: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / file).write_bytes(data)


def _swap(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


def _sealed(folder: Path, content: bytes) -> None:
    """A manifest whose seal agrees."""
    (folder / "flight.json").write_bytes(content)
    (folder / "flight.sha256").write_text(sha256(folder / "flight.json") + "\n")


def _record(name: str, record: dict) -> DamagedPackage:
    content = json.dumps(copy.deepcopy(record)).encode()
    return DamagedPackage(name=name, spoil=lambda folder: _sealed(folder, content))


def _resealing(file: str, data: bytes) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        (folder / file).write_bytes(data)
        seal(folder, read_manifest(folder))

    return spoil


def _arrays(prefix: str, change: Callable, *, also: str = "") -> Callable[[Path], object]:
    """Other test vectors, sealed again; what ``change`` makes None is left out."""

    def spoil(folder: Path) -> None:
        with np.load(folder / "vectors.npz") as archive:
            arrays = {name: archive[name] for name in archive.files}
        chosen = [name for name in arrays if name.startswith(prefix) or (also and name.startswith(also))]
        arrays |= {name: change(arrays[name]) for name in chosen}
        with (folder / "vectors.npz").open("wb") as handle:
            np.savez(handle, **{name: array for name, array in arrays.items() if array is not None})
        seal(folder, read_manifest(folder))

    return spoil


def fresh_copy(sound: Path, folder: Path) -> Path:
    """``sound`` again, whatever became of the folder."""
    shutil.rmtree(folder, ignore_errors=True)
    return Path(shutil.copytree(sound, folder))
