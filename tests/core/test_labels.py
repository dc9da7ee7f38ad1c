from __future__ import annotations

from satsqueeze.core.labels import CLOUD_CLASSES, CLOUD_FOREGROUND, IGNORE


def test_conventions_fit_together():
    assert IGNORE == 255
    assert CLOUD_CLASSES[0] == "clear"
    assert [CLOUD_CLASSES[value] for value in CLOUD_FOREGROUND] == ["thick cloud", "thin cloud"]
    assert CLOUD_CLASSES.index("shadow") == 3
