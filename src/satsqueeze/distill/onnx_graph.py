"""A frozen ONNX graph, asked as its contract states."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from satsqueeze.core.errors import CardError
from satsqueeze.core.files import sha256
from satsqueeze.core.run import fingerprint_of
from satsqueeze.distill.contract import GraphContract


class ContractedGraph:
    """Run by ONNX Runtime on the CPU.

    Args:
        path: the graph.
        contract: what it expects.

    Raises:
        CardError: the file cannot be loaded.
    """

    def __init__(self, path: Path, contract: GraphContract) -> None:
        self._contract = contract
        try:
            self.fingerprint = fingerprint_of([sha256(path), contract])
            self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        except Exception as error:
            raise CardError(f"{path} cannot be loaded as an ONNX teacher: {error}") from error
        graph_input = self._session.get_inputs()[0]
        self._input = graph_input.name
        fixed = graph_input.shape[0] if graph_input.shape else None
        self.batch_size: int | None = fixed if isinstance(fixed, int) else None
        """Images that it takes at once; None for any number."""

    def ask(self, reflectance: NDArray[np.float32], *, expected: tuple[int, ...]) -> NDArray[np.float32]:
        """Float32 output of float32 reflectance (N, C, H, W).

        Args:
            reflectance: scaled and normalised here, and laid out as the contract states.
            expected: shape of the output.

        Raises:
            CardError: the graph does not keep its contract.
        """
        contract = self._contract
        mean, std = (np.asarray(values, np.float32).reshape(-1, 1, 1) for values in (contract.mean, contract.std))
        seen = (reflectance * np.float32(contract.scale) - mean) / std
        seen = np.ascontiguousarray(seen.transpose(0, 2, 3, 1) if contract.layout == "NHWC" else seen, np.float32)
        try:
            answer = np.asarray(self._session.run(None, {self._input: seen})[0], np.float32)
        except Exception as error:
            raise CardError(
                f"teacher '{contract.name}' cannot take {seen.shape} as {contract.layout}: {error}. Correct bands, "
                "layout or size in its contract"
            ) from error
        if answer.shape != expected:
            raise CardError(
                f"teacher '{contract.name}' returns {answer.shape}, its contract promises {expected}; correct layout "
                "or class_map"
            )
        return answer
