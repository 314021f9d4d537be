"""A round is told once, with the evaluation that the next exchange brings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from entente_common.contracts.run import RoundReport, SiteRound
from entente_server.coordination.report import RoundReports


def report(site: str, **changes: Any) -> SiteRound:
    fields: dict[str, Any] = {"site": site, "examples": 10, "train_s": 0.5, "bytes_up": 1}
    return SiteRound.model_validate(fields | changes)


class Told:
    """Round reports that remember what they told."""

    def __init__(self) -> None:
        self.rounds: list[RoundReport] = []
        self.reports = RoundReports(self._emit)

    def _emit(self, kind: str, data: Mapping[str, Any]) -> None:
        assert kind == "round.completed"
        self.rounds.append(RoundReport.model_validate(data))

    def train(self, number: int, *reports: SiteRound) -> None:
        self.reports.trained(
            number,
            reports={r.site: r for r in reports},
            seconds=float(number),
            bytes_up={r.site: 100 * number for r in reports},
            bytes_down=7,
        )

    def evaluate(self, *reports: SiteRound) -> None:
        self.reports.evaluated({r.site: r for r in reports})


@pytest.fixture
def told() -> Told:
    return Told()


def test_a_round_joins_its_training_with_the_evaluation_after_it(told: Told) -> None:
    told.train(1, report("a", train_loss=0.9, epsilon=1.0, metrics={"accuracy": 0.1}))
    assert told.rounds == []
    told.evaluate(report("a", train_s=0.0, epsilon=9.0, metrics={"accuracy": 0.8}, holdout_loss=2))
    (first,) = told.rounds
    (site,) = first.sites
    assert (first.round, first.seconds, first.bytes_up, first.bytes_down) == (1, 1.0, 100, 7)
    assert (site.train_loss, site.train_s, site.epsilon, site.bytes_up) == (0.9, 0.5, 1.0, 100)
    assert (site.metrics, site.holdout_loss) == ({"accuracy": 0.8}, 2.0)


def test_the_next_rounds_training_brings_the_evaluation(told: Told) -> None:
    told.train(1, report("a", train_loss=0.9))
    told.train(2, report("a", train_loss=0.7, holdout_examples=5, metrics={"accuracy": 0.6}))
    assert [r.round for r in told.rounds] == [1]
    assert told.rounds[0].sites[0].train_loss == 0.9
    assert told.rounds[0].metrics == {"accuracy": 0.6}
    told.evaluate(report("a"))
    assert [r.round for r in told.rounds] == [1, 2]
    told.evaluate(report("a"))
    assert len(told.rounds) == 2, "a round is told once"


def test_metrics_are_weighted_by_held_back_rows(told: Told) -> None:
    told.train(1, report("a"), report("b"))
    told.evaluate(
        report("a", holdout_examples=30, metrics={"accuracy": 1.0}),
        report("b", holdout_examples=10, metrics={"accuracy": 0.0, "auroc": 0.5}),
    )
    assert told.rounds[0].metrics == {"accuracy": 0.75, "auroc": 0.5}
    assert told.reports.last_metrics == told.rounds[0].metrics


def test_a_site_that_left_is_not_in_the_report_but_its_bytes_are(told: Told) -> None:
    told.train(1, report("a"), report("b"))
    told.evaluate(report("b"))
    assert [site.site for site in told.rounds[0].sites] == ["b"]
    assert told.rounds[0].bytes_up == 200


def test_a_site_cannot_report_in_anothers_name(told: Told) -> None:
    told.train(1, report("a"), report("b"))
    told.reports.evaluated({"a": report("b", examples=1), "b": report("zz", examples=2)})
    assert [(site.site, site.examples) for site in told.rounds[0].sites] == [("a", 1), ("b", 2)]


def test_rounds_without_held_back_rows_have_no_metrics(told: Told) -> None:
    told.train(1, report("a"))
    told.evaluate(report("a", holdout_examples=0, metrics={}))
    assert told.rounds[0].metrics == {}
