"""A demo that does not show what it claims says so and fails."""

from __future__ import annotations

from dataclasses import replace

import pytest

from entente_common.errors import ExitCode, RunFailed
from entente_simulations.demo.claims import examine, insist
from entente_simulations.demo.results import Claim, DemoResults, RunResult
from fakes.demo_results import sample_results, with_epsilon, with_model_digest

RESULTS = sample_results()


def test_all_claims_hold_for_good_results() -> None:
    claims = _examine(RESULTS)

    assert len(claims) == 3
    assert all(claim.holds for claim in claims)
    insist(claims)


def test_another_model_under_encryption_breaks_the_claim_of_equality() -> None:
    claims = _examine(_changed("encrypted", lambda r: with_model_digest(r, "sha256:" + "f" * 64)))

    assert [claim.holds for claim in claims] == [True, False, True]
    with pytest.raises(RunFailed) as caught:
        insist(claims)
    assert caught.value.exit_code is ExitCode.RUN_FAILED
    assert claims[1].evidence in caught.value.detail


def test_two_absent_models_are_not_equal() -> None:
    results = RESULTS
    for key in ("plain", "encrypted"):
        results = _changed(key, lambda r: _without_digest(r), results)

    assert not _examine(results)[1].holds


@pytest.mark.parametrize(("epsilon", "holds"), [(8.0, True), (8.0001, False)])
def test_epsilon_above_the_limit_breaks_the_claim_of_privacy(epsilon: float, holds: bool) -> None:
    claims = _examine(_changed("private", lambda r: with_epsilon(r, epsilon)))

    assert claims[2].holds is holds


def test_a_site_that_tells_nothing_breaks_the_claim_of_privacy() -> None:
    def silence(result: RunResult) -> RunResult:
        spoken = result.run.privacy[:-1]
        return replace(result, run=result.run.model_copy(update={"privacy": spoken}))

    assert not _examine(_changed("private", silence))[2].holds


@pytest.mark.parametrize(("auroc", "holds"), [(0.976, True), (0.974, False), (None, False)])
def test_a_federated_model_that_stays_behind_breaks_the_claim(
    auroc: float | None, holds: bool
) -> None:
    metrics = {} if auroc is None else {"auroc": auroc}

    claims = _examine(_changed("encrypted", lambda r: replace(r, metrics=metrics)))

    assert claims[0].holds is holds


def _examine(results: DemoResults) -> tuple[Claim, ...]:
    return examine(results.scenario, baselines=results.baselines, runs=results.runs)


def _changed(key: str, change: object, results: DemoResults = RESULTS) -> DemoResults:
    assert callable(change)
    runs = tuple(change(run) if run.plan.key == key else run for run in results.runs)
    return replace(results, runs=runs)


def _without_digest(result: RunResult) -> RunResult:
    return replace(result, run=result.run.model_copy(update={"model_digest": None}))
