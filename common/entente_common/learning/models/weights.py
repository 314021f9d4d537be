"""Parameters of a module as named numpy arrays, and back, in place.

Only parameters travel. The models of this package hold no buffers, so parameters are the model.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import nn


def model_tensors(module: nn.Module) -> dict[str, npt.NDArray[np.float32]]:
    """Copies of the module's parameters by name, in the module's order."""
    return {
        name: parameter.detach().cpu().numpy().astype(np.float32, copy=True)
        for name, parameter in module.named_parameters()
    }


def load_tensors(module: nn.Module, tensors: Mapping[str, npt.NDArray[np.float32]]) -> None:
    """Write `tensors` into the module's own parameters, which keep their identity.

    Raises:
        KeyError: A parameter of the module is missing from `tensors`.
        ValueError: There is a tensor without a parameter, or one of another shape.
    """
    parameters = dict(module.named_parameters())
    if foreign := sorted(set(tensors) - set(parameters)):
        raise ValueError(f"The model has no parameters {', '.join(foreign)}.")
    with torch.no_grad():
        for name, parameter in parameters.items():
            values = np.ascontiguousarray(tensors[name], dtype=np.float32)
            if values.shape != tuple(parameter.shape):
                raise ValueError(f"{name} has shape {values.shape}, not {tuple(parameter.shape)}.")
            # A copy, since torch tensors over read-only numpy memory are undefined behaviour.
            parameter.copy_(torch.from_numpy(values.copy()))
