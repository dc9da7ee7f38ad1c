"""Teachers: our own models and ensembles, or any ONNX file with a stated input contract."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime
import pydantic
import yaml
from numpy.typing import NDArray

from satsqueeze.core.errors import CardError
from satsqueeze.core.window import cover
from satsqueeze.learn.sliding import predict_logits
from satsqueeze.nets.model import SegmentationModel


class ModelTeacher:
    """Models of ours whose logits are averaged, asked with overlapping windows and mirrored images.

    Args:
        name: for the record.
        models: an ensemble of at least one; same bands and classes.
        window: side of the sliding window in pixels.
        mirror: average over the four flips as well.
    """

    def __init__(self, name: str, models: Sequence[SegmentationModel], *, window: int, mirror: bool = True) -> None:
        self.name = name
        self.bands = models[0].card.bands
        self.classes = models[0].card.classes
        self._models = tuple(models)
        self._window = window
        self._mirror = mirror

    def probabilities(self, reflectance: NDArray[np.float32]) -> NDArray[np.float32]:
        """See :class:`satsqueeze.distill.soft.Teacher`."""
        logits = [
            predict_logits(model, reflectance, window=self._window, mirror=self._mirror) for model in self._models
        ]
        return softmax(np.mean(logits, axis=0))


class OnnxContract(pydantic.BaseModel):
    """What an ONNX teacher expects and returns (a YAML file beside it, or given to ``--contract``)."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    name: str
    licence: str
    """Licence of the weights, for the record."""
    bands: tuple[str, ...]
    """Common names in channel order."""
    scale: float = 1.0
    """The graph sees (reflectance * scale - mean) / std."""
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    output: Literal["probabilities", "logits"] = "probabilities"
    classes: tuple[str, ...]
    """Classes as this project's data names them."""
    class_map: tuple[int, ...]
    """For each output channel, the position in ``classes``; channels of one class are summed."""
    window: int = 256
    """Side of the window in pixels, the size the graph was trained at."""

    @classmethod
    def read(cls, path: Path) -> OnnxContract:
        """Read a YAML contract.

        Raises:
            CardError: absent or malformed.
        """
        try:
            return cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except (OSError, yaml.YAMLError, pydantic.ValidationError) as error:
            raise CardError(f"{path} is not an ONNX teacher contract: {error}") from error


class OnnxTeacher:
    """A frozen ONNX graph as teacher, run by ONNX Runtime in overlapping windows.

    Args:
        path: the graph.
        contract: what it expects.

    Raises:
        CardError: the file cannot be loaded, or its channels contradict the contract.
    """

    def __init__(self, path: Path, contract: OnnxContract) -> None:
        self.name = contract.name
        self.bands = contract.bands
        self.classes = contract.classes
        self.contract = contract
        try:
            self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:
            raise CardError(f"{path} cannot be loaded as an ONNX teacher: {error}") from error
        self._input = self._session.get_inputs()[0].name

    def probabilities(self, reflectance: NDArray[np.float32]) -> NDArray[np.float32]:
        """See :class:`satsqueeze.distill.soft.Teacher`."""
        side = self.contract.window
        height, width = reflectance.shape[1:]
        padded = np.pad(
            reflectance, ((0, 0), (0, max(0, side - height)), (0, max(0, side - width))), mode="edge"
        )
        total = np.zeros((len(self.classes), *padded.shape[1:]), np.float32)
        count = np.zeros(padded.shape[1:], np.float32)
        for window in cover(height=padded.shape[1], width=padded.shape[2], window=side):
            rows, cols = window.slices
            total[:, rows, cols] += self._ask(padded[:, rows, cols])
            count[rows, cols] += 1
        return (total / count)[:, :height, :width]

    def _ask(self, reflectance: NDArray[np.float32]) -> NDArray[np.float32]:
        contract = self.contract
        mean = np.asarray(contract.mean, np.float32).reshape(-1, 1, 1)
        std = np.asarray(contract.std, np.float32).reshape(-1, 1, 1)
        seen = ((reflectance * np.float32(contract.scale) - mean) / std)[None]
        if contract.layout == "NHWC":
            seen = seen.transpose(0, 2, 3, 1)
        answer = np.asarray(self._session.run(None, {self._input: np.ascontiguousarray(seen, np.float32)})[0])[0]
        if contract.layout == "NHWC":
            answer = answer.transpose(2, 0, 1)
        if answer.shape[0] != len(contract.class_map):
            raise CardError(
                f"teacher '{self.name}' returns {answer.shape[0]} channels, its contract maps {len(contract.class_map)}"
            )
        if contract.output == "logits":
            answer = softmax(answer)
        out = np.zeros((len(self.classes), *answer.shape[1:]), np.float32)
        np.add.at(out, np.asarray(contract.class_map), answer)
        return out


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Softmax over the first axis of (K, H, W)."""
    shifted = np.exp(logits - logits.max(axis=0, keepdims=True))
    result: NDArray[np.float32] = (shifted / shifted.sum(axis=0, keepdims=True)).astype(np.float32)
    return result
