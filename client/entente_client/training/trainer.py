"""The trainer: one job's model on one site's rows, from a round's start to its update.

It holds encoded rows, never a frame or a file, and knows nothing of networks or keys. Without
differential privacy everything it returns is bit for bit the same for the same job, site and start.
With it, one privacy meter spans all rounds, and no loss on training rows is reported.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from entente_client.training.budget import PrivacyMeter, plan_privacy
from entente_client.training.design import Design
from entente_client.training.loop import Rows, loss_of, train_plain
from entente_client.training.noise import SecretRandom
from entente_client.training.strategies.registry import strategy_for
from entente_common.aggregation.layout import TensorLayout
from entente_common.contracts.job import Job
from entente_common.errors import (
    DataProblem,
    Issue,
    ProtectionViolated,
    RunFailed,
    SchemaMismatch,
    UnusableValues,
)
from entente_common.learning.metrics import evaluate
from entente_common.learning.models.registry import build_model
from entente_common.learning.models.weights import load_tensors, model_tensors
from entente_common.privacy.statement import PrivacyStatement

if TYPE_CHECKING:
    from entente_client.training.dp import PrivateLoop

Vector = npt.NDArray[np.float32]
Probabilities = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class LocalUpdate:
    """What a round of local training gives.

    Attributes:
        delta: Parameters after minus parameters before, flat, finite.
        loss: Mean training loss in nats; None under differential privacy, where it would be a
            release of its own.
        steps: Local steps taken.
        seconds: How long they took.
    """

    delta: Vector
    loss: float | None
    steps: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How a model does on the site's held-back rows.

    Attributes:
        loss: Mean cross-entropy in nats; None without rows.
        metrics: The job's metrics by name; those not defined for these rows are absent.
        examples: Number of held-back rows.
    """

    loss: float | None
    metrics: dict[str, float]
    examples: int


