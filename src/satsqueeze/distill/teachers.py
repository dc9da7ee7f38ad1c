"""Teachers: our own models and ensembles, or any ONNX file with a stated input contract."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pydantic
from numpy.typing import NDArray

from satsqueeze.core.errors import CardError, RunError
from satsqueeze.core.run import fingerprint_of
from satsqueeze.core.window import cover
from satsqueeze.distill.contract import GraphContract
from satsqueeze.distill.onnx_graph import ContractedGraph
from satsqueeze.distill.soft import Teacher
from satsqueeze.learn.scoring.ensemble import Ensemble
from satsqueeze.learn.scoring.segmenter import Precision
from satsqueeze.learn.scoring.sliding import predict_logits, probabilities_of
from satsqueeze.learn.stage import load_folds
from satsqueeze.nets.model import SegmentationModel, load_model
from satsqueeze.plan.stage import TrainPlan

_SUM_TOLERANCE = 0.02


@dataclass(frozen=True, kw_only=True)
class Asking:
    """How our own models are asked."""

    mirror: bool = True
    """Average over the four mirror images."""
    precision: Precision = "auto"
    """``auto``: bf16 where it is fast; its error is below the quantum of the cached answers."""


class ModelTeacher:
    """Models of ours whose logits are averaged, asked in overlapping windows.

    Args:
        name: for the record.
        models: at least one; same bands and classes.
        window: side of the sliding window in pixels.
        asking: how they are asked.
    """

    def __init__(
        self,
        name: str,
        models: Sequence[SegmentationModel],
        *,
        window: int,
        asking: Asking = Asking(),
    ) -> None:
        self.name = name
        self.bands = models[0].card.bands
        self.classes = models[0].card.classes
        self.ensemble = Ensemble(models)
        self._window, self._asking = window, asking
        # Scaling and normalisation are no weights, but decide the answers as much.
        known = [(model.card.to_dict(), weights_digest(model.state_dict())) for model in models]
        self.fingerprint = fingerprint_of([window, asking.mirror, asking.precision, known])

    def probabilities(self, reflectance: NDArray[np.float32]) -> NDArray[np.float32]:
        """See :class:`satsqueeze.distill.soft.Teacher`."""
        mirror, precision = self._asking.mirror, self._asking.precision
        logits = predict_logits(self.ensemble, reflectance, window=self._window, mirror=mirror, precision=precision)
        return probabilities_of(logits)


class OnnxContract(GraphContract):
    """What an ONNX teacher of segmentation expects and returns."""

    layout: Literal["NCHW", "NHWC"] = "NCHW"
    """Of input and output."""
    window: int = 256
    """Side of the window in pixels, the size the graph was trained at."""

    @pydantic.model_validator(mode="after")
    def _has_a_window(self) -> Self:
        if self.window < 1:
            raise ValueError(f"window must be >= 1, got {self.window}")
        return self


class OnnxTeacher:
    """A frozen ONNX graph as teacher, run by ONNX Runtime in overlapping windows.

    Args:
        path: the graph.
        contract: what it expects.

    Raises:
        CardError: the file cannot be loaded.
    """

    def __init__(self, path: Path, contract: OnnxContract) -> None:
        self.name = contract.name
        self.bands = contract.bands
        self.classes = contract.classes
        self.contract = contract
        self._graph = ContractedGraph(path, contract)
        self.fingerprint = self._graph.fingerprint

    def probabilities(self, reflectance: NDArray[np.float32]) -> NDArray[np.float32]:
        """See :class:`satsqueeze.distill.soft.Teacher`.

        Raises:
            CardError: the graph does not keep its contract.
        """
        side = self.contract.window
        height, width = reflectance.shape[1:]
        padding = ((0, 0), (0, max(0, side - height)), (0, max(0, side - width)))
        padded = np.pad(reflectance, padding, mode="edge")
        total = np.zeros((len(self.classes), *padded.shape[1:]), np.float32)
        count = np.zeros(padded.shape[1:], np.float32)
        for window in cover(height=padded.shape[1], width=padded.shape[2], window=side):
            rows, cols = window.slices
            total[:, rows, cols] += self._classes(self._run(padded[:, rows, cols]))
            count[rows, cols] += 1
        mean: NDArray[np.float32] = np.divide(total, count, dtype=np.float32)
        return mean[:, :height, :width]

    def _run(self, reflectance: NDArray[np.float32]) -> NDArray[np.float32]:
        """Output channels (M, h, w) of one window."""
        size, channels = reflectance.shape[1:], len(self.contract.class_map)
        nhwc = self.contract.layout == "NHWC"
        expected = (1, *size, channels) if nhwc else (1, channels, *size)
        answer = self._graph.ask(reflectance[None], expected=expected)
        channels_first: NDArray[np.float32] = answer[0].transpose(2, 0, 1) if nhwc else answer[0]
        return channels_first

    def _classes(self, answer: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities (K, h, w) of the data's classes."""
        if self.contract.output == "logits":
            answer = probabilities_of(answer)
        elif not (answer.min() >= -_SUM_TOLERANCE and np.abs(answer.sum(axis=0) - 1).max() <= _SUM_TOLERANCE):
            raise CardError(
                f"teacher '{self.name}' returns values from {answer.min():.3g} to {answer.max():.3g} that do not sum "
                "to 1 over its channels: no probabilities. State 'output: logits' in its contract"
            )
        out = np.zeros((len(self.classes), *answer.shape[1:]), np.float32)
        np.add.at(out, np.asarray(self.contract.class_map), answer)
        return out


def open_teacher(source: Path, asking: Asking) -> Teacher:
    """A teacher from a run folder (its fold ensemble), a model folder, or an ONNX file with its contract beside it.

    Raises:
        RunError: nothing of the kind, or an unfinished run.
        CardError: the ONNX file or its contract is wrong.
    """
    if source.suffix == ".onnx":
        return OnnxTeacher(source, OnnxContract.read(source.with_suffix(".yaml")))
    if (source / "run.json").is_file():
        window = max(TrainPlan.read(source / "plan.json").unet.patch_size)
        return ModelTeacher(source.name, load_folds(source / "teacher"), window=window, asking=asking)
    if (source / "model.json").is_file():
        model = load_model(source)
        return ModelTeacher(model.card.name, [model], window=512, asking=asking)
    raise RunError(f"{source} is no teacher: expected a run folder, a model folder, or an .onnx file")


def weights_digest(state: dict[str, Any]) -> str:
    """SHA-256 of names and values of weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).tobytes())
    return digest.hexdigest()
