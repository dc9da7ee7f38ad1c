"""The choice of a rung by hand-made figures."""

from __future__ import annotations

import pytest

from satsqueeze.core.errors import BudgetError
from satsqueeze.distill.ladder import Rung, choose
from satsqueeze.plan.budget import Budget


def _rung(name: str, parameters: int, jaccard: float) -> Rung:
    return Rung(
        name=name,
        folder=name,
        parameters=parameters,
        macs_per_pixel=parameters / 10,
        activation_bytes=parameters * 4,
        jaccard=jaccard,
        compression=1_000_000 / parameters,
        train_minutes=1.0,
    )


LADDER = (_rung("large", 500_000, 0.90), _rung("middle", 100_000, 0.89), _rung("small", 10_000, 0.80))


def test_the_best_wins_without_limits():
    assert choose(LADDER, Budget()).name == "large"


@pytest.mark.parametrize(
    ("budget", "name"),
    [
        (Budget(parameters=100_000), "middle"),
        (Budget(macs_per_pixel=9_999), "small"),
        (Budget(activation_bytes=400_000), "middle"),
        (Budget(train_minutes=0.1), "large"),
    ],
)
def test_limits_exclude_larger_rungs(budget, name):
    assert choose(LADDER, budget).name == name


def test_compression_is_nearly_met():
    assert choose(LADDER, Budget(), compression=10.2).name == "middle"
    assert choose(LADDER, Budget(), compression=11).name == "small"


def test_an_impossible_budget_names_the_nearest_rung():
    with pytest.raises(BudgetError, match=r"parameters <= 9000.*'small', has 10000 parameters.*Raise the limit"):
        choose(LADDER, Budget(parameters=9000))


def test_round_trip():
    assert Rung.from_dict(LADDER[0].to_dict()) == LADDER[0]
