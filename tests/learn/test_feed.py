"""Batches come in the order of their steps, whatever happened before."""

import numpy as np
import pytest
import torch

from satsqueeze.data.sampling.sampler import Batch, PatchSampler
from satsqueeze.learn.feed import Feed, patches


class Counting:
    """Batch n is full of n."""

    def __init__(self):
        self.cut = []

    def batch(self, step):
        self.cut.append(step)
        images = np.arange(3, dtype=np.float32)[None, :, None, None] + step
        labels = np.full((1, 1, 1), step, np.uint8)
        return Batch(images=images, labels=labels, soft=labels[:, None], ids=(), windows=())


def test_epochs_follow_each_other_and_end():
    sampler = Counting()
    feed = Feed(patches(sampler), steps=3, first=6, last=12)
    steps = [batch.step for _ in range(2) for batch in feed]
    feed.close()
    assert len(feed) == 3
    assert steps == [6, 7, 8, 9, 10, 11]
    assert sampler.cut == steps
    assert feed.waited > 0


def test_one_batch_is_cut_ahead():
    sampler = Counting()
    feed = Feed(patches(sampler), steps=3, first=0, last=3)
    batch = feed[0]
    feed._ahead.result()
    feed.close()
    assert sampler.cut == [0, 1]
    assert batch.images.flatten().tolist() == [0, 1, 2]
    assert batch.soft.dtype == batch.labels.dtype == torch.uint8


def test_channels_are_taken_in_order():
    feed = Feed(patches(Counting(), [2, 0]), steps=1, first=5, last=6)
    assert feed[0].images.flatten().tolist() == [7, 5]
    feed.close()


def test_errors_of_the_thread_arrive():
    class Broken:
        def batch(self, step):
            raise OSError("the disk is gone")

    feed = Feed(patches(Broken()), steps=1, first=0, last=1)
    with pytest.raises(OSError, match="the disk is gone"):
        feed[0]
    feed.close()


def test_real_patches(cache):
    sampler = PatchSampler(cache, cache.ids, patch_size=(32, 32), batch_size=4, seed=0)
    feed = Feed(patches(sampler), steps=2, first=0, last=2)
    for step, batch in enumerate(feed):
        assert np.array_equal(batch.images.numpy(), sampler.batch(step).images)
        assert batch.soft is None
    feed.close()
