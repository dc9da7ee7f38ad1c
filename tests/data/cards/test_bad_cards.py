"""Damaged cards and metadata end in an error that says so, or in something that they could say; none hangs."""

from __future__ import annotations

import json
import os
import signal
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain

import pytest

from satsqueeze.core.errors import CardError, DataError
from satsqueeze.data.cards.catalogue import load_card
from satsqueeze.data.cards.pattern import compiled
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.scene.channels import ReadRule
from satsqueeze.data.scene.digital_reader import DigitalReader
from satsqueeze.data.scene.evidence import radiometry_of
from satsqueeze.data.scene.product import find_scenes
from satsqueeze.data.scene.radiometric_statement import parse_radiometry
from satsqueeze.data.synth import DatasetSettings, write_dataset

from .card_damage import MTL, SAFE, damaged_cards, damaged_items, damaged_mtl, damaged_safe_metadata, damaged_sources

LIMIT_S = 60
PRODUCT = "LC08_L1TP_013031_20240105_20240110_02_T1"
ITEM = {
    "type": "Feature", "stac_version": "1.0.0", "id": "an-item", "geometry": None, "links": [],
    "properties": {"datetime": "2024-01-05T10:34:21Z"},
    "assets": {
        band: {
            "href": f"./{band}.tif", "roles": ["data"], "eo:bands": [{"name": band, "common_name": band}],
            "raster:bands": [{"scale": 0.0001, "offset": 0.0, "nodata": 0}],
        }
        for band in ("red", "nir")
    },
}  # fmt: skip


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


def reason_to_refuse(read, *arguments):
    try:
        read(*arguments)
    except DataError as error:
        return str(error)
    return None


def check(case, read, *arguments):
    """``read`` ends in time, and refuses what must be refused with a reason that can be printed and read."""
    with in_time(case.name):
        reason = reason_to_refuse(read, *arguments)
    if reason is None:
        assert case.expect == "either", f"{case.name} passed"
    else:
        assert 20 < len(reason.encode()) < 20_000, case.name


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("damaged") / "scenes"
    write_dataset(DatasetSettings(seed=1, scenes=2, size=32), path)
    return path


def test_there_are_hundreds_of_cases(folder):
    kinds = (damaged_cards((folder / "dataset.yaml").read_bytes()), damaged_sources(), damaged_safe_metadata())
    names = [case.name for case in chain(*kinds, damaged_mtl(), damaged_items(json.dumps(ITEM).encode()))]
    assert len(names) == len(set(names)) >= 400


def test_damaged_cards(folder):
    path = folder / "dataset.yaml"
    sound = path.read_bytes()
    for case in damaged_cards(sound):
        path.write_bytes(case.content)
        check(case, open_dataset, folder)
    path.write_bytes(sound)
    assert len(open_dataset(folder)) == 2


def test_damaged_lists_of_sources(folder):
    for case in damaged_sources():
        (folder / "sources.yaml").write_bytes(case.content)
        check(case, open_dataset, folder / "sources.yaml")


def test_a_card_that_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    with in_time("pipe"), pytest.raises(CardError, match="no file"):
        load_card(tmp_path / "pipe.yaml")


@dataclass
class Opened:
    """What is known of an open raster without scale tags."""

    dtypes: tuple = ("uint16",)
    scales: tuple = (1.0,)
    offsets: tuple = (0.0,)
    auto: object = field(default_factory=lambda: parse_radiometry("auto"))

    def radiometry(self, path):
        return radiometry_of(str(path), self, 0, self.auto)


def test_damaged_metadata_of_sentinel_2(tmp_path):
    for number, case in enumerate(damaged_safe_metadata()):
        # What was read of a folder is remembered, so that each case has its own.
        product = tmp_path / f"{number}" / "S2A_MSIL2A_20240105T103421_R108_T31UFT_20240105T120000.SAFE"
        product.mkdir(parents=True)
        (product / "MTD_MSIL2A.xml").write_bytes(case.content)
        check(case, Opened().radiometry, product / "T31UFT_20240105T103421_B04_10m.tif")
    (product / "MTD_MSIL2A.xml").write_text(SAFE)


def test_damaged_metadata_of_landsat(tmp_path):
    beside, band = tmp_path / f"{PRODUCT}_MTL.txt", tmp_path / f"{PRODUCT}_B4.TIF"
    for case in damaged_mtl():
        beside.write_bytes(case.content)
        check(case, Opened().radiometry, band)
    beside.write_text(MTL)
    assert Opened().radiometry(band).scale == pytest.approx(2e-5 / 0.71325, rel=1e-4)
    beside.unlink()
    os.mkfifo(beside)
    with in_time("pipe"), pytest.raises(DataError, match="no usable"):
        Opened().radiometry(band)


def test_damaged_items(tmp_path):
    """An item is read in two steps: the scene with its statement, then the statement."""

    def read(path):
        [scene] = find_scenes([path])
        if scene.problem is not None:
            raise scene.problem
        json.dumps([scene.id, *scene.files], ensure_ascii=False).encode()
        DigitalReader(scene.files, ReadRule(radiometry=scene.radiometry), file_bands=scene.file_bands)

    path = tmp_path / "item.json"
    for case in damaged_items(json.dumps(ITEM).encode()):
        path.write_bytes(case.content)
        # The files themselves are absent: what is sound ends there.
        with in_time(case.name):
            assert len(reason_to_refuse(read, path)) > 20, case.name
    path.unlink()
    os.mkfifo(path)
    with in_time("pipe"):
        assert "no file" in reason_to_refuse(read, path)


@pytest.mark.parametrize(
    "text",
    ["(a+)+", "(a*b|c)*", r"(\d{1,}x){2,}", "((a|b+)c)*", "([^)]+)*", "(?:a|a)*_d", r"(\d|[0-9])+x", "(ab|ac){1,40}"],
)
def test_a_repeated_repetition_is_refused(text):
    with pytest.raises(CardError, match="repeats a repetition"):
        compiled(text)


@pytest.mark.parametrize(
    "text",
    [
        r"(.+)_\d+$",
        r"([a-z]*)?x",
        r"\(+\)+",
        "[(+)]*",
        "(abc)+",
        r"(a\+)*",
        "(a{2})*",
        "(a|b)c+",
        "(?:S|L)+x",
        "(?:VV|VH){1,2}",
    ],
)
def test_a_single_repetition_is_not(text):
    assert compiled(text).pattern == text
