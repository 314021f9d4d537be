"""Names and numbers as the report writes them."""

from __future__ import annotations

from collections.abc import Mapping

from entente_simulations.demo.report.markup import Markup, join, tag

_METRIC_NAMES = {"auroc": "AUROC", "accuracy": "accuracy", "log-loss": "log-loss"}
_METRIC_MEANINGS = {
    "auroc": "AUROC is the chance that the model ranks a random positive case above a random "
    "negative one: 0.5 is guessing, 1 is perfect.",
    "accuracy": "Accuracy is the share of records whose class the model names correctly.",
    "log-loss": "Log-loss is low when the model is right and sure; it punishes confident errors.",
}


def metric_name(metric: str) -> str:
    """A metric as people write it in a sentence."""
    return _METRIC_NAMES.get(metric, metric)


def metric_heading(metric: str) -> str:
    """A metric as people write it at the head of a column or chart."""
    name = metric_name(metric)
    return name[:1].upper() + name[1:]


def metric_meaning(metric: str) -> str:
    """One sentence on what a metric says, or nothing."""
    return _METRIC_MEANINGS.get(metric, "")


def number(value: float | None, *, digits: int = 4) -> str:
    """A number with fixed digits, or a dash when there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def section(anchor: str, heading: str, *content: Markup | list[Markup]) -> Markup:
    """A part of the report under its heading."""
    title = tag("h2", heading, id=f"{anchor}-heading")
    return tag("section", title, join(*content), id=anchor, aria_labelledby=f"{anchor}-heading")


def paragraph(*content: str | Markup, class_: str | None = None) -> Markup:
    """A paragraph."""
    return tag("p", content, class_=class_)


def bullets(items: list[str]) -> Markup:
    """A list of sentences."""
    return tag("ul", [tag("li", item) for item in items], class_="prose")


def facts(values: Mapping[str, str | None]) -> Markup:
    """Names and digests, one pair a line."""
    pairs = []
    for name, value in values.items():
        pairs += [tag("dt", name), tag("dd", tag("code", value or "–"))]
    return tag("dl", pairs, class_="digest")
