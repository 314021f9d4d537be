"""What a demo found: plain values, from which report and results.json are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from entente_common.contracts.run import RoundReport, Run
from entente_simulations.demo.scenarios.scenario import PlannedRun, Scenario

FORMAT = "entente/demo-results/v1"


@dataclass(frozen=True, slots=True)
class SiteShare:
    """What one site holds.

    Attributes:
        site: Its name.
        train: Records it trains on.
        holdout: Records it holds back.
        classes: Records of each class, in the contract's order.
    """

    site: str
    train: int
    holdout: int
    classes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Baseline:
    """A model trained without a federation.

    Attributes:
        site: The site that trained alone; `None` for the model on everybody's pooled records.
        metrics: How it does on the held-back records of all sites.
    """

    site: str | None
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class RunResult:
    """One run of the demo.

    Attributes:
        plan: What was to be shown.
        run: The run as the coordinator tells it.
        rounds: Its rounds.
        seconds: From submission to the end.
        metrics: How its model does on the held-back records of all sites.
        model_bytes: Size of the model file.
    """

    plan: PlannedRun
    run: Run
    rounds: tuple[RoundReport, ...]
    seconds: float
    metrics: Mapping[str, float]
    model_bytes: int


@dataclass(frozen=True, slots=True)
class Claim:
    """Something the demo set out to show.

    Attributes:
        statement: The claim, a sentence.
        holds: Whether it was found to be so.
        evidence: The numbers it rests on.
    """

    statement: str
    holds: bool
    evidence: str


@dataclass(frozen=True, slots=True)
class DemoResults:
    """Everything a demo found.

    Attributes:
        scenario: What was staged.
        shares: Who held what.
        baselines: Models without a federation; the pooled one last.
        runs: The runs, in order.
        claims: What was to be shown.
        version: The version of Entente.
        machine: Python, operating system and processors.
        started_at: When it began (RFC 3339).
        seconds: How long all of it took.
    """

    scenario: Scenario
    shares: tuple[SiteShare, ...]
    baselines: tuple[Baseline, ...]
    runs: tuple[RunResult, ...]
    claims: tuple[Claim, ...]
    version: str
    machine: str
    started_at: str
    seconds: float

    def document(self) -> dict[str, Any]:
        """The results as a JSON document."""
        return {
            "format": FORMAT,
            "scenario": self.scenario.name.value,
            "version": self.version,
            "machine": self.machine,
            "started_at": self.started_at,
            "seconds": self.seconds,
            "claims": [
                {"statement": claim.statement, "holds": claim.holds, "evidence": claim.evidence}
                for claim in self.claims
            ],
            "sites": [
                {
                    "site": share.site,
                    "train": share.train,
                    "holdout": share.holdout,
                    "classes": dict(share.classes),
                }
                for share in self.shares
            ],
            "baselines": [
                {"site": baseline.site, "metrics": dict(baseline.metrics)}
                for baseline in self.baselines
            ],
            "runs": [_run_document(result) for result in self.runs],
        }


def _run_document(result: RunResult) -> dict[str, Any]:
    return {
        "key": result.plan.key,
        "run": result.run.model_dump(mode="json"),
        "rounds": [report.model_dump(mode="json") for report in result.rounds],
        "seconds": result.seconds,
        "metrics": dict(result.metrics),
        "model_bytes": result.model_bytes,
    }
