"""A catalogue shows only what passed its checks, whole, and readable by the owner alone."""

import json
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from entente_client.cli_data import data_app
from entente_client.lake import catalogue as catalogue_module
from entente_client.lake.catalogue import Catalogue
from entente_common.errors import (
    Conflict,
    DataDirectoryProblem,
    DatasetMissing,
    InvalidContract,
    InvalidSettings,
    UnusableValues,
)

CONTRACT = {
    "apiVersion": "entente/v1",
    "name": "heart",
    "version": 1,
    "label": "ill",
    "columns": [
        {"name": "age", "type": "float", "unit": "years", "minimum": 0.0, "maximum": 120.0},
        {"name": "ill", "type": "category", "codes": [0, 1]},
    ],
}


@pytest.fixture
def contract(tmp_path):
    path = tmp_path / "heart.yaml"
    path.write_text(json.dumps(CONTRACT))
    return path


@pytest.fixture
def rows(tmp_path):
    return _rows(tmp_path, "rows.csv", "63,1", "41,0", "70,1")


@pytest.fixture
def catalogue(tmp_path):
    return Catalogue(tmp_path / "site" / "datasets")


def _rows(folder, name, *lines):
    path = folder / name
    path.write_text("\n".join(("age,ill", *lines)) + "\n")
    return path


def test_a_registered_dataset_is_listed_and_opened_by_its_contract(catalogue, contract, rows):
    card = catalogue.add("cardiology", contract=contract, source=rows)
    assert (card.dataset, card.contract, card.rows, card.columns) == ("cardiology", "heart@1", 3, 2)
    assert catalogue.cards() == [card]
    dataset = catalogue.open("heart@1")
    assert dataset.card == card
    assert dataset.contract.digest() == card.contract_digest
    assert dataset.frame.rows() == [(63.0, "1"), (41.0, "0"), (70.0, "1")]


def test_an_empty_catalogue_lists_nothing_and_misses_every_contract(catalogue):
    assert catalogue.cards() == []
    with pytest.raises(DatasetMissing) as caught:
        catalogue.open("heart@1")
    assert "entente agent data add" in caught.value.hint


def test_another_version_of_the_contract_is_missing(catalogue, contract, rows):
    catalogue.add("cardiology", contract=contract, source=rows)
    with pytest.raises(DatasetMissing):
        catalogue.open("heart@2")


def test_the_version_follows_the_rows_but_not_their_order(catalogue, contract, rows, tmp_path):
    first = catalogue.add("cardiology", contract=contract, source=rows)
    turned = _rows(tmp_path, "turned.csv", "70,1", "63,1", "41,0")
    changed = _rows(tmp_path, "changed.csv", "70,1", "63,1", "42,0")
    assert catalogue.add("cardiology", contract=contract, source=turned).version == first.version
    assert catalogue.add("cardiology", contract=contract, source=changed).version != first.version


def test_two_sites_with_the_same_rows_publish_different_versions(contract, rows, tmp_path):
    versions = {
        Catalogue(tmp_path / site).add("cardiology", contract=contract, source=rows).version
        for site in ("north", "south")
    }
    assert len(versions) == 2


def test_registering_again_replaces_the_rows_and_keeps_no_copy(catalogue, contract, rows, tmp_path):
    catalogue.add("cardiology", contract=contract, source=rows)
    catalogue.add("cardiology", contract=contract, source=_rows(tmp_path, "new.csv", "50,0"))
    assert catalogue.open("heart@1").frame.rows() == [(50.0, "0")]
    assert len(list((tmp_path / "site").rglob("data.parquet"))) == 1


def test_a_second_dataset_for_the_same_contract_is_refused(catalogue, contract, rows):
    catalogue.add("cardiology", contract=contract, source=rows)
    with pytest.raises(Conflict, match="cardiology"):
        catalogue.add("neurology", contract=contract, source=rows)


def test_rows_that_fail_their_checks_leave_the_old_dataset_in_place(
    catalogue, contract, rows, tmp_path
):
    card = catalogue.add("cardiology", contract=contract, source=rows)
    with pytest.raises(UnusableValues):
        catalogue.add("cardiology", contract=contract, source=_rows(tmp_path, "bad.csv", "NaN,1"))
    assert catalogue.cards() == [card]


