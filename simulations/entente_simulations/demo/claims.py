"""What the demo sets out to show, and whether it did.

A claim that does not hold ends the demo with an error: a demo that cannot fail shows nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from entente_common.errors import RunFailed
from entente_simulations.demo.report.wording import metric_name
from entente_simulations.demo.results import Baseline, Claim, RunResult
from entente_simulations.demo.scenarios.scenario import Scenario


def examine(
    scenario: Scenario, *, baselines: Sequence[Baseline], runs: Sequence[RunResult]
) -> tuple[Claim, ...]:
    """All claims of a scenario, those that fail included."""
    by_key = {result.plan.key: result for result in runs}
    return (
        _keeps_up(scenario, by_key["encrypted"], baselines=baselines),
        _equal(by_key["plain"], by_key["encrypted"]),
        *_bounded(runs),
    )


def insist(claims: Sequence[Claim]) -> None:
    """Let nothing pass that was not shown.

    Raises:
        RunFailed: A claim does not hold.
    """
    broken = [f"{claim.statement} Found: {claim.evidence}" for claim in claims if not claim.holds]
    if broken:
        raise RunFailed(
            "The demo did not show what it claims. " + " ".join(broken),
            hint="Fewer rounds than the scenario's own may be too few; otherwise this is a defect, "
            "please report it with results.json.",
        )


def _keeps_up(scenario: Scenario, result: RunResult, *, baselines: Sequence[Baseline]) -> Claim:
    metric, name = scenario.headline, metric_name(scenario.headline)
    pooled = next(baseline for baseline in baselines if baseline.site is None)
    federated, centralised = result.metrics.get(metric), pooled.metrics.get(metric)
    statement = (
        f"The federated model is as good as one trained on all records in one place: "
        f"its {name} stays within {scenario.tolerance:g} of that."
    )
    if federated is None or centralised is None:
        return Claim(statement, holds=False, evidence=f"{name} could not be computed.")
    return Claim(
        statement,
        holds=federated >= centralised - scenario.tolerance,
        evidence=f"{federated:.4f} federated, {centralised:.4f} in one place.",
    )


def _equal(plain: RunResult, encrypted: RunResult) -> Claim:
    digests = plain.run.model_digest, encrypted.run.model_digest
    return Claim(
        "Encryption changes nothing but who can read: the model of the encrypted run equals that "
        "of the plain run bit for bit.",
        holds=digests[0] is not None and digests[0] == digests[1],
        evidence=f"Plain {_shortened(digests[0])}, encrypted {_shortened(digests[1])}",
    )


def _bounded(runs: Sequence[RunResult]) -> Iterator[Claim]:
    for result in runs:
        privacy = result.run.job["privacy"]
        if privacy["unit"] == "none":
            continue
        limit = float(privacy["epsilon"])
        spent = {statement.site: statement.epsilon for statement in result.run.privacy}
        yield Claim(
            f"Differential privacy kept its promise: no site spent more than epsilon {limit:g}.",
            holds=set(spent) == set(result.run.sites)
            and all(epsilon <= limit for epsilon in spent.values()),
            evidence=", ".join(f"{site} {epsilon:.3f}" for site, epsilon in spent.items()) + "."
            if spent
            else "no site reported what it spent.",
        )


def _shortened(digest: str | None) -> str:
    """Enough of a digest to compare by eye; the whole stands elsewhere in the report."""
    return "no model" if digest is None else f"{digest[:19]}…"
