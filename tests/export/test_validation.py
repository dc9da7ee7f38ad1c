"""Loss of Jaccard against the float graph, with and without labels."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from satsqueeze.core.manifest import FlightManifest, Graph, PackageBand, PackageScaling
from satsqueeze.core.metrics import SegmentationMetrics, mean_jaccard
from satsqueeze.export.samples import Samples
from satsqueeze.export.validation import Validator
from satsqueeze.flight.engines.onnx_engine import OnnxEngine

BANDS = ("blue", "green", "red", "nir")
FP32 = Graph(file="fp32.onnx", precision="fp32", engine="onnx")


@pytest.fixture
def manifest(model):
    return FlightManifest(
        name="m",
        description="d",
        bands=tuple(PackageBand(name=b, wavelength_nm=1.0, gsd_m=10.0) for b in BANDS),
        classes=model.card.classes,
        foreground=(1, 2),
        scaling=PackageScaling.of(model.card.scaling),
        size_multiple=model.size_multiple,
        receptive_field=40,
        parameters=1,
        macs_per_pixel=1.0,
        macs_input="x",
        graphs=(FP32,),
        default_graph="fp32.onnx",
    )


def with_bias(path, target, shift):
    """The graph with a bias added to its logits."""
    proto = onnx.load(path)
    bias = next(t for t in proto.graph.initializer if t.name.endswith("heads.0.bias"))
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(shift), bias.name))
    onnx.save(proto, target)


def test_the_float_graph_loses_nothing(exported, manifest, make_cache):
    cache = make_cache()
    validator = Validator(Samples(cache, cache.ids, BANDS), manifest, exported[1].parent, threads=1)
    verdict = validator.judge(FP32, exported[1].parent)
    assert (verdict.loss, verdict.agreement, verdict.images, verdict.truth) == (0, 1, 4, "labels")


def test_jaccard_is_that_of_the_metrics(exported, manifest, make_cache, tmp_path):
    cache = make_cache(side=64)
    with_bias(exported[1], tmp_path / "g.onnx", [0, 2, 0, 0])
    other = Graph(file="g.onnx", precision="int8", engine="onnx")
    verdict = Validator(Samples(cache, cache.ids, BANDS), manifest, exported[1].parent, threads=1).judge(
        other, tmp_path
    )
    metrics, engine = SegmentationMetrics(classes=4, foreground=(1, 2)), OnnxEngine(tmp_path / "g.onnx", threads=1)
    for sample in Samples(cache, cache.ids, BANDS):
        metrics.update(sample.label, engine.run(sample.image[None], probabilities=False).mask[0], image=sample.id)
    assert verdict.jaccard == pytest.approx(metrics.overall().jaccard)
    assert verdict.class_jaccard == pytest.approx(mean_jaccard(metrics))
    losses = verdict.reference_jaccard - verdict.jaccard, verdict.reference_class_jaccard - verdict.class_jaccard
    assert verdict.loss == pytest.approx(max(losses)), "of four classes the worse of both counts"
    assert 0 < verdict.agreement < 1


def test_without_labels_the_float_graph_is_the_truth(exported, manifest, make_cache, tmp_path):
    cache = make_cache(labelled=False)
    with_bias(exported[1], tmp_path / "g.onnx", [0, 1, 0, 0])
    validator = Validator(Samples(cache, cache.ids, BANDS), manifest, exported[1].parent, threads=1)
    verdict = validator.judge(Graph(file="g.onnx", precision="int8", engine="onnx"), tmp_path)
    assert verdict.truth == "float graph"
    assert verdict.reference_jaccard == 1
    assert verdict.loss > 0


def test_without_foreground_the_classes_must_agree(exported, manifest, make_cache, tmp_path):
    cache = make_cache(labelled=False)
    with_bias(exported[1], tmp_path / "fp32.onnx", [0, -100, -100, 0])
    with_bias(exported[1], tmp_path / "g.onnx", [3, -100, -100, 0])
    verdict = Validator(Samples(cache, cache.ids, BANDS), manifest, tmp_path, threads=1).judge(
        Graph(file="g.onnx", precision="int8", engine="onnx"), tmp_path
    )
    assert np.isnan(verdict.jaccard)
    shown = np.mean([cache.valid(position).mean() for position in range(len(cache.ids))])
    assert shown < 1
    assert verdict.loss == pytest.approx((1 - verdict.agreement) / shown), "missing pixels agree, but tell nothing"
    assert verdict.loss > 0


def test_classes_that_are_mixed_up_are_a_loss_where_none_is_foreground(exported, manifest, make_cache, tmp_path):
    cache = make_cache(side=64)
    proto = onnx.load(exported[1])
    for tensor in proto.graph.initializer:
        if ".heads.0." in tensor.name or tensor.name.endswith(("heads.0.weight", "heads.0.bias")):
            values = numpy_helper.to_array(tensor)
            swapped = values[[0, 2, 1, 3]] if values.shape[0] == 4 else values[:, [0, 2, 1, 3]]
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(swapped), tensor.name))
    onnx.save(proto, tmp_path / "g.onnx")
    other = Graph(file="g.onnx", precision="int8", engine="onnx")
    samples = Samples(cache, cache.ids, BANDS)
    alike = manifest.model_copy(update={"foreground": ()})
    verdict = Validator(samples, alike, exported[1].parent, threads=1).judge(other, tmp_path)
    assert verdict.agreement < 1
    assert verdict.loss != 0, "the mean over classes sees it"
    merged = Validator(samples, manifest, exported[1].parent, threads=1).judge(other, tmp_path)
    assert merged.jaccard == merged.reference_jaccard, "the foreground as a whole is the same"
    assert merged.loss == max(0.0, merged.reference_class_jaccard - merged.class_jaccard)
