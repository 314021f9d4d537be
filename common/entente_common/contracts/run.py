"""A run as the coordinator reports it: its state, its rounds and its stream of events.

Events of a run are numbered from 1 without gaps; a reader that saw event `n` asks for what follows
`n`. The last event of every run is `run.finished`. The kinds and their data:

    run.started      {sites: [name], protection, privacy_unit}
    run.prepared     {key_id: text or null, manifest_digest, parameters: count}
    round.completed  a `RoundReport`
    site.dropped     {site, reason}
    run.finished     {status, reason, model_digest}
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from entente_common.contracts.fields import Digest, Moment, Slug, WireModel
from entente_common.privacy.statement import PrivacyStatement

RunStatus = Literal["pending", "running", "succeeded", "failed", "aborted"]
TERMINAL_STATUSES: frozenset[RunStatus] = frozenset({"succeeded", "failed", "aborted"})

RUN_STARTED = "run.started"
RUN_PREPARED = "run.prepared"
ROUND_COMPLETED = "round.completed"
SITE_DROPPED = "site.dropped"
RUN_FINISHED = "run.finished"


def _finite_or_none(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _finite_only(value: object) -> object:
    if not isinstance(value, dict):
        return value
    return {name: number for name, number in value.items() if _finite_or_none(number) is not None}


Loss = Annotated[float | None, BeforeValidator(_finite_or_none)]
"""A loss; one that is infinite or not a number becomes `None`, because JSON cannot say it."""

Metrics = Annotated[dict[str, float], BeforeValidator(_finite_only)]
"""Metrics by name; those that are absent or not finite are left out."""


class SiteRound(WireModel):
    """What one site did in one round.

    Attributes:
        site: The site's name.
        examples: Records it trained on, 0 or more.
        train_loss: Mean loss over its local steps, or `None` when unknown or not finite.
        holdout_examples: Records it evaluated on, 0 or more.
        holdout_loss: Mean loss on them under the round's new model, or `None`.
        metrics: Metrics on them, by name.
        epsilon: Privacy spent there so far, 0 or more, or `None` without differential privacy.
        train_s: Seconds it trained.
        bytes_up: Bytes it sent.
    """

    site: Slug
    examples: int = Field(ge=0)
    train_loss: Loss = None
    holdout_examples: int = Field(default=0, ge=0)
    holdout_loss: Loss = None
    metrics: Metrics = Field(default_factory=dict)
    epsilon: float | None = Field(default=None, ge=0)
    train_s: float = Field(ge=0)
    bytes_up: int = Field(ge=0)


class RoundReport(WireModel):
    """One completed round: its sites and their combined metrics.

    Attributes:
        round: Its number, from 1.
        sites: What each site did.
        metrics: Example-weighted means over the sites, by name.
        seconds: How long the round took.
        bytes_up: Bytes all sites sent.
        bytes_down: Bytes all sites received.
    """

    round: int = Field(ge=1)
    sites: tuple[SiteRound, ...]
    metrics: Metrics = Field(default_factory=dict)
    seconds: float = Field(ge=0)
    bytes_up: int = Field(ge=0)
    bytes_down: int = Field(ge=0)


class Run(WireModel):
    """One execution of a job.

    Attributes:
        id: Its identifier, `run_…`.
        name: The job's name.
        job: The job, fully resolved (`Job.document()`).
        job_digest: Digest of that document: what the sites take part in.
        code_digest: Digest of the code that every site must have installed.
        status: Where it stands; the last three of `RunStatus` are final.
        reason: Why it ended as it did, or `None`.
        created_at: When it was submitted (RFC 3339).
        started_at: When its sites began, or `None`.
        ended_at: When it ended, or `None`.
        sites: The sites that take part.
        rounds_total: Rounds the job asks for, 1 or more.
        rounds_done: Rounds completed, 0 to `rounds_total`.
        model_digest: Digest of the final model, or `None`.
        metrics: Metrics of the last round, or `None`.
        privacy: One statement a site, empty without differential privacy.
        bytes_up: Bytes the sites sent so far.
        bytes_down: Bytes the sites received so far.
    """

    id: str
    name: Slug
    job: dict[str, Any]
    job_digest: Digest
    code_digest: Digest
    status: RunStatus
    reason: str | None = None
    created_at: Moment
    started_at: Moment | None = None
    ended_at: Moment | None = None
    sites: tuple[Slug, ...] = ()
    rounds_total: int = Field(ge=1)
    rounds_done: int = Field(default=0, ge=0)
    model_digest: str | None = None
    metrics: Metrics | None = None
    privacy: tuple[PrivacyStatement, ...] = ()
    bytes_up: int = Field(default=0, ge=0)
    bytes_down: int = Field(default=0, ge=0)

    @property
    def ended(self) -> bool:
        """Whether the run reached a final state."""
        return self.status in TERMINAL_STATUSES


class RunEvent(WireModel):
    """One thing that happened in a run.

    Attributes:
        seq: Its place in the run's stream, from 1 without gaps.
        at: When it happened (RFC 3339).
        kind: What happened; kinds unknown to a reader are to be passed over.
        data: The kind's own data, see the module's table.
    """

    seq: int = Field(ge=1)
    at: Moment
    kind: str
    data: dict[str, Any] = Field(default_factory=dict)
