"""Training that listens to a layer within the network, not to its logits alone."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from satsqueeze.core.errors import SettingsError, TrainError


class Guide(Protocol):
    """What the features of a network follow, besides what its logits minimise."""

    @property
    def layer(self) -> str:
        """Name of the module whose output is compared, as in ``model.named_modules()``."""
        ...

    def rows(self, positions: NDArray[np.int64], views: NDArray[np.int64]) -> tuple[NDArray[np.float32], ...]:
        """Of each teacher, float32 maps (N, h, w) for cache positions (N,) in views (N,)."""
        ...

    def __call__(self, features: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """What is added to the loss.

        Args:
            features: float (N, C, H, W), the output of the layer.
            maps: of each teacher, float32 (N, h, w).
        """
        ...


class Tap:
    """Keeps the last output of a module of a model, while its context is open; nothing of it stays behind.

    Args:
        model: where the module is.
        layer: its name, as in ``model.named_modules()``.

    Raises:
        SettingsError: the model has no such module.
    """

    def __init__(self, model: nn.Module, layer: str) -> None:
        try:
            self._module = model.get_submodule(layer)
        except AttributeError as error:
            raise SettingsError(f"the network has no layer {layer!r} ({error}); name one of its modules") from error
        self.layer = layer
        self._handle: RemovableHandle | None = None
        self._output: object = None

    @property
    def output(self) -> Tensor:
        """Float (N, C, H, W), attached to the graph of the last forward pass.

        Raises:
            TrainError: the layer has not run, or gives no maps.
        """
        if not isinstance(self._output, Tensor) or self._output.ndim != 4:
            got = tuple(self._output.shape) if isinstance(self._output, Tensor) else type(self._output).__name__
            raise TrainError(f"the layer {self.layer!r} gave {got}, expected maps (N, C, H, W); choose another layer")
        return self._output

    def __enter__(self) -> Self:
        self._handle = self._module.register_forward_hook(self._keep)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handle is not None:
            self._handle.remove()
        self._handle = self._output = None

    def _keep(self, module: nn.Module, inputs: object, output: object) -> None:  # noqa: ARG002 - of a hook
        self._output = output
