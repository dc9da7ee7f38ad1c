"""Graphs for bands in pixels of their own size."""

from __future__ import annotations

import json
import shutil

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torch.nn import functional

import satsqueeze
from satsqueeze.core.errors import (
    BandError,
    ExportError,
    GridError,
    PackageError,
    ParityError,
    RadiometryError,
    SettingsError,
)
from satsqueeze.core.package import read_manifest, seal
from satsqueeze.core.scaling import Scaling
from satsqueeze.data.cache.pack import pack
from satsqueeze.data.dataset import open_dataset
from satsqueeze.export import ClassExportSettings, export_package, native
from satsqueeze.export.native import NATIVE, native_grids, proven_native
from satsqueeze.flight import verify_package
from satsqueeze.flight.native import NativeClassifier, native_engine
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.classifier import ClassifierConfig
from satsqueeze.nets.model import SegmentationModel

BANDS = ("swir16", "blue", "coastal", "green")
SIDE, CLASSES = 12, ("a", "b", "c")
SIZES = {"swir16": (6, 6), "blue": (12, 12), "coastal": (2, 2), "green": (12, 12)}


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(len(BANDS), 8, 3, padding=1)
        self.head = nn.Linear(8, len(CLASSES))

    def forward(self, x):
        return self.head(torch.relu(self.first(x)).mean(dim=(2, 3)))


