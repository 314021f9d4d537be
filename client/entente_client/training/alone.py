"""Training without a federation: the baseline of one site alone, or of pooled rows.

It is the same trainer, iterated: a round's end is the next round's start. Any difference from a
federated run is therefore due to the federation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from entente_client.training.design import Design
from entente_client.training.trainer import Evaluation, LocalTrainer, Vector
from entente_common.contracts.job import Job
from entente_common.privacy.statement import PrivacyStatement


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A model trained alone.

    Attributes:
        vector: Its parameters, flat.
        evaluation: How it does on the held-back rows.
        privacy: The guarantee, if the job asks for one.
        trainer: The trainer, for `predict` and `evaluate` on other parameters.
    """

    vector: Vector
    evaluation: Evaluation
    privacy: PrivacyStatement | None
    trainer: LocalTrainer


def fit_alone(
    job: Job,
    design: Design,
    train_x: npt.NDArray[Any],
    train_y: npt.NDArray[Any],
    holdout_x: npt.NDArray[Any],
    holdout_y: npt.NDArray[Any],
    *,
    site: str = "alone",
    rounds: int | None = None,
) -> Fit:
    """Train `job` for `rounds` rounds (default: the job's) on these standardised rows alone.

    Raises:
        PrivacyBudgetExceeded: More rounds than the job's are asked for under differential privacy.
    """
    trainer = LocalTrainer(job, design, train_x, train_y, holdout_x, holdout_y, site=site)
    vector = trainer.initial_vector()
    for number in range(1, (job.training.rounds if rounds is None else rounds) + 1):
        vector = vector + trainer.train(vector, round_number=number).delta
    return Fit(vector, trainer.evaluate(vector), trainer.privacy(), trainer)
