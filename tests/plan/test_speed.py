"""The speed of training is measured, not guessed."""

from __future__ import annotations

import torch

from satsqueeze.plan.cost_model import macs_per_pixel
from satsqueeze.plan.shrink import smallest_plan
from satsqueeze.plan.speed import time, training_macs_per_second
from satsqueeze.plan.unet_plan import plan_unet


def test_three_forward_passes_over_the_time_of_a_step(monkeypatch):
    plan = smallest_plan(plan_unet(shape=(64, 64), channels=2, labels=3, n=10))
    clock = iter([0.0, 9.0, 10.0, 12.0, 20.0, 20.5])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    state = torch.random.get_rng_state()
    found = training_macs_per_second(plan, "batch", channels=2, labels=3)
    pixels = plan.batch_size * plan.patch_size[0] * plan.patch_size[1]
    assert found == 3 * macs_per_pixel(plan.architecture, channels=2, labels=3) * pixels / 0.5
    assert torch.equal(torch.random.get_rng_state(), state)
