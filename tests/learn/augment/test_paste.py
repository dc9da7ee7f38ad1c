"""Copy and paste of foreground between the patches of a batch."""

from __future__ import annotations

import pytest
import torch

from satsqueeze.core.scaling import Scaling
from satsqueeze.learn.augment.draws import Draws
from satsqueeze.learn.augment.paste import pasted
from satsqueeze.learn.augment.patches import Augmenter, AugmentSettings
from satsqueeze.learn.batch import TrainBatch


def _batch(*, soft: bool = False, labelled: bool = True) -> TrainBatch:
    """Patch 0 is dark ground, patch 1 bright ground under a cloud in its middle."""
    images = torch.full((2, 3, 12, 12), 0.1)
    images[1] = 0.4
    images[1, :, 4:8, 4:8] = 0.9
    labels = torch.zeros((2, 12, 12), dtype=torch.uint8)
    labels[1, 4:8, 4:8] = 1
    answers = torch.nn.functional.one_hot(labels.long(), 2).permute(0, 3, 1, 2).float()
    if not labelled:
        labels = torch.full_like(labels, 255)
    return TrainBatch(images=images, labels=labels, soft=answers if soft else None, step=0)


@pytest.mark.parametrize("labelled", [True, False])
def test_foreground_is_pasted_with_its_label_and_answer(labelled: bool) -> None:
    found = pasted(_batch(soft=True, labelled=labelled), torch.tensor([0]), torch.tensor([1]))
    assert found.soft is not None
    assert torch.allclose(found.images[0, :, 5:7, 5:7], torch.tensor(0.9))
    assert torch.allclose(found.images[0, :, :3, :3], torch.tensor(0.1))
    expected = torch.zeros(12, 12)
    expected[4:8, 4:8] = 1
    assert torch.equal(found.soft[0, 1], expected)
    if labelled:
        assert torch.equal(found.labels[0], expected.to(torch.uint8))


def test_answers_of_several_teachers_are_pasted_and_their_mean_tells_foreground() -> None:
    batch = _batch(soft=True, labelled=False)
    assert batch.soft is not None
    doubtful = torch.full_like(batch.soft, 0.5)
    both = batch._replace(soft=torch.stack([batch.soft, doubtful], dim=1), images=batch.images.clone())
    found = pasted(both, torch.tensor([0]), torch.tensor([1])).soft
    assert found is not None
    want = pasted(batch, torch.tensor([0]), torch.tensor([1])).soft
    assert torch.equal(found[:, 0], want)
    assert torch.equal(found[:, 1], doubtful)


def test_seams_fade() -> None:
    found = pasted(_batch(), torch.tensor([0]), torch.tensor([1]))
    edge = found.images[0, 0, 4, 5].item()
    assert 0.1 < edge < 0.9
    assert found.labels[0, 4, 5] == 1


def test_the_donor_and_everything_else_stay() -> None:
    before = _batch()
    found = pasted(_batch(), torch.tensor([0]), torch.tensor([1]))
    assert torch.equal(found.images[1], before.images[1])
    assert torch.equal(found.labels[1], before.labels[1])


def test_without_foreground_nothing_changes() -> None:
    before = _batch(soft=True)
    found = pasted(_batch(soft=True), torch.tensor([1]), torch.tensor([0]))
    assert torch.equal(found.images, before.images)
    assert torch.equal(found.labels, before.labels)


def test_unlabelled_donors_without_answers_change_nothing() -> None:
    before = _batch(labelled=False)
    found = pasted(_batch(labelled=False), torch.tensor([0]), torch.tensor([1]))
    assert torch.equal(found.images, before.images)


@pytest.mark.parametrize("patch", [0, 1])
def test_invalid_pixels_stay_invalid_and_give_nothing(patch: int) -> None:
    batch = _batch()
    batch.images[patch, :, 4:6] = 0
    batch.labels[patch, 4:6] = 255
    found = pasted(batch, torch.tensor([0]), torch.tensor([1]))
    if patch == 0:
        assert (found.images[0, :, 4:6] == 0).all()
        assert (found.labels[0, 4:6] == 255).all()
    else:
        assert torch.allclose(found.images[0, :, 4:5], torch.tensor(0.1))
        assert (found.labels[0, 4:6] == 0).all()


def test_others_are_others() -> None:
    chosen = torch.arange(5)
    others = Draws(0, 3).others(chosen, 5)
    assert ((others != chosen) & (others >= 0) & (others < 5)).all()
    assert Draws(0, 3).others(torch.tensor([0]), 1).tolist() == [0]


def test_pasting_is_off_by_default_and_seeded() -> None:
    settings = AugmentSettings.none()
    scaling = Scaling(bands=("green", "red", "nir"), mean=(0.0,) * 3, std=(1.0,) * 3)
    assert settings.paste == 0
    on = Augmenter(AugmentSettings(**{**vars(settings), "paste": 1.0}), scaling=scaling, seed=4)
    first, second = on(_batch()), on(_batch())
    assert torch.equal(first.images, second.images)
    assert (first.labels[0] == 1).sum() == 16
