"""The model of one run as this site holds it: its rows, its standardisation, its parameters.

Every site starts from the same parameters and applies the same sums, so after each step all sites
of a run hold the same model, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from entente_client.lake.catalogue import Dataset
from entente_client.lake.splits import split
from entente_client.training.design import Design
from entente_client.training.standardise import Standardiser, local_moments
from entente_client.training.trainer import Evaluation, LocalTrainer, LocalUpdate
from entente_common.contracts.job import Job
from entente_common.contracts.run import SiteRound
from entente_common.learning.artefact import ModelArtefact
from entente_common.privacy.statement import PrivacyStatement

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Rows:
    """The pinned dataset as the model sees it, before standardisation."""

    train_x: NDArray[np.float64]
    train_y: NDArray[np.int64]
    holdout_x: NDArray[np.float64]
    holdout_y: NDArray[np.int64]


class SiteModel:
    """One job's model over one site's dataset.

    Raises:
        InvalidJob, SchemaMismatch: The job does not fit the dataset's contract.
        DataProblem: There are no training rows, or they cannot be used.
        PrivacyBudgetExceeded: The job's privacy promise cannot be kept with these rows.
    """

    def __init__(self, job: Job, dataset: Dataset, *, site: str) -> None:
        self._job, self._site = job, site
        self._design = Design.for_job(job, dataset.contract)
        train, holdout = split(
            dataset.frame, contract=dataset.contract, holdout=job.evaluation.holdout
        )
        self._rows = _Rows(*self._design.encode(train), *self._design.encode(holdout))
        self._standardiser = Standardiser.identity(self._design)
        self._trainer = self._make_trainer()
        self.layout = self._trainer.layout
        self._parameters = self._trainer.initial_vector()

    @property
    def examples(self) -> int:
        """Number of training rows."""
        return self._trainer.examples

    @property
    def moments_length(self) -> int:
        """Length of the moments the job needs summed; 0 when it needs none."""
        scaled = self._job.data.preprocess.scale == "federated-standard"
        return 2 * len(self._design.numeric_positions) if scaled else 0

    def moments(self) -> Vector:
        """This site's moments for the federated standardisation."""
        return local_moments(self._rows.train_x, self._design)

    def standardise(self, moments: Vector) -> None:
        """Standardise all rows by the federation's moments."""
        self._standardiser = Standardiser.from_moments(moments, self._design)
        self._trainer = self._make_trainer()

    def apply(self, delta: Vector) -> None:
        """Move the parameters by the federation's mean update."""
        self._parameters = (self._parameters + delta).astype(np.float32)

    def train(self, *, round_number: int) -> LocalUpdate:
        """Train on from the common parameters; they stay as they are."""
        return self._trainer.train(self._parameters, round_number=round_number)

    def evaluate(self) -> Evaluation:
        """Evaluate the common parameters on the held-back rows."""
        return self._trainer.evaluate(self._parameters)

    def privacy(self) -> PrivacyStatement | None:
        """The privacy spent so far; None when the job asks for none."""
        return self._trainer.privacy()

    def artefact(self) -> ModelArtefact:
        """The model as it stands."""
        return ModelArtefact(
            layout=self.layout,
            parameters=self._parameters,
            preprocessing=self._standardiser.document(),
            job=self._job.document(),
        )

    def report(
        self, evaluation: Evaluation, *, update: LocalUpdate | None, bytes_up: int
    ) -> SiteRound:
        """What the coordinator may know of an evaluation and the training that followed it."""
        privacy = self.privacy()
        return SiteRound(
            site=self._site,
            examples=self.examples,
            train_loss=None if update is None else update.loss,
            holdout_examples=evaluation.examples,
            holdout_loss=evaluation.loss,
            metrics=evaluation.metrics,
            epsilon=None if privacy is None else privacy.epsilon,
            train_s=0.0 if update is None else update.seconds,
            bytes_up=bytes_up,
        )

    def _make_trainer(self) -> LocalTrainer:
        return LocalTrainer(
            self._job,
            self._design,
            self._standardiser.apply(self._rows.train_x),
            self._rows.train_y,
            self._standardiser.apply(self._rows.holdout_x),
            self._rows.holdout_y,
            site=self._site,
        )