def model():
    card = ModelCard(
        name="grids",
        family="zoo",
        config=ClassifierConfig(model="resnet8", in_channels=len(BANDS), classes=3, size=SIDE),
        scaling=Scaling(bands=BANDS, mean=(0.3,) * 4, std=(0.1,) * 4),
        bands=BANDS,
        classes=CLASSES,
        foreground=(),
        task="classification",
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = SegmentationModel(card)
        made.net = Small()
        made.net.head.weight.data.mul_(6)
    return made.eval()


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    import rasterio
    from affine import Affine

    folder = tmp_path_factory.mktemp("tiles")
    card = {
        "name": "tiles",
        "task": "classification",
        "bands": list(BANDS),
        "images": "{above}{label:[a-z]}/{name}.tif",
        "label_kind": "path",
        "classes": list(CLASSES),
        "foreground": [],
        "scale": 0.0001,
    }
    (folder / "dataset.yaml").write_text(json.dumps(card))
    generator = np.random.default_rng(0)
    place = Affine(10, 0, 0, 0, -10, 0)
    for name in CLASSES:
        (folder / name).mkdir()
        for number in range(4):
            profile = {"driver": "GTiff", "count": len(BANDS), "height": SIDE, "width": SIDE, "dtype": "uint16"}
            with rasterio.open(folder / name / f"{number}.tif", "w", transform=place, **profile) as target:
                target.write(generator.integers(500, 6000, (len(BANDS), SIDE, SIDE), dtype=np.uint16))
    return pack(open_dataset(folder), folder / "cache")


@pytest.fixture(scope="module", params=["fp32", "int8"])
def package(request, cache, tmp_path_factory):
    settings = ClassExportSettings(
        native_grids=True,
        default=request.param,
        calibration_windows=8,
        ranking_windows=4,
        calibrations=("minmax",),
        threads=1,
        openvino="off",
        accuracy_loss=1.0,
    )
    folder = tmp_path_factory.mktemp("package") / "grids"
    export_package(model(), cache, cache.ids, cache.ids, settings, folder, name="grids", description="A test.")
    return folder


def images(count=5, seed=1):
    generator = np.random.default_rng(seed)
    return {band: generator.random((count, *size), dtype=np.float32) * 0.6 for band, size in SIZES.items()}


def enlarged(given):
    """All bands (N, C, H, W) as PyTorch resamples them."""
    parts = [
        functional.interpolate(torch.from_numpy(given[band])[:, None], (SIDE, SIDE), mode="bilinear") for band in BANDS
    ]
    return torch.cat(parts, dim=1).numpy()


def test_it_decides_as_on_bands_that_were_resampled_before(package):
    flier, given = satsqueeze.open_native(package, threads=1), images()
    assert (flier.sizes, flier.classes) == (SIZES, CLASSES)
    found = flier.classify(given, batch=2)
    wanted = satsqueeze.open_classifier(package, threads=1).classify(enlarged(given), BANDS)
    assert found.probabilities.std() > 0.01
    np.testing.assert_allclose(found.probabilities, wanted.probabilities, atol=2e-3)
    single = flier.classify({band: values[3] for band, values in given.items()} | {"other": np.zeros(3)})
    assert single.classes == found.classes[3]
    np.testing.assert_allclose(single.probabilities, found.probabilities[3], atol=1e-6)
    none = flier.classify({band: values[:0] for band, values in given.items()})
    assert (none.classes.shape, none.probabilities.shape) == ((0,), (0, 3))


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_what_is_interpolated_from_a_missing_pixel_is_missing_in_all_bands(package, odd):
    given = images()
    whole = enlarged(given)
    # Pixel (2, 3) of 6 x 6 takes part in these of 12 x 12.
    given["swir16"][0, 2, 3] = odd
    whole[0, :, 3:7, 5:9] = np.nan
    given["blue"][1, 7, 7] = odd
    whole[1, :, 7, 7] = np.nan
    masked = np.ma.MaskedArray(given["green"], mask=False)
    masked[2, 0, 0] = np.ma.masked
    whole[2, :, 0, 0] = np.nan
    found = satsqueeze.open_native(package, threads=1).classify(given | {"green": masked})
    wanted = satsqueeze.open_classifier(package, threads=1).classify(whole, BANDS)
    np.testing.assert_allclose(found.probabilities, wanted.probabilities, atol=2e-3)


def test_a_missing_pixel_without_weight_is_no_matter(package, tmp_path):
    """At three times the finest size, every third pixel lies on the centre of a coarse one."""
    shutil.copytree(package, tmp_path, dirs_exist_ok=True)
    manifest = bands_of(tmp_path, coastal=30.0, swir16=10.0)
    manifest = manifest.model_copy(update={"native": proven_native(tmp_path, manifest)})
    flier = NativeClassifier(manifest, native_engine(tmp_path, manifest))
    assert flier.sizes["coastal"] == (4, 4)
    generator = np.random.default_rng(2)
    given = {band: generator.random((1, *flier.sizes[band]), dtype=np.float32) * 0.6 for band in BANDS}
    whole = enlarged(given)
    given["coastal"][0, 1, 1] = np.nan
    whole[0, :, 2:7, 2:7] = np.nan
    wanted = satsqueeze.open_classifier(package, threads=1).classify(whole, BANDS)
    np.testing.assert_allclose(flier.classify(given).probabilities, wanted.probabilities, atol=2e-3)


def test_the_package_proves_it(package, tmp_path):
    report = verify_package(package, threads=1)
    assert NATIVE in [test.graph for test in report.tests]
    assert [grid.bands for grid in report.manifest.native.grids] == [("blue", "green"), ("swir16",), ("coastal",)]
    assert [grid.input for grid in report.manifest.native.grids] == [
        "reflectance_10m",
        "reflectance_20m",
        "reflectance_60m",
    ]
    changed = tmp_path / "changed"
    shutil.copytree(package, changed)
    graph = onnx.load(changed / NATIVE)
    next(n for n in graph.graph.node if n.op_type == "Resize").attribute[0].s = b"align_corners"
    onnx.save(graph, changed / NATIVE)
    with pytest.raises(PackageError, match=f"{NATIVE}: changed"):
        satsqueeze.open_native(changed)
    (changed / "flight.json").unlink()
    record = report.manifest.model_copy(update={"files": {}})
    seal(changed, record.model_copy(update={"vectors": ""}))
    assert satsqueeze.open_native(changed).sizes == SIZES
    assert f"{NATIVE}: no test vectors" in verify_package(changed).skipped
    broken = onnx.load(changed / NATIVE)
    next(tensor for tensor in broken.graph.initializer if tensor.name == "grid/order").int64_data[:] = [9, 9, 9, 9]
    onnx.save(broken, changed / NATIVE)
    seal(changed, read_manifest(changed))
    with pytest.raises(PackageError, match="does not run as its manifest says"):
        satsqueeze.open_native(changed)
    (changed / NATIVE).unlink()
    manifest = read_manifest(changed)
    kept = {name: entry for name, entry in manifest.files.items() if name != NATIVE}
    with pytest.raises(ValueError, match="does not fit"):
        type(manifest).model_validate(manifest.model_copy(update={"files": kept}).model_dump())


def test_test_vectors_tell_a_graph_that_decides_otherwise(package, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(package, changed)
    graph = onnx.load(changed / NATIVE)
    order = next(tensor for tensor in graph.graph.initializer if tensor.name == "grid/order")
    values = onnx.numpy_helper.to_array(order)[::-1].copy()
    order.CopyFrom(onnx.numpy_helper.from_array(values, "grid/order"))
    onnx.save(graph, changed / NATIVE)
    seal(changed, read_manifest(changed))
    with pytest.raises(PackageError, match=f"{NATIVE} does not reproduce the test vectors on this machine"):
        satsqueeze.open_native(changed)
    with pytest.raises(PackageError, match=NATIVE):
        verify_package(changed, threads=1)


def test_another_resampling_is_found_out(package, tmp_path, monkeypatch):
    shutil.copytree(package, tmp_path, dirs_exist_ok=True)
    write = native._write

    def nearest(*given):
        write(*given)
        graph = onnx.load(tmp_path / NATIVE)
        for node in graph.graph.node:
            for attribute in node.attribute:
                if node.op_type == "Resize" and attribute.name == "mode":
                    attribute.s = b"nearest"
        onnx.save(graph, tmp_path / NATIVE)

    monkeypatch.setattr(native, "_write", nearest)
    with pytest.raises(ParityError, match="probabilities differ"):
        proven_native(tmp_path, read_manifest(package))
    assert not (tmp_path / NATIVE).exists()


def bands_of(package, **gsd):
    manifest = read_manifest(package)
    bands = tuple(band.model_copy(update={"gsd_m": gsd.get(band.name, 10.0)}) for band in manifest.bands)
    return manifest.model_copy(update={"bands": bands})


def test_bands_that_lie_on_no_common_grid_are_refused(package):
    with pytest.raises(ExportError, match="have pixels of 10 m, so that nothing is resampled"):
        native_grids(bands_of(package))
    with pytest.raises(ExportError, match=r"bands coastal of 25 m do not lie on images of 12 x 12 px of 10 m"):
        native_grids(bands_of(package, coastal=25.0))
    with pytest.raises(ExportError, match=r"5 is no whole number that divides"):
        native_grids(bands_of(package, coastal=50.0))
    with pytest.raises(ExportError, match="for decisions on whole images"):
        native_grids(read_manifest(package).model_copy(update={"input_size": None}))


def test_refused_images(package, tmp_path):
    flier, given = satsqueeze.open_native(package, threads=1), images()
    with pytest.raises(BandError, match="coastal"):
        flier.classify({band: given[band] for band in BANDS if band != "coastal"})
    with pytest.raises(
        GridError, match=r"expected 5 images of band coastal with 2 x 2 px each, got shape \(5, 12, 12\)"
    ):
        flier.classify(given | {"coastal": given["blue"]})
    with pytest.raises(GridError, match=r"some bands are one image \(h, w\) and others several"):
        flier.classify(given | {"coastal": given["coastal"][0]})
    with pytest.raises(GridError, match="give a mapping"):
        flier.classify(enlarged(given))
    with pytest.raises(RadiometryError, match="digital numbers"):
        flier.classify(given | {"swir16": given["swir16"] * 10000})
    with pytest.raises(SettingsError, match="at least 1"):
        flier.classify(given, batch=0)
    shutil.copytree(package, tmp_path / "without")
    (tmp_path / "without" / NATIVE).unlink()
    record = read_manifest(package).model_copy(update={"native": None, "vectors": ""})
    seal(tmp_path / "without", record)
    with pytest.raises(PackageError, match="has no graph for bands in pixels of their own size; export it with native"):
        satsqueeze.open_native(tmp_path / "without")


@pytest.mark.parametrize("size", [(5, 6), (0, 6), (6, 5000)])
def test_impossible_grids(package, size):
    record = read_manifest(package).model_dump()
    record["native"]["grids"][1]["size"] = size
    with pytest.raises(ValueError, match=r"does not fit|greater than|less than"):
        type(read_manifest(package)).model_validate(record)
