"""Round reports: what the sites said of one round, put together.

A site trains round n and evaluates its result when it starts round n + 1, in one exchange. The
report of round n is therefore complete, and told, one exchange later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from entente_common.contracts.run import RoundReport, SiteRound
from entente_common.learning.metrics import combine


@dataclass(slots=True)
class _Trained:
    number: int
    reports: Mapping[str, SiteRound]
    seconds: float
    bytes_up: Mapping[str, int]
    bytes_down: int


@dataclass(slots=True)
class RoundReports:
    """Pairs each round's training with the evaluation that follows it.

    Attributes:
        failures: Why each site that left the run left it.
    """

    emit: Callable[[str, Mapping[str, Any]], None]
    failures: dict[str, str] = field(default_factory=dict)
    last_metrics: dict[str, float] = field(default_factory=dict)
    _open: _Trained | None = None

    def trained(
        self,
        number: int,
        *,
        reports: Mapping[str, SiteRound],
        seconds: float,
        bytes_up: Mapping[str, int],
        bytes_down: int,
    ) -> None:
        """Round `number` was trained; `reports` also evaluate the round before it."""
        if self._open is not None:
            self.evaluated(reports)
        self._open = _Trained(number, reports, seconds, bytes_up, bytes_down)

    def evaluated(self, reports: Mapping[str, SiteRound]) -> None:
        """The model of the open round was evaluated: tell its report."""
        trained = self._open
        if trained is None:
            return
        self._open = None
        sites = [
            _joined(trained, evaluation, site=site)
            for site, evaluation in sorted(reports.items())
            if site in trained.reports
        ]
        self.last_metrics = combine([(s.holdout_examples, s.metrics) for s in sites])
        report = RoundReport(
            round=trained.number,
            sites=sites,
            metrics=self.last_metrics,
            seconds=trained.seconds,
            bytes_up=sum(trained.bytes_up.values()),
            bytes_down=trained.bytes_down,
        )
        self.emit("round.completed", report.model_dump(mode="json"))


def _joined(trained: _Trained, evaluation: SiteRound, *, site: str) -> SiteRound:
    training = trained.reports[site]
    return evaluation.model_copy(
        update={
            # Whose report it is, the connection tells, not the report.
            "site": site,
            "train_loss": training.train_loss,
            "train_s": training.train_s,
            "epsilon": training.epsilon,
            "bytes_up": trained.bytes_up.get(site, 0),
        }
    )
