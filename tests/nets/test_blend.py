"""Weights on the line between those before and after a training."""

import pytest
import torch

from satsqueeze.core.scaling import Scaling
from satsqueeze.nets.blend import blended
from satsqueeze.nets.card import ModelCard
from satsqueeze.nets.model import SegmentationModel, build_model
from satsqueeze.nets.students import plain_student

BANDS = ("blue", "green", "red", "nir")


def drawn(seed: int) -> SegmentationModel:
    card = ModelCard(
        name="small",
        family="unet",
        config=plain_student(2, 3),
        scaling=Scaling(bands=BANDS, mean=(0.2,) * 4, std=(0.1,) * 4),
        bands=BANDS,
        classes=("clear", "cloud"),
        foreground=(1,),
    )
    return build_model(card, seed=seed)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_blend_lies_on_the_line_between_both(share):
    before, after = drawn(0), drawn(1)
    expected = [(1 - share) * a + share * b for a, b in zip(before.parameters(), after.parameters(), strict=True)]
    kept = [value.clone() for value in before.parameters()]
    found = blended(before, after, share=share)
    assert found is after
    for value, wanted in zip(found.parameters(), expected, strict=True):
        torch.testing.assert_close(value, wanted)
    assert all(torch.equal(a, b) for a, b in zip(before.parameters(), kept, strict=True)), "the start stays as it was"
