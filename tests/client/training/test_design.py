"""Every site builds the same matrix columns from a contract and a job, or says why not."""

import numpy as np
import polars as pl
import pytest

from entente_client.training.design import Design
from entente_common.contracts.dataset import contract_from_document
from entente_common.contracts.job import job_from_document
from entente_common.errors import InvalidJob, SchemaMismatch, UnusableValues

CONTRACT = contract_from_document(
    {
        "name": "ward",
        "version": 1,
        "label": "outcome",
        "key": "id",
        "columns": [
            {"name": "id", "type": "category"},
            {"name": "age", "type": "integer", "minimum": 0, "maximum": 120},
            {"name": "ward", "type": "category", "codes": ["north", "south", "west"]},
            {"name": "dose", "type": "float", "minimum": -1.0, "maximum": 10.0},
            {"name": "ill", "type": "category", "codes": [0, 1]},
            {"name": "outcome", "type": "category", "codes": ["well", "ill", "gone"]},
        ],
    }
)
FRAME = pl.DataFrame(
    {
        "id": ["a", "b"],
        "age": [63, 41],
        "ward": ["south", "north"],
        "dose": [2.5, 0.0],
        "ill": ["1", "0"],
        "outcome": ["gone", "well"],
    }
)


def _job(task="multiclass-classification", **data):
    return job_from_document(
        {
            "name": "wards",
            "task": task,
            "data": {"contract": "ward@1", **data},
            "model": {"kind": "logistic"},
        }
    )


def test_by_default_every_column_but_label_and_key_is_a_feature():
    design = Design.for_job(_job(), CONTRACT)
    assert design.features == ("age", "ward", "dose", "ill")
    assert design.column_names == (
        *("age", "ward=north", "ward=south", "ward=west", "dose", "ill=0", "ill=1"),
    )
    assert (design.inputs, design.outputs, design.classes) == (7, 3, ("well", "ill", "gone"))


def test_rows_become_numbers_one_hot_codes_and_class_indices():
    matrix, labels = Design.for_job(_job(), CONTRACT).encode(FRAME)
    assert matrix.dtype == np.float64
    assert matrix.tolist() == [[63, 0, 1, 0, 2.5, 0, 1], [41, 1, 0, 0, 0, 1, 0]]
    assert labels.tolist() == [2, 0]


def test_features_keep_the_order_of_the_job_and_two_classes_need_one_logit():
    design = Design.for_job(
        _job("binary-classification", features=["dose", "age"], label="ill"), CONTRACT
    )
    matrix, labels = design.encode(FRAME)
    assert (design.outputs, design.column_names) == (1, ("dose", "age"))
    assert matrix.tolist() == [[2.5, 63], [0.0, 41]]
    assert labels.tolist() == [1, 0]
    assert design.numeric_ranges.tolist() == [[-1, 10], [0, 120]]


def test_the_places_of_numbers_are_known_among_the_codes():
    design = Design(CONTRACT, ["ward", "age", "ill", "dose"], None)
    assert design.numeric_positions.tolist() == [3, 6]


def test_all_columns_a_job_cannot_have_are_told_at_once():
    with pytest.raises(SchemaMismatch) as caught:
        Design(CONTRACT, ["age", "weight", "id", "outcome"], "dose")
    paths = [issue.path for issue in caught.value.issues]
    assert paths == ["data.label", "data.features.weight", "data.features.id"]


def test_the_label_cannot_be_a_feature():
    with pytest.raises(SchemaMismatch) as caught:
        Design(CONTRACT, ["age", "outcome"], None)
    assert [issue.path for issue in caught.value.issues] == ["data.features.outcome"]


def test_a_binary_task_on_three_classes_is_an_invalid_job():
    with pytest.raises(InvalidJob) as caught:
        Design.for_job(_job("binary-classification"), CONTRACT)
    assert [issue.path for issue in caught.value.issues] == ["task"]


def test_a_job_for_another_contract_is_an_invalid_job():
    with pytest.raises(InvalidJob):
        Design.for_job(_job(contract="ward@2"), CONTRACT)


@pytest.mark.parametrize(
    "change", [{"dose": [float("nan"), 1.0]}, {"dose": [None, 1.0]}, {"ward": ["east", "north"]}]
)
def test_rows_that_slipped_past_the_checks_are_refused(change):
    frame = FRAME.with_columns(**{name: pl.Series(values) for name, values in change.items()})
    with pytest.raises(UnusableValues) as caught:
        Design(CONTRACT, None, None).encode(frame)
    assert "east" not in str(caught.value.issues)


def test_a_frame_without_a_needed_column_is_refused():
    with pytest.raises(SchemaMismatch):
        Design(CONTRACT, None, None).encode(FRAME.drop("dose", "outcome"))
