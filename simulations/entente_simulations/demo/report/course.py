"""The report's second part: each run round by round, and what it cost in bytes and seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import median

from entente_common.contracts.run import RoundReport, SiteRound
from entente_sdk.quantities import bytes_text, seconds_text
from entente_simulations.demo.report.charts import Series, line_chart
from entente_simulations.demo.report.markup import Markup, join, table, tag
from entente_simulations.demo.report.wording import metric_heading, number, paragraph, section
from entente_simulations.demo.results import DemoResults, RunResult

_FEDERATION = "all sites"


def rounds(results: DemoResults) -> Markup:
    """Curves and numbers of every run."""
    runs = [_run(result, metric=results.scenario.headline) for result in results.runs]
    return section(
        "rounds",
        "Round by round",
        paragraph(
            "In each round every site trains for a few steps on its own records and sends its "
            "change of the model; the changes are added up, weighted by the number of records, "
            "and every site applies the sum. The thin lines show the common model on each site's "
            "held-back records, the thick one the mean over all of them."
        ),
        *runs,
    )


def cost(results: DemoResults) -> Markup:
    """Bytes and seconds of every run."""
    rows = []
    for result in results.runs:
        durations = [report.seconds for report in result.rounds]
        rows.append(
            [
                result.plan.title,
                str(len(result.rounds)),
                seconds_text(result.seconds),
                seconds_text(median(durations)) if durations else "–",
                bytes_text(result.run.bytes_up),
                bytes_text(result.run.bytes_down),
                bytes_text(result.model_bytes),
            ]
        )
    header = ["Run", "Rounds", "In all", "A round", "Sent by sites", "Sent to sites", "Model"]
    return section(
        "cost",
        "What it cost",
        paragraph(
            "Bytes are those of all sites together, as they travelled. The time in all runs from "
            "the submission to the model and includes key agreement; a round's time is the median."
        ),
        table("Time and traffic of each run", header, rows),
        paragraph(f"Measured on one machine: {results.machine}.", class_="note"),
    )


def _run(result: RunResult, *, metric: str) -> Markup:
    title, sites = result.plan.title, list(result.run.sites)
    by_metric = _series(
        result.rounds,
        sites,
        of_site=lambda site: site.metrics.get(metric),
        of_all=lambda report: report.metrics.get(metric),
    )
    by_loss = _series(
        result.rounds, sites, of_site=lambda site: site.holdout_loss, of_all=_mean_loss
    )
    name = metric_heading(metric)
    charts = [
        _chart(by_metric, title=f"{title}: {name}", y_label=name),
        _chart(by_loss, title=f"{title}: loss", y_label="loss on held-back records"),
    ]
    numbers = tag("details", tag("summary", f"All numbers of “{title}”"), _table(result, sites))
    return join(
        tag("h3", title),
        paragraph(result.plan.purpose, class_="note"),
        tag("div", charts, class_="charts"),
        numbers,
    )


def _chart(series: list[Series], *, title: str, y_label: str) -> Markup:
    return line_chart(
        series,
        title=title,
        description=f"{y_label} after each round, one line a site and a thick one for all sites.",
        x_label="round",
        y_label=y_label,
    )


def _series(
    reports: Iterable[RoundReport],
    sites: list[str],
    *,
    of_site: Callable[[SiteRound], float | None],
    of_all: Callable[[RoundReport], float | None],
) -> list[Series]:
    lines: dict[str, list[tuple[float, float]]] = {name: [] for name in (*sites, _FEDERATION)}
    for report in reports:
        for site in report.sites:
            value = of_site(site)
            if value is not None:
                lines.setdefault(site.site, []).append((report.round, value))
        together = of_all(report)
        if together is not None:
            lines[_FEDERATION].append((report.round, together))
    return [
        # Tone 0 is the federation's throughout the report; the sites take the others in order.
        Series(name, points, tone=0 if name == _FEDERATION else place + 1,
               strong=name == _FEDERATION)
        for place, (name, points) in enumerate(lines.items())
        if points
    ]  # fmt: skip


def _mean_loss(report: RoundReport) -> float | None:
    """Mean over all held-back records of the round."""
    known = [
        (site.holdout_examples, site.holdout_loss)
        for site in report.sites
        if site.holdout_loss is not None and site.holdout_examples > 0
    ]
    records = sum(count for count, _ in known)
    return sum(count * loss for count, loss in known) / records if records else None


def _table(result: RunResult, sites: list[str]) -> Markup:
    metrics = [str(name) for name in result.run.job["evaluation"]["metrics"]]
    spends = any(site.epsilon is not None for report in result.rounds for site in report.sites)
    header = [
        "Round",
        *(metric_heading(name) for name in metrics),
        "Loss, all sites",
        *(f"Loss, {site}" for site in sites),
        *(["Epsilon, largest"] if spends else []),
        "Sent by sites",
        "Sent to sites",
        "Time",
    ]
    rows = []
    for report in result.rounds:
        losses = {site.site: site.holdout_loss for site in report.sites}
        epsilons = [site.epsilon for site in report.sites if site.epsilon is not None]
        rows.append(
            [
                str(report.round),
                *(number(report.metrics.get(name)) for name in metrics),
                number(_mean_loss(report)),
                *(number(losses.get(site)) for site in sites),
                *([number(max(epsilons, default=None), digits=3)] if spends else []),
                bytes_text(report.bytes_up),
                bytes_text(report.bytes_down),
                seconds_text(report.seconds),
            ]
        )
    return table(f"Every round of “{result.plan.title}”", header, rows)
