"""Which layers stay in float: a greedy search that keeps an int8 graph within its allowed loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from satsqueeze.core.errors import ParityError
from satsqueeze.core.manifest import Graph
from satsqueeze.export.validation import Judgement

Builder = Callable[[Sequence[str]], Graph]
"""From layers that stay in float to a written int8 graph."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """What a search for float layers may use."""

    layers: tuple[str, ...]
    """Layers that can be quantised."""
    build: Builder
    drift: Callable[[Graph], float]
    """Distance of a graph from the float graph on a few windows: cheap, and finer than a score."""
    judge: Callable[[Graph], Judgement]
    """Verdict on all validation images."""
    allowed_loss: float
    """Of the score that is guarded."""
    allowed_share: float
    """Share of the layers that may stay in float."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """A graph within its allowed loss."""

    graph: Graph
    verdict: Judgement
    sensitivity: dict[str, float]
    """Per layer, the drift of a graph in which it alone is quantised; empty where no search was needed."""


def quantise_within(search: Search) -> Found:
    """Quantise everything; if that loses too much, give layers back to float, the most harmful first.

    Harm is the drift of a graph in which one layer alone is quantised. (Leaving one alone in float would not show a
    tensor that cannot be rounded: both its maker and its taker round it.) The search costs one graph per layer and one
    full validation per step; steps grow, so few are needed.

    Raises:
        ParityError: the loss stays above the limit with the allowed share of layers in float; names the layers.
    """
    graph = search.build(())
    verdict = search.judge(graph)
    if verdict.loss <= search.allowed_loss:
        return Found(graph=graph, verdict=verdict, sensitivity={})
    sensitivity = {
        layer: search.drift(search.build([other for other in search.layers if other != layer]))
        for layer in search.layers
    }
    ranked = sorted(search.layers, key=lambda layer: -sensitivity[layer])
    most = int(len(ranked) * search.allowed_share)
    for count in _steps(most):
        graph = search.build(ranked[:count])
        verdict = search.judge(graph)
        if verdict.loss <= search.allowed_loss:
            return Found(graph=graph, verdict=verdict, sensitivity=sensitivity)
    raise ParityError(
        f"int8 loses {verdict.summary}, more than the allowed {search.allowed_loss:.4f}, even with {most} of "
        f"{len(ranked)} layers in float: {', '.join(ranked[:most]) or 'none allowed'}. Calibrate with more varied "
        "images, train for quantisation, allow more loss or more float layers, or export without int8."
    )


def _steps(most: int) -> list[int]:
    steps, step = [], 1.0
    while step < most:
        steps.append(int(step))
        step = max(step + 1, step * 1.5)
    return [*dict.fromkeys(steps), most] if most else []
