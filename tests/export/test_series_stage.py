"""Packages that read all dates of a place at once: exported, proven, flown."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import satsqueeze
from satsqueeze.bench.evaluate import evaluate
from satsqueeze.core.errors import (
    BandError,
    DataError,
    ExportError,
    GridError,
    PackageError,
    RadiometryError,
    SettingsError,
)
from satsqueeze.core.metrics import SegmentationMetrics
from satsqueeze.core.package import read_manifest, seal
from satsqueeze.core.scaling import Scaling
from satsqueeze.data.cache.pack import pack
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.series import series_images, series_label, series_of
from satsqueeze.data.synth.landcover_writer import LandCoverSettings, write_land_cover
from satsqueeze.export import ExportSettings, export_package
from satsqueeze.export.series_stage import SeriesSamples, series_export
from satsqueeze.flight import verify_package
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.model import build_model
from satsqueeze.nets.series_unet import SeriesUNetConfig
from satsqueeze.nets.students import plain_student

BANDS, SIDE = ("nir", "red"), 40
QUICK = {"calibration_windows": 3, "ranking_windows": 1, "calibration_side": 32, "calibrations": ("minmax",)}


@pytest.fixture(scope="module")
def country(tmp_path_factory):
    folder = tmp_path_factory.mktemp("country") / "corda"
    settings = LandCoverSettings(country="corda", places=(2, 1, 1), dates=3, size=SIDE, bands=("red", "nir"), seed=0)
    write_land_cover(settings, folder)
    return folder


@pytest.fixture(scope="module")
def cache(country, tmp_path_factory):
    return pack(open_dataset(country), tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def model(cache):
    """A network whose decisions are spread over the classes, and depend on the days."""
    config = SeriesUNetConfig.over(plain_student(4, 2, in_channels=2, classes=len(cache.classes)))
    card = ModelCard(
        name="dates",
        family="series-unet",
        config=config,
        scaling=Scaling(bands=BANDS, mean=(0.2, 0.1), std=(0.1, 0.05)),
        bands=BANDS,
        classes=cache.classes,
        foreground=(),
    )
    made = build_model(card, seed=3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.nn.init.normal_(made.net.attention.score.weight, std=2.0)
    return made.eval()


@pytest.fixture(scope="module")
def package(cache, model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("package") / "dates"
    settings = ExportSettings(jaccard_loss=1.0, threads=1, **QUICK)
    export_package(model, cache, cache.ids, cache.ids, settings, folder, name="dates", description="A test.")
    return folder


def place(cache, number=0):
    found = series_of(cache, cache.ids)[number]
    return series_images(cache, found)[:, [1, 0]], found.days, series_label(cache, found)


def test_it_decides_as_the_model_does(package, model, cache):
    flier = satsqueeze.open_series(package, precision="fp32", threads=1)
    assert (flier.bands, flier.classes) == (BANDS, cache.classes)
    images, days, _ = place(cache)
    assert (images != 0).all()
    with torch.no_grad():
        wanted = model(torch.from_numpy(images)[None], torch.tensor([days])).softmax(dim=1)[0].numpy()
    found = flier.predict(images, days, BANDS)
    np.testing.assert_allclose(found.probabilities, wanted, atol=1e-4)
    assert len(np.unique(found.mask)) > 1
    assert (found.mask == wanted.argmax(axis=0)).mean() > 0.999
    # The order of dates and of bands is of no matter, nor are bands that it does not need.
    order = [2, 0, 1]
    more = np.concatenate([images[order][:, ::-1], images[order][:, :1]], axis=1)
    again = flier.predict(more, [days[date] for date in order], ("red", "nir", "swir16"))
    np.testing.assert_allclose(again.probabilities, found.probabilities, atol=1e-5)
    other = flier.predict(images, [1.0, 2.0, 3.0], BANDS)
    assert np.abs(other.probabilities - found.probabilities).max() > 1e-3


def test_int8_is_close_to_float(package, cache):
    images, days, _ = place(cache)
    whole = satsqueeze.open_series(package, threads=1)
    assert (whole.graph.precision, whole.graph.file) == ("int8", "int8.onnx")
    exact = satsqueeze.open_series(package, precision="fp32", threads=1).predict(images, days, BANDS)
    found = whole.predict(images, days, BANDS)
    assert (found.mask == exact.mask).mean() > 0.8
    kinds = {node.op_type for node in onnx.load(package / "int8.onnx").graph.node}
    assert "QuantizeLinear" in kinds


def test_what_is_missing_at_a_date_is_told_by_the_others(package, cache):
    flier, (images, days, _) = satsqueeze.open_series(package, precision="fp32", threads=1), place(cache)
    cloudy, valid = images.copy(), np.ones(images[:, 0].shape, bool)
    cloudy[1], valid[1] = np.nan, False
    two = flier.predict(images[[0, 2]], [days[0], days[2]], BANDS)
    for found in (flier.predict(cloudy, days, BANDS), flier.predict(images, days, BANDS, valid=valid)):
        np.testing.assert_allclose(found.probabilities, two.probabilities, atol=1e-5)
    cloudy[:, 0, :3] = np.inf
    hidden = flier.predict(cloudy, days, BANDS)
    assert (hidden.mask[:3] == 255).all()
    assert (hidden.probabilities[:, :3] == 0).all()
    assert (hidden.mask[3:] != 255).all()


@pytest.mark.parametrize("size", [(1, 1), (5, 33), (40, 7)])
def test_any_size(package, cache, size):
    images, days, _ = place(cache)
    found = satsqueeze.open_series(package, threads=1).predict(images[:, :, : size[0], : size[1]], days, BANDS)
    assert (found.mask.shape, found.probabilities.shape) == (size, (len(cache.classes), *size))


def test_the_package_proves_itself(package, tmp_path):
    report = verify_package(package, threads=1)
    assert [test.graph for test in report.tests] == ["fp32.onnx", "int8.onnx"]
    manifest = report.manifest
    assert (manifest.task, manifest.window_invariant, manifest.parity["sizes"]) == ("series", False, None)
    assert manifest.parity["fp32"]["dates"] == [1, 2, 5, 13]
    changed = tmp_path / "changed"
    shutil.copytree(package, changed)
    graph = onnx.load(changed / "int8.onnx")
    weights = next(t for t in graph.graph.initializer if t.data_type == onnx.TensorProto.INT8 and len(t.dims) == 4)
    weights.CopyFrom(onnx.numpy_helper.from_array(-onnx.numpy_helper.to_array(weights), weights.name))
    onnx.save(graph, changed / "int8.onnx")
    with pytest.raises(PackageError, match=r"int8.onnx: changed"):
        satsqueeze.open_series(changed)
    seal(changed, read_manifest(changed))
    opened = satsqueeze.open_series(changed, threads=1)
    assert opened.graph.file == "fp32.onnx"
    assert "int8.onnx on onnx was passed over" in opened.notes[0]
    with pytest.raises(PackageError, match="no graph reproduces the test vectors"):
        satsqueeze.open_series(changed, precision="int8")
    with pytest.raises(PackageError, match=r"does not reproduce its test vectors: int8.onnx"):
        verify_package(changed)


def test_refused_series(package, cache, tmp_path):
    flier, (images, days, _) = satsqueeze.open_series(package, threads=1), place(cache)
    for shape in (images[0], images[:0], images[:, :, :0]):
        with pytest.raises(GridError, match=r"must be \(T, C, H, W\) with at least one date and pixel"):
            flier.predict(shape, days, BANDS)
    for odd in (days[:2], (0, 1, 2), (1, 2, np.nan), (1, 2, 400)):
        with pytest.raises(GridError, match="needs as many days of the year from 1 to 366"):
            flier.predict(images, odd, BANDS)
    with pytest.raises(GridError, match="days must be numbers"):
        flier.predict(images, ["May", "June", "July"], BANDS)
    with pytest.raises(BandError, match="nir"):
        flier.predict(images, days, ("red", "green"))
    with pytest.raises(GridError, match=r"validity must be \(T, H, W\)"):
        flier.predict(images, days, BANDS, valid=np.ones((SIDE, SIDE), bool))
    with pytest.raises(RadiometryError, match="digital numbers"):
        flier.predict(images * 10_000, days, BANDS)
    with pytest.raises(PackageError, match="use open_series"):
        satsqueeze.open_package(package)
    with pytest.raises(SettingsError, match="precision"):
        satsqueeze.open_series(package, precision="bf16")


def test_a_package_of_one_date_is_no_package_for_series():
    with pytest.raises(PackageError, match="segmentation package, of one date; use open_package"):
        satsqueeze.open_series(Path(__file__).parents[2] / "zoo/cloud-s2l8-4band")


def test_refused_exports(cache, model):
    for settings in (ExportSettings(buffer_m=20), ExportSettings(logit_bias=(0.5,) * len(cache.classes))):
        with pytest.raises(ExportError, match="neither a buffer nor a logit bias"):
            series_export(model, cache, cache.ids, cache.ids, settings)
    with pytest.raises(ExportError, match="dates of at least one place each"):
        series_export(model, cache, (), cache.ids, ExportSettings())
    with pytest.raises(ExportError, match="from a packed cache"):
        series_export(model, None, cache.ids, cache.ids, ExportSettings())


def test_windows_are_parts_of_places(cache):
    samples = SeriesSamples(cache, tuple(cache.ids), BANDS)
    assert samples.labelled
    windows = samples.windows(count=5, side=32, multiple=8, seed=1)
    again = samples.windows(count=5, side=32, multiple=8, seed=1)
    for window, same in zip(windows, again, strict=True):
        assert window["reflectance"].shape == (1, 3, 2, 32, 32)
        np.testing.assert_array_equal(window["reflectance"], same["reflectance"])
    images, days, _ = place(cache)
    np.testing.assert_allclose(windows[0]["days"], [days], rtol=1e-6)
    part = windows[0]["reflectance"][0, 0, 0]
    starts = [(r, c) for r in range(9) for c in range(9) if (images[0, 0, r : r + 32, c : c + 32] == part).all()]
    assert len(starts) == 1
    # What is smaller than a multiple is continued by reflection.
    whole = samples.windows(count=1, side=64, multiple=32, seed=0)[0]["reflectance"]
    assert whole.shape == (1, 3, 2, 64, 64)
    np.testing.assert_array_equal(whole[0], np.pad(images, [(0, 0), (0, 0), (0, 24), (0, 24)], mode="reflect"))


def test_it_is_scored_by_place(package, country, cache):
    asked, dataset = [], open_dataset(country)
    record = evaluate(package, dataset, precision="fp32", threads=1, on_progress=lambda *n: asked.append(n))
    metrics = SegmentationMetrics(len(cache.classes), ())
    flier = satsqueeze.open_series(package, precision="fp32", threads=1)
    for number in range(4):
        images, days, label = place(cache, number)
        # The cache rounds reflectance to 0.0001, as the files hold it.
        metrics.update(label, flier.predict(images, days, BANDS).mask, image=str(number))
    assert record["jaccard"] == pytest.approx(metrics.overall().jaccard, abs=2e-3)
    assert asked == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert "over 4 places of" in record["protocol"]
    assert (record["package"], record["graph"], record["engine"], record["quarantined"]) == (
        "dates",
        "fp32.onnx",
        "onnx",
        [],
    )
    assert evaluate(package, dataset, limit=1, threads=1)["protocol"].startswith("mean of the classes")


def test_dates_that_cannot_be_read_are_left_out(package, country, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(country, copy)
    files = sorted((copy / "images").glob("*.tif"))
    places = sorted({path.name.rsplit("_", 1)[0] for path in files})
    files[0].write_bytes(b"broken")
    for path in files:
        if path.name.startswith(places[1]):
            path.write_bytes(b"broken")
    record = evaluate(package, open_dataset(copy), threads=1)
    assert len(record["quarantined"]) == 4
    assert "over 3 places" in record["protocol"]
    assert "4 dates or places left out" in record["protocol"]
    for path in files:
        path.write_bytes(b"broken")
    with pytest.raises(DataError, match="none of 12 images could be scored"):
        evaluate(package, open_dataset(copy), threads=1)


def test_data_that_make_no_series_are_refused(package, country, tmp_path):
    with pytest.raises(SettingsError, match="a package for series has no buffer"):
        evaluate(package, open_dataset(country), buffer_m=20)
    copy = tmp_path / "copy"
    shutil.copytree(country, copy)
    card = copy / "dataset.yaml"
    lines = [line for line in card.read_text().splitlines() if not line.startswith(("series:", "date:"))]
    card.write_text("\n".join(lines))
    with pytest.raises(DataError, match="none of the 12 images is a date of a labelled place; state 'series'"):
        evaluate(package, open_dataset(copy), threads=1)
