"""From a model to a package that proves itself, or to nothing at all."""

from __future__ import annotations

import json
import shutil

import numpy as np
import onnxruntime
import pystac
import pytest
import torch
from pystac.extensions.mlm import MLMExtension

from satsqueeze.core.errors import ExportError, PackageError, ParityError, SettingsError
from satsqueeze.core.manifest import Quality
from satsqueeze.core.package import verify
from satsqueeze.export import ExportSettings, export_package
from satsqueeze.flight import open_package, verify_package
from satsqueeze.flight.engines.engine import has_openvino

QUICK = {
    "calibration_windows": 3,
    "calibration_side": 48,
    "ranking_windows": 1,
    "calibrations": ("minmax",),
    "threads": 1,
}
QUALITY = (Quality(metric="jaccard", value=0.9, protocol="5 grouped folds", graph="fp32.onnx", seeds=3),)


@pytest.fixture(scope="module")
def packaged(model, make_cache, tmp_path_factory):
    folder, cache = tmp_path_factory.mktemp("stage") / "package", make_cache(count=3)
    manifest = export_package(
        model,
        cache,
        cache.ids[:2],
        cache.ids[2:],
        ExportSettings(jaccard_loss=0.2, **QUICK),
        folder,
        name="tiny",
        description="A tiny test model.",
        quality=QUALITY,
        training={"epochs": 3, "folder": folder},
    )
    return manifest, folder


def test_the_package_verifies_itself(packaged):
    manifest, folder = packaged
    report = verify_package(folder, threads=1)
    assert report.manifest == manifest == verify(folder)
    assert {test.graph for test in report.tests} == {graph.file for graph in manifest.graphs}
    assert [p.name for p in folder.parent.iterdir()] == ["package"]


def test_the_manifest_says_it_all(packaged, model):
    manifest, folder = packaged
    assert [band.name for band in manifest.bands] == ["blue", "green", "red", "nir"]
    assert manifest.bands[3].wavelength_nm == 832.8
    assert manifest.quality == QUALITY
    assert manifest.training["epochs"] == 3
    assert manifest.default_graph == "int8.onnx"
    assert manifest.parameters == sum(p.numel() for p in model.parameters())
    assert manifest.macs_per_pixel > 0
    assert manifest.window_invariant
    assert manifest.versions["torch"] == torch.__version__.split("+")[0]
    assert manifest.parity == json.loads((folder / "parity.json").read_text())
    assert manifest.parity["int8"]["int8.onnx"]["loss"] <= 0.2
    assert manifest.files["int8.onnx"].bytes < manifest.files["fp32.onnx"].bytes
    assert ("int8.xml" in manifest.files) == has_openvino()


def test_it_flies_as_the_model_does(packaged, model, windows):
    image = windows[0]
    with torch.no_grad():
        want = model(torch.from_numpy(image[None])).argmax(dim=1)[0].numpy()
    flier = open_package(packaged[1], precision="fp32", threads=1)
    np.testing.assert_array_equal(flier.predict(image[::-1], ["nir", "red", "green", "blue"]), want)
    assert (open_package(packaged[1], threads=1).predict(image, flier.bands) == want).mean() > 0.9


def test_tiles_of_the_int8_graph_do_not_show(packaged, windows):
    image = np.tile(windows[0], (1, 3, 2))[:, :150, :117]
    whole = open_package(packaged[1], threads=1).predict(image, ("blue", "green", "red", "nir"))
    for window in (64, 100):
        model = open_package(packaged[1], threads=1, window=window)
        np.testing.assert_array_equal(model.predict(image, model.bands), whole)


def test_deepness_keys_are_in_every_onnx_graph(packaged):
    for name in ("fp32.onnx", "int8.onnx"):
        session = onnxruntime.InferenceSession(packaged[1] / name, providers=["CPUExecutionProvider"])
        keys = session.get_modelmeta().custom_metadata_map
        assert json.loads(keys["model_type"]) == "Segmentor"
        assert json.loads(keys["resolution"]) == 1000


def test_the_stac_item_describes_the_model(packaged):
    item = pystac.Item.from_dict(json.loads((packaged[1] / "item.json").read_text()))
    found = MLMExtension.ext(item)
    assert item.properties["mlm:name"] == "tiny"
    assert [band.name for band in found.input[0].bands] == ["blue", "green", "red", "nir"]
    assert found.input[0].input.shape == [-1, 4, -1, -1]
    assert [output.name for output in found.output] == ["mask", "probabilities"]
    assert [c.description for c in found.output[0].classes] == ["clear", "thick cloud", "thin cloud", "shadow"]
    assert found.total_parameters == packaged[0].parameters
    assert item.assets["int8.onnx"].href == "./int8.onnx"
    assert "mlm:model" in item.assets["int8.onnx"].roles


