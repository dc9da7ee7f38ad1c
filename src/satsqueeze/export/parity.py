"""The gate: an exported graph must do what the trained model does, or nothing is shipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

from satsqueeze.core.errors import ParityError
from satsqueeze.core.manifest import FlightManifest, Graph
from satsqueeze.core.margin import margin
from satsqueeze.core.run import plain
from satsqueeze.export.integer import IntegerGraphs
from satsqueeze.export.onnx import DecisionGraph, FlightGraph, is_layer_of_network
from satsqueeze.export.validation import Judgement
from satsqueeze.flight.engines.by_name import open_engine
from satsqueeze.flight.engines.engine import INPUT
from satsqueeze.flight.runtime import FlightModel

LOGITS = "logits"


@dataclass(frozen=True, kw_only=True)
class FloatParity:
    """The float graph against the trained model."""

    images: int
    pixels: int
    logit_difference: float
    """Largest absolute difference of a logit."""
    logit_scale: float
    """Largest absolute logit; the tolerance is relative to it where it exceeds 1."""
    probability_difference: float
    """Largest absolute difference of a probability."""
    mask_differences: int
    """Pixels of another class."""
    ties: int
    """Those among them whose two best classes are closer than the tolerance: either is right."""
    tolerance: float


@dataclass(frozen=True, kw_only=True)
class SizeParity:
    """Masks that must not depend on how an image is cut or padded."""

    sizes: tuple[str, ...]
    """Odd image sizes that gave the model's mask."""
    windows: tuple[int, ...]
    """Tile sizes, in pixels, that gave the mask of the whole image; empty for a model that is not window-invariant."""
    window_ties: int
    """Pixels of another class in some tiling, two best classes closer than the tolerance."""


@dataclass(frozen=True, kw_only=True)
class BatchParity:
    """Decisions on images that must not depend on what else is in the batch."""

    batches: tuple[int, ...]
    """Batch sizes that gave the probabilities of single images."""
    difference: float
    """Largest absolute difference of a probability."""


@dataclass(frozen=True, kw_only=True)
class SeriesParity:
    """The float graph over dates against the trained model."""

    dates: tuple[int, ...]
    """Numbers of dates of the series compared."""
    pixels: int
    probability_difference: float
    """Largest absolute difference of a probability."""
    mask_differences: int
    """Pixels of another class."""
    ties: int
    """Those among them whose two best classes are closer than the tolerance: either is right."""
    nodata_pixels: int
    """Pixels that no date showed; all were 255."""
    tolerance: float


