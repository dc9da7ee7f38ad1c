"""Folds end in one honest score and one ensemble."""

import json

import numpy as np
import pytest
import torch

from satsqueeze.core.errors import RunError, SplitError
from satsqueeze.data.splits import Split, grouped_folds
from satsqueeze.learn.evaluate import score
from satsqueeze.learn.folds import fit_folds, load_ensemble
from satsqueeze.learn.settings import FitSettings
from satsqueeze.nets.model import build_model, load_model

SETTINGS = FitSettings(
    epochs=2, steps_per_epoch=4, batch_size=4, patch_size=(32, 32), learning_rate=0.02, precision="fp32"
)


def test_folds_pool_what_no_model_saw(model_card, cache, tmp_path):
    splits = grouped_folds(cache.entries, folds=2, seed=0)
    result = fit_folds(lambda fold: build_model(model_card(), seed=fold), cache, splits, SETTINGS, tmp_path)
    expected = np.zeros((2, 2), np.int64)
    for fold, split in enumerate(splits):
        expected += score(load_model(tmp_path / f"fold_{fold}"), cache, split.validation, window=32).metrics.matrix
    assert np.array_equal(result.pooled.metrics.matrix, expected)
    assert set(result.pooled.metrics.per_image()) == set(cache.ids)
    record = json.loads((tmp_path / "cross_validation.json").read_text())
    assert record["pooled"]["jaccard"] == result.pooled.jaccard
    assert record["jaccard"] == [fold.best_score for fold in result.folds]
    x = torch.rand(1, 4, 8, 8)
    members = [load_model(fold.folder) for fold in result.folds]
    with torch.inference_mode():
        assert torch.allclose(result.ensemble()(x), (members[0](x) + members[1](x)) / 2)


def test_refused(model_card, cache, tmp_path):
    def build(fold):
        return build_model(model_card(), seed=fold)

    twice = Split(train=cache.ids[:4], validation=cache.ids[4:])
    with pytest.raises(SplitError, match="at most one validation side, got 8 entries for 4 images"):
        fit_folds(build, cache, [twice, twice], SETTINGS, tmp_path)
    with pytest.raises(SplitError, match="at most one validation side"):
        fit_folds(build, cache, [], SETTINGS, tmp_path)
    with pytest.raises(RunError, match="no model to load"):
        load_ensemble([])
