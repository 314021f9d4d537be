"""The report's first part: what was shown, who held what, and what joining forces brought."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

from entente_simulations.demo.report.charts import Dot, dot_chart, stacked_bars
from entente_simulations.demo.report.markup import Markup, table, tag
from entente_simulations.demo.report.wording import (
    metric_heading,
    metric_meaning,
    metric_name,
    number,
    paragraph,
    section,
)
from entente_simulations.demo.results import DemoResults

_ALONE, _TOGETHER, _PRIVATE, _POOLED = 9, 0, 2, 1


@dataclass(frozen=True, slots=True)
class _Model:
    """One row of the comparison."""

    name: str
    metrics: dict[str, float]
    tone: int


def claims(results: DemoResults) -> Markup:
    """What the demo set out to show, each with its evidence."""
    cards = []
    for claim in results.claims:
        verdict = "✓ shown" if claim.holds else "✗ not shown"
        cards.append(
            tag(
                "li",
                tag("span", verdict, class_="verdict"),
                paragraph(claim.statement),
                paragraph(claim.evidence, class_="evidence"),
                class_=None if claim.holds else "broken",
            )
        )
    return section("shown", "What was shown", tag("ul", cards, class_="claims"))


def data(results: DemoResults) -> Markup:
    """Who held which records."""
    scenario = results.scenario
    classes = list(results.shares[0].classes)
    label = str(scenario.contract["label"])
    chart = stacked_bars(
        {share.site: share.classes for share in results.shares},
        title=f"{scenario.unit.capitalize()} at each site, by {label}",
        description=f"One bar a site, divided by {label}; the numbers stand in the table below.",
        x_label=scenario.unit,
    )
    rows = [
        [
            share.site,
            str(share.train),
            str(share.holdout),
            *(str(share.classes.get(name, 0)) for name in classes),
        ]
        for share in results.shares
    ]
    return section(
        "data",
        "Who holds what",
        paragraph(
            "The sites do not see the same mix of cases, as real institutions do not. Each keeps "
            "its records in its own directory; the coordinator learns how many there are, never a "
            "value. About a fifth is held back at every site to judge models on, chosen by a hash "
            "of the record's key, so that it is the same fifth in every run."
        ),
        _wide(chart),
        table(
            f"{scenario.unit.capitalize()} at each site",
            ["Site", "Trained on", "Held back", *classes],
            rows,
        ),
        paragraph(f"Source: {scenario.source}", class_="note"),
    )


def comparison(results: DemoResults) -> Markup:
    """Models trained alone, together and in one place, on the same held-back records."""
    metric = results.scenario.headline
    models = list(_models(results))
    names = list(dict.fromkeys(name for model in models for name in model.metrics))
    chart = dot_chart(
        [Dot(model.name, model.metrics.get(metric), model.tone) for model in models],
        title=f"{metric_heading(metric)} of every model",
        description="One dot a model; further right is better. The scale does not begin at zero.",
        x_label=f"{metric_heading(metric)} on the held-back records of all sites",
    )
    held_back = sum(share.holdout for share in results.shares)
    return section(
        "comparison",
        "What joining forces brought",
        paragraph(_finding(results)),
        _wide(chart),
        paragraph("The scale of this chart does not begin at zero.", class_="note"),
        table(
            f"Every model, judged on the same {held_back} held-back {results.scenario.unit}",
            ["Model", *(metric_heading(name) for name in names)],
            [
                [model.name, *(number(model.metrics.get(name)) for name in names)]
                for model in models
            ],
        ),
        paragraph(" ".join(metric_meaning(name) for name in names), class_="note"),
        paragraph(
            "“Alone” trains on one site's records only. “All in one place” is what the "
            "institutions may not do: it pools every record, and is here for comparison, made by "
            "the demo itself after the federation had stopped. Each model was trained for the same "
            "number of steps. With this few held-back records, differences in the last digits mean "
            "nothing.",
            class_="note",
        ),
    )


def _finding(results: DemoResults) -> str:
    metric = results.scenario.headline
    name = metric_name(metric)
    alone = [b.metrics[metric] for b in results.baselines if b.site and metric in b.metrics]
    by_key = {result.plan.key: result.metrics.get(metric) for result in results.runs}
    together, private = by_key.get("encrypted"), by_key.get("private")
    sentences = []
    if alone and together is not None:
        sentences.append(
            f"Alone, the sites reach {name} {min(alone):.3f} to {max(alone):.3f}, "
            f"{fmean(alone):.3f} on average; together they reach {together:.3f}."
        )
    if together is not None and private is not None:
        change = private - together
        direction = "cost" if change < 0 else "changed it by"
        sentences.append(
            f"Differential privacy {direction} {abs(change):.3f} of that and leaves {private:.3f}."
        )
    return " ".join(sentences)


def _models(results: DemoResults) -> Iterable[_Model]:
    pooled = []
    for baseline in results.baselines:
        if baseline.site is None:
            pooled.append(_Model("All in one place", dict(baseline.metrics), _POOLED))
        else:
            yield _Model(f"{baseline.site} alone", dict(baseline.metrics), _ALONE)
    for result in results.runs:
        tone = _PRIVATE if result.plan.key == "private" else _TOGETHER
        yield _Model(f"Together: {result.plan.key}", dict(result.metrics), tone)
    yield from pooled


def _wide(figure: Markup) -> Markup:
    return tag("div", figure, class_="wide")
