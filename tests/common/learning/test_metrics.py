"""Metrics agree with independent implementations and say None where they mean nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from entente_common.learning.metrics import METRICS, combine, evaluate


def _two_columns(positive):
    positive = np.asarray(positive, dtype=np.float64)
    return np.column_stack((1 - positive, positive))


def _pairwise_auroc(labels, scores):
    positives, negatives = scores[labels == 1], scores[labels == 0]
    wins = (positives[:, None] > negatives[None, :]).sum()
    ties = (positives[:, None] == negatives[None, :]).sum()
    return (wins + ties / 2) / (positives.size * negatives.size)


@given(
    arrays(np.int64, 30, elements=st.integers(0, 1)).filter(lambda y: 0 < y.sum() < 30),
    arrays(np.float64, 30, elements=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0])),
)
def test_auroc_is_the_share_of_pairs_in_order_with_ties_counting_half(labels, scores):
    found = METRICS["auroc"](labels, _two_columns(scores))
    assert found == pytest.approx(_pairwise_auroc(labels, scores), abs=1e-12)


def test_auroc_agrees_with_scikit_learn():
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 500)
    scores = np.round(rng.random(500), 2)
    expected = sklearn_metrics.roc_auc_score(labels, scores)
    assert METRICS["auroc"](labels, _two_columns(scores)) == pytest.approx(expected)


@pytest.mark.parametrize("label", [0, 1])
def test_auroc_of_a_single_class_is_absent_not_nan(label):
    labels = np.full(5, label)
    found = evaluate(["accuracy", "auroc", "log-loss"], labels, _two_columns(np.full(5, 0.3)))
    assert set(found) == {"accuracy", "log-loss"}
    assert all(np.isfinite(value) for value in found.values())


def test_no_rows_give_no_metrics():
    assert evaluate(list(METRICS), np.empty(0, dtype=np.int64), np.empty((0, 2))) == {}


def test_log_loss_of_a_certain_mistake_is_large_but_finite():
    loss = METRICS["log-loss"](np.array([1]), _two_columns([0.0]))
    assert 30 < loss < 40


def test_log_loss_and_accuracy_of_several_classes_agree_with_scikit_learn():
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(2)
    labels = np.concatenate((np.arange(4), rng.integers(0, 4, 60)))
    probabilities = rng.dirichlet(np.ones(4), labels.size)
    found = evaluate(["accuracy", "log-loss"], labels, probabilities)
    assert found["log-loss"] == pytest.approx(sklearn_metrics.log_loss(labels, probabilities))
    guess = probabilities.argmax(axis=1)
    assert found["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(labels, guess))


@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.integers(0, 2**32))
def test_combined_accuracy_and_loss_are_those_of_the_pooled_rows(sizes, seed):
    rng = np.random.default_rng(seed)
    sites = [(rng.integers(0, 2, n), _two_columns(rng.random(n))) for n in sizes]
    names = ["accuracy", "log-loss"]
    combined = combine([(len(y), evaluate(names, y, p)) for y, p in sites])
    labels, probabilities = (np.concatenate(part) for part in zip(*sites, strict=True))
    assert combined == pytest.approx(evaluate(names, labels, probabilities))


def test_a_site_without_a_metric_has_no_part_in_its_mean():
    parts = [(10, {"accuracy": 0.5, "auroc": 0.8}), (30, {"accuracy": 0.9})]
    assert combine(parts) == pytest.approx({"accuracy": 0.8, "auroc": 0.8})


def test_sites_without_examples_combine_to_nothing():
    assert combine([(0, {"accuracy": 1.0}), (0, {})]) == {}
