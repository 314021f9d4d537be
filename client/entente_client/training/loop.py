"""The local steps of one round without differential privacy.

Bit for bit the same for the same job seed, site, round, rows and start: batches come from a
generator of this round alone, and no optimiser state outlives a round.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from entente_client.training.strategies.registry import LocalStrategy
from entente_common.contracts.job import Training

_DOMAIN = b"entente/batches/1"


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Encoded records as tensors.

    Attributes:
        features: `(n, d)` float32, finite.
        labels: `(n,)` int64 class indices.
    """

    features: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def pick(self, chosen: npt.NDArray[np.int64]) -> Rows:
        """The rows at `chosen`, in that order."""
        where = torch.from_numpy(chosen)
        return Rows(self.features[where], self.labels[where])


def loss_of(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy in nats; one logit means two classes."""
    if logits.shape[1] == 1:
        return functional.binary_cross_entropy_with_logits(logits[:, 0], labels.to(logits.dtype))
    return functional.cross_entropy(logits, labels)


def optimiser_of(module: nn.Module, training: Training) -> torch.optim.SGD:
    """A fresh optimiser over the module's parameters."""
    settings = training.optimizer
    return torch.optim.SGD(module.parameters(), lr=settings.lr, momentum=settings.momentum)


def train_plain(
    module: nn.Module,
    rows: Rows,
    *,
    training: Training,
    strategy: LocalStrategy,
    seed: int,
    site: str,
    round_number: int,
) -> float:
    """Take `training.local_steps` steps in place and return their mean loss.

    Each loss is of the batch before its step, so the mean describes training, not the result.
    """
    optimiser = optimiser_of(module, training)
    parameters = list(module.parameters())
    start = [parameter.detach().clone() for parameter in parameters]
    batches = _batches(
        len(rows),
        batch_size=training.batch_size,
        rng=_round_generator(seed=seed, site=site, round_number=round_number),
    )
    total = 0.0
    module.train()
    for _ in range(training.local_steps):
        batch = rows.pick(next(batches))
        optimiser.zero_grad(set_to_none=True)
        loss = loss_of(module(batch.features), batch.labels)
        loss.backward()  # type: ignore[no-untyped-call]
        strategy.adjust(parameters, start)
        optimiser.step()
        total += float(loss.detach())
    return total / training.local_steps


def _batches(
    rows: int, *, batch_size: int, rng: np.random.Generator
) -> Iterator[npt.NDArray[np.int64]]:
    """Endless batches of equal size: shuffled passes over the rows, one after another.

    A batch may span two passes. It is never larger than the rows there are.
    """
    size = min(batch_size, rows)
    order = np.empty(0, dtype=np.int64)
    while True:
        while order.size < size:
            order = np.concatenate((order, rng.permutation(rows)))
        yield order[:size]
        order = order[size:]


def _round_generator(*, seed: int, site: str, round_number: int) -> np.random.Generator:
    """Random batches of one site in one round, unlike those of any other site or round."""
    text = b"\x00".join((_DOMAIN, str(seed).encode(), site.encode(), str(round_number).encode()))
    entropy = int.from_bytes(hashlib.sha256(text).digest(), "big")
    return np.random.default_rng(np.random.SeedSequence(entropy))
