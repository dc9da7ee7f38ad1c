"""The gate opens for the model's own graph and for no other."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from satsqueeze.core.errors import ParityError
from satsqueeze.core.manifest import FlightManifest, Graph, PackageBand, PackageScaling
from satsqueeze.export.parity import FloatParity, ParityReport, SizeParity, check_float, check_sizes
from satsqueeze.export.validation import Verdict
from satsqueeze.nets.receptive import receptive_field

BANDS = ("blue", "green", "red", "nir")


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
        receptive_field=receptive_field(model),
        parameters=1,
        macs_per_pixel=1.0,
        macs_input="x",
        graphs=(Graph(file="fp32.onnx", precision="fp32", engine="onnx"),),
        default_graph="fp32.onnx",
    )


def perturbed(path, target, *, factor, layer="heads.0.weight", entries=slice(None)):
    proto = onnx.load(path)
    tensor = next(t for t in proto.graph.initializer if t.name.endswith(layer))
    values = numpy_helper.to_array(tensor).copy()
    values.reshape(-1)[entries] *= np.float32(factor)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(proto, target)
    return target


def test_the_models_own_graph_passes(exported, windows):
    found = check_float(*exported, windows, tolerance=1e-4)
    assert found.images == 4
    assert found.pixels == 4 * 64 * 64
    assert found.mask_differences == found.ties
    assert found.probability_difference < 1e-4


@pytest.mark.parametrize(("factor", "entries"), [(1.001, slice(None)), (1.02, slice(0, 1)), (np.nan, slice(0, 1))])
def test_a_perturbed_weight_does_not(exported, windows, tmp_path, factor, entries):
    path = perturbed(exported[1], tmp_path / "g.onnx", factor=factor, entries=entries)
    with pytest.raises(ParityError, match="differs from the model"):
        check_float(exported[0], path, windows, tolerance=1e-4)


def test_nan_in_the_last_image_alone_is_noticed(exported, windows):
    broken = windows[0].copy()
    broken[0, 5, 5] = np.nan
    with pytest.raises(ParityError, match="logits by up to nan"):
        check_float(*exported, [windows[0], broken], tolerance=1e-4)


def test_a_tie_is_counted_and_allowed(exported, windows, tmp_path):
    path = perturbed(exported[1], tmp_path / "g.onnx", factor=1.003)
    loose = check_float(exported[0], path, windows, tolerance=3e-2)
    assert loose.mask_differences == loose.ties >= 1


def test_sizes_and_windows(exported, manifest, windows):
    found = check_sizes(exported[0], manifest, exported[1], windows[0], tolerance=1e-4)
    assert found.sizes == ("9x11", "4x11", "1x5")
    assert found.windows == (32, 21)


def test_an_understated_receptive_field_is_noticed(exported, manifest, windows):
    wrong = manifest.model_copy(update={"receptive_field": 1})
    with pytest.raises(ParityError, match="the network looks further"):
        check_sizes(exported[0], wrong, exported[1], windows[0], tolerance=1e-4)
    blended = wrong.model_copy(update={"window_invariant": False})
    assert check_sizes(exported[0], blended, exported[1], windows[0], tolerance=1e-4).windows == ()


def test_another_mask_at_odd_sizes_is_noticed(exported, manifest, windows, tmp_path):
    path = perturbed(exported[1], tmp_path / "fp32.onnx", factor=-1)
    with pytest.raises(ParityError, match="padding is inconsistent"):
        check_sizes(exported[0], manifest, path, windows[0], tolerance=1e-4)


def test_the_report_is_json_whatever_it_holds():
    report = ParityReport(
        fp32=FloatParity(
            images=1,
            pixels=1,
            logit_difference=0.0,
            logit_scale=1.0,
            probability_difference=0.0,
            mask_differences=0,
            ties=0,
            tolerance=1e-4,
        ),
        sizes=SizeParity(sizes=("1x1",), windows=(), window_ties=0),
        int8={
            "g": Verdict(
                jaccard=float("nan"),
                reference_jaccard=float("nan"),
                loss=0.0,
                agreement=1.0,
                images=1,
                truth="float graph",
            )
        },
        allowed_loss=0.005,
        sensitivity={},
        calibration="minmax",
        drifts={},
        left_out={},
    )
    record = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert record["int8"]["g"]["jaccard"] is None
