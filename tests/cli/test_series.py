"""``satsqueeze train --series`` end to end on a tiny generated country."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest

import satsqueeze
from satsqueeze.bench.evaluate import evaluate
from satsqueeze.cli.main import main
from satsqueeze.core.run import RunFolder
from satsqueeze.data.dataset import open_dataset
from satsqueeze.data.stage import load_prepared
from satsqueeze.nets.model import build_model, load_model, save_model
from satsqueeze.nets.series_unet import SeriesUNetConfig

EXPORT = ("--export.calibrations", "[minmax]", "--export.openvino", "off", "--export.jaccard_loss", "1")
FIT = ("--fit.epochs=1", "--fit.steps_per_epoch=2", "--fit.batch_size=2", "--fit.patch_size=[32,32]")


@pytest.fixture(scope="module")
def country(tmp_path_factory):
    root = tmp_path_factory.mktemp("country") / "corda"
    assert main(["landcover", "corda", "--out", str(root), "--places", "5,1,1", "--dates", "3", "--size", "32"]) == 0
    return root


def test_train_series_trains_scores_and_exports(country, tmp_path, capsys):
    out = tmp_path / "run"
    words = ["train", str(country), "--out", str(out), "--model", "unet-2", "--series", "2", *FIT]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "labelled places, mIoU" in said
    assert "series.onnx differs by at most" in said
    result = json.loads((out / "stages" / "series.json").read_text())["result"]
    assert result["labels"] + result["test"]["places"] <= 7
    assert result["parity"]["probability_difference"] <= 1e-4
    model = load_model(out / "network")
    assert isinstance(model.card.config, SeriesUNetConfig)
    session = onnxruntime.InferenceSession(out / "network" / "series.onnx", providers=["CPUExecutionProvider"])
    images = np.full((1, 7, 4, 32, 32), 0.2, np.float32)
    mask = session.run(["mask"], {"reflectance": images, "days": np.linspace(1, 360, 7, dtype=np.float32)[None]})[0]
    assert mask.shape == (1, 32, 32)
    assert main(words) == 0
    assert "done before" in capsys.readouterr().err
    assert main(["export", str(out), *EXPORT]) == 0
    package = capsys.readouterr().out.strip()
    assert package == str(out / "packages" / "unet-2-series")
    flier = satsqueeze.open_series(package)
    quality, test = flier.manifest.quality[0], load_prepared(RunFolder(out)).test
    assert (quality.metric, quality.graph) == ("jaccard", "fp32.onnx")
    held = replace(open_dataset(country), items=tuple(i for i in open_dataset(country).items if i.id in test))
    assert quality.value == pytest.approx(evaluate(package, held, precision="fp32")["jaccard"], abs=2e-3)
    assert flier.predict(images[0], [10, 50, 90, 130, 170, 210, 250], flier.bands).mask.shape == (32, 32)
    assert main(["export", str(out), *EXPORT]) == 0
    assert "done before" in capsys.readouterr().err


def test_a_network_of_one_date_flies(country, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["train", str(country), "--out", str(out), "--model", "unet-2", *FIT]) == 0
    capsys.readouterr()
    assert main(["export", str(out), *EXPORT]) == 0
    package = capsys.readouterr().out.strip()
    manifest = satsqueeze.open_package(package).manifest
    assert (manifest.name, manifest.task) == ("unet-2", "segmentation")
    shutil.copytree(out / "network", tmp_path / "kept")
    test = load_prepared(RunFolder(out)).test
    held = replace(open_dataset(country), items=tuple(i for i in open_dataset(country).items if i.id in test))
    found = evaluate(package, held, precision="fp32")["jaccard"]
    assert manifest.quality[0].value == pytest.approx(found, abs=2e-3)
    # What lies there by now is not what was finished.
    shutil.rmtree(out / "network")
    save_model(build_model(replace(load_model(tmp_path / "kept").card, name="other"), seed=0), out / "network")
    assert main(["export", str(out), *EXPORT]) == 2
    assert "another network than the one whose training was finished" in capsys.readouterr().err


def test_a_forecast_alone_is_asked_for_by_its_dates(country, tmp_path):
    words = ["--series", "2", "--model", "unet-2", "--fit.contrast.weight", "0", "--fit.views.size", "16"]
    length = ["--fit.epochs", "1", "--fit.steps_per_epoch", "1", "--fit.batch_size", "2"]
    assert main(["pretrain", str(country), "--out", str(tmp_path / "run"), *words, *length]) == 0
    assert "forecast" in (tmp_path / "run" / "pretrained" / "history.csv").read_text().splitlines()[0]


def test_a_network_of_one_date_starts_it(country, tmp_path, capsys, monkeypatch):
    from satsqueeze.cli import series

    monkeypatch.setattr(series, "export_series", lambda *_: series.SeriesRequest(model="", dates=1))
    monkeypatch.setattr(series, "asdict", lambda _: {"probability_difference": 0.0})
    common = [str(country), "--model", "unet-2", *FIT]
    assert main(["train", *common, "--out", str(tmp_path / "one")]) == 0
    words = [*common, "--series", "3", "--label_fraction", "0.7", "--init", str(tmp_path / "one")]
    assert main(["train", *words, "--out", str(tmp_path / "many")]) == 0
    result = json.loads((tmp_path / "many" / "stages" / "series.json").read_text())["result"]
    assert "0 mixed, 3 fresh" in capsys.readouterr().err, "the attention's three layers"
    assert result["start"]
    whole = json.loads((tmp_path / "one" / "stages" / "network.json").read_text())["result"]
    assert result["labels"] < whole["labels"] / 3
    folder = tmp_path / "other"
    folder.mkdir()
    save_model(build_model(load_model(tmp_path / "many" / "network").card, seed=0), folder)
    capsys.readouterr()
    assert main(["train", *common, "--init", str(folder), "--out", str(tmp_path / "back")]) == 2
    assert "family 'series-unet' instead of 'unet'" in capsys.readouterr().err


def test_series_need_a_number_of_dates_and_a_folder(country, capsys):
    assert main(["train", str(country), "--series", "4"]) == 2
    assert "--series needs a number of dates of at least 1 and --out" in capsys.readouterr().err
    assert main(["train", str(country), "--series=-1", "--out", "x"]) == 2
    assert "got -1" in capsys.readouterr().err
