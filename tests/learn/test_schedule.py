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
    with pytest.raises(SettingsError, match="sgd, adamw or muon, got 'lion'"):
        build_optimiser("lion", [], learning_rate=1.0, weight_decay=0.0)


@pytest.mark.parametrize("name", ["sgd", "adamw", "muon"])
def test_optimiser_moves_downhill(name):
    generator = torch.Generator().manual_seed(0)
    weights = [torch.nn.Parameter(torch.rand(shape, generator=generator) + 1) for shape in ((4,), (4, 3, 3, 3))]
    optimiser = build_optimiser(name, weights, learning_rate=0.01, weight_decay=0.0)
    before = [float(weight.detach().square().sum()) for weight in weights]
    sum(weight.square().sum() for weight in weights).backward()
    optimiser.step()
    assert all(float(weight.detach().square().sum()) < start for weight, start in zip(weights, before, strict=True))
