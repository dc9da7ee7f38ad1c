"""The queue of earlier keys."""

import torch

from satsqueeze.pretrain.contrast import info_nce
from satsqueeze.pretrain.key_queue import KeyQueue


def test_it_starts_with_directions_of_no_place():
    keys, barred = KeyQueue(6, 4).negatives(torch.tensor([0, 3]))
    assert torch.allclose(keys.norm(dim=1), torch.ones(6))
    assert barred.shape == (2, 6)
    assert not barred.any()


def test_the_newest_keys_stay_with_their_places():
    queue = KeyQueue(5, 3)
    for place in range(4):
        queue.push(torch.full((2, 3), float(place)), torch.full((2,), place))
    keys, barred = queue.negatives(torch.tensor([3, 1, 9]))
    assert keys[:, 0].tolist() == [3, 3, 2, 2, 1]
    assert barred.tolist() == [[True, True, False, False, False], [False] * 4 + [True], [False] * 5]


def test_more_keys_than_there_is_room_for():
    queue = KeyQueue(3, 2)
    queue.push(torch.arange(14.0).reshape(7, 2), torch.arange(7))
    assert len(queue.keys) == len(queue.places) == 3
    assert torch.equal(queue.keys[:, 0] / 2, queue.places.float())


def test_a_pixel_is_no_negative_of_itself_at_a_later_step():
    same = torch.nn.functional.normalize(torch.ones(4, 3), dim=1)
    queue, places = KeyQueue(4, 3), torch.tensor([5, 5, 5, 5])
    queue.push(same, places)
    banned = torch.ones(4, 4, dtype=torch.bool)
    assert float(info_nce(same, same, temperature=0.1, banned=banned, queue=queue.negatives(places))) < 1e-6


def test_it_is_saved_and_restored():
    first, second = KeyQueue(4, 3), KeyQueue(4, 3)
    first.push(torch.randn(2, 3), torch.tensor([1, 2]))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.keys, second.keys)
    assert first.keys.stride() == second.keys.stride()  # or products with them round differently on some processors
    assert torch.equal(first.places, second.places)
