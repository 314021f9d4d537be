"""Three hospitals tell malignant breast masses from benign ones."""

from __future__ import annotations

import numpy as np

from entente_simulations.demo.scenarios.scenario import PlannedRun, Scenario, ScenarioName
from entente_simulations.demo.scenarios.staging import (
    contract_document,
    divide,
    plain_and_encrypted,
    variant,
)


def hospitals(rounds: int | None) -> Scenario:
    """Breast masses, benign or malignant: 569 records at three sites."""
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    codes = ("benign", "malignant")
    # scikit-learn counts malignant as 0; the contract's second code is the positive class.
    labels = np.asarray(1 - data.target, dtype=np.int64)
    features = [str(name).replace(" ", "_") for name in data.feature_names]
    values = np.asarray(data.data, dtype=np.float64)
    contract = contract_document(
        name="breast-mass",
        description="Cell nuclei in fine-needle aspirates of breast masses.",
        ranges={
            name: (0.0, _round_up(float(column.max())))
            for name, column in zip(features, values.T, strict=True)
        },
        label="diagnosis",
        codes=codes,
    )
    tables = divide(
        values,
        labels,
        contract=contract,
        sites=("lakeview", "northfield", "riverside"),
        concentration=0.7,
        min_rows_per_class=8,
    )
    return Scenario(
        name=ScenarioName.HOSPITALS,
        title="Three hospitals, one model, no shared records",
        question="Three hospitals want one model that tells malignant breast masses from benign "
        "ones. None of them may hand over a single patient record.",
        source="Breast Cancer Wisconsin (Diagnostic), UCI Machine Learning Repository, "
        "as shipped with scikit-learn; divided among three invented hospitals.",
        unit="patients",
        contract=contract,
        tables=tables,
        runs=_hospital_runs(rounds or 10),
        headline="auroc",
        tolerance=0.01,
    )


def _hospital_runs(rounds: int) -> tuple[PlannedRun, ...]:
    job = {
        "apiVersion": "entente/v1",
        "task": "binary-classification",
        "data": {"contract": "breast-mass@1"},
        "model": {"kind": "logistic"},
        "training": {
            "rounds": rounds,
            "local_steps": 10,
            "batch_size": 32,
            "optimizer": {"name": "sgd", "lr": 0.1},
        },
    }
    private = {"unit": "record", "mechanism": "dp-sgd", "epsilon": 8.0, "max_grad_norm": 1.0}
    return (
        *plain_and_encrypted(job, name="breast-mass", sites=3),
        PlannedRun(
            key="private",
            title="Encrypted, with differential privacy",
            purpose="How much accuracy it costs to bound what the model can reveal of one patient.",
            job=variant(job, name="breast-mass-private", privacy=private, sites=3),
        ),
    )


def _round_up(value: float) -> float:
    """The next number with two significant digits, as a contract would state a range."""
    step = 10.0 ** (np.floor(np.log10(value)) - 1)
    return float(np.round((np.floor(value / step) + 1) * step, 12))
