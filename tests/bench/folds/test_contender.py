"""Networks as recipes name them."""

from __future__ import annotations

import pytest

from satsqueeze.bench.folds.contender import network_config
from satsqueeze.core.errors import SettingsError
from satsqueeze.nets.students import parameters_of
from satsqueeze.plan import plan_unet
from satsqueeze.plan.cost_model import parameter_count


@pytest.mark.parametrize("kind", ["compressed", "lite", "coarse"])
def test_a_ratio_is_met_by_the_student_of_each_family(kind):
    found = parameters_of(network_config(f"{kind}:280", bands=4, classes=2, shape=(128, 128)))
    planned = plan_unet(shape=(128, 128), channels=4, labels=2, n=300).architecture
    ratio = parameter_count(planned, channels=4, labels=2) / found
    assert 0.97 * 280 <= ratio < 400


@pytest.mark.parametrize("name", ["lite:x", "compressed:"])
def test_a_ratio_is_a_number(name):
    with pytest.raises(SettingsError, match=f"network '{name}': expected a ratio after the colon, such as lite:280"):
        network_config(name, bands=4, classes=2, shape=(128, 128))


def test_a_rung_is_itself():
    assert network_config("student:coarse-48", bands=6, classes=3, shape=(128, 128)).features == (48, 64, 96, 128)
