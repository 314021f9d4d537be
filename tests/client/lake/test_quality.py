"""Checks find every fault at once and tell counts, never values."""

import polars as pl
import pytest

from entente_client.lake.connectors.registry import read_source
from entente_client.lake.quality import admit
from entente_common.contracts.dataset import contract_from_document
from entente_common.errors import DataProblem, SchemaMismatch, UnusableValues

CONTRACT = contract_from_document(
    {
        "name": "ward",
        "version": 1,
        "label": "ill",
        "key": "id",
        "columns": [
            {"name": "id", "type": "integer"},
            {"name": "age", "type": "integer", "unit": "years", "minimum": 0, "maximum": 120},
            {"name": "dose", "type": "float", "unit": "mg", "minimum": 0.0, "maximum": 10.0},
            {"name": "ward", "type": "category", "codes": ["north", "south"]},
            {"name": "ill", "type": "category", "codes": [0, 1]},
        ],
    }
)
HEADER = "id,age,dose,ward,ill"
ROWS = ["1,63,2.5,north,0", "2,41.0,0,south,1.0", " 3 , 70 ,1e1,north, 1 "]


def _admit(tmp_path, *rows, header=HEADER):
    source = tmp_path / "rows.csv"
    source.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    return admit(read_source(source), CONTRACT)


def _faults(tmp_path, *rows, header=HEADER):
    with pytest.raises(DataProblem) as caught:
        _admit(tmp_path, *rows, header=header)
    return caught.value


def test_rows_that_meet_the_contract_come_out_typed_in_its_order(tmp_path):
    frame = _admit(tmp_path, *ROWS)
    assert frame.schema == {
        "id": pl.Int64,
        "age": pl.Int64,
        "dose": pl.Float64,
        "ward": pl.String,
        "ill": pl.String,
    }
    assert frame.rows() == [
        (1, 63, 2.5, "north", "0"),
        (2, 41, 0.0, "south", "1"),
        (3, 70, 10.0, "north", "1"),
    ]


def test_columns_may_stand_in_another_order_in_the_source(tmp_path):
    frame = _admit(tmp_path, "0,north,2.5,63,1", header="ill,ward,dose,age,id")
    assert frame.rows() == [(1, 63, 2.5, "north", "0")]


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        ("9,,1,north,0", "age", "1 of 4 values is missing."),
        ("9,  ,1,north,0", "age", "1 of 4 values is missing."),
        ("9,60,1,,0", "ward", "1 of 4 values is missing."),
        ("9,60,1,north,", "ill", "1 of 4 values is missing."),
        (",60,1,north,0", "id", "1 of 4 values is missing."),
        ("9,60,NaN,north,0", "dose", "1 of 4 values is NaN."),
        ("9,60,inf,north,0", "dose", "1 of 4 values is infinite."),
        ("9,60,-inf,north,0", "dose", "1 of 4 values is infinite."),
        ("9,60,-0.5,north,0", "dose", "1 of 4 values is below the contract's minimum."),
        ("9,121,1,north,0", "age", "1 of 4 values is above the contract's maximum."),
        ("9,60,1,west,0", "ward", "1 of 4 values is no code of the contract."),
        ("9,60,1,north,2", "ill", "1 of 4 values is no code of the contract."),
        ("9,60,1,north,0.5", "ill", "1 of 4 values is no code of the contract."),
        ("3,60,1,north,0", "id", "1 of 4 rows repeat the key of another row."),
    ],
)
def test_a_value_that_cannot_be_used_is_counted(tmp_path, row, column, reason):
    error = _faults(tmp_path, *ROWS, row)
    assert type(error) is UnusableValues
    assert [(issue.path, issue.reason) for issue in error.issues] == [(column, reason)]
    assert all(issue.cure for issue in error.issues)


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        ("9,sixty,1,north,0", "age", "1 of 4 values is no number."),
        ("9,60.5,1,north,0", "age", "1 of 4 values is no whole number."),
        ("9,60,?,north,0", "dose", "1 of 4 values is no number."),
    ],
)
def test_a_value_of_another_type_is_a_schema_mismatch(tmp_path, row, column, reason):
    error = _faults(tmp_path, *ROWS, row)
    assert type(error) is SchemaMismatch
    assert [(issue.path, issue.reason) for issue in error.issues] == [(column, reason)]


def test_missing_and_unknown_columns_and_bad_values_are_told_together(tmp_path):
    error = _faults(tmp_path, "1,999,0,x", "2,60,0,x", header="id,age,ill,diary")
    assert type(error) is SchemaMismatch
    assert [issue.path for issue in error.issues] == ["dose", "ward", "diary", "age"]


def test_no_message_holds_a_value_of_the_data(tmp_path):
    error = _faults(tmp_path, *ROWS, "777001,888002,-999003,secretward,555004")
    text = " ".join((str(error), error.detail, error.hint, *map(str, error.issues)))
    assert len(error.issues) == 4
    for value in ("777001", "888002", "999003", "secretward", "555004"):
        assert value not in text


def test_a_table_without_rows_is_refused(tmp_path):
    assert "no rows" in _faults(tmp_path).detail


@pytest.mark.parametrize(
    "content", [b"", b"id,age\n1,2,3\nsecret,4,5,6\n", b"id,age\n\xff\xfe,1\n"]
)
def test_a_file_that_is_no_table_is_refused_without_quoting_it(tmp_path, content):
    source = tmp_path / "rows.csv"
    source.write_bytes(content)
    with pytest.raises(DataProblem) as caught:
        admit(read_source(source), CONTRACT)
    assert "secret" not in str(caught.value)
    assert caught.value.hint


def test_a_missing_file_and_an_unknown_kind_of_file_say_what_to_do(tmp_path):
    with pytest.raises(DataProblem, match="no file"):
        read_source(tmp_path / "absent.csv")
    with pytest.raises(DataProblem, match="no connector") as caught:
        read_source(tmp_path / "rows.xlsx")
    assert "csv" in caught.value.hint
