"""Logistic regression: one linear layer from features to logits, starting at zero.

The loss is convex, so the start does not matter for the optimum; zero predicts the uniform
distribution and makes the first round the same whatever the seed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from entente_common.learning.models.initial import linear
from entente_common.learning.models.registry import model


class Logistic(nn.Module):
    """`logits = W x + b`."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.output = layer

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Logits of a `(n, inputs)` batch."""
        logits: torch.Tensor = self.output(features)
        return logits


@model("logistic")
def build(
    spec: Any,  # noqa: ANN401, ARG001 - the kind has no settings
    *,
    inputs: int,
    outputs: int,
    rng: np.random.Generator,
) -> nn.Module:
    """A logistic regression with all parameters zero."""
    layer = linear(inputs, outputs, rng=rng)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return Logistic(layer)
