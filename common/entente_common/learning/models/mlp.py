"""Multilayer perceptron: dense hidden layers with ReLU, then one linear layer to logits."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
from torch import nn

from entente_common.learning.models.initial import linear
from entente_common.learning.models.registry import model


@model("mlp")
def build(
    spec: Any,  # noqa: ANN401 - the job's `mlp` section: `hidden`, widths of the hidden layers
    *,
    inputs: int,
    outputs: int,
    rng: np.random.Generator,
) -> nn.Module:
    """A perceptron with `spec.hidden` widths; parameters are named `hidden1.weight` and so on."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    width = inputs
    for place, hidden in enumerate(spec.hidden, start=1):
        layers[f"hidden{place}"] = linear(width, hidden, rng=rng)
        layers[f"relu{place}"] = nn.ReLU()
        width = hidden
    layers["output"] = linear(width, outputs, rng=rng)
    return nn.Sequential(layers)
