"""The report stands alone, runs nothing, can be read by everybody, and shows what was found."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from entente_simulations.demo.report.page import render
from entente_simulations.demo.results import DemoResults
from entente_simulations.demo.scenarios.scenario import ScenarioName
from fakes.demo_results import sample_results

VOID = {"meta", "br", "circle", "line", "path", "rect", "polyline"}
LOADERS = {"script", "link", "iframe", "img", "image", "object", "embed", "use"}
ADDRESSES = {"src", "href", "srcset", "action", "data", "poster", "xlink:href", "background"}


class Reader(HTMLParser):
    """Collects elements, and insists that they are nested and closed."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.children: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if self.open:
            self.children.append((self.open[-1], tag))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(params=list(ScenarioName), scope="module")
def results(request: pytest.FixtureRequest) -> DemoResults:
    return sample_results(request.param)


def read(document: str) -> Reader:
    reader = Reader()
    reader.feed(document)
    reader.close()
    assert reader.open == []
    return reader


def test_nothing_is_loaded_from_anywhere(results: DemoResults) -> None:
    document = render(results)
    reader = read(document)

    targets = [
        value
        for _, attributes in reader.elements
        for name, value in attributes.items()
        if name in ADDRESSES
    ]
    assert targets
    assert all(target is not None and target.startswith("#") for target in targets)
    assert {"script", "link", "iframe", "img", "object", "embed"} & {
        n for n, _ in reader.elements
    } == set()
    assert not re.search(r"url\s*\(|@import|https?:", document)


def test_no_element_runs_or_styles_itself(results: DemoResults) -> None:
    reader = read(render(results))

    names = {name for _, attributes in reader.elements for name in attributes}
    assert not {name for name in names if name.startswith("on")}
    assert "style" not in names


def test_the_policy_admits_the_style_sheet_and_nothing_else(results: DemoResults) -> None:
    document = render(results)
    metas = read(document).all("meta")
    (policy,) = [m["content"] for m in metas if m.get("http-equiv") == "Content-Security-Policy"]
    (style,) = re.findall(r"<style>(.*?)</style>", document, re.DOTALL)

    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy is not None
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_every_part_has_a_name_for_those_who_cannot_see_it(results: DemoResults) -> None:
    reader = read(render(results))

    assert reader.all("html")[0]["lang"] == "en-GB"
    assert len(reader.all("h1")) == 1
    pictures = [a for a in reader.all("svg") if a.get("aria-hidden") != "true"]
    assert pictures
    assert all(a["role"] == "img" and a["aria-label"] for a in pictures)
    assert reader.children.count(("table", "caption")) == len(reader.all("table"))
    assert all(a.get("scope") in {"row", "col"} for a in reader.all("th"))
    assert all(a.get("aria-labelledby") for a in reader.all("section"))


def test_every_link_leads_somewhere_and_every_id_is_unique(results: DemoResults) -> None:
    reader = read(render(results))

    ids = [a["id"] for _, a in reader.elements if a.get("id")]
    assert len(ids) == len(set(ids))
    assert {str(a["href"])[1:] for a in reader.all("a")} <= set(ids)


def test_the_numbers_found_are_the_numbers_shown(results: DemoResults) -> None:
    text = " ".join(read(render(results)).text)

    for result in results.runs:
        assert result.run.job_digest in text
        for value in result.metrics.values():
            assert f"{value:.4f}" in text
        for statement in result.run.privacy:
            assert f"{statement.epsilon:.3f}" in text
            assert all(sentence in text for sentence in statement.assumptions)
            assert all(sentence in text for sentence in statement.excluded)
    for baseline in results.baselines:
        assert f"{baseline.metrics[results.scenario.headline]:.4f}" in text


def test_a_claim_that_does_not_hold_is_shown_as_such() -> None:
    results = sample_results()
    broken = replace(results.claims[0], holds=False)

    text = " ".join(read(render(replace(results, claims=(broken, *results.claims[1:])))).text)

    assert "✗ not shown" in text


def test_text_from_elsewhere_is_text() -> None:
    results = sample_results()
    hostile = '<img src=x onerror=alert(1)>"&'
    runs = tuple(
        replace(result, plan=replace(result.plan, title=hostile)) for result in results.runs
    )

    reader = read(render(replace(results, runs=runs, machine=hostile)))

    assert reader.all("img") == []
    assert any(hostile in text for text in reader.text)


def test_rounds_without_numbers_leave_a_report() -> None:
    results = sample_results()
    runs = tuple(replace(result, rounds=()) for result in results.runs)

    assert "No numbers were reported" in render(replace(results, runs=runs))


def test_results_are_one_json_document(results: DemoResults) -> None:
    document = json.loads(json.dumps(results.document(), allow_nan=False))

    assert document["scenario"] == results.scenario.name.value
    assert [run["key"] for run in document["runs"]] == [r.plan.key for r in results.runs]
    assert len(document["runs"][0]["rounds"]) == len(results.runs[0].rounds)