def test_a_failure_while_writing_shows_either_the_old_or_nothing(
    catalogue, contract, rows, tmp_path, monkeypatch
):
    def full_disk(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(catalogue_module, "_sync", full_disk)
    with pytest.raises(DataDirectoryProblem, match="No space left"):
        catalogue.add("cardiology", contract=contract, source=rows)
    assert catalogue.cards() == []
    monkeypatch.undo()
    card = catalogue.add("cardiology", contract=contract, source=rows)
    monkeypatch.setattr(catalogue_module, "_sync", full_disk)
    with pytest.raises(DataDirectoryProblem):
        catalogue.add("cardiology", contract=contract, source=_rows(tmp_path, "n.csv", "50,0"))
    assert catalogue.cards() == [card]
    assert catalogue.open("heart@1").frame.height == 3


def test_everything_is_readable_by_its_owner_alone(catalogue, contract, rows, tmp_path):
    catalogue.add("cardiology", contract=contract, source=rows)
    root = tmp_path / "site" / "datasets"
    for path in (root, *root.rglob("*")):
        if path.is_symlink():
            continue
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


@pytest.mark.parametrize("damage", ["truncate", "remove", "contract", "card", "rows"])
def test_damage_to_a_dataset_is_noticed(catalogue, contract, rows, tmp_path, damage):
    catalogue.add("cardiology", contract=contract, source=rows)
    folder = (tmp_path / "site" / "datasets" / "cardiology").resolve()
    if damage == "truncate":
        (folder / "data.parquet").write_bytes(b"PAR1")
    elif damage == "remove":
        (folder / "data.parquet").unlink()
    elif damage == "card":
        (folder / "card.json").write_text("{")
    elif damage == "contract":
        changed = json.loads((folder / "contract.json").read_text())
        changed["columns"][0]["maximum"] = 200.0
        (folder / "contract.json").write_text(json.dumps(changed))
    else:
        frame = catalogue.open("heart@1").frame
        frame.reverse().head(2).write_parquet(folder / "data.parquet")
    with pytest.raises(DataDirectoryProblem) as caught:
        catalogue.open("heart@1")
    assert "entente agent data add" in caught.value.hint


@pytest.mark.parametrize("name", ["", "../escape", "Heart", "a b", "-x", "x-", "a" * 64, ".hidden"])
def test_a_name_that_is_no_name_is_refused(catalogue, contract, rows, name, tmp_path):
    with pytest.raises(InvalidSettings):
        catalogue.add(name, contract=contract, source=rows)
    assert not (tmp_path / "site").exists()


def test_a_wrong_contract_is_told_before_any_row_is_read(catalogue, tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text("name: heart\n")
    with pytest.raises(InvalidContract):
        catalogue.add("cardiology", contract=path, source=tmp_path / "absent.csv")


def test_the_command_line_adds_checks_and_lists(contract, rows, tmp_path):
    runner = CliRunner()
    files = ["--contract", str(contract), "--source", str(rows)]
    site = ["--dir", str(tmp_path / "agent")]
    checked = runner.invoke(data_app, ["check", *files])
    assert (checked.exit_code, checked.stdout) == (0, "3 rows meet contract heart@1.\n")
    assert "No datasets" in runner.invoke(data_app, ["list", *site]).stdout
    added = runner.invoke(data_app, ["add", "cardiology", *files, *site, "-o", "json"])
    listed = runner.invoke(data_app, ["list", *site, "-o", "json"])
    assert json.loads(added.stdout) == json.loads(listed.stdout)
    item = json.loads(listed.stdout)["items"][0]
    assert (item["dataset"], item["rows"]) == ("cardiology", 3)
    assert Catalogue(tmp_path / "agent" / "datasets").cards()[0].version == item["version"]
    assert "cardiology" in runner.invoke(data_app, ["list", *site]).stdout


def test_the_card_holds_no_value_of_the_data(catalogue, contract, tmp_path):
    source = _rows(tmp_path, "rows.csv", "63.125,1", "41.875,0")
    catalogue.add("cardiology", contract=contract, source=source)
    text = (Path(tmp_path) / "site/datasets/cardiology/card.json").read_text()
    assert "63.125" not in text
    assert "41.875" not in text
