"""Five offices teach one convolutional network to read digits."""

from __future__ import annotations

import numpy as np

from entente_simulations.demo.scenarios.scenario import PlannedRun, Scenario, ScenarioName
from entente_simulations.demo.scenarios.staging import (
    contract_document,
    divide,
    plain_and_encrypted,
)


def digits(rounds: int | None) -> Scenario:
    """Handwritten digits of 8 by 8 pixels: 1797 scans at five sites."""
    from sklearn.datasets import load_digits

    data = load_digits()
    labels = np.asarray(data.target, dtype=np.int64)
    values = np.asarray(data.data, dtype=np.float64) / 16.0
    pixels = [f"pixel_{row}_{column}" for row in range(8) for column in range(8)]
    contract = contract_document(
        name="digits",
        description="Handwritten digits, 8 by 8 pixels, each the share of full ink.",
        ranges=dict.fromkeys(pixels, (0.0, 1.0)),
        label="digit",
        codes=range(10),
    )
    tables = divide(
        values,
        labels,
        contract=contract,
        sites=("amber", "birch", "cedar", "dogwood", "elm"),
        concentration=0.6,
        min_rows_per_class=3,
    )
    return Scenario(
        name=ScenarioName.DIGITS,
        title="Five offices teach one network to read digits",
        question="Five offices each hold scans of handwritten digits, every office with its own "
        "mix. Together they train a convolutional network; the scans stay where they are.",
        source="Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, "
        "as shipped with scikit-learn; divided among five invented offices.",
        unit="scans",
        contract=contract,
        tables=tables,
        runs=_digit_runs(rounds or 15),
        headline="accuracy",
        tolerance=0.03,
    )


def _digit_runs(rounds: int) -> tuple[PlannedRun, ...]:
    job = {
        "apiVersion": "entente/v1",
        "task": "multiclass-classification",
        "data": {"contract": "digits@1"},
        "model": {"kind": "cnn", "image": [1, 8, 8], "channels": [8, 16], "hidden": 32},
        "training": {
            "rounds": rounds,
            "local_steps": 20,
            "batch_size": 32,
            "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9},
        },
    }
    return plain_and_encrypted(job, name="digits", sites=5)
