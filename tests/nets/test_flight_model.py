"""The networks of packages that ship, read back from their float graphs."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from satsqueeze.core.errors import PackageError, RunError
from satsqueeze.core.files import read_json, write_json
from satsqueeze.core.package import read_manifest, seal
from satsqueeze.nets.flight_model import PACKAGE_CARD, load_flight_model
from satsqueeze.nets.model import build_model
from satsqueeze.nets.source import Source
from satsqueeze.nets.transfer import start_from_run

ZOO = Path(__file__).parents[2] / "zoo"


@pytest.fixture
def package(tmp_path):
    """A copy of the package of a classifier, to be changed."""
    return shutil.copytree(ZOO / "eurosat-resnet8", tmp_path / "package")


def resealed(package, record):
    write_json(package / PACKAGE_CARD, record)
    seal(package, read_manifest(package))


@pytest.mark.parametrize(
    ("name", "norms"), [("cloud-s2l8-4band", 14), ("cloud-s2l8-280", 14), ("eurosat-10k", 9), ("eurosat-resnet8", 9)]
)
def test_logits_are_those_of_the_graph(name, norms):
    model, folded = load_flight_model(ZOO / name)
    assert len(folded) == norms
    images = torch.randn(3, len(model.card.bands), 64, 64, generator=torch.Generator().manual_seed(7))
    images = 0.5 * images * model.std + model.mean
    session = onnxruntime.InferenceSession(str(ZOO / name / "fp32.onnx"), providers=["CPUExecutionProvider"])
    probabilities = session.run(["probabilities"], {"reflectance": images.numpy()})[0]
    with torch.inference_mode():
        logits = model(images).numpy()
    # Probabilities tell logits up to a constant, and tiny ones not at all.
    seen = probabilities > 1e-6
    expected = np.log(np.where(seen, probabilities, 1))
    found = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    np.testing.assert_allclose(np.where(seen, found, 0), expected, rtol=1e-3, atol=1e-3)


def test_another_network_starts_from_it(package):
    source, folded = load_flight_model(package)
    card = replace(source.card, name="new", config=replace(source.card.config, classes=2), classes=("Forest", "other"))
    report = start_from_run(package, build_model(card, seed=3))
    assert report.source == Source.of(package).digest
    assert report.classes == ("Forest",)
    assert report.unmeasured == folded
    assert report.layers["fresh"] == 0


def test_the_card_of_another_network_is_refused(package):
    record = read_json(package / PACKAGE_CARD)
    resealed(package, record | {"config": record["config"] | {"model": "resnet16"}})
    with pytest.raises(RunError, match=r"does not hold the weights of resnet8: .* such as net\.body"):
        load_flight_model(package)
    resealed(package, record | {"scaling": record["scaling"] | {"mean": [0.3, 0.3, 0.3]}})
    with pytest.raises(RunError, match=r"differs from it by up to .* in probability"):
        load_flight_model(package)


def test_packages_without_a_card_and_damaged_ones_are_refused(package):
    with (package / "item.json").open("ab") as item:
        item.write(b" ")
    with pytest.raises(PackageError, match=r"item\.json: changed"):
        Source.of(package).load()
    resealed(package, {"name": "x"})
    with pytest.raises(RunError, match="describes no network"):
        Source.of(package).load()
    (package / PACKAGE_CARD).unlink()
    seal(package, read_manifest(package))
    with pytest.raises(RunError, match=r"without card\.json or .*name the run folder"):
        Source.of(package).load()
