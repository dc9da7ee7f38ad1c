"""Teachers of whole-image decisions: our own classifiers and ensembles, or any ONNX file with a contract."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import pydantic
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from satsqueeze.core.errors import CardError, RunError
from satsqueeze.core.names import meant
from satsqueeze.core.run import fingerprint_of
from satsqueeze.distill.contract import GraphContract
from satsqueeze.distill.onnx_graph import ContractedGraph
from satsqueeze.distill.teachers import weights_digest
from satsqueeze.learn.scoring.ensemble import Averaging, Ensemble
from satsqueeze.learn.scoring.segmenter import Precision, inference
from satsqueeze.nets.card import Task
from satsqueeze.nets.model import SegmentationModel, load_model

_LEAST_PROBABILITY = 1e-7
_TOLERANCE = 0.02


class ClassTeacher(Protocol):
    """Anything that turns images into one decision each."""

    name: str
    bands: tuple[str, ...]
    classes: tuple[str, ...]
    task: Task
    """``classification`` or ``multi-label``."""
    fingerprint: str
    """Changes whenever the answers may."""

    def logits(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Float32 logits (N, K) of float32 reflectance (N, C, H, W), 0 where invalid, bands in the order of ``bands``.

        Their softmax over the classes (or the sigmoid of each, for multi-label) are the teacher's probabilities.
        """
        ...


