"""Breast cancer rows (scikit-learn's), their contract, and jobs over them."""

import numpy as np
import polars as pl
import pytest

from entente_client.lake.splits import split
from entente_client.training.design import Design
from entente_client.training.standardise import Standardiser, local_moments
from entente_common.contracts.dataset import contract_from_document
from entente_common.contracts.job import job_from_document


class Prepared:
    """A design with standardised training and held-back rows, as `LocalTrainer` takes them."""

    def __init__(self, job, contract, frame, *, holdout=0.2):
        self.job = job
        self.design = Design.for_job(job, contract)
        training, held_back = split(frame, contract=contract, holdout=holdout)
        x, self.train_y = self.design.encode(training)
        held_x, self.holdout_y = self.design.encode(held_back)
        scale = Standardiser.from_moments(local_moments(x, self.design), self.design)
        self.train_x, self.holdout_x = scale.apply(x), scale.apply(held_x)

    def rows(self):
        return self.train_x, self.train_y, self.holdout_x, self.holdout_y


@pytest.fixture(scope="session")
def tumours():
    """Contract and frame of the breast cancer data."""
    data = pytest.importorskip("sklearn.datasets").load_breast_cancer()
    names = [name.replace(" ", "_") for name in data.feature_names]
    columns = [
        {"name": name, "type": "float", "minimum": 0.0, "maximum": float(top)}
        for name, top in zip(names, np.ceil(15 * data.data.max(axis=0)) / 10, strict=True)
    ]
    contract = contract_from_document(
        {
            "name": "tumours",
            "version": 1,
            "label": "benign",
            "columns": [*columns, {"name": "benign", "type": "category", "codes": [0, 1]}],
        }
    )
    frame = pl.DataFrame(dict(zip(names, data.data.T, strict=True)))
    return contract, frame.with_columns(benign=pl.Series([str(label) for label in data.target]))


@pytest.fixture
def make_job():
    """A factory of jobs over the breast cancer contract."""

    def make(*, kind="logistic", privacy=None, strategy=None, seed=0, lr=0.05, **training):
        return job_from_document(
            {
                "name": "tumours",
                "task": "binary-classification",
                "data": {"contract": "tumours@1"},
                "model": {"kind": kind},
                "training": {
                    "rounds": 10,
                    "local_steps": 20,
                    "strategy": strategy or {"name": "fedavg"},
                    "optimizer": {"name": "sgd", "lr": lr},
                    **training,
                },
                "privacy": privacy or {"unit": "none"},
                "seed": seed,
            }
        )

    return make


@pytest.fixture
def prepare(tumours):
    """Prepare the breast cancer rows for a job."""

    def make(job):
        return Prepared(job, *tumours)

    return make
