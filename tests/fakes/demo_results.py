"""Invented results of a demo, for tests of what is made from results."""

from __future__ import annotations

from dataclasses import replace

from entente_common.contracts.job import job_from_document
from entente_common.contracts.run import RoundReport, Run, SiteRound
from entente_common.privacy.statement import PrivacyStatement
from entente_simulations.demo.claims import examine
from entente_simulations.demo.results import Baseline, DemoResults, RunResult, SiteShare
from entente_simulations.demo.scenarios.registry import make_scenario
from entente_simulations.demo.scenarios.scenario import PlannedRun, ScenarioName

SHAPE = {"plain": 0.0, "encrypted": 0.0, "private": 0.02}


def sample_results(name: ScenarioName = ScenarioName.HOSPITALS, *, rounds: int = 10) -> DemoResults:
    scenario = make_scenario(name, rounds=rounds)
    sites = [table.site for table in scenario.tables]
    metric = scenario.headline
    baselines = [
        *(Baseline(site, _metrics(metric, 0.90 + 0.02 * i)) for i, site in enumerate(sites)),
        Baseline(None, _metrics(metric, 0.985)),
    ]
    runs = tuple(_run(plan, sites, metric=metric, rounds=rounds) for plan in scenario.runs)
    shares = tuple(
        SiteShare(table.site, int(len(table.rows) * 0.8), int(len(table.rows) * 0.2), table.classes)
        for table in scenario.tables
    )
    return DemoResults(
        scenario=scenario,
        shares=shares,
        baselines=tuple(baselines),
        runs=runs,
        claims=examine(scenario, baselines=baselines, runs=runs),
        version="0.0.0",
        machine="Python 3.11, a test",
        started_at="2026-01-01T00:00:00.000Z",
        seconds=64.2,
    )


def with_model_digest(result: RunResult, digest: str) -> RunResult:
    return replace(result, run=result.run.model_copy(update={"model_digest": digest}))


def with_epsilon(result: RunResult, epsilon: float) -> RunResult:
    spent = tuple(s.model_copy(update={"epsilon": epsilon}) for s in result.run.privacy)
    return replace(result, run=result.run.model_copy(update={"privacy": spent}))


def _metrics(metric: str, value: float) -> dict[str, float]:
    return {"accuracy": value - 0.03, metric: value, "log-loss": 1.0 - value}


def _run(plan: PlannedRun, sites: list[str], *, metric: str, rounds: int) -> RunResult:
    job = job_from_document(plan.job)
    private = plan.key == "private"
    up = 262_144 if plan.key != "plain" else 1_280
    reports = tuple(_round(n, sites, metric=metric, plan=plan, up=up) for n in range(1, rounds + 1))
    run = Run(
        id="run_01JD3V9K6Q8X0000000000000A",
        name=job.name,
        job=job.document(),
        job_digest=job.digest(),
        code_digest="sha256:" + "c" * 64,
        status="succeeded",
        created_at="2026-01-01T00:00:00.000Z",
        started_at="2026-01-01T00:00:01.000Z",
        ended_at="2026-01-01T00:00:12.000Z",
        sites=tuple(sites),
        rounds_total=rounds,
        rounds_done=rounds,
        model_digest="sha256:" + ("d" if private else "e") * 64,
        metrics=reports[-1].metrics,
        privacy=tuple(_statement(site) for site in sites) if private else (),
        bytes_up=sum(report.bytes_up for report in reports),
        bytes_down=sum(report.bytes_down for report in reports),
    )
    final = _metrics(metric, 0.985 - SHAPE[plan.key])
    return RunResult(plan, run, reports, seconds=11.4, metrics=final, model_bytes=1800)


def _round(number: int, sites: list[str], *, metric: str, plan: PlannedRun, up: int) -> RoundReport:
    reached = 0.985 - SHAPE[plan.key] - 0.25 / number
    private = plan.key == "private"
    return RoundReport(
        round=number,
        sites=tuple(
            SiteRound(
                site=site,
                examples=100 + 10 * place,
                train_loss=None if private else 0.7 / number,
                holdout_examples=30 + place,
                holdout_loss=0.1 + (0.6 + 0.05 * place) / number,
                metrics=_metrics(metric, reached - 0.01 * place),
                epsilon=7.99 * (number / 10) ** 0.5 if private else None,
                train_s=0.05,
                bytes_up=up,
            )
            for place, site in enumerate(sites)
        ),
        metrics=_metrics(metric, reached),
        seconds=0.9,
        bytes_up=up * len(sites),
        bytes_down=up * len(sites),
    )


def _statement(site: str) -> PrivacyStatement:
    return PrivacyStatement(
        site=site,
        unit="record",
        mechanism="dp-sgd",
        epsilon=7.98,
        delta=1e-5,
        accountant="rdp",
        noise_multiplier=1.48,
        sample_rate=0.21,
        steps=100,
        assumptions=("Neighbouring tables differ in one record.", "Batches are Poisson samples."),
        excluded=("The sums that standardise the features.",),
    )
