"""The report's third part: what encryption hid, and what differential privacy guaranteed."""

from __future__ import annotations

import math

from entente_common.privacy.statement import PrivacyStatement
from entente_sdk.quantities import bytes_text
from entente_simulations.demo.report.charts import Level, Series, line_chart
from entente_simulations.demo.report.markup import Markup, join, table, tag
from entente_simulations.demo.report.wording import bullets, facts, number, paragraph, section
from entente_simulations.demo.results import DemoResults, RunResult


def encryption(results: DemoResults) -> Markup:
    """That the encrypted sum is the plain sum, and what it took."""
    by_key = {result.plan.key: result for result in results.runs}
    plain, encrypted = by_key["plain"], by_key["encrypted"]
    return section(
        "encryption",
        "Encrypted, and still exact",
        paragraph(
            "In an encrypted run the sites agree on a key among themselves. Each turns its update "
            "into whole numbers, encrypts them, and sends only the ciphertexts. The coordinator "
            "adds ciphertexts up without being able to read any of them, and the sites decrypt the "
            "sum. Sums of whole numbers are exact, so nothing is lost: two models with the same "
            "digest are equal in every bit."
        ),
        facts(
            {
                "Model of the plain run": plain.run.model_digest,
                "Model of the encrypted run": encrypted.run.model_digest,
            }
        ),
        paragraph(_price(plain, encrypted)),
        paragraph(
            "What the coordinator still sees, in either run: which sites take part, how many "
            "records they train on, their losses and metrics on held-back records, timing and "
            "sizes, and the final model, because these jobs release it to the coordinator.",
            class_="note",
        ),
    )


def privacy(results: DemoResults) -> Markup:
    """The guarantee of each private run, with everything needed to check it."""
    private = [result for result in results.runs if result.run.privacy]
    if not private:
        return section(
            "privacy",
            "Differential privacy",
            paragraph(
                "This scenario trains without differential privacy. Encryption hides each update "
                "from the coordinator, but nothing here bounds what the finished model itself "
                "may reveal of a single record. The hospitals scenario shows that bound."
            ),
        )
    return section(
        "privacy",
        "Differential privacy",
        paragraph(
            "Encryption hides the updates; it does not stop the finished model from remembering a "
            "patient. In the private run each site clips what any one record can contribute to a "
            "step and adds noise before anything leaves. Epsilon then bounds how much any one "
            "record can change the odds of whatever may be concluded from the model. Smaller is "
            "stronger."
        ),
        *(_guarantee(result) for result in private),
    )


def _price(plain: RunResult, encrypted: RunResult) -> str:
    sent = f"Encrypted, the sites sent {bytes_text(encrypted.run.bytes_up)} in all"
    if not plain.run.bytes_up:
        return f"{sent}."
    ratio = encrypted.run.bytes_up / plain.run.bytes_up
    return (
        f"{sent}, against {bytes_text(plain.run.bytes_up)} in the plain run: {ratio:.1f} times as "
        "much. Ciphertexts come in blocks of a fixed size, so small models pay the most for each "
        "parameter."
    )


def _guarantee(result: RunResult) -> Markup:
    statements = result.run.privacy
    limit = float(result.run.job["privacy"]["epsilon"])
    first = statements[0]
    assumptions = list(dict.fromkeys(text for s in statements for text in s.assumptions))
    excluded = list(dict.fromkeys(text for s in statements for text in s.excluded))
    accountants = sorted({statement.accountant.upper() for statement in statements})
    return join(
        tag("h3", f"{result.plan.title}: what each site spent"),
        table(
            f"Privacy spent at each site; the job allows epsilon {limit:g}",
            ["Site", "Epsilon", "Delta", "Noise multiplier", "Sampling rate", "Steps"],
            [_row(statement) for statement in statements],
        ),
        _epsilon_chart(result, limit=limit),
        paragraph(
            f"Protected is one {first.unit}; mechanism {first.mechanism}; accountant "
            f"{', '.join(accountants)}. Epsilon {limit:g} allows odds to change by a factor of up "
            f"to {math.exp(limit):,.0f}: a modest guarantee, chosen because these sites are small. "
            "More records allow a smaller epsilon at the same accuracy."
        ),
        _sentences("What the guarantee rests on", assumptions),
        _sentences("What it does not cover", excluded),
    )


def _row(statement: PrivacyStatement) -> list[str]:
    return [
        statement.site,
        number(statement.epsilon, digits=3),
        f"{statement.delta:g}",
        number(statement.noise_multiplier, digits=3),
        number(statement.sample_rate, digits=3),
        str(statement.steps),
    ]


def _epsilon_chart(result: RunResult, *, limit: float) -> Markup:
    lines: dict[str, list[tuple[float, float]]] = {site: [] for site in result.run.sites}
    for report in result.rounds:
        for site in report.sites:
            if site.epsilon is not None:
                lines.setdefault(site.site, []).append((report.round, site.epsilon))
    series = [
        Series(site, points, tone=place + 1)
        for place, (site, points) in enumerate(lines.items())
        if points
    ]
    chart = line_chart(
        series,
        title="Epsilon spent after each round",
        description="One line a site, rising to the job's limit, which is the dashed line.",
        x_label="round",
        y_label="epsilon",
        level=Level(f"the job's limit, {limit:g}", limit),
        from_zero=True,
    )
    return tag("div", chart, class_="wide")


def _sentences(heading: str, sentences: list[str]) -> Markup:
    if not sentences:
        return join()
    return join(tag("h3", heading), bullets(sentences))
