"""A job says everything it decides, the same for everyone who reads it."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from entente_common.contracts.job import (
    Job,
    Training,
    job_from_document,
    job_schema,
    load_job,
    parse_job,
)
from entente_common.errors import InvalidJob

MINIMAL: dict[str, Any] = {
    "name": "heart-disease",
    "task": "binary-classification",
    "data": {"contract": "heart@1"},
    "model": {"kind": "mlp"},
}

DESIGN = """\
apiVersion: entente/v1
name: heart-disease
task: binary-classification
data:
  contract: heart@1            # agreed columns, types, units, allowed values
  features: [age, sex, cp]
  label: target
  preprocess: {scale: federated-standard}
model: {kind: mlp, hidden: [32]}
training: {rounds: 15, strategy: {name: fedavg}, local_steps: 100, batch_size: 32,
           optimizer: {name: sgd, lr: 0.05}}
privacy: {unit: record, mechanism: dp-sgd, epsilon: 8.0, delta: 1e-5, max_grad_norm: 1.0}
protection: {aggregation: encrypted, min_sites: 3}
evaluation: {metrics: [accuracy, auroc]}
release: {to: [sites, coordinator]}
seed: 42
"""


def job(**changes: Any) -> Job:
    return job_from_document({**copy.deepcopy(MINIMAL), **changes})


def test_a_job_may_leave_out_everything_that_has_a_default() -> None:
    assert job().document() == {
        "apiVersion": "entente/v1",
        "name": "heart-disease",
        "task": "binary-classification",
        "data": {
            "contract": "heart@1",
            "features": None,
            "label": None,
            "preprocess": {"scale": "federated-standard"},
        },
        "model": {"kind": "mlp", "hidden": [32]},
        "training": {
            "rounds": 10,
            "strategy": {"name": "fedavg"},
            "local_steps": 10,
            "batch_size": 32,
            "optimizer": {"name": "sgd", "lr": 0.05, "momentum": 0.0},
            "round_timeout_s": 600,
        },
        "privacy": {"unit": "none"},
        "protection": {"aggregation": "encrypted", "min_sites": 3, "clip": 2.0},
        "evaluation": {"holdout": 0.2, "metrics": ["accuracy", "auroc", "log-loss"]},
        "release": {"to": ["sites", "coordinator"]},
        "seed": 0,
    }


def test_the_digest_of_a_job_never_changes_by_accident() -> None:
    # A new field, default or spelling changes what every site approved: a decision, not a refactor.
    digest = "sha256:74fe7612374b1df7ece1aef0e5181995c9b519391677714c320a03bdbb32dcf7"
    assert job().digest() == digest


def test_notation_order_and_spelt_out_defaults_do_not_change_the_digest() -> None:
    as_yaml = parse_job(DESIGN, source="job.yaml")
    document = as_yaml.document()
    as_json = parse_job(json.dumps(dict(reversed(document.items()))), source="job.json")
    assert as_json == as_yaml
    assert as_json.digest() == as_yaml.digest()


def test_whole_and_decimal_notation_of_a_number_are_the_same_job() -> None:
    whole = job(privacy={"unit": "record", "epsilon": 8})
    decimal = job(privacy={"unit": "record", "epsilon": 8.0})
    assert whole.digest() == decimal.digest()


@settings(deadline=None)
@given(
    rounds=st.integers(1, 10_000),
    epsilon=st.floats(0.01, 100),
    hidden=st.lists(st.integers(1, 4096), min_size=1, max_size=8),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_job_survives_being_written_and_read(
    rounds: int, epsilon: float, hidden: list[int], seed: int
) -> None:
    first = job(
        training={"rounds": rounds},
        privacy={"unit": "record", "epsilon": epsilon},
        model={"kind": "mlp", "hidden": hidden},
        seed=seed,
    )
    second = parse_job(json.dumps(first.document()), source="again")
    assert second == first
    assert second.digest() == first.digest()


@settings(deadline=None)
@given(rounds=st.integers(1, 10_000), other=st.integers(1, 10_000))
def test_two_jobs_share_a_digest_only_if_they_say_the_same(rounds: int, other: int) -> None:
    one, two = job(training={"rounds": rounds}), job(training={"rounds": other})
    assert (one.digest() == two.digest()) == (rounds == other)


def test_multiclass_jobs_report_every_metric_that_fits() -> None:
    many = job(task="multiclass-classification")
    assert many.evaluation.metrics == ("accuracy", "log-loss")


def test_a_cnn_takes_pixels_as_they_stand_unless_told_otherwise() -> None:
    assert job(model={"kind": "cnn"}).data.preprocess.scale == "none"


def test_reading_a_job_leaves_the_document_as_it_was() -> None:
    document = {**copy.deepcopy(MINIMAL), "model": {"kind": "cnn"}, "evaluation": {}}
    before = copy.deepcopy(document)
    job_from_document(document)
    assert document == before


def test_momentum_goes_with_differential_privacy() -> None:
    noisy = job(
        privacy={"unit": "record", "epsilon": 1.0},
        training={"optimizer": {"name": "sgd", "momentum": 0.9}},
    )
    assert noisy.training.optimizer.momentum == 0.9


def test_a_single_site_may_train_in_plain_sight() -> None:
    alone = job(protection={"aggregation": "plain", "min_sites": 1})
    assert alone.protection.min_sites == 1


def test_a_job_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        job().training.rounds = 3


def test_a_job_built_in_python_keeps_the_rules_too() -> None:
    sound = job()
    with pytest.raises(ValidationError, match=r"release\.to: leaves out the sites"):
        Job(
            name="x",
            task=sound.task,
            data=sound.data,
            model=sound.model,
            training=Training(rounds=2),
            release={"to": ["coordinator"]},
        )


def test_a_job_file_is_read_with_its_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + DESIGN.encode())
    assert load_job(path) == parse_job(DESIGN, source="here")


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (None, "No such file or directory"),
        (b"name: \xff", "is not UTF-8 text (byte 6)"),
        (b"#" * (1024 * 1024 + 1), "is larger than 1024 KiB"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(
    tmp_path: Path, content: bytes | None, detail: str
) -> None:
    path = tmp_path / "job.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidJob) as caught:
        load_job(path)
    assert detail in caught.value.detail
    assert str(path) in caught.value.detail


def test_a_directory_is_no_job(tmp_path: Path) -> None:
    with pytest.raises(InvalidJob, match="cannot be read: Is a directory"):
        load_job(tmp_path)


def test_the_schema_closes_every_section() -> None:
    schema = job_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["additionalProperties"] is False
    assert all(part["additionalProperties"] is False for part in schema["$defs"].values())
    assert schema["required"] == ["name", "task", "data", "model"]
