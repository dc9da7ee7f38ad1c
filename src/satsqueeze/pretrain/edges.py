"""What convolutions see beyond the border of a view while dense features are learnt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from torch import nn

Edges = Literal["repeated", "zeros"]
_MODES = {"repeated": "replicate", "zeros": "zeros"}


@contextmanager
def edges_of_views(model: nn.Module, edges: Edges) -> Iterator[None]:
    """Let the convolutions of a model pad in another way, and put it back.

    Zeros beyond the border tell a network where a pixel lies (Islam, Jia and Bruce, "How Much Position Information Do
    Convolutional Neural Networks Encode?", ICLR 2020), and contrast between positions needs nothing else.

    Args:
        model: changed while the context lasts; its weights stay.
        edges: of views.
    """
    padded = [
        module
        for module in model.modules()
        if isinstance(module, nn.Conv2d) and not isinstance(module.padding, str) and any(module.padding)
    ]
    before = [module.padding_mode for module in padded]
    for module in padded:
        module.padding_mode = _MODES[edges]  # type: ignore[assignment] # torch lists the modes as literals
    try:
        yield
    finally:
        for module, mode in zip(padded, before, strict=True):
            module.padding_mode = mode
