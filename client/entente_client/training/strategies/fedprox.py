"""FedProx: local steps drawn back towards the round's start (Li et al. 2020, Algorithm 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from entente_client.training.strategies.registry import LocalStrategy, strategy


@dataclass(frozen=True, slots=True)
class FedProx:
    """Adds the gradient of `μ/2 · ‖w − w_start‖²`.

    Attributes:
        proximal_mu: μ, at least 0; 0 is FedAvg, larger keeps sites closer to the common model.
    """

    proximal_mu: float

    def adjust(self, parameters: Sequence[torch.Tensor], start: Sequence[torch.Tensor]) -> None:
        """Add `μ · (w − w_start)` to each gradient."""
        for parameter, origin in zip(parameters, start, strict=True):
            if parameter.grad is not None:
                parameter.grad.add_(parameter.detach() - origin, alpha=self.proximal_mu)


@strategy("fedprox")
def build(spec: Any) -> LocalStrategy:  # noqa: ANN401 - the job's FedProx section
    """FedProx from its section of the job."""
    return FedProx(proximal_mu=float(spec.proximal_mu))
