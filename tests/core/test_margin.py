"""How clearly a class is the best."""

import numpy as np
import pytest

from satsqueeze.core.margin import margin


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("classes", [2, 3, 7])
def test_it_is_the_distance_of_the_two_largest(axis, classes):
    values = np.random.default_rng(classes).random((classes, 5, 4)).astype(np.float32)
    ranked = np.sort(values, axis=0)
    found = margin(np.moveaxis(values, 0, axis), axis=axis)
    np.testing.assert_array_equal(found, ranked[-1] - ranked[-2])


def test_equal_classes_lead_by_nothing_and_a_single_one_by_all():
    assert (margin(np.full((3, 4), 0.5, np.float32), axis=0) == 0).all()
    assert (margin(np.full((1, 4), 0.5, np.float32), axis=0) == 1).all()