@dataclass(frozen=True, kw_only=True)
class ParityReport:
    """Everything that the gate measured; the content of ``parity.json``."""

    fp32: FloatParity | SeriesParity
    sizes: SizeParity | BatchParity | None
    """None where the comparison of the float graph was over many sizes."""
    int8: dict[str, Judgement]
    """Per int8 graph, its loss against the float graph on validation images."""
    allowed_loss: float
    sensitivity: dict[str, dict[str, float]]
    """Per int8 graph, the harm of each layer, where a search was needed."""
    calibration: str
    """Method that set the ranges of int8 activations."""
    drifts: dict[str, float]
    """Root mean square difference of probabilities from the float graph, per method tried."""
    left_out: dict[str, str]
    """Optional graphs that were not shipped, with the reason."""

    @classmethod
    def of(
        cls,
        fp32: FloatParity | SeriesParity,
        sizes: SizeParity | BatchParity | None,
        integer: IntegerGraphs,
        *,
        allowed_loss: float,
    ) -> ParityReport:
        """The report on a float graph and the int8 graphs made of it."""
        return cls(
            fp32=fp32,
            sizes=sizes,
            int8={file: entry.verdict for file, entry in integer.found.items()},
            allowed_loss=allowed_loss,
            sensitivity={file: entry.sensitivity for file, entry in integer.found.items()},
            calibration=integer.calibration,
            drifts=integer.drifts,
            left_out=integer.left_out,
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; a Jaccard without foreground is None."""
        record: dict[str, Any] = plain(self)
        return record


def check_float(
    graph: DecisionGraph, path: Path, images: Sequence[NDArray[np.float32]], *, tolerance: float
) -> FloatParity:
    """Compare logits, probabilities and classes of a float graph with the model's.

    Args:
        graph: the model.
        path: the exported graph.
        images: float32 reflectance (C, h, w) each, sides multiples of the model's ``size_multiple``.
        tolerance: largest difference of a probability, and of a logit relative to max(1, largest logit).

    Raises:
        ParityError: a difference above the tolerance.
    """
    session = onnxruntime.InferenceSession(_with_logits(path), providers=["CPUExecutionProvider"])
    outputs = [LOGITS, *list(graph.shape.axes)[1:]]
    gaps, scales, chances, differing, ties, pixels = [], [], [], 0, 0, 0
    for image in images:
        with torch.no_grad():
            want = graph.logits(torch.from_numpy(image[None]))
            want_chances, want_decision = (tensor.numpy() for tensor in graph.decided(want))
        logits, probabilities, decision = session.run(outputs, {INPUT: image[None]})
        gaps.append(float(np.abs(logits - want.numpy()).max()))
        scales.append(float(np.abs(logits).max()))
        chances.append(float(np.abs(probabilities - want_chances).max()))
        differ = decision != want_decision
        differing += int(differ.sum())
        ties += int((differ & (graph.margin(want_chances) <= 2 * tolerance)).sum())
        pixels += decision.size
    found = FloatParity(
        images=len(images),
        pixels=pixels,
        logit_difference=float(np.max(gaps)),
        logit_scale=float(np.max(scales)),
        probability_difference=float(np.max(chances)),
        mask_differences=differing,
        ties=ties,
        tolerance=tolerance,
    )
    far = not found.logit_difference <= tolerance * max(1.0, found.logit_scale)
    if far or not found.probability_difference <= tolerance or differing > ties:
        raise ParityError(
            f"{path.name} differs from the model: logits by up to {found.logit_difference:.3g} (largest logit "
            f"{found.logit_scale:.3g}), probabilities by {found.probability_difference:.3g}, {differing - ties} of "
            f"{pixels} classes beyond ties; allowed is {tolerance:.3g}. Export again; if it persists, a layer is "
            "exported wrongly: report it with the model card."
        )
    return found


def check_sizes(
    graph: FlightGraph, manifest: FlightManifest, path: Path, image: NDArray[np.float32], *, tolerance: float
) -> SizeParity:
    """Check that odd sizes give the model's mask, and tiles the mask of the whole.

    Args:
        graph: the model.
        manifest: draft manifest.
        path: the exported float graph.
        image: float32 reflectance (C, H, W), at least 4 ``size_multiple`` high and wide.
        tolerance: margin of two probabilities up to which a class is a tie.

    Raises:
        ParityError: another mask, ties apart.
    """
    record = Graph(file=path.name, precision="fp32", engine="onnx")
    engine = open_engine("onnx", path)
    multiple = manifest.size_multiple
    sizes = [(2 * multiple + 1, 3 * multiple - 1), (multiple, 2 * multiple + 3), (1, multiple + 1)]
    names = []
    for height, width in sizes:
        part = np.ascontiguousarray(image[:, :height, :width])
        found = FlightModel(manifest, graph=record, engine=engine).predict(part, manifest.band_names)
        wrong = _beyond_ties(found, *_model_result(graph, part, multiple), tolerance)
        if wrong:
            raise ParityError(f"at {height} x {width} px {wrong} pixels differ from the model; padding is inconsistent")
        names.append(f"{height}x{width}")
    windows, ties = _check_windows(manifest, record, path, image, tolerance=tolerance)
    return SizeParity(sizes=tuple(names), windows=windows, window_ties=ties)


def check_batches(path: Path, images: Sequence[NDArray[np.float32]], *, tolerance: float) -> BatchParity:
    """Check that a float graph gives the same for images in a batch as one by one.

    Args:
        path: the exported float graph.
        images: float32 reflectance (C, H, W) each, of one size.
        tolerance: largest difference of a probability.

    Raises:
        ParityError: a difference above the tolerance.
    """
    engine = open_engine("onnx", path)
    single = [np.asarray(engine.run(image[None], probabilities=True).probabilities)[0] for image in images]
    together = np.asarray(engine.run(np.stack(images), probabilities=True).probabilities)
    difference = float(np.abs(together - np.stack(single)).max())
    if not difference <= tolerance:
        raise ParityError(
            f"{path.name} gives other probabilities for {len(images)} images at once than one by one, by "
            f"{difference:.3g}; allowed is {tolerance:.3g}. A layer mixes the images of a batch"
        )
    return BatchParity(batches=(1, len(images)), difference=difference)


def _check_windows(
    manifest: FlightManifest, record: Graph, path: Path, image: NDArray[np.float32], *, tolerance: float
) -> tuple[tuple[int, ...], int]:
    if not manifest.window_invariant:
        return (), 0
    engine = open_engine("onnx", path)
    longest = max(image.shape[1:])
    whole = FlightModel(manifest, graph=record, engine=engine, window=longest).predict(image, manifest.band_names, True)
    clear, ties, windows = margin(whole.probabilities, axis=0), 0, (longest // 2, longest // 3)
    for window in windows:
        tiled = FlightModel(manifest, graph=record, engine=engine, window=window).predict(image, manifest.band_names)
        differ = tiled != whole.mask
        ties += int((differ & (clear <= 2 * tolerance)).sum())
        wrong = int((differ & (clear > 2 * tolerance)).sum())
        if wrong:
            raise ParityError(
                f"in tiles of {window} px {wrong} of {differ.size} pixels differ from the whole image: the receptive "
                f"field is said to be {manifest.receptive_field} px on each side, but the network looks further"
            )
    return windows, ties


def _model_result(
    graph: FlightGraph, image: NDArray[np.float32], multiple: int
) -> tuple[NDArray[np.integer[Any]], NDArray[np.float32]]:
    height, width = image.shape[1:]
    pads = ((0, 0), (0, -height % multiple), (0, -width % multiple))
    with torch.no_grad():
        logits = graph.logits(torch.from_numpy(np.pad(image, pads, mode="reflect")[None]))
    chances = torch.softmax(logits, dim=1).numpy()[0, :, :height, :width]
    return logits.argmax(dim=1).numpy()[0, :height, :width], chances


def _beyond_ties(
    mask: NDArray[np.uint8], want: NDArray[np.integer[Any]], chances: NDArray[np.float32], tolerance: float
) -> int:
    return int(((mask != want) & (margin(chances, axis=0) > 2 * tolerance)).sum())


def _with_logits(path: Path) -> bytes:
    """The graph with its logits, on which it decides, as a further output."""
    proto = onnx.load(path)
    # The network has neither after its logits: squeeze-and-excitation's sigmoids bear the names of its layers.
    decision = next(
        node
        for node in reversed(proto.graph.node)
        if node.op_type in ("ReduceMax", "Sigmoid") and not is_layer_of_network(node.name)
    )
    proto.graph.node.append(onnx.helper.make_node("Identity", [decision.input[0]], [LOGITS]))
    proto.graph.output.append(onnx.helper.make_tensor_value_info(LOGITS, onnx.TensorProto.FLOAT, None))
    serialised: bytes = proto.SerializeToString()
    return serialised
