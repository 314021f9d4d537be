"""What is told of a run fits into JSON and comes back the same."""

import math

import pytest
from pydantic import ValidationError

from entente_common.contracts.run import RoundReport, Run, RunEvent, SiteRound
from entente_common.privacy.statement import PrivacyStatement

DIGEST = "sha256:" + "a" * 64
STATEMENT = PrivacyStatement(
    site="north",
    unit="record",
    mechanism="dp-sgd",
    epsilon=7.9,
    delta=1e-5,
    accountant="rdp",
    noise_multiplier=1.1,
    sample_rate=0.1,
    steps=100,
    assumptions=("Records are added or removed one at a time.",),
    excluded=("Metrics on held-back records.",),
)


def run(**changes: object) -> Run:
    return Run.model_validate(
        {
            "id": "run_01",
            "name": "heart",
            "job": {"name": "heart"},
            "job_digest": DIGEST,
            "code_digest": DIGEST,
            "status": "running",
            "created_at": "2026-11-23T09:30:00.000Z",
            "rounds_total": 10,
            **changes,
        }
    )


def site_round(**changes: object) -> SiteRound:
    values = {"site": "north", "examples": 100, "train_s": 0.5, "bytes_up": 1000, **changes}
    return SiteRound.model_validate(values)


def test_a_run_survives_the_wire() -> None:
    sent = run(privacy=[STATEMENT], metrics={"auroc": 0.9}, sites=["north"])
    assert Run.model_validate_json(sent.model_dump_json()) == sent


@pytest.mark.parametrize(
    ("status", "ended"),
    [
        ("pending", False),
        ("running", False),
        ("succeeded", True),
        ("failed", True),
        ("aborted", True),
    ],
)
def test_a_run_has_ended_when_its_state_is_final(status: str, ended: bool) -> None:
    assert run(status=status).ended is ended


def test_a_diverged_loss_is_told_as_unknown_and_a_metric_without_value_not_at_all() -> None:
    told = site_round(
        train_loss=math.inf, holdout_loss=math.nan, metrics={"auroc": math.nan, "accuracy": 0.5}
    )
    assert told.train_loss is None
    assert told.holdout_loss is None
    assert told.metrics == {"accuracy": 0.5}


def test_an_endless_epsilon_is_never_hidden() -> None:
    with pytest.raises(ValidationError):
        site_round(epsilon=math.inf)


def test_a_round_report_travels_as_the_data_of_an_event() -> None:
    report = RoundReport(round=1, sites=(site_round(),), seconds=1.5, bytes_up=1000, bytes_down=10)
    event = RunEvent(
        seq=3,
        at="2026-11-23T09:30:00.000Z",
        kind="round.completed",
        data=report.model_dump(mode="json"),
    )
    again = RunEvent.model_validate_json(event.model_dump_json())
    assert RoundReport.model_validate(again.data) == report


def test_a_reader_passes_over_members_it_does_not_know() -> None:
    assert run(invented_later=1) == run()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epsilon", -1),
        ("epsilon", math.nan),
        ("delta", 0),
        ("delta", 1),
        ("noise_multiplier", -0.1),
        ("sample_rate", 0),
        ("sample_rate", 1.1),
        ("steps", -1),
        ("unit", "nobody"),
    ],
)
def test_a_privacy_statement_makes_no_impossible_claim(field: str, value: object) -> None:
    with pytest.raises(ValidationError):
        PrivacyStatement.model_validate({**STATEMENT.model_dump(), field: value})
