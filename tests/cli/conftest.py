"""A tiny generated data set and one run of the whole job on it, shared by the tests of the commands."""

from __future__ import annotations

import shlex
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml
from rasterio import Affine

from satsqueeze.cli.flags import parse
from satsqueeze.cli.main import COMMANDS, main
from satsqueeze.data.synth import DatasetSettings, write_dataset


@pytest.fixture(scope="session")
def scenes(tmp_path_factory):
    """Eight generated scenes of 64 px."""
    folder = tmp_path_factory.mktemp("scenes")
    write_dataset(DatasetSettings(seed=1, scenes=8, size=64), folder)
    return folder


@pytest.fixture(scope="session")
def minimal():
    """A configuration file with the least of everything."""
    return Path(__file__).parent / "minimal.yaml"


@pytest.fixture(scope="session")
def squeezed(scenes, minimal, tmp_path_factory):
    """A finished run."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    assert main(["squeeze", str(scenes), "--out", str(run), "--config", str(minimal)]) == 0
    return run


@pytest.fixture(scope="session")
def package(squeezed):
    """Folder of the flight package of the finished run."""
    found = sorted((squeezed / "packages").glob("*/flight.json"))
    return found[0].parent


def write_raster(path, values, *, crs="EPSG:32631", names=()):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.asarray(values)
    profile = {"count": values.shape[0], "height": values.shape[1], "width": values.shape[2], "dtype": values.dtype}
    place = {"crs": crs, "transform": Affine(10, 0, 6e5, 0, -10, 5e6)}
    with rasterio.open(path, "w", driver="GTiff", **profile, **place) as target:
        target.write(values)
        if names:
            target.descriptions = names


@pytest.fixture
def folder(tmp_path):
    """A function that writes a user's folder: six scenes with images, labels and a dataset.yaml."""

    def write(*, count=6, side=32, classes=2, bands=("blue", "green", "red", "nir"), **card):
        root = tmp_path / "mine"
        generator = np.random.default_rng(0)
        for number in range(count):
            image = generator.integers(500, 6000, (len(bands), side, side)).astype(np.uint16)
            label = generator.integers(0, classes, (1, side, side)).astype(np.uint8)
            write_raster(root / f"images/scene{number}.tif", image)
            write_raster(root / f"labels/scene{number}.tif", label)
        stated = {
            "name": "mine",
            "bands": list(bands),
            "radiometry": "scale:0.0001",
            "classes": ["clear", "cloud"],
            "foreground": [1],
            **card,
        }
        (root / "dataset.yaml").write_text(yaml.safe_dump(stated))
        return root

    return write


@pytest.fixture
def run_main(capsys):
    """A function that runs a command line and returns (status, standard output, standard error)."""

    def run(*words):
        capsys.readouterr()
        status = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return status, out, err

    return run


def parse_line(line: str) -> None:
    """Read a command line as the program would, without running it."""
    words = shlex.split(line)[1:]
    command = next(c for c in COMMANDS if tuple(words[: len(c.words)]) == c.words)
    function = getattr(import_module(f"satsqueeze.cli.{command.module}"), command.function)
    parse(function, words[len(command.words) :], prog=line)