class LocalTrainer:
    """Trains and evaluates a job's model at one site.

    Args:
        job: What to learn.
        design: Fixes the model's inputs and outputs.
        train_x: `(n, design.inputs)` standardised training rows, n at least 1, finite.
        train_y: `(n,)` class indices.
        holdout_x: Held-back rows, none allowed.
        holdout_y: Their class indices.
        site: The site's name; without differential privacy it seeds the batches.
        entropy: Secret bytes that fix coins and noise, for tests alone; None draws them from the
            operating system.

    Raises:
        DataProblem: Rows are missing, of the wrong shape, not finite or wrongly labelled.
        InvalidJob: The model does not fit the design.
        PrivacyBudgetExceeded: The job's privacy promise cannot be kept with these rows.
    """

    def __init__(
        self,
        job: Job,
        design: Design,
        train_x: npt.NDArray[Any],
        train_y: npt.NDArray[Any],
        holdout_x: npt.NDArray[Any],
        holdout_y: npt.NDArray[Any],
        *,
        site: str,
        entropy: bytes | None = None,
    ) -> None:
        self._job, self._site = job, site
        self._rows = _rows(train_x, train_y, design=design, part="training")
        self._holdout = _rows(holdout_x, holdout_y, design=design, part="held-back")
        if not len(self._rows):
            raise DataProblem("The site has no training rows for this job.")
        self._module = build_model(
            job.model, inputs=design.inputs, outputs=design.outputs, seed=job.seed
        )
        self.layout = TensorLayout.of(model_tensors(self._module))
        self._initial: Vector = self._vector()
        self._strategy = strategy_for(job.training.strategy)
        self._meter: PrivacyMeter | None = None
        self._private: PrivateLoop | None = None
        if plan := plan_privacy(job, rows=len(self._rows)):
            # Opacus takes a second to import, which jobs without privacy need not wait for.
            from entente_client.training.dp import PrivateLoop

            self._meter = PrivacyMeter(plan)
            self._private = PrivateLoop(
                self._module, plan=plan, meter=self._meter, secret=SecretRandom(entropy)
            )

    @property
    def examples(self) -> int:
        """Number of training rows."""
        return len(self._rows)

    def initial_vector(self) -> Vector:
        """The first round's start: the same at every site for the same job."""
        return self._initial.copy()

    def train(self, start: Vector, *, round_number: int) -> LocalUpdate:
        """Take the job's local steps from `start`.

        Args:
            start: The round's common parameters, flat.
            round_number: From 1; without differential privacy it seeds the batches.

        Raises:
            ProtectionViolated: `start` does not fit the model.
            PrivacyBudgetExceeded: The round would pass the job's epsilon; no row was read.
            RunFailed: Training left the finite numbers.
        """
        begun = time.perf_counter()
        self._load(start)
        loss = self._steps(round_number)
        delta = self._vector() - np.asarray(start, dtype=np.float32)
        if not np.all(np.isfinite(delta)):
            raise RunFailed(
                "Training diverged: the model is no longer finite.",
                hint="Lower training.optimizer.lr, or scale the features.",
            )
        return LocalUpdate(
            delta=delta,
            loss=loss,
            steps=self._job.training.local_steps,
            seconds=time.perf_counter() - begun,
        )

    def evaluate(self, vector: Vector) -> Evaluation:
        """Loss and metrics of the model `vector` on the held-back rows.

        Raises:
            ProtectionViolated: `vector` does not fit the model.
        """
        if not len(self._holdout):
            return Evaluation(loss=None, metrics={}, examples=0)
        logits = self._logits(vector, self._holdout.features)
        metrics = evaluate(
            self._job.evaluation.metrics, self._holdout.labels.numpy(), _probabilities(logits)
        )
        loss = float(loss_of(logits, self._holdout.labels))
        return Evaluation(loss=loss, metrics=metrics, examples=len(self._holdout))

    def predict(self, vector: Vector, x: npt.NDArray[Any]) -> Probabilities:
        """Class probabilities `(n, classes)` of the model `vector` for standardised rows."""
        return _probabilities(self._logits(vector, _features(x)))

    def privacy(self) -> PrivacyStatement | None:
        """The guarantee for the rounds so far; None when the job asks for none."""
        return None if self._meter is None else self._meter.statement(site=self._site)

    def _steps(self, round_number: int) -> float | None:
        training = self._job.training
        if self._private is not None:
            self._private.train(self._rows, training=training, strategy=self._strategy)
            return None
        return train_plain(
            self._module,
            self._rows,
            training=training,
            strategy=self._strategy,
            seed=self._job.seed,
            site=self._site,
            round_number=round_number,
        )

    def _logits(self, vector: Vector, features: torch.Tensor) -> torch.Tensor:
        self._load(vector)
        self._module.eval()
        with torch.no_grad():
            logits: torch.Tensor = self._module(features)
        return logits.to(torch.float64)

    def _load(self, vector: Vector) -> None:
        values = np.asarray(vector, dtype=np.float32)
        if values.shape != (self.layout.size,) or not np.all(np.isfinite(values)):
            raise ProtectionViolated("The common model does not fit this job's model.")
        load_tensors(self._module, self.layout.unflatten(values))

    def _vector(self) -> Vector:
        return np.asarray(self.layout.flatten(model_tensors(self._module)), dtype=np.float32)


def _probabilities(logits: torch.Tensor) -> Probabilities:
    """Class probabilities from logits; one logit is that of the second of two classes."""
    if logits.shape[1] == 1:
        logits = torch.cat((torch.zeros_like(logits), logits), dim=1)
    return np.asarray(torch.softmax(logits, dim=1).numpy(), dtype=np.float64)


def _features(x: npt.NDArray[Any]) -> torch.Tensor:
    # A copy of our own: torch must not share memory that a caller may change or hold read-only.
    # A value too large for float32 becomes infinite, which the check of the rows then counts.
    with np.errstate(over="ignore"):
        return torch.from_numpy(np.array(x, dtype=np.float32, order="C", copy=True))


def _rows(x: npt.NDArray[Any], y: npt.NDArray[Any], *, design: Design, part: str) -> Rows:
    """Check rows and move them to tensors."""
    if x.shape != (len(y), design.inputs):
        raise SchemaMismatch(f"The {part} rows have shape {x.shape}, not (n, {design.inputs}).")
    rows = Rows(_features(x), torch.from_numpy(np.array(y, dtype=np.int64, copy=True)))
    bad = int((~torch.isfinite(rows.features)).sum())
    foreign = int(((rows.labels < 0) | (rows.labels >= len(design.classes))).sum())
    issues = [
        Issue(f"{part} rows", f"{count} {what}.", "Correct the data at the site.")
        for count, what in ((bad, "values are not finite"), (foreign, "labels are no class"))
        if count
    ]
    if issues:
        raise UnusableValues(f"The {part} rows cannot be used.", issues=issues)
    return rows
