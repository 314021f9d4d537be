"""The whole report: parts in order, one style sheet, no script, and a policy that forbids more."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources

from entente_sdk.quantities import seconds_text
from entente_simulations.demo.report import course, outcome, protection
from entente_simulations.demo.report.markup import Markup, join, tag
from entente_simulations.demo.report.wording import bullets, facts, paragraph, section
from entente_simulations.demo.results import DemoResults

_PARTS = {
    "shown": "What was shown",
    "data": "Who holds what",
    "comparison": "What it brought",
    "rounds": "Round by round",
    "encryption": "Encryption",
    "privacy": "Privacy",
    "cost": "Cost",
    "limits": "Limits",
    "again": "Do it again",
}

_LIMITS = """\
All processes ran on one machine, so times say nothing about real networks.
The sites share the group key. It hides updates from the coordinator, not from a coordinator that \
works together with a site.
The coordinator certifies the sites. A dishonest one could invent a site; every site is shown the \
list of members, and should know its members.
Sites are trusted to train honestly. A site that sends a poisoned update changes the sum.
The division of the data among sites is invented, and one seed is not a study.
"""


def render(results: DemoResults) -> str:
    """The report as one HTML document that loads nothing."""
    style = resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    body = join(
        _opening(results),
        tag(
            "main",
            outcome.claims(results),
            outcome.data(results),
            outcome.comparison(results),
            course.rounds(results),
            protection.encryption(results),
            protection.privacy(results),
            course.cost(results),
            _limits(),
            _again(results),
        ),
        tag("footer", _provenance(results)),
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy(style)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", f"{results.scenario.title} · Entente"),
        tag("style", Markup(style)),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, tag('body', body), lang='en-GB')}\n"


def _policy(style: str) -> str:
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _opening(results: DemoResults) -> Markup:
    scenario = results.scenario
    links = [tag("li", tag("a", name, href=f"#{part}")) for part, name in _PARTS.items()]
    return tag(
        "header",
        paragraph("Entente · demonstration report", class_="kicker"),
        tag("h1", scenario.title),
        paragraph(scenario.question, class_="lead"),
        paragraph(
            f"{len(results.shares)} sites and one coordinator ran as separate processes on one "
            f"machine and trained {len(results.runs)} times in {seconds_text(results.seconds)}. "
            "No record left its site.",
        ),
        tag("nav", tag("ul", links), aria_label="Parts of this report"),
    )


def _limits() -> Markup:
    return section(
        "limits",
        "What this does not show",
        bullets(_LIMITS.splitlines()),
    )


def _again(results: DemoResults) -> Markup:
    scenario = results.scenario
    rounds = results.runs[0].run.rounds_total
    digests: dict[str, str | None] = {
        f"Job “{result.plan.title}”": result.run.job_digest for result in results.runs
    }
    digests["Code at coordinator and sites"] = results.runs[0].run.code_digest
    return section(
        "again",
        "Do it again",
        tag("pre", tag("code", f"entente demo --scenario {scenario.name.value} --rounds {rounds}")),
        paragraph(
            "The runs without differential privacy give the same models bit for bit on the same "
            "machine, because batches and rounding follow from the job's seed. The private run "
            "takes its noise from the operating system and differs every time: noise that anyone "
            "could repeat would protect nobody."
        ),
        facts(digests),
    )


def _provenance(results: DemoResults) -> Markup:
    return paragraph(
        f"Entente {results.version}. Begun {results.started_at}. {results.machine}. "
        "The numbers are in results.json beside this file."
    )
