"""Initial parameters, drawn from a generator of our own.

torch's constructors draw from the process-wide generator. Layers are therefore created without
values and filled from a numpy generator, so that every site starts from the same bits.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

_UNFILLED = "meta"
"""torch's device without memory: constructors on it draw no random numbers."""


def linear(inputs: int, outputs: int, *, rng: np.random.Generator) -> nn.Linear:
    """A dense layer, initialised uniformly within ±1/√inputs."""
    layer = nn.Linear(inputs, outputs, device=_UNFILLED).to_empty(device="cpu")
    _fill(layer, fan_in=inputs, rng=rng)
    return layer


def convolution(inputs: int, outputs: int, *, size: int, rng: np.random.Generator) -> nn.Conv2d:
    """A same-padded square convolution, initialised uniformly within ±1/√(inputs·size²)."""
    layer = nn.Conv2d(inputs, outputs, size, padding=size // 2, device=_UNFILLED)
    layer = layer.to_empty(device="cpu")
    _fill(layer, fan_in=inputs * size * size, rng=rng)
    return layer


def _fill(layer: nn.Module, *, fan_in: int, rng: np.random.Generator) -> None:
    """Uniform within ±1/√fan_in, for weights and biases (He et al. 2015, gain 1/√3)."""
    bound = 1.0 / math.sqrt(fan_in)
    with torch.no_grad():
        for parameter in layer.parameters():
            values = rng.uniform(-bound, bound, size=tuple(parameter.shape)).astype(np.float32)
            parameter.copy_(torch.from_numpy(values))
