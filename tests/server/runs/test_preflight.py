"""Preflight says of every site whether it could take part, and if not, why and what cures it."""

from __future__ import annotations

from typing import Any

import pytest

from entente_common.contracts.job import job_from_document
from entente_common.contracts.site import Site
from entente_common.errors import Conflict
from entente_server.runs.preflight import preflight, require_enough
from fakes.api import CODE, job_document, make_card

JOB = job_from_document(job_document(protection={"aggregation": "plain", "min_sites": 2}))
OTHER = "sha256:" + "f" * 64


def make_site(name: str, **changes: Any) -> Site:
    fields: dict[str, Any] = {
        "id": f"site_{name}",
        "name": name,
        "status": "online",
        "version": "1",
        "code_digest": CODE,
        "datasets": (make_card(),),
    }
    return Site.model_validate(fields | changes)


def judged(*sites: Site) -> tuple[list[str], dict[str, str]]:
    result = preflight(JOB, sites, code_digest=CODE)
    assert all(site.cure for site in result.ineligible)
    return (
        [site.site for site in result.eligible],
        {site.site: site.reason for site in result.ineligible},
    )


def test_sites_that_are_there_with_the_data_and_the_code_are_eligible() -> None:
    eligible, ineligible = judged(make_site("north"), make_site("south"))
    assert eligible == ["north", "south"]
    assert ineligible == {}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": "invited", "datasets": (), "code_digest": None}, "has not enrolled"),
        ({"status": "offline"}, "not connected"),
        ({"code_digest": OTHER}, "code differs"),
        ({"datasets": ()}, "no dataset for heart@1"),
        ({"datasets": (make_card(contract="heart@2"),)}, "no dataset for heart@1"),
        ({"datasets": (make_card(contract_digest=OTHER),)}, "text of heart@1 differs"),
    ],
)
def test_every_obstacle_is_told_apart(changes: dict[str, Any], reason: str) -> None:
    eligible, ineligible = judged(make_site("a"), make_site("b"), make_site("west", **changes))
    assert eligible == ["a", "b"]
    assert reason in ineligible["west"]


def test_too_few_sites_are_a_conflict_that_lists_every_obstacle() -> None:
    sites = [make_site("north"), make_site("south", status="offline"), make_site("w", datasets=())]
    with pytest.raises(Conflict, match=r"1 sites can take part, the job needs 2") as caught:
        require_enough(JOB, preflight(JOB, sites, code_digest=CODE))
    assert "south: Its agent is not connected." in caught.value.detail
    assert "w: It holds no dataset" in caught.value.detail


def test_exactly_enough_sites_are_enough() -> None:
    sites = [make_site("north"), make_site("south")]
    assert require_enough(JOB, preflight(JOB, sites, code_digest=CODE)) == ["north", "south"]
