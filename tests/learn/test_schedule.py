"""Learning rates against torch's own schedulers."""

import pytest
import torch

from satsqueeze.core.errors import SettingsError
from satsqueeze.learn.schedule import build_optimiser, learning_rate_factor

EPOCHS, STEPS = 10, 7


def torch_rates(make) -> list[float]:
    weight = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([weight], lr=1.0)
    scheduler = make(optimiser)
    rates = []
    for _ in range(EPOCHS * STEPS):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return rates


def ours(schedule) -> list[float]:
    return [
        learning_rate_factor(schedule, step=step, steps_per_epoch=STEPS, epochs=EPOCHS)
        for step in range(EPOCHS * STEPS)
    ]


def test_onecycle_is_torchs():
    rates = torch_rates(
        lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 1.0, total_steps=EPOCHS * STEPS, cycle_momentum=False)
    )
    assert ours("onecycle") == pytest.approx(rates, rel=1e-6)


def test_cosine_is_torchs():
    rates = torch_rates(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, EPOCHS * STEPS))
    assert ours("cosine") == pytest.approx(rates, abs=1e-9)


def test_poly_is_nnunets():
    assert ours("poly") == pytest.approx([(1 - step // STEPS / EPOCHS) ** 0.9 for step in range(EPOCHS * STEPS)])


def test_unknown_names():
    with pytest.raises(SettingsError, match="poly, onecycle or cosine, got 'step'"):
        learning_rate_factor("step", step=0, steps_per_epoch=1, epochs=1)
    with pytest.raises(SettingsError, match="sgd or adamw, got 'lion'"):
        build_optimiser("lion", [], learning_rate=1.0, weight_decay=0.0)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_optimiser_moves_downhill(name):
    weight = torch.nn.Parameter(torch.ones(3))
    optimiser = build_optimiser(name, [weight], learning_rate=0.1, weight_decay=0.0)
    weight.square().sum().backward()
    optimiser.step()
    assert (weight < 1).all()
