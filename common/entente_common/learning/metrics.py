"""Metrics of a classifier on held-back rows, in plain numpy.

Every metric takes labels (class indices, shape `(n,)`) and probabilities (shape `(n, k)`, rows sum
to 1, `k >= 2`; of two classes, column 1 is the positive one). A metric that is not defined for
these labels returns None, never NaN, and is left out of the result. A metric is added by
registering it, not by editing a switch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float64]
Metric = Callable[[Labels, Probabilities], float | None]

METRICS: dict[str, Metric] = {}


def _metric(name: str) -> Callable[[Metric], Metric]:
    def register(function: Metric) -> Metric:
        METRICS[name] = function
        return function

    return register


@_metric("accuracy")
def accuracy(labels: Labels, probabilities: Probabilities) -> float | None:
    """Share of rows whose most probable class is the label; the lower index wins a tie."""
    if not labels.size:
        return None
    return float(np.mean(np.argmax(probabilities, axis=1) == labels))


@_metric("auroc")
def auroc(labels: Labels, probabilities: Probabilities) -> float | None:
    """Area under the ROC curve: how often a positive outranks a negative, a tie counting half.

    The Mann-Whitney form over mid-ranks (Hanley & McNeil 1982). None unless there are exactly two
    classes and both occur.
    """
    positive = labels == 1
    positives, negatives = int(positive.sum()), int((labels == 0).sum())
    if probabilities.shape[1] != 2 or not positives or not negatives:
        return None
    _, group, sizes = np.unique(probabilities[:, 1], return_inverse=True, return_counts=True)
    mid_ranks = np.cumsum(sizes) - (sizes - 1) / 2
    rank_sum = float(mid_ranks[group][positive].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


@_metric("log-loss")
def log_loss(labels: Labels, probabilities: Probabilities) -> float | None:
    """Mean negative log-likelihood in nats; probabilities are kept away from 0 and 1."""
    if not labels.size:
        return None
    least = float(np.finfo(np.float64).eps)
    chosen = probabilities[np.arange(labels.size), labels]
    return float(-np.mean(np.log(np.clip(chosen, least, 1.0 - least))))


def evaluate(
    names: Iterable[str], labels: Labels, probabilities: Probabilities
) -> dict[str, float]:
    """The named metrics; those not defined for these labels are left out.

    Raises:
        KeyError: A name is not in `METRICS`; a validated job never holds such a name.
    """
    found = {name: METRICS[name](labels, probabilities) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def combine(parts: Sequence[tuple[float, Mapping[str, float]]]) -> dict[str, float]:
    """Example-weighted mean of the sites' metrics.

    A site that lacks a metric has no part in that metric's mean. For accuracy and log-loss this is
    the value on the pooled rows; for AUROC it is the mean of the sites' own areas, since a pooled
    area would need the sites' scores.

    Args:
        parts: A pair a site: weight (held-back examples, at least 0) and metrics.
    """
    names = dict.fromkeys(name for _, metrics in parts for name in metrics)
    combined: dict[str, float] = {}
    for name in names:
        held = [(weight, metrics[name]) for weight, metrics in parts if name in metrics]
        total = sum(weight for weight, _ in held)
        if total > 0:
            combined[name] = sum(weight * value for weight, value in held) / total
    return combined
