"""The guide to job files says of every field what the code says of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from entente_common.contracts.job import job_schema, parse_job
from entente_common.contracts.schema import Place
from entente_common.errors import InvalidJob

GUIDE = Path(__file__).parents[3] / "docs" / "job.md"
SECTIONS = {"object", None}
TAGS = {("model", "kind"), ("training", "strategy", "name"), ("privacy", "unit")}
"""Keys that choose a variant of their section, and are needed wherever the section is written."""


def rows() -> Iterator[str]:
    """A table row for every field that holds a value, as the guide must show it."""
    for path, place in Place.top(job_schema()).leaves():
        is_section = place.tag is not None or place.node.get("type") in SECTIONS
        if is_section or "*" in path:
            continue
        words = place.expectation()
        default = "required"
        if "default" in place.node and path not in TAGS:
            default = yaml.safe_dump(place.node["default"], default_flow_style=True).split("\n")[0]
            default = "none" if default == "null" else f"`{default}`"
        yield f"| `{'.'.join(path)}` | {place.node['description']} | {words} | {default} |"


@pytest.mark.parametrize("row", list(rows()))
def test_the_guide_tells_every_field_with_its_meaning_range_and_default(row: str) -> None:
    assert row in GUIDE.read_text(encoding="utf-8").splitlines()


def test_the_guide_shows_no_field_that_does_not_exist() -> None:
    fields = GUIDE.read_text(encoding="utf-8").split("## What does not go together")[0]
    told = [line for line in fields.splitlines() if line.startswith("| `")]
    assert sorted(told) == sorted(rows())


def test_every_job_in_the_guide_is_valid() -> None:
    blocks = GUIDE.read_text(encoding="utf-8").split("```yaml\n")[1:]
    jobs = [parse_job(block.split("```")[0], source="docs/job.md") for block in blocks]
    assert len(jobs) >= 2


def test_the_faults_in_the_guide_are_those_of_a_real_file() -> None:
    text = (
        "name: heart\n"
        "task: binary-classification\n"
        "data: {contract: heart@1}\n"
        "model: {kind: mpl}\n"
        "training: {rounds: 0}\n"
        "protection: {min_sites: 1}\n"
        "rounds: 5\n"
    )
    with pytest.raises(InvalidJob) as caught:
        parse_job(text, source="job.yaml")
    told = GUIDE.read_text(encoding="utf-8")
    assert caught.value.detail in told
    assert "\n".join(f"        - {issue}" for issue in caught.value.issues) in told
