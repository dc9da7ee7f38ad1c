"""Teachers: ONNX graphs of known answers through their contracts, and ensembles of our own models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import yaml

from satsqueeze.core.errors import CardError, RunError
from satsqueeze.core.run import RunFolder
from satsqueeze.core.scaling import Scaling
from satsqueeze.distill.teachers import Asking, ModelTeacher, OnnxContract, OnnxTeacher, open_teacher
from satsqueeze.learn.scoring.sliding import predict_logits, probabilities_of
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.model import build_model, save_model
from satsqueeze.nets.students import plain_student

BANDS = ("blue", "green", "red", "nir")
CLASSES = ("clear", "cloud")
WEIGHT = [[1.0, 0.5, -1.0, 0.0], [0.0, 2.0, 1.0, -0.5], [-1.0, 0.0, 0.5, 1.0]]
BIAS = [0.1, -0.2, 0.3]
CONTRACT = {
    "name": "frozen",
    "licence": "Apache-2.0",
    "bands": list(BANDS),
    "classes": list(CLASSES),
    "class_map": [0, 1, 1],
    "window": 16,
}


@pytest.fixture
def image():
    return np.random.default_rng(0).uniform(0, 0.8, (4, 40, 36)).astype(np.float32)


def expected(image, *, scale=1.0, mean=0.0, std=1.0):
    """Slow: class by class, pixel by pixel in float64."""
    seen = (image.astype(np.float64) * scale - np.reshape(mean, (-1, 1, 1))) / np.reshape(std, (-1, 1, 1))
    logits = np.einsum("mc,chw->mhw", np.asarray(WEIGHT), seen) + np.asarray(BIAS)[:, None, None]
    shares = np.exp(logits) / np.exp(logits).sum(axis=0)
    return np.stack([shares[0], shares[1] + shares[2]])


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("output", ["probabilities", "logits"])
def test_channels_are_mapped_to_classes(tmp_path, write_linear, image, layout, output):
    path = write_linear(tmp_path / "t.onnx", WEIGHT, BIAS, layout=layout, softmax=output == "probabilities")
    contract = OnnxContract(**{**CONTRACT, "layout": layout, "output": output})
    found = OnnxTeacher(path, contract).probabilities(image)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected(image), atol=1e-5)


@pytest.mark.parametrize("shape", [(16, 16), (9, 40), (5, 7), (33, 16)])
def test_any_size_in_windows(tmp_path, write_linear, image, shape):
    teacher = OnnxTeacher(write_linear(tmp_path / "t.onnx", WEIGHT, BIAS), OnnxContract(**CONTRACT))
    part = np.ascontiguousarray(image[:, : shape[0], : shape[1]])
    np.testing.assert_allclose(teacher.probabilities(part), expected(part), atol=1e-5)


@pytest.mark.parametrize(
    ("mean", "std"), [((100.0,), (5000.0,)), ((1.0, 2.0, 3.0, 4.0), (1000.0, 2000.0, 3000.0, 4000.0))]
)
def test_the_graph_sees_what_its_contract_states(tmp_path, write_linear, image, mean, std):
    contract = OnnxContract(**{**CONTRACT, "scale": 10000.0, "mean": mean, "std": std})
    found = OnnxTeacher(write_linear(tmp_path / "t.onnx", WEIGHT, BIAS), contract).probabilities(image)
    np.testing.assert_allclose(found, expected(image, scale=10000.0, mean=mean, std=std), atol=1e-5)


def test_a_contract_is_read_from_the_file_beside_the_graph(tmp_path, write_linear, image):
    write_linear(tmp_path / "t.onnx", WEIGHT, BIAS)
    (tmp_path / "t.yaml").write_text(yaml.safe_dump(CONTRACT))
    teacher = open_teacher(tmp_path / "t.onnx", Asking())
    assert (teacher.name, teacher.bands, teacher.classes) == ("frozen", BANDS, CLASSES)
    np.testing.assert_allclose(teacher.probabilities(image), expected(image), atol=1e-5)
    (tmp_path / "t.yaml").write_text(yaml.safe_dump({**CONTRACT, "window": 32}))
    assert open_teacher(tmp_path / "t.onnx", Asking()).fingerprint != teacher.fingerprint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_map": [0, 2, 1]}, r"class_map must name classes 0\.\.1, got \(0, 2, 1\)"),
        ({"class_map": []}, "class_map must name classes"),
        ({"mean": [1.0, 2.0]}, "mean needs 1 or 4 values, got 2"),
        ({"std": [0.0]}, "std must be > 0"),
        ({"layout": "CHW"}, "layout"),
        ({"nonsense": 1}, "nonsense"),
        ({"licence": None}, "licence"),
    ],
)
def test_a_malformed_contract_is_refused(tmp_path, change, message):
    (tmp_path / "t.yaml").write_text(yaml.safe_dump({**CONTRACT, **change}))
    with pytest.raises(CardError, match=rf"(?s)is not the contract of an ONNX teacher.*{message}.*It states name"):
        OnnxContract.read(tmp_path / "t.yaml")
    with pytest.raises(CardError, match="is not the contract"):
        OnnxContract.read(tmp_path / "absent.yaml")


def test_a_graph_that_breaks_its_contract_is_refused(tmp_path, write_linear, image):
    path = write_linear(tmp_path / "t.onnx", WEIGHT, BIAS)
    with pytest.raises(CardError, match=r"returns \(1, 3, 16, 16\), its contract promises \(1, 2, 16, 16\)"):
        OnnxTeacher(path, OnnxContract(**{**CONTRACT, "class_map": [0, 1]})).probabilities(image)
    with pytest.raises(CardError, match=r"cannot take \(1, 16, 16, 4\) as NHWC"):
        OnnxTeacher(path, OnnxContract(**{**CONTRACT, "layout": "NHWC"})).probabilities(image)
    bare = write_linear(tmp_path / "bare.onnx", WEIGHT, BIAS, softmax=False)
    with pytest.raises(CardError, match=r"do not sum to 1 over its channels.*State 'output: logits'"):
        OnnxTeacher(bare, OnnxContract(**CONTRACT)).probabilities(image)
    blank = write_linear(tmp_path / "blank.onnx", np.full((3, 4), np.nan), BIAS)
    with pytest.raises(CardError, match="no probabilities"):
        OnnxTeacher(blank, OnnxContract(**CONTRACT)).probabilities(image)


def test_a_file_that_is_no_graph_is_refused(tmp_path):
    (tmp_path / "t.onnx").write_bytes(b"no graph")
    with pytest.raises(CardError, match="cannot be loaded as an ONNX teacher"):
        OnnxTeacher(tmp_path / "t.onnx", OnnxContract(**CONTRACT))
    with pytest.raises(CardError, match="cannot be loaded as an ONNX teacher"):
        OnnxTeacher(tmp_path / "absent.onnx", OnnxContract(**CONTRACT))


def model(seed):
    scaling = Scaling(bands=BANDS, mean=(0.3,) * 4, std=(0.2,) * 4)
    card = ModelCard(
        name=f"m{seed}",
        family="unet",
        config=plain_student(2, 3, in_channels=4, classes=2),
        scaling=scaling,
        bands=BANDS,
        classes=CLASSES,
        foreground=(1,),
    )
    return build_model(card, seed=seed).eval()


@pytest.mark.parametrize("mirror", [False, True])
def test_an_ensemble_averages_logits(image, mirror):
    models = [model(0), model(1)]
    teacher = ModelTeacher("pair", models, window=16, asking=Asking(mirror=mirror, precision="fp32"))
    logits = [predict_logits(m, image, window=16, mirror=mirror) for m in models]
    np.testing.assert_allclose(teacher.probabilities(image), probabilities_of(np.mean(logits, axis=0)), atol=1e-5)


def test_the_fingerprint_follows_weights_and_asking():
    def fingerprint(*models, **more):
        return ModelTeacher("any", models, window=16, asking=Asking(**more)).fingerprint

    assert fingerprint(model(0)) == fingerprint(model(0))
    others = [fingerprint(model(1)), fingerprint(model(0), model(1)), fingerprint(model(0), mirror=False)]
    assert len({fingerprint(model(0)), *others}) == 4


def test_a_model_folder_teaches(tmp_path, image):
    save_model(model(0), tmp_path / "m")
    teacher = open_teacher(tmp_path / "m", Asking(mirror=False, precision="fp32"))
    want = probabilities_of(predict_logits(model(0), image, window=512))
    np.testing.assert_allclose(teacher.probabilities(image), want, atol=1e-6)


def test_what_is_no_teacher_is_refused(tmp_path):
    with pytest.raises(RunError, match="is no teacher: expected a run folder, a model folder"):
        open_teacher(tmp_path, Asking())
    RunFolder(tmp_path / "run")
    with pytest.raises(RunError, match=r"plan.json does not exist"):
        open_teacher(tmp_path / "run", Asking())


def test_what_a_model_sees_is_part_of_its_fingerprint():
    def asked(**changes):
        card = replace(model(0).card, **changes)
        return ModelTeacher("t", [build_model(card, seed=0)], window=16).fingerprint

    assert asked() == asked() != asked(scaling=Scaling(bands=BANDS, mean=(0.5,) * 4, std=(0.1,) * 4))