class ClassModelTeacher:
    """Classifiers of ours, one or several whose answers are averaged.

    Args:
        name: for the record.
        models: at least one; same bands, classes and task.
        average: what is averaged, logits or probabilities (of single-label classifiers).
        precision: of the networks; bf16 costs about what the cached float16 costs.

    Raises:
        RunError: a model is no classifier, or the tasks differ.
        SettingsError: models that disagree in bands or classes.
    """

    def __init__(
        self,
        name: str,
        models: Sequence[SegmentationModel],
        *,
        average: Averaging = "logits",
        precision: Precision = "auto",
    ) -> None:
        tasks = sorted({model.card.task for model in models})
        if len(tasks) > 1 or "segmentation" in tasks:
            raise RunError(
                f"teacher '{name}' consists of models for {', '.join(tasks)}; it needs classifiers of one task. "
                "Train one with 'satsqueeze zoo train'"
            )
        if average == "probabilities" and tasks == ["multi-label"]:
            raise RunError(
                f"teacher '{name}' is multi-label, whose members are averaged as logits; set average: logits"
            )
        self.name = name
        self.ensemble = Ensemble(models, average=average).to(memory_format=torch.channels_last)
        self.bands, self.classes = models[0].card.bands, models[0].card.classes
        self.task: Task = models[0].card.task
        self._precision = precision
        self.fingerprint = fingerprint_of(
            [average, precision, [[model.card.to_dict(), weights_digest(model.state_dict())] for model in models]]
        )

    def logits(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """See :class:`ClassTeacher`."""
        with inference(self.ensemble, self._precision) as device:
            images = torch.from_numpy(np.ascontiguousarray(batch)).to(device, memory_format=torch.channels_last)
            answer: Tensor = self.ensemble(images)
            return np.asarray(answer.float().cpu().numpy(), np.float32)


class OnnxClassContract(GraphContract):
    """What an ONNX classifier expects and returns: float (N, M) for M = the length of ``class_map``."""

    task: Task = "classification"
    """``classification``: channels share a softmax; ``multi-label``: each has a sigmoid, and the surest channel of a
    class counts."""
    size: int | None = None
    """Side in pixels to which images are resized (bilinear, as the graph was trained); None = as they are."""

    @pydantic.model_validator(mode="after")
    def _is_a_classifier(self) -> Self:
        if self.task == "segmentation" or (self.size is not None and self.size < 1):
            raise ValueError(
                f"task must be classification or multi-label and size >= 1, got {self.task!r} and {self.size}"
            )
        missing = [name for position, name in enumerate(self.classes) if position not in self.class_map]
        if missing:
            raise ValueError(f"class_map gives no output channel to {', '.join(missing)}")
        return self


class OnnxClassTeacher:
    """A frozen ONNX classifier as teacher, run by ONNX Runtime.

    Args:
        path: the graph.
        contract: what it expects.

    Raises:
        CardError: the file cannot be loaded.
    """

    def __init__(self, path: Path, contract: OnnxClassContract) -> None:
        self.name, self.bands, self.classes = contract.name, contract.bands, contract.classes
        self.task: Task = contract.task
        self.contract = contract
        self._graph = ContractedGraph(path, contract)
        self.fingerprint = self._graph.fingerprint

    def logits(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """See :class:`ClassTeacher`.

        Raises:
            CardError: the graph does not keep its contract.
        """
        seen = self._resized(batch)
        at_once = self._graph.batch_size or len(seen)
        parts = [self._run(seen[start : start + at_once], at_once) for start in range(0, len(seen), at_once)]
        channels = self._log_scores(np.concatenate(parts))
        return self._classes(channels)

    def _resized(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        size = self.contract.size
        if size is None or batch.shape[2:] == (size, size):
            return batch
        images = torch.from_numpy(np.ascontiguousarray(batch))
        resized: NDArray[np.float32] = functional.interpolate(
            images, size=(size, size), mode="bilinear", antialias=True
        ).numpy()
        return resized

    def _run(self, seen: NDArray[np.float32], at_once: int) -> NDArray[np.float32]:
        """Output channels (N, M); graphs of a fixed batch size get the last image repeated."""
        count = len(seen)
        padded = np.concatenate([seen, np.repeat(seen[-1:], at_once - count, axis=0)])
        return self._graph.ask(padded, expected=(at_once, len(self.contract.class_map)))[:count]

    def _log_scores(self, answer: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits (N, M) of every channel."""
        if self.contract.output == "logits":
            return answer
        whole = self.task == "multi-label" or np.abs(answer.sum(axis=1) - 1).max() <= _TOLERANCE
        if not (whole and answer.min() >= -_TOLERANCE and answer.max() <= 1 + _TOLERANCE):
            raise CardError(
                f"teacher '{self.name}' returns values from {answer.min():.3g} to {answer.max():.3g} that are no "
                f"probabilities for {self.task}. State 'output: logits' or the right task in its contract"
            )
        shares = np.clip(answer, _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
        return np.asarray(np.log(shares) - (np.log1p(-shares) if self.task == "multi-label" else 0), np.float32)

    def _classes(self, channels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits (N, K): the probabilities of a class's channels add up, or its surest channel counts."""
        join = np.maximum if self.task == "multi-label" else np.logaddexp
        owners = np.asarray(self.contract.class_map)
        merged = [join.reduce(channels[:, owners == position], axis=1) for position in range(len(self.classes))]
        return np.stack(merged, axis=1).astype(np.float32)


def open_class_teacher(source: Path, *, precision: Precision = "auto") -> ClassTeacher:
    """A teacher from an ONNX file with its contract beside it, a model folder, or a folder of model folders (ensemble).

    Raises:
        RunError: nothing of the kind; a name that does not exist lists the closest ones.
        CardError: the ONNX file or its contract is wrong.
    """
    if not source.exists():
        beside = [path.name for path in source.parent.iterdir()] if source.parent.is_dir() else []
        raise RunError(f"there is no teacher {source}; {meant(source.name, beside)}check the path")
    if source.suffix == ".onnx":
        return OnnxClassTeacher(source, OnnxClassContract.read(source.with_suffix(".yaml")))
    folders = (
        [source] if (source / "model.json").is_file() else sorted(path.parent for path in source.glob("*/model.json"))
    )
    if not folders:
        raise RunError(
            f"{source} is no teacher: expected a model folder (model.json), a folder of them, or an .onnx file"
        )
    return ClassModelTeacher(source.name, [load_model(folder) for folder in folders], precision=precision)
