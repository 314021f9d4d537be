"""A contract says what every site's copy of a dataset looks like, without contradiction."""

import copy
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from entente_common.contracts.dataset import (
    DatasetCard,
    contract_from_document,
    load_contract,
    parse_contract,
)
from entente_common.errors import InvalidContract, Issue, SchemaMismatch

HEART = """\
apiVersion: entente/v1
name: heart
version: 1
description: Findings at four hospitals.
label: disease
key: id
columns:
  - {name: id, type: integer, minimum: 1, maximum: 999999}
  - {name: age, type: float, unit: years, minimum: 0, maximum: 120, description: At admission.}
  - {name: vessels, type: integer, minimum: 0, maximum: 3}
  - {name: chest pain, type: category, codes: [1, 2, 3, 4]}
  - {name: disease, type: category, codes: [no, yes]}
"""
DIGEST = "sha256:" + "0" * 64


def document() -> dict[str, Any]:
    return parse_contract(HEART, source="heart.yaml").document()


def faults(*changes: tuple[Any, ...]) -> list[Issue]:
    """The faults of the contract with the value at each path replaced (`...` removes it)."""
    changed = document()
    for *path, key, value in changes:
        part: Any = changed
        for step in path:
            part = part[step]
        if value is ...:
            del part[key]
        else:
            part[key] = value
    with pytest.raises(InvalidContract) as caught:
        contract_from_document(changed)
    return list(caught.value.issues)


def paths(*changes: tuple[Any, ...]) -> list[str]:
    return [issue.path for issue in faults(*changes)]


def test_a_contract_is_named_with_its_version() -> None:
    assert parse_contract(HEART, source="heart.yaml").ref == "heart@1"


def test_a_contract_survives_being_written_and_read() -> None:
    contract = parse_contract(HEART, source="heart.yaml")
    again = contract_from_document(contract.document())
    assert again == contract
    assert again.digest() == contract.digest()


def test_any_change_of_meaning_changes_the_digest() -> None:
    before = parse_contract(HEART, source="heart.yaml").digest()
    after = parse_contract(HEART.replace("maximum: 120", "maximum: 121"), source="x").digest()
    assert before != after


def test_codes_that_yaml_once_took_for_truth_stay_text() -> None:
    contract = parse_contract(HEART, source="heart.yaml")
    assert contract.column("disease").codes == ("no", "yes")


def test_features_are_the_columns_that_are_neither_label_nor_key() -> None:
    contract = parse_contract(HEART, source="heart.yaml")
    assert [c.name for c in contract.feature_columns()] == ["age", "vessels", "chest pain"]
    other = contract.feature_columns(label="chest pain")
    assert [c.name for c in other] == ["age", "vessels", "disease"]


def test_a_column_that_does_not_exist_is_answered_with_the_one_that_was_meant() -> None:
    contract = parse_contract(HEART, source="heart.yaml")
    with pytest.raises(SchemaMismatch, match="no column `vesels`") as caught:
        contract.column("vesels")
    assert caught.value.hint == "Did you mean `vessels`?"


def test_faults_of_columns_and_of_the_whole_are_told_in_one_go() -> None:
    told = paths(
        ("version", 0),
        ("key", "ident"),
        ("columns", 1, "minimum", 200.0),
        ("columns", 2, "maximum", ...),
        ("columns", 3, "unit", "mm"),
        ("columns", 3, "cods", [1]),
        ("columns", 4, "codes", ...),
    )
    assert told == [
        "version",
        "key",
        "columns.1.maximum",
        "columns.2.maximum",
        "columns.3.cods",
        "columns.3.unit",
        "columns.4.codes",
    ]


@pytest.mark.parametrize(
    ("change", "path", "reason"),
    [
        (("label", "diseas"), "label", 'is "diseas", which is no column.'),
        (("label", "age"), "columns.1.type", 'is "float", but this is the label.'),
        (("key", "nope"), "key", 'is "nope", which is no column.'),
        (("key", "disease"), "key", 'is "disease", which is the label.'),
        (("columns", 1, "name", "vessels"), "columns.2.name", None),
        (("columns", 1, "minimum", ...), "columns.1.minimum", "is missing."),
        (("columns", 1, "maximum", 0.0), "columns.1.maximum", "is 0, not above the minimum 0."),
        (("columns", 1, "codes", [1, 2]), "columns.1.codes", "goes with categories only."),
        (("columns", 2, "maximum", 2.5), "columns.2.maximum", None),
        (("columns", 3, "minimum", 1.0), "columns.3.minimum", "goes with numbers only."),
        (("columns", 3, "codes", [1, 2, 1]), "columns.3.codes", "holds `1` more than once."),
        (("columns", 3, "codes", [1]), "columns.3.codes", "has 1 entry."),
        (("columns", 3, "codes", [1, "b"]), "columns.3.codes", "mixes text and numbers."),
        (("columns", 3, "codes", [1, True]), "columns.3.codes.1", None),
        (("columns", 3, "codes", None), "columns.3.codes", "is missing."),
        (("columns", 1, "type", "real"), "columns.1.type", 'is "real", which is not allowed.'),
        (("columns", 1, "minimum", float("-inf")), "columns.1.minimum", None),
        (("columns", 1, "name", " age"), "columns.1.name", None),
    ],
)
def test_each_contradiction_is_told_where_it_is_cured(
    change: tuple[Any, ...], path: str, reason: str | None
) -> None:
    (issue,) = faults(change)
    assert issue.path == path
    assert reason is None or issue.reason == reason
    assert issue.cure


def test_codes_that_look_the_same_in_a_file_are_not_told_apart() -> None:
    told = faults(("columns", 3, "codes", [1, "1"]))
    assert {issue.path for issue in told} == {"columns.3.codes"}
    assert any("more than once" in issue.reason for issue in told)


def test_a_key_needs_neither_bounds_nor_codes() -> None:
    changed = document()
    for kind in ("integer", "category"):
        changed["columns"][0] = {"name": "id", "type": kind}
        assert contract_from_document(changed).column("id").type == kind
    assert contract_from_document(changed).column("id").minimum is None
    assert contract_from_document(changed).column("id").codes is None


def test_there_is_something_to_learn_from() -> None:
    changed = copy.deepcopy(document())
    changed["columns"] = [changed["columns"][0], changed["columns"][4]]
    with pytest.raises(InvalidContract) as caught:
        contract_from_document(changed)
    assert [issue.path for issue in caught.value.issues] == ["columns"]


def test_a_contract_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "heart.yaml"
    path.write_text(HEART, encoding="utf-8")
    assert load_contract(path).name == "heart"


def test_a_card_holds_counts_and_digests_only() -> None:
    card = DatasetCard(
        dataset="heart",
        contract="heart@1",
        contract_digest=DIGEST,
        version=DIGEST,
        rows=303,
        columns=5,
    )
    assert DatasetCard.model_validate_json(card.model_dump_json()) == card
    with pytest.raises(ValidationError):
        DatasetCard.model_validate({**card.model_dump(), "rows": -1})
