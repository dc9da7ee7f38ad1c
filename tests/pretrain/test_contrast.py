"""The objective against a slow computation of its definition, and against closed forms."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from satsqueeze.core.errors import SettingsError, TrainError
from satsqueeze.pretrain.contrast import ContrastSettings, Projection, banned_negatives, embedded, info_nce


def unit(seed, *shape):
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(values, dim=-1)


def slow_info_nce(queries, keys, temperature, banned, queue, queue_banned):
    """The definition, pair by pair, in float64."""
    losses = []
    for i, query in enumerate(queries):
        own = math.exp(float(np.dot(query, keys[i])) / temperature)
        total = own
        for j, key in enumerate(keys):
            if j != i and not banned[i, j]:
                total += math.exp(float(np.dot(query, key)) / temperature)
        for key, barred in zip(queue, queue_banned[i], strict=True):
            if barred:
                continue
            total += math.exp(float(np.dot(query, key)) / temperature)
        losses.append(-math.log(own / total))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("temperature", [0.07, 0.2, 1.0])
@pytest.mark.parametrize("queued", [0, 5])
def test_it_is_what_its_definition_says(temperature, queued):
    queries, keys, queue = unit(0, 12, 7), unit(1, 12, 7), unit(2, queued, 7)
    banned = torch.rand(12, 12, generator=torch.Generator().manual_seed(3)) < 0.3
    barred = torch.rand(12, queued, generator=torch.Generator().manual_seed(4)) < 0.3
    further = (queue, barred) if queued else None
    found = info_nce(queries, keys, temperature=temperature, banned=banned, queue=further)
    arrays = (values.double().numpy() for values in (queries, keys))
    assert float(found) == pytest.approx(
        slow_info_nce(*arrays, temperature, banned.numpy(), queue.numpy(), barred), rel=1e-5
    )


def test_identical_embeddings_cost_the_logarithm_of_their_number():
    same = unit(0, 1, 8).expand(20, 8)
    assert float(info_nce(same, same, temperature=0.1)) == pytest.approx(math.log(20), rel=1e-6)
    assert float(
        info_nce(same, same, temperature=0.1, queue=(same[:5], torch.zeros(20, 5, dtype=torch.bool)))
    ) == pytest.approx(math.log(25), rel=1e-6)


def test_orthogonal_pairs_that_agree():
    basis = torch.eye(6)
    expected = -math.log(math.exp(1 / 0.5) / (math.exp(1 / 0.5) + 5))
    assert float(info_nce(basis, basis, temperature=0.5)) == pytest.approx(expected, rel=1e-6)


def test_without_negatives_there_is_nothing_to_lose():
    queries = unit(0, 9, 4)
    everything = torch.ones(9, 9, dtype=torch.bool)
    assert float(info_nce(queries, unit(1, 9, 4), temperature=0.1, banned=everything)) == pytest.approx(0, abs=1e-6)


def test_no_pair_at_all():
    with pytest.raises(TrainError, match=r"no pair of pixels is left.*smallest_overlap"):
        info_nce(torch.zeros(0, 4), torch.zeros(0, 4), temperature=0.1)


def test_which_pixels_are_no_negatives():
    # Two pixels of slot 0, the first of them again in slot 1, which is of the same place, and one elsewhere.
    places, slots = torch.tensor([0, 0, 0, 1]), torch.tensor([0, 0, 1, 2])
    ground = torch.tensor([[3.0, 4.0], [3.0, 6.0], [3.0, 4.0], [3.0, 4.0]])
    settings = ContrastSettings()
    yes, no = True, False
    assert banned_negatives(places, slots, ground, ground, settings).tolist() == [
        [yes, no, yes, no],
        [no, yes, no, no],
        [yes, no, yes, no],
        [no, no, no, yes],
    ]
    near = banned_negatives(places, slots, ground, ground, replace(settings, neighbour_radius=2.0))
    assert near[:3, :3].all()
    assert not near[3, :3].any()
    images = banned_negatives(places, slots, ground, ground, replace(settings, negatives="images"))
    assert images[:3, :3].all()
    assert not images[3, :3].any()
    positions = banned_negatives(places, slots, ground, ground, replace(settings, negatives="positions"))
    assert positions.tolist()[0] == [yes, no, yes, yes]


def test_a_neighbour_that_is_itself_a_key_is_no_negative():
    places = slots = torch.zeros(2, dtype=torch.long)
    # The second pixel is paired with the first pixel's place: that key shows what the first query shows.
    ground, partners = torch.tensor([[3.0, 4.0], [5.0, 4.0]]), torch.tensor([[2.0, 4.0], [3.0, 4.0]])
    assert banned_negatives(places, slots, ground, partners, ContrastSettings()).tolist() == [
        [False, True],
        [False, False],
    ]


def test_the_projection_has_two_layers_and_directions_have_unit_length():
    projection = Projection(5, ContrastSettings(width=8, hidden=12))
    assert [tuple(weight.shape) for weight in projection.parameters()] == [(12, 5, 1), (12,), (8, 12, 1), (8,)]
    found = embedded(projection(torch.randn(3, 5, 10)))
    assert found.shape == (3, 10, 8)
    assert torch.allclose(found.norm(dim=-1), torch.ones(3, 10))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperature": 0.0}, "temperature must be > 0"),
        ({"negatives": "none"}, "all, images or positions"),
        ({"width": 1}, "width must be at least 2"),
        ({"momentum": 1.0}, r"momentum must lie in \[0, 1\)"),
        ({"queue": 8}, "set momentum, such as 0.99"),
        ({"queue": 8, "momentum": 0.9, "negatives": "positions"}, "negatives to all or images, or queue to 0"),
    ],
)
def test_settings_that_cannot_be(changes, message):
    with pytest.raises(SettingsError, match=message):
        ContrastSettings(**changes)