def test_a_loss_above_the_limit_leaves_nothing(model, exported, make_cache, tmp_path, monkeypatch):
    # The float graph is the same as ever: no need to export it again.
    monkeypatch.setattr("satsqueeze.export.stage.export_fp32", lambda _, path, **__: shutil.copy(exported[1], path))
    cache = make_cache(count=2, side=48)
    settings = ExportSettings(jaccard_loss=-0.5, float_share=0.0, **QUICK)
    with pytest.raises(ParityError, match="int8 loses"):
        export_package(model, cache, cache.ids[:1], cache.ids[1:], settings, tmp_path / "p", name="n", description="d")
    assert not list(tmp_path.iterdir())


def test_a_graph_of_another_model_leaves_nothing(make_model, exported, make_cache, tmp_path, monkeypatch):
    monkeypatch.setattr("satsqueeze.export.stage.export_fp32", lambda _, path, **__: shutil.copy(exported[1], path))
    model, cache = make_model(seed=1), make_cache(count=1, side=48)
    with pytest.raises(ParityError, match="differs from the model"):
        export_package(
            model, cache, cache.ids, cache.ids, ExportSettings(**QUICK), tmp_path / "p", name="n", description="d"
        )
    assert not list(tmp_path.iterdir())


def test_a_network_that_looks_at_its_whole_input_has_no_buffer(make_model, make_cache, tmp_path):
    model, cache = make_model("lite", norm="instance", activation="leaky", separable=True), make_cache(count=1, side=40)
    settings = ExportSettings(int8=False, default="fp32", buffer_m=25.0, **QUICK)
    with pytest.raises(ExportError, match="a buffer of 25 m was asked for, but this network looks at its whole input"):
        export_package(model, cache, cache.ids, cache.ids, settings, tmp_path / "p", name="n", description="d")
    assert not (tmp_path / "p").exists()


def test_fp32_alone_of_another_kind_of_network(make_model, make_cache, windows, tmp_path):
    model = make_model("lite", norm="instance", activation="leaky", separable=True)
    cache, settings = make_cache(count=1, side=40), ExportSettings(int8=False, default="fp32", **QUICK)
    manifest = export_package(model, cache, cache.ids, cache.ids, settings, tmp_path / "p", name="n", description="d")
    assert not manifest.window_invariant
    assert [graph.file for graph in manifest.graphs] == ["fp32.onnx"]
    assert manifest.parity["sizes"]["windows"] == []
    with torch.no_grad():
        want = model(torch.from_numpy(windows[0][None])).argmax(dim=1)[0].numpy()
    found = open_package(tmp_path / "p", threads=1).predict(windows[0], model.card.bands)
    assert (found == want).mean() > 0.999


def test_images_are_needed_and_other_folders_are_left_alone(model, make_cache, tmp_path):
    cache = make_cache(count=1, side=40)
    with pytest.raises(ExportError, match="at least one image"):
        export_package(model, cache, (), cache.ids, ExportSettings(), tmp_path / "p", name="n", description="d")
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(PackageError, match="not a flight package"):
        export_package(model, cache, cache.ids, cache.ids, ExportSettings(), tmp_path, name="n", description="d")


@pytest.mark.parametrize(
    "changes",
    [
        {"tolerance": 0.0},
        {"calibration_windows": 0},
        {"float_share": 1.5},
        {"calibrations": ()},
        {"int8": False},
    ],
)
def test_impossible_settings_are_refused(changes):
    with pytest.raises(SettingsError, match="export setting"):
        ExportSettings(**changes)


def test_a_network_of_unknown_reach_is_blended(model, exported, make_cache, tmp_path, monkeypatch):
    def no_rule(_):
        raise SettingsError("no rule")

    monkeypatch.setattr("satsqueeze.export.stage.receptive_field", no_rule)
    monkeypatch.setattr("satsqueeze.export.stage.export_fp32", lambda _, path, **__: shutil.copy(exported[1], path))
    cache, settings = make_cache(count=1, side=40), ExportSettings(int8=False, default="fp32", **QUICK)
    manifest = export_package(model, cache, cache.ids, cache.ids, settings, tmp_path / "p", name="n", description="d")
    assert (manifest.window_invariant, manifest.receptive_field) == (False, 0)
