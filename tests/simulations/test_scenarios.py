"""A scenario is consistent: its contract admits its rows, and its jobs differ as they claim."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from entente_client.lake.catalogue import Catalogue
from entente_client.training.design import Design
from entente_common.contracts.dataset import contract_from_document
from entente_common.contracts.job import job_from_document
from entente_simulations.demo.scenarios.registry import make_scenario
from entente_simulations.demo.scenarios.scenario import Scenario, ScenarioName, write_yaml

ROWS = {ScenarioName.HOSPITALS: 569, ScenarioName.DIGITS: 1797}


@pytest.fixture(params=list(ScenarioName), scope="module")
def scenario(request: pytest.FixtureRequest) -> Scenario:
    return make_scenario(request.param, rounds=None)


def test_every_record_is_at_one_site(scenario: Scenario) -> None:
    keys = [row[0] for table in scenario.tables for row in table.rows]

    assert len(keys) == len(set(keys)) == ROWS[scenario.name]
    for table in scenario.tables:
        assert sum(table.classes.values()) == len(table.rows)


def test_the_contract_admits_what_each_site_registers(scenario: Scenario, tmp_path: Path) -> None:
    write_yaml(scenario.contract, tmp_path / "contract.yaml")
    table = scenario.tables[0]
    table.write_csv(tmp_path / "rows.csv")

    card = Catalogue(tmp_path / "datasets").add(
        str(scenario.contract["name"]),
        contract=tmp_path / "contract.yaml",
        source=tmp_path / "rows.csv",
    )

    assert card.rows == len(table.rows)


def test_every_job_is_valid_and_fits_the_contract(scenario: Scenario) -> None:
    contract = contract_from_document(scenario.contract)
    for plan in scenario.runs:
        job = job_from_document(plan.job)
        design = Design.for_job(job, contract)
        assert scenario.headline in job.evaluation.metrics
        assert "record" not in design.features
        assert job.protection.min_sites == len(scenario.tables)


def test_plain_and_encrypted_differ_in_nothing_but_protection(scenario: Scenario) -> None:
    plain, encrypted = (job_from_document(plan.job).document() for plan in scenario.runs[:2])

    differing = {key for key in plain if plain[key] != encrypted[key]}
    assert differing == {"name", "protection"}
    assert plain["protection"].pop("aggregation") == "plain"
    assert encrypted["protection"].pop("aggregation") == "encrypted"
    assert plain["protection"] == encrypted["protection"]


@pytest.mark.parametrize("name", list(ScenarioName))
def test_the_number_of_rounds_can_be_chosen(name: ScenarioName) -> None:
    scenario = make_scenario(name, rounds=2)

    assert {job_from_document(plan.job).training.rounds for plan in scenario.runs} == {2}


def test_rows_are_written_as_they_are(tmp_path: Path) -> None:
    table = make_scenario(ScenarioName.HOSPITALS, rounds=None).tables[0]
    table.write_csv(tmp_path / "rows.csv")

    with (tmp_path / "rows.csv").open(newline="", encoding="utf-8") as file:
        header, first, *_ = csv.reader(file)
    assert tuple(header) == table.header
    assert [float(cell) for cell in first[1:-1]] == list(table.rows[0][1:-1])
