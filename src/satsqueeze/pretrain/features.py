"""Dense features of a segmentation network: what its decoder, or its encoder alone, makes of an image."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from satsqueeze.core.errors import SettingsError
from satsqueeze.core.window import up
from satsqueeze.nets.edges import PREFIX, edges_of
from satsqueeze.nets.model import SegmentationModel

Scope = Literal["decoder", "encoder"]
"""What is trained: encoder and decoder, or the encoder alone."""
_SIDE = 64


class Backbone:
    """Features of a model, whose weights it shares.

    With ``decoder``, they are what the layer that gives classes reads, at the finest resolution it is given; with
    ``encoder``, the output of the deepest stage.

    Args:
        model: any segmentation network; of the encoder alone, one with a stem and stages.
        scope: see there.

    Raises:
        SettingsError: not for segmentation, or an encoder that is not made of stages.
    """

    def __init__(self, model: SegmentationModel, scope: Scope) -> None:
        if model.card.task != "segmentation":
            raise SettingsError(
                f"dense pre-training is for networks that segment, got {model.card.name} for {model.card.task}; see "
                "'satsqueeze zoo transfer' for classifiers"
            )
        if scope not in ("decoder", "encoder"):
            raise SettingsError(f"scope must be decoder or encoder, got {scope!r}")
        self.model, self.scope = model, scope
        classes = edges_of(model.card).classes
        self._heads = sorted({name.rpartition(".")[0].removeprefix(PREFIX) for name in classes})
        if scope == "encoder" and not all(hasattr(model.net, part) for part in ("stem", "stages")):
            raise SettingsError(
                f"the encoder of {model.card.family!r} is not made of a stem and stages; use scope decoder, or a U-Net "
                "of ours"
            )

    def __call__(self, reflectance: Tensor, days: Tensor | None = None) -> Tensor:
        """Float reflectance (N, C, H, W) -> features (N, F, h, w), h and w a fraction of H and W.

        With days (N, T), of series (N, T, C, H, W) by a network over dates, whose decoder is trained with it.
        """
        return self._encoded(reflectance) if self.scope == "encoder" else self._decoded(reflectance, days)

    @property
    def channels(self) -> int:
        """F."""
        multiple = self.model.size_multiple
        side = up(max(_SIDE, 2 * multiple), multiple)
        was_training = self.model.training
        self.model.eval()
        with torch.no_grad():
            image = torch.zeros(1, len(self.model.card.bands), side, side, device=self.model.mean.device)
            found = int(self(image).shape[1])
        self.model.train(was_training)
        return found

    def trained(self) -> tuple[str, ...]:
        """Names in the model's state of what learning the features changes, sorted."""
        heads = tuple(f"{PREFIX}{head}." for head in self._heads)
        parts = tuple(f"{PREFIX}{part}." for part in ("stem", "stages")) if self.scope == "encoder" else ("",)
        return tuple(
            sorted(name for name in self.model.state_dict() if name.startswith(parts) and not name.startswith(heads))
        )

    def _encoded(self, reflectance: Tensor) -> Tensor:
        net = self.model.net
        features: Tensor = net.get_submodule("stem")(self.model.normalise(reflectance))
        for stage in net.get_submodule("stages").children():
            features = stage(features)
        return features

    def _decoded(self, reflectance: Tensor, days: Tensor | None) -> Tensor:
        seen: list[Tensor] = []

        def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            seen.append(inputs[0])

        hooks = [self.model.net.get_submodule(head).register_forward_pre_hook(keep) for head in self._heads]
        try:
            self.model(reflectance, days)
        finally:
            for hook in hooks:
                hook.remove()
        # With deep supervision coarser heads are asked, too.
        return max(seen, key=lambda features: features.shape[-1] * features.shape[-2])


def sampled(features: Tensor, points: Tensor, *, size: int) -> Tensor:
    """Features at points of a view, bilinearly, whatever the resolution of the features.

    Args:
        features: float (M, F, h, w).
        points: float (M, P, 2), (row, col) in pixels of the view; whole numbers are centres of pixels.
        size: rows and columns of the view.

    Returns:
        Float (M, F, P).
    """
    grid = ((2 * points.flip(-1) + 1) / size - 1).to(features.dtype)
    found = functional.grid_sample(
        features, grid[:, :, None], mode="bilinear", padding_mode="border", align_corners=False
    )
    return found[..., 0]
