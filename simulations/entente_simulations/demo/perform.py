"""The demo from the first process to the report.

The order matters: the runs come first and with all processes up; then everything is stopped, and
only then the demo reads all sites' rows at once, which nobody could in earnest.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import Console

from entente_common import __version__
from entente_common.clock import rfc3339, utc_now
from entente_common.contracts.job import Job, job_from_document
from entente_common.errors import RunFailed
from entente_sdk.cli.live import follow
from entente_sdk.client import Client
from entente_sdk.progress import RunProgress
from entente_simulations.demo.claims import examine
from entente_simulations.demo.federation import running_federation
from entente_simulations.demo.results import DemoResults, RunResult, SiteShare
from entente_simulations.demo.scenarios.scenario import PlannedRun, Scenario, write_yaml
from entente_simulations.demo.workspace import Workspace

if TYPE_CHECKING:
    from entente_simulations.demo.baselines import Benchmark


def perform(scenario: Scenario, workspace: Workspace, *, console: Console) -> DemoResults:
    """Stage the scenario and gather what it shows.

    Raises:
        RunFailed: A process or a run failed.
    """
    started_at, begun = rfc3339(utc_now()), time.monotonic()
    jobs = _write_inputs(scenario, workspace)
    sites = [table.site for table in scenario.tables]
    with running_federation(
        workspace,
        sites=sites,
        dataset=str(scenario.contract["name"]),
        job=jobs[0].document(),
        tell=lambda line: console.print(f"· {line}", style="dim"),
    ) as client:
        executed = [
            _execute(client, plan, job, workspace, console=console)
            for plan, job in zip(scenario.runs, jobs, strict=True)
        ]
    console.print("· training each site alone, and all records in one place", style="dim")
    return _judge(
        scenario,
        workspace,
        executed,
        job=jobs[0],
        started_at=started_at,
        begun=begun,
    )


def _write_inputs(scenario: Scenario, workspace: Workspace) -> list[Job]:
    """Write the files a person would write; return the jobs as the coordinator will see them."""
    write_yaml(scenario.contract, workspace.data / "contract.yaml")
    for table in scenario.tables:
        table.write_csv(workspace.data / f"{table.site}.csv")
    for plan in scenario.runs:
        write_yaml(plan.job, workspace.jobs / f"{plan.key}.yaml")
    return [job_from_document(plan.job) for plan in scenario.runs]


def _execute(
    client: Client, plan: PlannedRun, job: Job, workspace: Workspace, *, console: Console
) -> RunResult:
    console.print(f"\n{plan.title}", style="bold")
    console.print(plan.purpose, style="dim")
    begun = time.monotonic()
    run = client.submit(job.document())
    progress = RunProgress(run_id=run.id, name=run.name, rounds_total=run.rounds_total)
    progress, _ = follow(client.events(run.id), progress, console=console)
    ended = client.run(run.id)
    if ended.status != "succeeded":
        raise RunFailed(
            f"{plan.title}: {ended.status}, {ended.reason or 'no reason was given'}",
            hint=f"Read the logs in {workspace.logs}.",
        )
    content = client.model(run.id)
    (workspace.models / f"{plan.key}.safetensors").write_bytes(content)
    return RunResult(
        plan=plan,
        run=ended,
        rounds=progress.rounds,
        seconds=time.monotonic() - begun,
        metrics={},
        model_bytes=len(content),
    )


def _judge(
    scenario: Scenario,
    workspace: Workspace,
    executed: Sequence[RunResult],
    *,
    job: Job,
    started_at: str,
    begun: float,
) -> DemoResults:
    # Brings torch, which nothing before needs.
    from entente_simulations.demo.baselines import Benchmark

    names = [table.site for table in scenario.tables]
    benchmark = Benchmark.read(workspace, sites=names, job=job)
    runs = tuple(_judged(result, benchmark, workspace) for result in executed)
    baselines = benchmark.baselines()
    shares = tuple(
        SiteShare(table.site, len(rows.train_y), len(rows.holdout_y), table.classes)
        for table, rows in zip(scenario.tables, benchmark.sites, strict=True)
    )
    return DemoResults(
        scenario=scenario,
        shares=shares,
        baselines=baselines,
        runs=runs,
        claims=examine(scenario, baselines=baselines, runs=runs),
        version=__version__,
        machine=_machine(),
        started_at=started_at,
        seconds=time.monotonic() - begun,
    )


def _judged(result: RunResult, benchmark: Benchmark, workspace: Workspace) -> RunResult:
    """The run with its model's metrics on the held-back rows of all sites."""
    content = (workspace.models / f"{result.plan.key}.safetensors").read_bytes()
    return replace(result, metrics=benchmark.judge(content, digest=result.run.model_digest))


def _machine() -> str:
    python = ".".join(str(part) for part in sys.version_info[:3])
    system = f"{platform.system()} {platform.machine()}"
    return f"Python {python}, {system}, {os.cpu_count()} processors"
