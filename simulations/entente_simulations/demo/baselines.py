"""What the federation is measured against: each site alone, and everybody's records in one place.

Only a demo can do this, because only here one process may read the rows of all sites. All models,
the federated ones included, are judged on the same records: those that the sites hold back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from entente_client.lake.catalogue import Catalogue
from entente_client.lake.splits import split
from entente_client.training.alone import fit_alone
from entente_client.training.design import Design
from entente_client.training.standardise import Standardiser, local_moments
from entente_client.training.trainer import LocalTrainer
from entente_common.contracts.job import Job
from entente_common.errors import RunFailed
from entente_common.learning.artefact import ModelArtefact
from entente_common.learning.metrics import evaluate
from entente_simulations.demo.results import Baseline
from entente_simulations.demo.workspace import Workspace


@dataclass(frozen=True, slots=True, eq=False)
class SiteRows:
    """One site's rows as a model reads them, before standardisation."""

    site: str
    train_x: NDArray[np.float64]
    train_y: NDArray[np.int64]
    holdout_x: NDArray[np.float64]
    holdout_y: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Benchmark:
    """All sites' rows for one job, and the models they are used to judge.

    Attributes:
        job: The job, without differential privacy.
        design: Columns of the matrices.
        sites: Each site's rows.
    """

    job: Job
    design: Design
    sites: tuple[SiteRows, ...]

    @classmethod
    def read(cls, workspace: Workspace, *, sites: Sequence[str], job: Job) -> Benchmark:
        """Read each site's registered rows, split as the site itself splits them."""
        parts, design = [], None
        for name in sites:
            dataset = Catalogue(workspace.site(name) / "datasets").open(job.data.contract)
            design = Design.for_job(job, dataset.contract)
            train, holdout = split(
                dataset.frame, contract=dataset.contract, holdout=job.evaluation.holdout
            )
            parts.append(SiteRows(name, *design.encode(train), *design.encode(holdout)))
        if design is None:
            raise ValueError("a benchmark needs at least one site")
        return cls(job=job, design=design, sites=tuple(parts))

    def baselines(self) -> tuple[Baseline, ...]:
        """Each site alone, then all rows pooled, trained for as many rounds as the federation."""
        alone = [
            Baseline(rows.site, self._fit(rows.train_x, rows.train_y, site=rows.site))
            for rows in self.sites
        ]
        pooled_x = np.concatenate([rows.train_x for rows in self.sites])
        pooled_y = np.concatenate([rows.train_y for rows in self.sites])
        return (*alone, Baseline(None, self._fit(pooled_x, pooled_y, site="pooled")))

    def judge(self, content: bytes, *, digest: str | None) -> dict[str, float]:
        """Metrics of a released model on the held-back rows of all sites.

        Args:
            content: The model file.
            digest: The digest under which the sites released it.

        Raises:
            RunFailed: The file is another model than the one the sites named.
            InvalidDocument: The file is no model.
        """
        artefact = ModelArtefact.from_bytes(content)
        if artefact.digest() != digest:
            raise RunFailed("The model's digest is not the one that the sites reported.")
        standardiser = _standardiser(artefact.preprocessing, self.design)
        x, y = self._holdout()
        scaled = standardiser.apply(x)
        trainer = LocalTrainer(self.job, self.design, scaled, y, scaled, y, site="judge")
        return self._metrics(trainer.predict(artefact.parameters, scaled))

    def _fit(
        self, x: NDArray[np.float64], y: NDArray[np.int64], *, site: str
    ) -> Mapping[str, float]:
        standardiser = Standardiser.identity(self.design)
        if self.job.data.preprocess.scale != "none":
            standardiser = Standardiser.from_moments(local_moments(x, self.design), self.design)
        holdout_x, holdout_y = self._holdout()
        scaled = standardiser.apply(holdout_x)
        fit = fit_alone(
            self.job, self.design, standardiser.apply(x), y, scaled, holdout_y, site=site
        )
        return self._metrics(fit.trainer.predict(fit.vector, scaled))

    def _holdout(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        return (
            np.concatenate([rows.holdout_x for rows in self.sites]),
            np.concatenate([rows.holdout_y for rows in self.sites]),
        )

    def _metrics(self, probabilities: NDArray[np.float64]) -> dict[str, float]:
        return evaluate(self.job.evaluation.metrics, self._holdout()[1], probabilities)


def _standardiser(document: Mapping[str, object], design: Design) -> Standardiser:
    """The standardiser that a model carries."""
    return Standardiser(
        column_names=design.column_names,
        centre=np.asarray(document["centre"], dtype=np.float64),
        spread=np.asarray(document["spread"], dtype=np.float64),
    )
