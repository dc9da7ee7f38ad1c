"""Alignment and uniformity in closed form; k-NN and probe on data of which the answer is known."""

import math

import numpy as np
import pytest
import torch

from satsqueeze.pretrain.monitors import Labelled, alignment, knn_score, probe_score, uniformity


def test_alignment_is_the_mean_squared_distance():
    basis = torch.eye(4)
    assert alignment(basis, basis) == 0
    assert alignment(basis, basis.roll(1, 0)) == pytest.approx(2)
    assert alignment(basis, -basis) == pytest.approx(4)


def test_uniformity_of_a_point_of_opposites_and_of_a_basis():
    assert uniformity(torch.eye(3)[[0, 0, 0]]) == pytest.approx(0)
    assert uniformity(torch.tensor([[1.0, 0.0], [-1.0, 0.0]])) == pytest.approx(-8)
    assert uniformity(torch.eye(5)) == pytest.approx(-4)


def test_uniformity_is_the_mean_over_pairs():
    points = torch.nn.functional.normalize(torch.randn(9, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    pairs = [math.exp(-2 * float(((points[i] - points[j]) ** 2).sum())) for i in range(9) for j in range(i)]
    assert uniformity(points) == pytest.approx(math.log(np.mean(pairs)), rel=1e-5)


def clusters(seed, spread, counts=(40, 20, 10)):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.eye(3) * 3
    classes = torch.repeat_interleave(torch.arange(3), torch.tensor(counts))
    return Labelled(
        features=centres[classes] + spread * torch.randn(len(classes), 3, generator=generator), classes=classes
    )


def test_separate_clusters_are_told_and_noise_is_not():
    for score in (knn_score, probe_score):
        assert score(clusters(0, 0.1), clusters(1, 0.1)) == 1
        noise = score(clusters(0, 100.0, (300, 300, 300)), clusters(1, 100.0, (300, 300, 300)))
        assert noise == pytest.approx(1 / 3, abs=0.1)


def test_scores_are_means_over_classes():
    # The rare class lies where the frequent one does: half of the classes are told, though 95 % of the pixels are.
    features = torch.tensor([[0.0, 1.0]]).repeat(100, 1)
    known = Labelled(features=features, classes=torch.tensor([0] * 95 + [1] * 5))
    assert knn_score(known, known, neighbours=100) == pytest.approx(0.5)


def test_the_probe_is_the_ridge_solution_of_its_normal_equations():
    known, asked = clusters(2, 1.5), clusters(3, 1.5)
    mean, std = known.features.double().mean(0), known.features.double().std(0)
    design = np.c_[((known.features.double() - mean) / std).numpy(), np.ones(70)]
    targets = np.eye(3)[known.classes.numpy()]
    weights = (1 / targets.sum(0))[known.classes.numpy()]
    weights /= weights.sum()
    # Weighted least squares with a penalty, as an ordinary one on extended equations.
    rows = np.r_[design * np.sqrt(weights)[:, None], 0.1 * np.eye(4)]
    answers = np.r_[targets * np.sqrt(weights)[:, None], np.zeros((4, 3))]
    solution = np.linalg.lstsq(rows, answers, rcond=None)[0]
    told = (np.c_[((asked.features.double() - mean) / std).numpy(), np.ones(70)] @ solution).argmax(1)
    expected = np.mean([(told[asked.classes == c] == c).mean() for c in range(3)])
    assert probe_score(known, asked) == pytest.approx(expected)
