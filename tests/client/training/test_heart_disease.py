"""Four real hospitals: federated training reaches what pooled rows would give.

UCI heart disease as in FLamby's Fed-Heart-Disease, with its own training and test rows. The aim is
scikit-learn's logistic regression on the pooled, pooled-standardised rows, which scores 0.803 as a
mean over the hospitals' test rows.
"""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

pytest.importorskip("torch")

from entente_client.lake.quality import admit
from entente_client.training.alone import fit_alone
from entente_client.training.design import Design
from entente_client.training.standardise import Standardiser, local_moments
from entente_client.training.trainer import LocalTrainer
from entente_common.contracts.dataset import contract_from_document
from entente_common.contracts.job import job_from_document

_ROOT = os.environ.get("ENTENTE_DATASETS")
pytestmark = pytest.mark.skipif(
    _ROOT is None, reason="ENTENTE_DATASETS does not name the folder of reference datasets"
)

_NUMBERS = {
    "age": (0, 120),
    "trestbps": (0, 300),
    "chol": (0, 700),
    "thalach": (0, 250),
    "oldpeak": (-5, 10),
}
_CODES = {"sex": [0, 1], "cp": [1, 2, 3, 4], "fbs": [0, 1], "restecg": [0, 1, 2], "exang": [0, 1]}
CONTRACT = contract_from_document(
    {
        "name": "heart",
        "version": 1,
        "label": "target",
        "columns": [
            *(
                {"name": name, "type": "float", "minimum": float(low), "maximum": float(high)}
                for name, (low, high) in _NUMBERS.items()
            ),
            *({"name": name, "type": "category", "codes": codes} for name, codes in _CODES.items()),
            {"name": "target", "type": "category", "codes": [0, 1]},
        ],
    }
)


def _job(**privacy):
    return job_from_document(
        {
            "name": "heart-disease",
            "task": "binary-classification",
            "data": {"contract": "heart@1"},
            "model": {"kind": "logistic"},
            "training": {
                "rounds": 15,
                "local_steps": 100,
                "optimizer": {"name": "sgd", "lr": 0.05},
            },
            "privacy": privacy or {"unit": "none"},
        }
    )


@pytest.fixture(scope="module")
def hospitals():
    """Training and test frames by hospital, checked against the contract."""
    path = Path(_ROOT) / "heart-disease-4hosp" / "fed_heart_disease.csv"
    raw = pl.read_csv(path, infer_schema=False)
    wanted = [column.name for column in CONTRACT.columns]
    return {
        site: tuple(
            admit(
                raw.filter((pl.col("site") == site) & (pl.col("split") == part)).select(wanted),
                CONTRACT,
            )
            for part in ("train", "test")
        )
        for site in raw["site"].unique(maintain_order=True)
    }


def _federate(job, hospitals):
    design = Design.for_job(job, CONTRACT)
    encoded = {
        site: (design.encode(training), design.encode(test))
        for site, (training, test) in hospitals.items()
    }
    weights = np.array([len(y) for (_, y), _ in encoded.values()], dtype=np.float64)
    moments = [local_moments(x, design) for (x, _), _ in encoded.values()]
    scale = Standardiser.from_moments(np.average(moments, axis=0, weights=weights), design)
    trainers = [
        LocalTrainer(job, design, scale.apply(x), y, scale.apply(test_x), test_y, site=site)
        for site, ((x, y), (test_x, test_y)) in encoded.items()
    ]
    vector = trainers[0].initial_vector()
    for number in range(1, job.training.rounds + 1):
        deltas = [trainer.train(vector, round_number=number).delta for trainer in trainers]
        vector = vector + np.average(deltas, axis=0, weights=weights).astype(np.float32)
    return trainers, vector


def _mean_accuracy(trainers, vector):
    return np.mean([trainer.evaluate(vector).metrics["accuracy"] for trainer in trainers])


def test_four_hospitals_reach_the_pooled_optimum(hospitals):
    trainers, vector = _federate(_job(), hospitals)
    assert [trainer.examples for trainer in trainers] == [199, 172, 30, 85]
    assert _mean_accuracy(trainers, vector) >= 0.79


def test_federated_training_agrees_with_the_same_job_on_pooled_rows(hospitals):
    job = _job()
    _, vector = _federate(job, hospitals)
    design = Design.for_job(job, CONTRACT)
    training, test = (pl.concat(part) for part in zip(*hospitals.values(), strict=True))
    x, y = design.encode(training)
    scale = Standardiser.from_moments(local_moments(x, design), design)
    test_x, test_y = design.encode(test)
    pooled = fit_alone(job, design, scale.apply(x), y, scale.apply(test_x), test_y)
    federated = pooled.trainer.evaluate(vector).metrics
    assert abs(federated["auroc"] - pooled.evaluation.metrics["auroc"]) < 0.01


def test_four_hospitals_learn_at_epsilon_8(hospitals):
    job = _job(unit="record", epsilon=8.0, delta=1e-5, max_grad_norm=1.0)
    trainers, vector = _federate(job, hospitals)
    assert all(trainer.privacy().epsilon <= 8.0 for trainer in trainers)
    assert _mean_accuracy(trainers, vector) >= 0.70
