"""The local steps of one round with per-record differential privacy (DP-SGD).

Each step (Abadi et al. 2016, Algorithm 1): every record joins the batch by its own coin (Poisson
sampling), each record's gradient is clipped to a fixed L2 norm, the clipped gradients are summed,
Gaussian noise in proportion to that norm is added, and the sum is divided by the *expected* batch
size. Per-record gradients, clipping and summation are Opacus's.

What is ours, and why:

- Sampling. Opacus's data loader rounds the rate to one over a whole number of batches; here it is
  exactly batch size over rows, and a round takes exactly its local steps, empty batches included.
- Randomness. Noise and coins come from `SecretRandom`, never from the job's seed, which every
  party knows, and not from torch's generator, which keeps 32 bits of its seed.
- Bounds. A gradient that is not finite counts as zero. A start model sent to make one record
  overflow would otherwise turn the sum into NaN and reveal that record.
- Loss. No loss on training rows leaves this file: it would be a release without noise.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer
from torch import nn

from entente_client.training.budget import PrivacyMeter, PrivacyPlan
from entente_client.training.loop import Rows, loss_of, optimiser_of
from entente_client.training.noise import SecretRandom
from entente_client.training.strategies.registry import LocalStrategy
from entente_common.contracts.job import Training


class SecretNoiseOptimiser(DPOptimizer):  # type: ignore[misc]
    """Opacus's optimiser with noise from a `SecretRandom`, added in double precision."""

    def __init__(
        self, optimiser: torch.optim.SGD, *, plan: PrivacyPlan, secret: SecretRandom
    ) -> None:
        super().__init__(
            optimiser,
            noise_multiplier=plan.noise_multiplier,
            max_grad_norm=plan.max_grad_norm,
            expected_batch_size=plan.expected_batch,
        )
        self._secret = secret
        self._deviation = plan.noise_multiplier * plan.max_grad_norm

    def add_noise(self) -> None:
        """Set each gradient to the sum of clipped gradients plus Gaussian noise."""
        for parameter in self.params:
            summed = parameter.summed_grad
            noise = torch.from_numpy(self._secret.gaussian(summed.numel()) * self._deviation)
            noisy = summed.to(torch.float64) + noise.reshape(summed.shape)
            parameter.grad = noisy.to(parameter.dtype).view_as(parameter)


class PrivateLoop:
    """Takes private steps on one module over all rounds of a job.

    Args:
        module: Trained in place; it is hooked once for per-record gradients.
        plan: Sampling, clipping and noise.
        meter: Charged before each step.
        secret: Source of coins and noise.
    """

    __slots__ = ("_hooked", "_meter", "_plan", "_secret")

    def __init__(
        self, module: nn.Module, *, plan: PrivacyPlan, meter: PrivacyMeter, secret: SecretRandom
    ) -> None:
        self._hooked: Any = GradSampleModule(module, loss_reduction="mean")
        self._plan = plan
        self._meter = meter
        self._secret = secret

    def train(self, rows: Rows, *, training: Training, strategy: LocalStrategy) -> None:
        """Take `training.local_steps` private steps in place.

        Raises:
            PrivacyBudgetExceeded: The steps would pass the job's epsilon; no row was read.
        """
        self._meter.require(steps=training.local_steps)
        inner = optimiser_of(self._hooked, training)
        private = SecretNoiseOptimiser(inner, plan=self._plan, secret=self._secret)
        parameters = list(self._hooked.parameters())
        start = [parameter.detach().clone() for parameter in parameters]
        self._hooked.train()
        for _ in range(training.local_steps):
            self._meter.charge()
            private.zero_grad(set_to_none=True)
            self._record_gradients(rows.pick(self._draw(len(rows))), parameters)
            private.pre_step()
            # After the noise, so the proximal term of FedProx is post-processing.
            strategy.adjust(parameters, start)
            inner.step()
        private.zero_grad(set_to_none=True)

    def _draw(self, rows: int) -> npt.NDArray[np.int64]:
        """Each row by its own coin."""
        coins = self._secret.uniform(rows) < self._plan.sample_rate
        return np.flatnonzero(coins).astype(np.int64)

    def _record_gradients(self, batch: Rows, parameters: list[torch.Tensor]) -> None:
        """Leave each record's gradient on the parameters, zero where it is not finite."""
        if not len(batch):
            for parameter in parameters:
                _set_record_gradients(parameter, parameter.new_zeros((0, *parameter.shape)))
            return
        with warnings.catch_warnings():
            # Inputs carry no gradient, which Opacus's backward hooks do not need.
            warnings.filterwarnings("ignore", message="Full backward hook is firing")
            loss = loss_of(self._hooked(batch.features), batch.labels)
            loss.backward()  # type: ignore[no-untyped-call]
        for parameter in parameters:
            finite = torch.nan_to_num(_record_gradients(parameter), nan=0.0, posinf=0.0, neginf=0.0)
            _set_record_gradients(parameter, finite)


def _record_gradients(parameter: Any) -> torch.Tensor:  # noqa: ANN401 - Opacus's own attribute
    gradients: torch.Tensor = parameter.grad_sample
    return gradients


def _set_record_gradients(parameter: Any, gradients: torch.Tensor) -> None:  # noqa: ANN401
    parameter.grad_sample = gradients
