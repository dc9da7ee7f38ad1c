"""Predicting: any size, any tiling, any band order, and nothing silently wrong."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import satsqueeze
from satsqueeze.core.buffer import Buffer
from satsqueeze.core.errors import (
    BandError,
    GridError,
    MissingDependencyError,
    PackageError,
    RadiometryError,
    SettingsError,
)
from satsqueeze.core.manifest import Graph
from satsqueeze.core.package import read_manifest, seal
from satsqueeze.flight.choice import candidates
from satsqueeze.flight.engines.engine import has_openvino
from satsqueeze.flight.opening import open_classifier, open_package
from satsqueeze.flight.runtime import Prediction
from satsqueeze.flight.vectors import TestVectors

BANDS = ("blue", "green", "red", "nir")


@pytest.fixture(scope="module", params=["fp32", "int8"])
def flier(request, package):
    return open_package(package, precision=request.param, threads=1)


def oracle(package, image):
    """The graph itself on the whole image, padded by numpy."""
    import onnxruntime

    _, height, width = image.shape
    padded = np.pad(image, ((0, 0), (0, -height % 4), (0, -width % 4)), mode="reflect")
    session = onnxruntime.InferenceSession(package / "fp32.onnx", providers=["CPUExecutionProvider"])
    chances, mask = session.run(["probabilities", "mask"], {"reflectance": padded[None]})
    return mask[0, :height, :width], chances[0, :, :height, :width]


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (4, 4), (5, 64), (33, 47)])
def test_any_size_gives_what_the_padded_graph_gives(package, scene, size):
    image = scene(*size)
    found = open_package(package, precision="fp32").predict(image, BANDS, probabilities=True)
    mask, chances = oracle(package, image)
    np.testing.assert_array_equal(found.mask, mask)
    np.testing.assert_allclose(found.probabilities, chances, atol=1e-6)
    assert found.mask.dtype == np.uint8
    assert found.probabilities.dtype == np.float32


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("window", [16, 40, 41, 64, 100])
def test_tiles_do_not_show(package, scene, precision, window):
    image = scene(83, 121, seed=4)
    whole = open_package(package, precision=precision, window=1024).predict(image, BANDS, probabilities=True)
    tiled = open_package(package, precision=precision, window=window).predict(image, BANDS, probabilities=True)
    assert len(np.unique(whole.mask)) > 2
    np.testing.assert_array_equal(tiled.mask, whole.mask)
    np.testing.assert_allclose(tiled.probabilities, whole.probabilities, atol=1e-5)


def test_a_cut_out_gives_what_the_whole_gives_away_from_its_borders(flier, scene):
    image = scene(96, 96, seed=5)
    whole = flier.predict(image, BANDS)
    cut = flier.predict(np.ascontiguousarray(image[:, 24:88, 16:80]), BANDS)
    np.testing.assert_array_equal(cut[12:-12, 12:-12], whole[36:76, 28:68])


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(6)))
def test_bands_travel_by_name(flier, scene, order):
    names = np.array([*BANDS, "swir16", "cirrus"])
    image = scene(12, 10, channels=6)
    want = flier.predict(image[:4], BANDS)
    np.testing.assert_array_equal(flier.predict(image[list(order)], list(names[list(order)])), want)


def test_missing_pixels_are_255_and_zero_reflectance_for_their_neighbours(flier, scene):
    image = scene(20, 24)
    zeroed = image.copy()
    zeroed[:, 5:8, 3:6] = 0
    image[2, 5:8, 3:6] = (np.nan, np.inf, -np.inf)
    found = flier.predict(image, BANDS, probabilities=True)
    missing = np.zeros((20, 24), bool)
    missing[5:8, 3:6] = True
    np.testing.assert_array_equal(found.mask == 255, missing)
    assert not found.probabilities[:, missing].any()
    want = flier.predict(zeroed, BANDS)
    np.testing.assert_array_equal(found.mask[~missing], want[~missing])


def test_nan_in_a_band_that_is_not_used_does_not_matter(flier, scene):
    image = scene(8, 8, channels=5)
    want = flier.predict(image[:4], BANDS)
    image[4] = np.nan
    np.testing.assert_array_equal(flier.predict(image, [*BANDS, "swir16"]), want)


def test_validity_marks_missing_pixels_across_tiles(package, scene):
    image, valid = scene(50, 70), np.ones((50, 70), bool)
    valid[10:30, 20:60] = False
    as_nan = np.where(valid, image, np.float32(np.nan))
    for window in (32, 1024):
        model = open_package(package, window=window)
        np.testing.assert_array_equal(model.predict(image, BANDS, valid=valid), model.predict(as_nan, BANDS))


def test_an_image_without_a_valid_pixel_is_all_255(flier):
    assert (flier.predict(np.full((4, 9, 9), np.nan, np.float32), BANDS) == 255).all()


def test_float64_and_views_are_taken(flier, scene):
    image = scene(16, 16)
    np.testing.assert_array_equal(flier.predict(image.astype(np.float64), BANDS), flier.predict(image, BANDS))
    flipped = image[:, ::-1]
    np.testing.assert_array_equal(flier.predict(flipped, BANDS), flier.predict(flipped.copy(), BANDS))


def test_the_image_is_not_changed(flier, scene):
    image = scene(16, 16)
    image[0, 0, 0] = np.nan
    before = image.copy()
    flier.predict(image, BANDS)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    ("bands", "message"),
    [
        (("blue", "green", "red"), "4 channels but 3 band names"),
        (("blue", "green", "red", "swir16"), "nir are needed"),
        (("blue", "blue", "red", "nir"), "green are needed"),
        ("blue", "list with one name per channel"),
    ],
)
def test_wrong_bands_are_refused(flier, scene, bands, message):
    with pytest.raises(BandError, match=message):
        flier.predict(scene(8, 8), bands)


def test_a_repeated_band_is_refused(flier, scene):
    with pytest.raises(BandError, match="more than once"):
        flier.predict(scene(8, 8, channels=5), ("blue", "green", "red", "nir", "nir"))


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.uint8])
def test_integers_are_digital_numbers(flier, scene, dtype):
    with pytest.raises(RadiometryError, match=r"core\.radiometry"):
        flier.predict((scene(8, 8) * 100).astype(dtype), BANDS)


def test_large_floats_look_like_digital_numbers(flier, scene):
    with pytest.raises(RadiometryError, match=r"\(DN\)"):
        flier.predict(scene(8, 8) * 10000, BANDS)


@pytest.mark.parametrize("shape", [(4, 0, 3), (4, 3), (1, 4, 8, 8)])
def test_images_without_pixels_or_with_other_ranks_are_refused(flier, shape):
    with pytest.raises(GridError):
        flier.predict(np.zeros(shape, np.float32), BANDS)


def test_validity_of_another_size_or_type_is_refused(flier, scene):
    for valid in (np.ones((8, 9), bool), np.ones((8, 8), np.uint8)):
        with pytest.raises(GridError, match="validity"):
            flier.predict(scene(8, 8), BANDS, valid=valid)


@pytest.mark.parametrize(("gsd_m", "radius"), [(10.0, 2.5), (30.0, 25 / 30), (None, 0.0)])
def test_foreground_is_widened_by_metres_where_the_size_of_pixels_is_known(package, scene, gsd_m, radius):
    image = scene(70, 50)
    image[:, 20:24, 30] = np.nan
    plain, buffered = open_package(package), open_package(package, buffer_m=25.0)
    bare = plain.predict(image, BANDS, probabilities=True)
    found = buffered.predict(image, BANDS, probabilities=True, gsd_m=gsd_m)
    np.testing.assert_array_equal(found.mask, Buffer(radius=radius, foreground=(1, 2)).widen(bare.mask))
    np.testing.assert_array_equal(found.probabilities, bare.probabilities)
    assert (found.mask != bare.mask).any() == (radius >= 1)
    np.testing.assert_array_equal(plain.predict(image, BANDS, gsd_m=gsd_m), bare.mask)


@pytest.mark.parametrize("buffer_m", [-1.0, 1e5, float("nan"), "3"])
def test_impossible_buffers_are_refused(package, buffer_m):
    with pytest.raises(SettingsError, match="buffer must be from 0 to 10000 m"):
        open_package(package, buffer_m=buffer_m)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"threads": "1"}, "threads must be 1 to 256, got '1'; give a whole number"),
        ({"threads": 1.5}, "threads must be 1 to 256, got 1.5"),
        ({"streams": 1.5}, "streams must be 1 to 256, got 1.5"),
        ({"window": 1.5}, "window .* got 1.5"),
    ],
)
def test_counts_that_are_none_are_refused(package, asked, message):
    with pytest.raises(SettingsError, match=message):
        open_package(package, **asked)


@pytest.mark.parametrize("path", [None, 3, b"package"])
def test_what_is_no_path_is_told(path):
    with pytest.raises(PackageError, match="by the path of its folder, got"):
        open_package(path)


def test_a_blended_mask_has_no_buffer(global_package):
    with pytest.raises(SettingsError, match=r"not decide pixel by pixel, so its mask has no buffer, got 5\.0 m"):
        open_package(global_package, buffer_m=5.0)


@pytest.mark.parametrize("gsd_m", [0.0, -10.0, float("nan"), float("inf"), "10"])
def test_pixels_without_a_size_are_refused(flier, scene, gsd_m):
    with pytest.raises(GridError, match="side of a pixel must be a number above 0 m"):
        flier.predict(scene(8, 8), BANDS, gsd_m=gsd_m)


def test_a_buffer_of_too_many_pixels_is_refused(package, scene):
    with pytest.raises(SettingsError, match="from 0 to 64 pixels wide, got 250; state a smaller one in metres"):
        open_package(package, buffer_m=25.0).predict(scene(8, 8), BANDS, gsd_m=0.1)


def test_the_model_says_what_it_is(flier):
    assert flier.bands == BANDS
    assert flier.classes == ("clear", "thick cloud", "thin cloud", "shadow")
    assert flier.foreground == (1, 2)
    assert flier.manifest.name == "hand-made"
    assert isinstance(flier.predict(np.zeros((4, 3, 3), np.float32), BANDS, probabilities=True), Prediction)


def test_it_is_a_public_name(package):
    assert satsqueeze.open_package(package).bands == BANDS


def test_a_network_that_looks_at_everything_is_blended_and_says_so(global_package, scene):
    image = scene(90, 70)
    model = open_package(global_package, precision="fp32", window=48)
    assert any("not window-invariant" in note for note in model.notes)
    found = model.predict(image, BANDS, probabilities=True)
    np.testing.assert_allclose(found.probabilities.sum(axis=0), 1, atol=1e-5)
    np.testing.assert_array_equal(found.mask, found.probabilities.argmax(axis=0))
    whole = open_package(global_package, precision="fp32").predict(image, BANDS)
    assert (found.mask == whole).mean() > 0.8
    image[:, 40:44, 3] = np.nan
    assert ((model.predict(image, BANDS) == 255) == np.isnan(image).any(axis=0)).all()


def test_the_default_graph_is_taken_unless_told(package):
    assert open_package(package).graph.file == "int8.onnx"
    assert open_package(package, precision="fp32").graph.file == "fp32.onnx"


@pytest.mark.skipif(not has_openvino(), reason="openvino is not installed")
def test_openvino_gives_the_same_masks(package, scene):
    image = scene(40, 56)
    want = open_package(package, engine="onnx", precision="fp32").predict(image, BANDS)
    model = open_package(package, engine="openvino", precision="fp32", threads=1)
    assert model.engine.name == "openvino"
    np.testing.assert_array_equal(model.predict(image, BANDS), want)
    int8 = open_package(package, engine="openvino", precision="int8", threads=1).predict(image, BANDS)
    assert (int8 == want).mean() > 0.9


def test_openvino_is_asked_for_but_absent(package, monkeypatch):
    monkeypatch.setattr("satsqueeze.flight.choice.has_openvino", lambda: False)
    with pytest.raises(MissingDependencyError, match=r"satsqueeze\[fast\]"):
        open_package(package, engine="openvino")


def test_engines_and_precisions_are_ordered_by_the_default(make_manifest, monkeypatch):
    graphs = [
        Graph(file="fp32.onnx", precision="fp32", engine="onnx"),
        Graph(file="int8.onnx", precision="int8", engine="onnx"),
        Graph(file="int8.xml", precision="int8", engine="openvino"),
    ]
    manifest = make_manifest(graphs)
    monkeypatch.setattr("satsqueeze.flight.choice.has_openvino", lambda: True)

    def order(engine, precision):
        return [(graph.file, name) for graph, name in candidates(manifest, engine, precision)]

    assert order("auto", "auto") == [("int8.xml", "openvino"), ("int8.onnx", "onnx"), ("fp32.onnx", "onnx")]
    assert order("onnx", "auto") == [("int8.onnx", "onnx"), ("fp32.onnx", "onnx")]
    assert order("auto", "fp32") == [("fp32.onnx", "onnx")]
    assert order("openvino", "auto")[:2] == [("int8.xml", "openvino"), ("int8.onnx", "openvino")]
    monkeypatch.setattr("satsqueeze.flight.choice.has_openvino", lambda: False)
    assert order("auto", "auto") == [("int8.onnx", "onnx"), ("fp32.onnx", "onnx")]
    with pytest.raises(PackageError, match="no graph of precision fp32"):
        candidates(make_manifest(graphs[1:2]), "auto", "fp32")
    for engine, precision in (("torch", "auto"), ("auto", "int4")):
        with pytest.raises(SettingsError):
            candidates(manifest, engine, precision)


def test_a_graph_that_does_not_reproduce_its_vectors_is_passed_over(package, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(package, folder)
    other = onnx.load(folder / "int8.onnx")
    for tensor in other.graph.initializer:
        if tensor.name == "head.b_quantized":
            tensor.raw_data = np.array([9999, 0, 0, 0], np.int32).tobytes()
    onnx.save(other, folder / "int8.onnx")
    seal(folder, read_manifest(folder))
    model = open_package(folder)
    assert model.graph.file == "fp32.onnx"
    assert any("int8.onnx on onnx was passed over" in note for note in model.notes)
    with pytest.raises(PackageError, match="no graph reproduces"):
        open_package(folder, precision="int8")


def test_a_package_without_vectors_opens(make_package, tmp_path, scene):
    model = open_package(make_package(tmp_path / "bare", vectors=False))
    assert model.predict(scene(4, 4), BANDS).shape == (4, 4)


def test_vectors_that_do_not_cover_a_graph_are_refused(package):
    vectors = TestVectors.read(package / "vectors.npz")
    with pytest.raises(PackageError, match="do not cover"):
        open_package(package).self_test(TestVectors(images=vectors.images, expected={}))


def test_threads_must_be_positive(package):
    with pytest.raises(SettingsError, match="threads"):
        open_package(package, threads=0)


def test_flying_needs_no_torch(package):
    program = (
        "import sys\n"
        "for name in ('torch', 'onnx', 'scipy', 'PIL', 'matplotlib'):\n"
        "    sys.modules[name] = None\n"
        "import numpy, satsqueeze\n"
        f"model = satsqueeze.open_package({str(package)!r})\n"
        "mask = model.predict(numpy.full((4, 5, 7), 0.3, numpy.float32), bands=list(model.bands))\n"
        "print(mask.shape, mask.dtype)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["(5,", "7)", "uint8"]


def test_a_segmentation_package_is_no_classifier(package):
    with pytest.raises(PackageError, match="is a segmentation package; use open_package"):
        open_classifier(package)


def test_the_mask_of_a_masked_array_is_missing(flier, scene):
    image, hidden = scene(20, 30), np.zeros((20, 30), np.bool_)
    hidden[3:9, 4:8] = True
    masked = np.ma.masked_array(image, np.broadcast_to(hidden, image.shape))
    np.testing.assert_array_equal(flier.predict(masked, BANDS), flier.predict(image, BANDS, valid=~hidden))


@pytest.mark.parametrize("dark", [slice(0), slice(0, 20)])
def test_one_band_of_digital_numbers_is_one_too_many(flier, scene, dark):
    image = scene(20, 30)
    image[2] *= 10_000
    image[:, :, dark] = 0
    with pytest.raises(RadiometryError, match=r"the median of a band is .*looks like digital numbers"):
        flier.predict(image, BANDS)


@pytest.mark.parametrize("fill", [-9999, -99, 1e20, -3.4e38])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fill_in_a_few_pixels_is_no_reflectance(flier, scene, fill, dtype):
    image = scene(20, 30).astype(dtype)
    image[1, :2] = fill
    with pytest.raises(RadiometryError, match=rf"band {BANDS[1]} holds .* in 60 of 600 pixels.*NaN, or pass 'valid'"):
        flier.predict(image, BANDS)


def test_fill_in_most_pixels_is_told_from_digital_numbers(flier, scene):
    image = scene(20, 30)
    image[:, :15] = -9999
    with pytest.raises(RadiometryError, match="holds -9999 or the like in 450 of 600 pixels"):
        flier.predict(image, BANDS)


def test_fill_that_is_said_to_be_missing_is_missing(flier, scene):
    """Whatever share of the image it takes, and whether validity or another band says so."""
    image, valid = scene(20, 30), np.ones((20, 30), bool)
    absent = image.copy()
    image[:, :15], absent[:, :15], valid[:15] = -9999, np.nan, False
    want = flier.predict(absent, BANDS)
    np.testing.assert_array_equal(flier.predict(image, BANDS, valid=valid), want)
    image[:, :15] = np.array([-9999, np.nan, 0.1, 0.1]).reshape(4, 1, 1)
    np.testing.assert_array_equal(flier.predict(image, BANDS), want)


def test_odd_but_real_reflectance_is_taken(flier, scene):
    """Shade that an atmospheric correction overdid, glint, low sun; and kelvin in a band that is not used."""
    image = np.concatenate([scene(20, 30), np.full((1, 20, 30), 290, np.float32)])
    image[:4, :3] = np.array([-1.0, 2.0, 16.0]).reshape(1, 3, 1)
    assert flier.predict(image, [*BANDS, "lwir11"]).max() < 255


def test_negative_reflectance_is_none(flier, scene):
    with pytest.raises(RadiometryError, match=r"the median of a band is -.*which no reflectance reaches"):
        flier.predict(scene(20, 30) - 1, BANDS)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"bands": set(BANDS)}, "0 band names were given in order"),
        ({"bands": None}, "0 band names were given in order"),
        ({"image": [[[0.1]]]}, "must be a NumPy array of numbers, got list"),
        ({"image": None}, "must be a NumPy array of numbers, got NoneType"),
        ({"valid": [[1]]}, "validity must be boolean"),
    ],
)
def test_what_is_no_image_or_list_is_refused(flier, scene, given, message):
    asked = {"image": scene(8, 8), "bands": BANDS, "valid": None, **given}
    with pytest.raises((BandError, GridError), match=message):
        flier.predict(asked["image"], asked["bands"], valid=asked["valid"])
