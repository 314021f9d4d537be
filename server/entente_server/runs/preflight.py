"""Preflight: which sites could take part in a job, and why the others could not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from entente_common.contracts.dataset import DatasetCard
from entente_common.contracts.job import Job
from entente_common.contracts.site import EligibleSite, IneligibleSite, Preflight, Site
from entente_common.errors import Conflict


def preflight(job: Job, sites: Sequence[Site], *, code_digest: str) -> Preflight:
    """Judge `sites` for `job`; a site is eligible when a run could start there now.

    Args:
        job: The job.
        sites: All sites known to the coordinator.
        code_digest: Digest of the code installed at the coordinator.
    """
    wanted = _agreed_contract(job, sites)
    eligible, ineligible = [], []
    for site in sites:
        card = _card(site, job.data.contract)
        obstacle = _obstacle(site, card, wanted=wanted, job=job, code_digest=code_digest)
        if obstacle is None and card is not None:
            eligible.append(EligibleSite(site=site.name, rows=card.rows))
        elif obstacle is not None:
            reason, cure = obstacle
            ineligible.append(IneligibleSite(site=site.name, reason=reason, cure=cure))
    return Preflight(
        job_digest=job.digest(), eligible=tuple(eligible), ineligible=tuple(ineligible)
    )


def require_enough(job: Job, result: Preflight) -> list[str]:
    """The eligible sites.

    Raises:
        Conflict: They are fewer than the job's `min_sites`; every obstacle is listed.
    """
    if len(result.eligible) < job.protection.min_sites:
        obstacles = " ".join(f"{s.site}: {s.reason} {s.cure}" for s in result.ineligible)
        raise Conflict(
            f"{len(result.eligible)} sites can take part, the job needs"
            f" {job.protection.min_sites}. {obstacles}".rstrip(),
            hint="Remove the obstacles listed, or lower protection.min_sites.",
        )
    return [site.site for site in result.eligible]


def _card(site: Site, contract: str) -> DatasetCard | None:
    return next((card for card in site.datasets if card.contract == contract), None)


def _agreed_contract(job: Job, sites: Sequence[Site]) -> str | None:
    """The contract text most sites hold under the job's contract name."""
    cards = [_card(site, job.data.contract) for site in sites]
    digests = Counter(card.contract_digest for card in cards if card is not None)
    return min(digests, key=lambda text: (-digests[text], text)) if digests else None


def _obstacle(
    site: Site, card: DatasetCard | None, *, wanted: str | None, job: Job, code_digest: str
) -> tuple[str, str] | None:
    if site.status == "invited":
        return "It has not enrolled.", "Hand its operator the invitation file."
    if site.status != "online":
        return "Its agent is not connected.", "Start it with `entente agent run`."
    if site.code_digest != code_digest:
        return (
            f"Its code differs from the coordinator's (version {site.version}).",
            "Install the same Entente version on both sides.",
        )
    if card is None:
        return (
            f"It holds no dataset for {job.data.contract}.",
            "Register one with `entente agent data add`.",
        )
    if card.contract_digest != wanted:
        return (
            f"Its text of {job.data.contract} differs from the one most sites hold.",
            "Register the dataset again with the federation's contract file.",
        )
    return None
