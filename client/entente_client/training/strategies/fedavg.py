"""FedAvg: plain local steps, averaged by examples (McMahan et al. 2017, Algorithm 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from entente_client.training.strategies.registry import LocalStrategy, strategy


class FedAvg:
    """Leaves the gradients as they are."""

    def adjust(self, parameters: Sequence[torch.Tensor], start: Sequence[torch.Tensor]) -> None:
        """Change nothing."""


@strategy("fedavg")
def build(spec: Any) -> LocalStrategy:  # noqa: ANN401, ARG001 - FedAvg has no settings
    """FedAvg from its section of the job."""
    return FedAvg()
