"""Teachers of decisions: our classifiers and ensembles, and ONNX graphs whose answers are known."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
import yaml
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from satsqueeze.core.errors import CardError, RunError, SettingsError
from satsqueeze.core.scaling import Scaling
from satsqueeze.distill.class_teachers import (
    ClassModelTeacher,
    OnnxClassContract,
    OnnxClassTeacher,
    open_class_teacher,
)
from satsqueeze.nets.card import FAMILIES, Family, ModelCard
from satsqueeze.nets.classifier import ClassifierConfig
from satsqueeze.nets.model import build_model, save_model
from satsqueeze.nets.students import plain_student

BANDS = ("blue", "green", "red", "nir")
CLASSES = ("field", "forest", "water")
WEIGHT = np.array([[1.0, 0.5, -1.0, 0.0], [0.0, 2.0, 1.0, -0.5], [-1.0, 0.0, 0.5, 1.0], [0.5, 0.5, 0.0, -2.0]])
BIAS = np.array([0.1, -0.2, 0.3, 0.0])
CONTRACT = {
    "name": "frozen",
    "licence": "Apache-2.0",
    "bands": list(BANDS),
    "classes": list(CLASSES),
    "class_map": [0, 1, 2, 1],
    "output": "logits",
}


class Pooled(nn.Module):
    """The smallest classifier: a convolution, a mean, a linear layer."""

    def __init__(self, config):
        super().__init__()
        self.convolution = nn.Conv2d(config.in_channels, 4, 3)
        self.head = nn.Linear(4, config.classes)

    def forward(self, x):
        return self.head(self.convolution(x).relu().mean((2, 3)))


@pytest.fixture(autouse=True)
def _small_zoo(monkeypatch):
    """The family of classifiers builds a network of 170 weights."""
    small = Family(config=ClassifierConfig, build=Pooled, tasks=("classification", "multi-label"))
    monkeypatch.setitem(FAMILIES, "zoo", small)


def classifier(seed, *, task="classification", classes=CLASSES):
    card = ModelCard(
        name=f"c{seed}",
        family="zoo",
        config=ClassifierConfig(model="pooled", in_channels=4, classes=len(classes), size=12),
        scaling=Scaling(bands=BANDS, mean=(0.3,) * 4, std=(0.2,) * 4),
        bands=BANDS,
        classes=classes,
        foreground=(),
        task=task,
    )
    return build_model(card, seed=seed).eval()


def write_graph(path, *, layout="NCHW", last=None, batch="N", side=("H", "W")):
    """Mean over the image, then a linear layer (4 channels -> 4), then a softmax or sigmoid or nothing."""
    shape = [batch, 4, *side] if layout == "NCHW" else [batch, *side, 4]
    axes = [2, 3] if layout == "NCHW" else [1, 2]
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=axes, keepdims=0),
        helper.make_node("Gemm", ["mean", "weight", "bias"], ["logits" if last else "answer"], transB=1),
    ]
    if last:
        nodes.append(helper.make_node(last, ["logits"], ["answer"], **({"axis": 1} if last == "Softmax" else {})))
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, [batch, 4])],
        [
            numpy_helper.from_array(WEIGHT.astype(np.float32), "weight"),
            numpy_helper.from_array(BIAS.astype(np.float32), "bias"),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(0, 0.8, (5, 4, 12, 12)).astype(np.float32)


def channels(images, *, scale=1.0, mean=0.0, std=1.0):
    """Output channels (N, 4) in float64."""
    seen = (images.astype(np.float64) * scale - np.reshape(mean, (-1, 1, 1))) / np.reshape(std, (-1, 1, 1))
    return seen.mean(axis=(2, 3)) @ WEIGHT.T + BIAS


def softmax(logits):
    shares = np.exp(logits)
    return shares / shares.sum(axis=1, keepdims=True)


def sigmoid(logits):
    return 1 / (1 + np.exp(-np.asarray(logits, np.float64)))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("last", [None, "Softmax"])
def test_channels_of_one_class_are_summed(tmp_path, images, layout, last):
    path = write_graph(tmp_path / "t.onnx", layout=layout, last=last)
    contract = OnnxClassContract(**{**CONTRACT, "layout": layout, "output": "probabilities" if last else "logits"})
    found = OnnxClassTeacher(path, contract).logits(images)
    shares = softmax(channels(images))
    assert found.dtype == np.float32
    want = np.stack([shares[:, 0], shares[:, 1] + shares[:, 3], shares[:, 2]], axis=1)
    np.testing.assert_allclose(softmax(found), want, atol=1e-6)


@pytest.mark.parametrize("last", [None, "Sigmoid"])
def test_multi_label_takes_the_surest_channel(tmp_path, images, last):
    contract = OnnxClassContract(**{**CONTRACT, "task": "multi-label", "output": "probabilities" if last else "logits"})
    found = OnnxClassTeacher(write_graph(tmp_path / "t.onnx", last=last), contract).logits(images)
    shares = sigmoid(channels(images))
    want = np.stack([shares[:, 0], np.maximum(shares[:, 1], shares[:, 3]), shares[:, 2]], axis=1)
    np.testing.assert_allclose(sigmoid(found), want, atol=1e-6)


def test_logits_of_a_plain_map_are_handed_through(tmp_path, images):
    classes = (*CLASSES, "town")
    contract = OnnxClassContract(**{**CONTRACT, "classes": classes, "class_map": [0, 1, 2, 3]})
    found = OnnxClassTeacher(write_graph(tmp_path / "t.onnx"), contract).logits(images)
    np.testing.assert_allclose(found, channels(images), atol=1e-5)


def test_the_graph_sees_what_its_contract_states(tmp_path, images):
    stated = {"scale": 255.0, "mean": (100.0, 110.0, 120.0, 130.0), "std": (50.0, 51.0, 52.0, 53.0)}
    classes = (*CLASSES, "town")
    contract = OnnxClassContract(**{**CONTRACT, "classes": classes, "class_map": [0, 1, 2, 3], **stated})
    found = OnnxClassTeacher(write_graph(tmp_path / "t.onnx"), contract).logits(images)
    np.testing.assert_allclose(found, channels(images, **stated), atol=1e-5)


def test_images_are_resized_to_the_stated_side(tmp_path, images):
    path = write_graph(tmp_path / "t.onnx", side=(24, 24))
    teacher = OnnxClassTeacher(path, OnnxClassContract(**{**CONTRACT, "size": 24}))
    enlarged = nn.functional.interpolate(torch.from_numpy(images), size=(24, 24), mode="bilinear").numpy()
    as_it_is = OnnxClassTeacher(path, OnnxClassContract(**CONTRACT))
    np.testing.assert_allclose(teacher.logits(images), as_it_is.logits(enlarged), atol=1e-5)
    with pytest.raises(CardError, match=r"(?s)cannot take \(5, 4, 12, 12\) as NCHW.*Correct bands, layout or size"):
        as_it_is.logits(images)


@pytest.mark.parametrize("batch", [1, 2, 5, 8])
def test_a_fixed_batch_size_is_filled(tmp_path, images, batch):
    free = OnnxClassTeacher(write_graph(tmp_path / "free.onnx"), OnnxClassContract(**CONTRACT))
    fixed = OnnxClassTeacher(write_graph(tmp_path / "fixed.onnx", batch=batch), OnnxClassContract(**CONTRACT))
    np.testing.assert_allclose(fixed.logits(images), free.logits(images), atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_map": [0, 1, 1, 1]}, "class_map gives no output channel to water"),
        ({"class_map": [0, 1, 2, 3]}, r"class_map must name classes 0\.\.2"),
        ({"task": "segmentation"}, "task must be classification or multi-label"),
        ({"size": 0}, "size >= 1"),
        ({"std": [0.0]}, "std must be > 0"),
        ({"window": 64}, "window"),
    ],
)
def test_a_malformed_contract_is_refused(tmp_path, change, message):
    (tmp_path / "t.yaml").write_text(yaml.safe_dump({**CONTRACT, **change}))
    with pytest.raises(CardError, match=rf"(?s)is not the contract of an ONNX teacher.*{message}.*It states name"):
        OnnxClassContract.read(tmp_path / "t.yaml")


def test_a_graph_that_breaks_its_contract_is_refused(tmp_path, images):
    path = write_graph(tmp_path / "t.onnx")
    with pytest.raises(
        CardError, match=r"returns \(5, 4\), its contract promises \(5, 3\); correct layout or class_map"
    ):
        OnnxClassTeacher(path, OnnxClassContract(**{**CONTRACT, "class_map": [0, 1, 2]})).logits(images)
    with pytest.raises(CardError, match=r"are no probabilities for classification\. State 'output: logits'"):
        OnnxClassTeacher(path, OnnxClassContract(**{**CONTRACT, "output": "probabilities"})).logits(images)
    several = write_graph(tmp_path / "several.onnx", last="Sigmoid")
    with pytest.raises(CardError, match="or the right task"):
        OnnxClassTeacher(several, OnnxClassContract(**{**CONTRACT, "output": "probabilities"})).logits(images)
    (tmp_path / "broken.onnx").write_bytes(b"no graph")
    with pytest.raises(CardError, match="cannot be loaded as an ONNX teacher"):
        OnnxClassTeacher(tmp_path / "broken.onnx", OnnxClassContract(**CONTRACT))


def test_one_model_answers_as_itself(images):
    model = classifier(0)
    with torch.inference_mode():
        want = model(torch.from_numpy(images)).numpy()
    teacher = ClassModelTeacher("one", [model], precision="fp32")
    assert (teacher.bands, teacher.classes, teacher.task) == (BANDS, CLASSES, "classification")
    np.testing.assert_allclose(teacher.logits(images), want, atol=1e-5)
    assert np.abs(ClassModelTeacher("one", [model], precision="bf16").logits(images) - want).max() < 0.05


@pytest.mark.parametrize("average", ["logits", "probabilities"])
def test_an_ensemble_is_averaged(images, average):
    models = [classifier(0), classifier(1)]
    found = ClassModelTeacher("pair", models, average=average, precision="fp32").logits(images)
    single = [ClassModelTeacher("one", [model], precision="fp32").logits(images) for model in models]
    if average == "logits":
        np.testing.assert_allclose(found, np.mean(single, axis=0), atol=1e-5)
    else:
        np.testing.assert_allclose(softmax(found), np.mean([softmax(one) for one in single], axis=0), atol=1e-5)


def test_the_fingerprint_follows_weights_and_asking():
    def fingerprint(*models, **more):
        return ClassModelTeacher("any", models, **more).fingerprint

    assert fingerprint(classifier(0)) == fingerprint(classifier(0))
    others = [
        fingerprint(classifier(1)),
        fingerprint(classifier(0), classifier(1)),
        fingerprint(classifier(0), precision="fp32"),
        fingerprint(classifier(0), average="probabilities"),
    ]
    assert len({fingerprint(classifier(0)), *others}) == 5


def test_members_must_agree():
    with pytest.raises(RunError, match="models for classification, multi-label; it needs classifiers of one task"):
        ClassModelTeacher("mixed", [classifier(0), classifier(0, task="multi-label")])
    with pytest.raises(SettingsError, match="must agree in their classes"):
        ClassModelTeacher("mixed", [classifier(0), classifier(0, classes=("a", "b"))])
    with pytest.raises(RunError, match="set average: logits"):
        ClassModelTeacher("several", [classifier(0, task="multi-label")], average="probabilities")
    config = plain_student(2, 3, in_channels=4, classes=2)
    scaling = Scaling(bands=BANDS, mean=(0.3,) * 4, std=(0.2,) * 4)
    card = ModelCard(
        name="u", family="unet", config=config, scaling=scaling, bands=BANDS, classes=("a", "b"), foreground=(1,)
    )
    with pytest.raises(RunError, match="consists of models for segmentation; it needs classifiers"):
        ClassModelTeacher("maps", [build_model(card, seed=0)])


def test_teachers_are_opened_from_folders_and_files(tmp_path, images):
    for seed in range(2):
        save_model(classifier(seed), tmp_path / f"pair/seed{seed}")
    one = open_class_teacher(tmp_path / "pair/seed0", precision="fp32")
    np.testing.assert_allclose(
        one.logits(images), ClassModelTeacher("c0", [classifier(0)], precision="fp32").logits(images), atol=1e-6
    )
    pair = open_class_teacher(tmp_path / "pair", precision="fp32")
    both = ClassModelTeacher("pair", [classifier(0), classifier(1)], precision="fp32")
    np.testing.assert_allclose(pair.logits(images), both.logits(images), atol=1e-6)
    assert (pair.name, pair.fingerprint) == ("pair", both.fingerprint)
    write_graph(tmp_path / "t.onnx")
    (tmp_path / "t.yaml").write_text(yaml.safe_dump(CONTRACT))
    frozen = open_class_teacher(tmp_path / "t.onnx")
    assert (frozen.name, frozen.classes) == ("frozen", CLASSES)
    (tmp_path / "t.yaml").write_text(yaml.safe_dump({**CONTRACT, "scale": 2.0}))
    assert open_class_teacher(tmp_path / "t.onnx").fingerprint != frozen.fingerprint


def test_what_is_no_teacher_is_refused(tmp_path):
    (tmp_path / "wrn-eca").mkdir()
    with pytest.raises(RunError, match=r"there is no teacher .*wrn-ec; did you mean wrn-eca\?"):
        open_class_teacher(tmp_path / "wrn-ec")
    with pytest.raises(RunError, match="check the path"):
        open_class_teacher(tmp_path / "absent/anything")
    with pytest.raises(RunError, match="is no teacher: expected a model folder"):
        open_class_teacher(tmp_path / "wrn-eca")
    write_graph(tmp_path / "bare.onnx")
    with pytest.raises(CardError, match="is not the contract"):
        open_class_teacher(tmp_path / "bare.onnx")
