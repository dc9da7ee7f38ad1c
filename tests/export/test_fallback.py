"""The search for float layers, on harms that are known."""

from __future__ import annotations

import pytest

from satsqueeze.core.errors import ParityError
from satsqueeze.core.manifest import Graph
from satsqueeze.export.fallback import Search, quantise_within
from satsqueeze.export.validation import Verdict

HARM = {"a": 0.001, "b": 0.05, "c": 0.002, "d": 0.02, "e": 0.0}


def search(*, allowed_loss, allowed_share=0.5, log=None):
    """Losses add up over the layers that are quantised."""

    def loss(graph):
        return sum(harm for layer, harm in HARM.items() if layer not in graph.float_layers)

    def judge(graph):
        if log is not None:
            log.append(graph.float_layers)
        lost = loss(graph)
        return Verdict(jaccard=0.9 - lost, reference_jaccard=0.9, loss=lost, agreement=1.0, images=1, truth="labels")

    return Search(
        layers=tuple(HARM),
        build=lambda layers: Graph(file="g", precision="int8", engine="onnx", float_layers=tuple(layers)),
        drift=loss,
        judge=judge,
        allowed_loss=allowed_loss,
        allowed_share=allowed_share,
    )


def test_nothing_stays_in_float_where_nothing_hurts():
    found = quantise_within(search(allowed_loss=0.1))
    assert found.graph.float_layers == ()
    assert found.sensitivity == {}


@pytest.mark.parametrize(("allowed", "kept"), [(0.03, ("b",)), (0.005, ("b", "d")), (0.0015, ("b", "d", "c"))])
def test_the_worst_go_first_and_no_more_than_needed(allowed, kept):
    found = quantise_within(search(allowed_loss=allowed, allowed_share=1.0))
    assert found.graph.float_layers == kept
    assert found.verdict.loss <= allowed
    assert found.sensitivity == pytest.approx(HARM)


def test_a_search_that_fails_names_the_layers_and_the_loss():
    with pytest.raises(ParityError, match=r"loses 0\.0030 Jaccard .*2 of 5 layers in float: b, d"):
        quantise_within(search(allowed_loss=0.0001))
    with pytest.raises(ParityError, match="none allowed"):
        quantise_within(search(allowed_loss=0.0001, allowed_share=0.0))


def test_steps_grow_but_end_at_the_limit():
    log = []
    with pytest.raises(ParityError):
        quantise_within(search(allowed_loss=-1, allowed_share=1.0, log=log))
    assert [len(layers) for layers in log] == [0, 1, 2, 3, 4, 5]
