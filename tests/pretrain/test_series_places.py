"""Places of a pre-training where the data set's card makes series."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from affine import Affine

from satsqueeze.data.cache.pack import pack
from satsqueeze.data.dataset import open_dataset
from satsqueeze.pretrain.places import places_of
from satsqueeze.pretrain.view_settings import ViewSettings

CARD = "bands: [red]\nscale: 0.0001\nlabel_kind: none\ntask: unlabelled\n"


@pytest.mark.parametrize(("series", "places"), [("series: '(p\\d)_'\ndate: '_(\\d+)$'\n", 2), ("", 4)])
def test_without_an_expression_the_place_is_the_series(tmp_path, series, places):
    (tmp_path / "images").mkdir()
    profile = {"driver": "GTiff", "count": 1, "height": 16, "width": 16, "dtype": "uint16", "crs": "EPSG:32631"}
    for name in ("p1_20", "p1_200", "p2_20", "p2_200"):
        with rasterio.open(
            tmp_path / "images" / f"{name}.tif", "w", transform=Affine(10, 0, 0, 0, -10, 0), **profile
        ) as handle:
            handle.write(np.full((1, 16, 16), 2000, np.uint16))
    (tmp_path / "dataset.yaml").write_text(CARD + series)
    cache = pack(open_dataset(tmp_path), tmp_path / "cache")
    assert len(places_of(cache, cache.ids, ViewSettings())) == places
    if series:
        assert len(places_of(cache, cache.ids, ViewSettings(dates="pairs"))) == places
    assert len(places_of(cache, cache.ids, ViewSettings(place="_(\\d+)$"))) == 2
