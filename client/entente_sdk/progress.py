"""A run as its events tell it: a fold of the event stream, without a clock or a screen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from pydantic import ValidationError

from entente_common.contracts.run import (
    ROUND_COMPLETED,
    RUN_FINISHED,
    RUN_PREPARED,
    RUN_STARTED,
    SITE_DROPPED,
    RoundReport,
    RunEvent,
)
from entente_common.errors import InternalError


@dataclass(frozen=True, slots=True)
class Dropout:
    """A site that left a run, and why."""

    site: str
    reason: str


@dataclass(frozen=True, slots=True)
class RunProgress:
    """All that the events so far have said.

    Attributes:
        run_id: The run.
        name: The job's name.
        rounds_total: Rounds the job asks for.
        status: "pending", "running", "succeeded", "failed" or "aborted".
        protection: How updates are protected, once known.
        privacy_unit: What differential privacy protects, once known; "none" without it.
        parameters: Parameters of the model, once known.
        sites: Names of the sites that take part.
        rounds: Completed rounds, in order.
        dropouts: Sites that left, in order.
        reason: Why the run ended as it did.
        model_digest: Digest of the final model.
    """

    run_id: str
    name: str
    rounds_total: int
    status: str = "pending"
    protection: str | None = None
    privacy_unit: str | None = None
    parameters: int | None = None
    sites: tuple[str, ...] = ()
    rounds: tuple[RoundReport, ...] = ()
    dropouts: tuple[Dropout, ...] = ()
    reason: str | None = None
    model_digest: str | None = None

    def after(self, event: RunEvent) -> RunProgress:
        """The progress once `event` has happened; unknown kinds change nothing.

        Raises:
            InternalError: The event's data does not have the shape of its kind.
        """
        step = _STEPS.get(event.kind)
        if step is None:
            return self
        try:
            return step(self, event.data)
        except (KeyError, TypeError, ValueError, ValidationError) as error:
            raise InternalError(
                f"Event {event.seq} of {self.run_id} is no {event.kind} as this version knows it.",
                hint="Install the version of Entente that the coordinator runs.",
            ) from error


def _started(progress: RunProgress, data: Mapping[str, object]) -> RunProgress:
    sites = data["sites"]
    if not isinstance(sites, list):
        raise TypeError("sites")
    return replace(
        progress,
        status="running",
        sites=tuple(str(site) for site in sites),
        protection=str(data["protection"]),
        privacy_unit=str(data["privacy_unit"]),
    )


def _prepared(progress: RunProgress, data: Mapping[str, object]) -> RunProgress:
    return replace(progress, parameters=int(str(data["parameters"])))


def _round(progress: RunProgress, data: Mapping[str, object]) -> RunProgress:
    return replace(progress, rounds=(*progress.rounds, RoundReport.model_validate(data)))


def _dropped(progress: RunProgress, data: Mapping[str, object]) -> RunProgress:
    dropout = Dropout(str(data["site"]), str(data["reason"]))
    return replace(progress, dropouts=(*progress.dropouts, dropout))


def _finished(progress: RunProgress, data: Mapping[str, object]) -> RunProgress:
    return replace(
        progress,
        status=str(data["status"]),
        reason=_text(data.get("reason")),
        model_digest=_text(data.get("model_digest")),
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


_STEPS: Mapping[str, Callable[[RunProgress, Mapping[str, object]], RunProgress]] = {
    RUN_STARTED: _started,
    RUN_PREPARED: _prepared,
    ROUND_COMPLETED: _round,
    SITE_DROPPED: _dropped,
    RUN_FINISHED: _finished,
}
