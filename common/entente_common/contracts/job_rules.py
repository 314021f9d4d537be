"""What must hold between the fields of a job.

Each rule is given sections whose fields are valid on their own, and yields what cannot be done or
would not do what it seems to say.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from entente_common.contracts.document import Finding
from entente_common.contracts.job_sections import (
    CnnModel,
    Data,
    Evaluation,
    FedProx,
    Model,
    Protection,
    Release,
    Task,
    Training,
)

_KIND = ("model", "kind")
_IMAGE = ("model", "image")


def label_is_no_feature(data: Data) -> Iterator[Finding]:
    """The label is not among the columns to learn from."""
    if data.label is not None and data.label in (data.features or ()):
        yield Finding(
            ("data", "features"),
            f"names the label `{data.label}`.",
            "Take it out: a model cannot learn from its own answer.",
            rests_on=(("data", "label"),),
        )


def metrics_fit_task(evaluation: Evaluation, *, task: Task) -> Iterator[Finding]:
    """The area under the ROC curve is defined for two classes."""
    if task == "multiclass-classification" and "auroc" in evaluation.metrics:
        yield Finding(
            ("evaluation", "metrics"),
            "asks for `auroc`, which needs two classes.",
            "Take `auroc` out, or write `task: binary-classification`.",
            rests_on=(("task",),),
        )


def image_fits(model: Model, data: Data) -> Iterator[Finding]:
    """A cnn's image has a pixel left after every halving, and a column and one scale for each."""
    if not isinstance(model, CnnModel):
        return
    yield from _halvings_fit(model)
    pixels, features, scale = math.prod(model.image), data.features, data.preprocess.scale
    if features is not None and len(features) != pixels:
        yield Finding(
            ("data", "features"),
            f"names {len(features)} columns for an image of {pixels} values.",
            "Name one column for each value of the image, or correct `model.image`.",
            rests_on=(_KIND, _IMAGE),
        )
    if scale != "none":
        yield Finding(
            ("data", "preprocess", "scale"),
            f'is "{scale}", which would scale each pixel on its own.',
            "Write `none`, the default with a cnn: its pixels share one range.",
            rests_on=(_KIND,),
        )


def _halvings_fit(model: CnnModel) -> Iterator[Finding]:
    halvings, (_, height, width) = len(model.channels), model.image
    possible = min(height, width).bit_length() - 1
    if halvings > possible:
        yield Finding(
            ("model", "channels"),
            f"halves an image of {height} × {width} pixels {halvings} times: nothing is left.",
            f"Name at most {possible} convolutions for this image.",
            rests_on=(_KIND, _IMAGE),
        )


def pull_is_stable(training: Training) -> Iterator[Finding]:
    """FedProx's pull brings a site back to the round's start instead of past it, ever further.

    Heavy-ball descent on a quadratic of curvature mu is stable for a learning rate below
    2(1 + momentum)/mu (Polyak 1964, §2).
    """
    strategy, optimizer = training.strategy, training.optimizer
    if not isinstance(strategy, FedProx):
        return
    bound = 2 * (1 + optimizer.momentum) / optimizer.lr
    if strategy.proximal_mu >= bound:
        yield Finding(
            ("training", "strategy", "proximal_mu"),
            f"is {strategy.proximal_mu:g}, so strong that steps of {optimizer.lr:g} diverge.",
            f"Write less than {bound:g}, or a smaller `training.optimizer.lr`.",
            rests_on=(("training", "strategy", "name"), ("training", "optimizer")),
        )


def sum_hides_sites(protection: Protection) -> Iterator[Finding]:
    """A sum over one site hides nothing of it."""
    if protection.aggregation == "encrypted" and protection.min_sites < 2:
        yield Finding(
            ("protection", "min_sites"),
            f"is {protection.min_sites}, but the sum over one site is that site's own update.",
            "Write a whole number from 2 to 1000, or `aggregation: plain`.",
            rests_on=(("protection", "aggregation"),),
        )


def sites_hold_model(release: Release) -> Iterator[Finding]:
    """Sites hold the model as they train it, whatever a job says."""
    if "sites" not in release.to:
        yield Finding(
            ("release", "to"),
            "leaves out the sites, which always hold the model they train.",
            "Add `sites`.",
        )
