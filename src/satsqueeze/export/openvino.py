"""int8 for OpenVINO by NNCF's post-training quantisation, where both are installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from satsqueeze.core.errors import MissingDependencyError
from satsqueeze.export.onnx import is_layer_of_network
from satsqueeze.export.silence import quiet

_SPLIT = "/WithoutBiases"
"""What OpenVINO adds to a convolution's name when it makes its bias an addition of the old name."""


def has_nncf() -> bool:
    """Whether OpenVINO and NNCF are installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("openvino", "nncf"))


def write_openvino_int8(
    fp32: Path, path: Path, windows: Sequence[NDArray[np.float32]], *, float_layers: Sequence[str] = ()
) -> None:
    """Quantise a float graph to OpenVINO's ``.xml`` and ``.bin``.

    Args:
        fp32: float ONNX graph, batch normalisation folded.
        path: ``.xml`` to write; the weights lie beside it as ``.bin``.
        windows: float32 reflectance (C, h, w) each, for calibration.
        float_layers: names of layers that stay in float.

    Raises:
        MissingDependencyError: openvino or nncf is not installed.
    """
    if not has_nncf():
        raise MissingDependencyError("nncf", "fast")
    with quiet():
        import nncf
        import openvino

        model = openvino.Core().read_model(fp32)
        names = [op.friendly_name for op in model.get_ops()]
        ignored = [name for name in names if name.removesuffix(_SPLIT) in float_layers or not is_layer_of_network(name)]
        quantised = nncf.quantize(
            model,
            nncf.Dataset([window[None] for window in windows]),
            preset=nncf.QuantizationPreset.MIXED,
            target_device=nncf.TargetDevice.CPU,
            subset_size=len(windows),
            ignored_scope=nncf.IgnoredScope(names=ignored, validate=False),
        )
        openvino.save_model(quantised, path, compress_to_fp16=False)
