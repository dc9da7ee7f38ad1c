"""Pixels that are paired with others near them."""

import numpy as np
import pytest

from satsqueeze.core.errors import SettingsError
from satsqueeze.pretrain.neighbours import neighbours
from satsqueeze.pretrain.view_settings import ViewSettings

USABLE = np.array([(row, col) for row in range(2, 12) for col in range(8) if not 3 <= row < 6 or col > 4], float)


def test_neighbours_are_usable_and_near():
    pixels = np.repeat(USABLE, 200, axis=0)
    found = neighbours(np.random.default_rng(0), pixels, USABLE, 2)
    known = set(map(tuple, USABLE.tolist()))
    for number, own in enumerate(USABLE):
        near = {other for other in known if max(abs(other[0] - own[0]), abs(other[1] - own[1])) <= 2}
        assert set(map(tuple, found[200 * number : 200 * (number + 1)].tolist())) == near


def test_none_apart_are_themselves_and_draw_nothing():
    generator = np.random.default_rng(0)
    state = generator.bit_generator.state
    assert neighbours(generator, USABLE, USABLE, 0) is USABLE
    assert generator.bit_generator.state == state
    assert neighbours(generator, USABLE[:0], USABLE[:0], 3).shape == (0, 2)


def test_fewer_than_none_apart_is_refused():
    with pytest.raises(SettingsError, match="at least 0 px apart, got apart -1"):
        ViewSettings(apart=-1)
