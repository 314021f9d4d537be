"""Small convolutional network over feature vectors that are images, row by row, channel by channel.

Blocks of 3×3 convolution, ReLU and 2×2 max-pooling, one dense hidden layer, one linear layer to
logits. There is no batch normalisation: it mixes rows, which per-record privacy cannot bound.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
from torch import nn

from entente_common.errors import InvalidJob, Issue
from entente_common.learning.models.initial import convolution, linear
from entente_common.learning.models.registry import model

_KERNEL = 3


@model("cnn")
def build(
    spec: Any,  # noqa: ANN401 - the job's `cnn` section: `image`, `channels`, `hidden`
    *,
    inputs: int,
    outputs: int,
    rng: np.random.Generator,
) -> nn.Module:
    """A network over images of shape `spec.image` (channels, height, width).

    Raises:
        InvalidJob: The image has another size than the feature vector, or is too small for the
            number of pooling steps.
    """
    depth, height, width = spec.image
    _check(spec, inputs=inputs)
    layers: OrderedDict[str, nn.Module] = OrderedDict(image=nn.Unflatten(1, (depth, height, width)))
    for place, channels in enumerate(spec.channels, start=1):
        layers[f"convolution{place}"] = convolution(depth, channels, size=_KERNEL, rng=rng)
        layers[f"relu{place}"] = nn.ReLU()
        layers[f"pool{place}"] = nn.MaxPool2d(2)
        depth, height, width = channels, height // 2, width // 2
    layers["flatten"] = nn.Flatten()
    layers["hidden"] = linear(depth * height * width, spec.hidden, rng=rng)
    layers["relu"] = nn.ReLU()
    layers["output"] = linear(spec.hidden, outputs, rng=rng)
    return nn.Sequential(layers)


def _check(spec: Any, *, inputs: int) -> None:  # noqa: ANN401 - as `build`
    depth, height, width = spec.image
    issues: list[Issue] = []
    if depth * height * width != inputs:
        issues.append(
            Issue(
                "model.image",
                f"The image has {depth * height * width} values but the job has {inputs} features.",
                "Give [channels, height, width] whose product is the number of features.",
            )
        )
    if min(height, width) < 2 ** len(spec.channels):
        issues.append(
            Issue(
                "model.channels",
                f"{len(spec.channels)} halvings leave nothing of a {height}×{width} image.",
                "Name fewer channels.",
            )
        )
    if issues:
        raise InvalidJob("The network does not fit the image.", issues=issues)
