"""Deciding on whole images with packages made by hand, without torch."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from satsqueeze.core.errors import BandError, GridError, PackageError, RadiometryError, SettingsError
from satsqueeze.core.manifest import FlightManifest, Graph, PackageBand, PackageScaling
from satsqueeze.core.package import seal
from satsqueeze.flight import FlightClassifier, open_classifier, open_package, verify_package
from satsqueeze.flight.engines.onnx_engine import OnnxEngine
from satsqueeze.flight.vectors import TestVectors

BANDS = ("red", "green", "blue")
SIDE = 6
THRESHOLDS = (0.6, 0.5, 0.3)
WEIGHTS = np.array([[8, -4, 0], [-3, 6, 1], [1, -2, 7]], np.float32)


def probabilities_of(images, *, several):
    """What the graph computes, in numpy."""
    logits = (images.mean(axis=(2, 3)) - 0.3) @ WEIGHTS.T
    powers = np.exp(logits)
    return 1 / (1 + np.exp(-logits)) if several else powers / powers.sum(axis=1, keepdims=True)


def write_graph(path, *, several, flipped=False):
    """Mean of each band, a matrix, and the decision."""
    decision, last = ("classes", "Sigmoid") if several else ("class", "Softmax")
    constants = [
        numpy_helper.from_array(-WEIGHTS.T if flipped else WEIGHTS.T, "weights"),
        numpy_helper.from_array(np.array([2, 3], np.int64), "axes"),
        numpy_helper.from_array(np.float32(0.3), "offset"),
        numpy_helper.from_array(np.array(THRESHOLDS, np.float32), "thresholds"),
    ]
    nodes = [
        helper.make_node("ReduceMean", ["reflectance", "axes"], ["means"], keepdims=0),
        helper.make_node("Sub", ["means", "offset"], ["centred"]),
        helper.make_node("MatMul", ["centred", "weights"], ["logits"]),
        helper.make_node(last, ["logits"], ["probabilities"]),
    ]
    if several:
        nodes.append(helper.make_node("GreaterOrEqual", ["probabilities", "thresholds"], ["decided"]))
    else:
        nodes.append(helper.make_node("ArgMax", ["logits"], ["decided"], axis=1, keepdims=0))
    nodes.append(helper.make_node("Cast", ["decided"], [decision], to=TensorProto.UINT8))
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "flight",
        [value("reflectance", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [
            value("probabilities", TensorProto.FLOAT, ["batch", 3]),
            value(decision, TensorProto.UINT8, ["batch", 3] if several else ["batch"]),
        ],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)


def manifest_of(*, several, **changes):
    fields = {
        "name": "tiny",
        "description": "made by hand",
        "task": "multi-label" if several else "classification",
        "bands": tuple(PackageBand(name=name, wavelength_nm=0, gsd_m=10) for name in BANDS),
        "classes": ("field", "forest", "water"),
        "foreground": (),
        "scaling": PackageScaling(bands=BANDS, mean=(0.0,) * 3, std=(1.0,) * 3, low=-0.2, high=2.0),
        "size_multiple": 1,
        "receptive_field": 0,
        "window_invariant": False,
        "input_size": (SIDE, SIDE),
        "thresholds": THRESHOLDS if several else (),
        "parameters": 9,
        "macs_per_pixel": 0.25,
        "macs_input": f"{SIDE}x{SIDE}",
        "graphs": (Graph(file="g.onnx", precision="fp32", engine="onnx"),),
        "default_graph": "g.onnx",
    }
    return FlightManifest(**fields | changes)


@pytest.fixture(params=[False, True], ids=["one class", "several classes"])
def several(request):
    return request.param


@pytest.fixture
def package(tmp_path, several):
    folder = tmp_path / "package"
    folder.mkdir()
    write_graph(folder / "g.onnx", several=several)
    manifest = manifest_of(several=several)
    model = FlightClassifier(manifest, graph=manifest.graphs[0], engine=OnnxEngine(folder / "g.onnx"))
    vectors = images(3, seed=9)
    found = [model.classify(image, BANDS) for image in vectors]
    expected = {"g.onnx": tuple((np.asarray(one.classes), one.probabilities) for one in found)}
    TestVectors(images=tuple(vectors), expected=expected).write(folder / "vectors.npz")
    seal(folder, manifest.model_copy(update={"vectors": "vectors.npz"}))
    return folder


def images(count, seed=0):
    generator = np.random.default_rng(seed)
    base = generator.uniform(0.05, 0.6, (count, 3, 1, 1))
    return (base + generator.normal(0, 0.02, (count, 3, SIDE, SIDE))).astype(np.float32)


def test_decisions_of_a_batch(package, several):
    model, given = open_package(package), images(150)
    found = model.classify(given, BANDS)
    expected = probabilities_of(given, several=several)
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)
    decided = expected >= np.array(THRESHOLDS) if several else expected.argmax(axis=1)
    np.testing.assert_array_equal(found.classes, decided)
    assert (found.classes.dtype, found.probabilities.dtype) == (np.uint8, np.float32)
    assert (model.size, model.is_multi_label, model.notes) == ((SIDE, SIDE), several, ())


def test_one_image_is_a_batch_without_its_axis(package):
    model, given = open_classifier(package), images(2)
    one, both = model.classify(given[1], BANDS), model.classify(given, BANDS)
    np.testing.assert_allclose(one.probabilities, both.probabilities[1], atol=1e-6)
    np.testing.assert_array_equal(one.classes, both.classes[1])


def test_bands_go_by_name_and_batches_do_not_matter(package):
    model, given = open_classifier(package), images(7)
    more = np.concatenate([given[:, [2, 1]], np.full((7, 1, SIDE, SIDE), 0.9, np.float32), given[:, :1]], axis=1)
    found = model.classify(more.astype(np.float64), ["blue", "green", "nir", "red"], batch=2)
    np.testing.assert_allclose(found.probabilities, model.classify(given, BANDS).probabilities, atol=1e-6)


def test_missing_pixels_are_zero_in_all_bands(package):
    model, given = open_classifier(package), images(2)
    zeroed, holed, valid = given.copy(), given.copy(), np.ones((2, SIDE, SIDE), bool)
    zeroed[1, :, 2:4] = 0
    holed[1, 0, 2:4] = np.nan
    valid[1, 2:4] = False
    expected = model.classify(zeroed, BANDS).probabilities
    np.testing.assert_allclose(model.classify(holed, BANDS).probabilities, expected, atol=1e-6)
    np.testing.assert_allclose(model.classify(given, BANDS, valid=valid).probabilities, expected, atol=1e-6)
    alone = model.classify(given[1], BANDS, valid=valid[1])
    np.testing.assert_allclose(alone.probabilities, expected[1], atol=1e-6)


def test_no_images_no_decisions(package, several):
    found = open_classifier(package).classify(images(0), BANDS)
    assert found.probabilities.shape == (0, 3)
    assert found.classes.shape == ((0, 3) if several else (0,))


def test_it_verifies_itself(package):
    report = verify_package(package)
    assert [test.passed for test in report.tests] == [True]
    assert report.tests[0].mask_differences == 0


def test_another_answer_is_not_flown(package, several):
    write_graph(package / "g.onnx", several=several, flipped=True)
    manifest = manifest_of(several=several, vectors="vectors.npz")
    seal(package, manifest)
    with pytest.raises(PackageError, match="no graph reproduces the test vectors"):
        open_package(package)
    with pytest.raises(PackageError, match="classes differ"):
        verify_package(package)


def test_it_gives_no_mask(package):
    with pytest.raises(PackageError, match=r"decides on whole images .* use classify"):
        open_package(package).predict(images(1)[0], BANDS)


@pytest.mark.parametrize(
    ("given", "bands", "error", "message"),
    [
        (np.zeros((2, 3, SIDE, SIDE + 1), np.float32), BANDS, GridError, r"\(N, C, 6, 6\), got shape \(2, 3, 6, 7\)"),
        (np.zeros((3, 4, 6), np.float32), BANDS, GridError, "crop or resample"),
        (np.zeros((SIDE, SIDE), np.float32), BANDS, GridError, r"got shape \(6, 6\)"),
        (np.zeros((1, 2, SIDE, SIDE), np.float32), BANDS, BandError, "2 channels but 3 band names"),
        (np.zeros((1, 3, SIDE, SIDE), np.float32), "rgb", BandError, "0 band names were given in order: 'rgb'"),
        (np.zeros((1, 3, SIDE, SIDE), np.float32), ("red", "green", "nir"), BandError, "blue"),
        (np.zeros((1, 3, SIDE, SIDE), np.uint16), BANDS, RadiometryError, "digital numbers"),
        (np.full((1, 3, SIDE, SIDE), 900.0, np.float32), BANDS, RadiometryError, "digital numbers"),
    ],
)
def test_what_cannot_be_decided_on(package, given, bands, error, message):
    with pytest.raises(error, match=message):
        open_classifier(package).classify(given, bands)


def test_digital_numbers_amid_reflectance_are_found(package):
    given = images(5)
    given[3] *= 10000
    with pytest.raises(RadiometryError, match="image 3 of 5"):
        open_classifier(package).classify(given, BANDS)


def test_fill_amid_reflectance_is_found_unless_it_is_said_to_be_missing(package):
    model, given, valid = open_classifier(package), images(5), np.ones((5, SIDE, SIDE), bool)
    absent = given.copy()
    given[3, 1, 2], absent[3, 1, 2], valid[3, 2] = -9999, np.nan, False
    with pytest.raises(RadiometryError, match=f"band green of image 3 holds -9999 or the like in {SIDE} of {SIDE**2}"):
        model.classify(given, BANDS)
    want = model.classify(absent, BANDS).probabilities
    np.testing.assert_array_equal(model.classify(given, BANDS, valid=valid).probabilities, want)
    given[3], valid[3] = -9999, False
    assert len(model.classify(given, BANDS, valid=valid).classes) == 5


def test_other_refusals(package):
    model = open_classifier(package)
    for batch in (0, 1.5, "2"):
        with pytest.raises(SettingsError, match=f"at least 1 image, got {batch!r}; give a whole number"):
            model.classify(images(1), BANDS, batch=batch)
    with pytest.raises(GridError, match=r"boolean \(N, H, W\)"):
        model.classify(images(2), BANDS, valid=np.ones((2, SIDE, 1), bool))


def test_manifests_that_contradict_themselves():
    with pytest.raises(ValueError, match="whole images have one"):
        manifest_of(several=False, input_size=None)
    with pytest.raises(ValueError, match="2 thresholds do not fit"):
        manifest_of(several=True, thresholds=(0.5, 0.5))
    with pytest.raises(ValueError, match="3 thresholds do not fit"):
        manifest_of(several=False, thresholds=THRESHOLDS)
