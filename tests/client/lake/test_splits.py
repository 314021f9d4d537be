"""A record stays on its side of the split for ever."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entente_client.lake.splits import split
from entente_common.contracts.dataset import contract_from_document

COLUMNS = [
    {"name": "id", "type": "integer", "minimum": 0, "maximum": 10**9},
    {"name": "x", "type": "float", "minimum": 0.0, "maximum": 1.0},
    {"name": "y", "type": "category", "codes": [0, 1]},
]
KEYED = contract_from_document(
    {"name": "keyed", "version": 1, "label": "y", "key": "id", "columns": COLUMNS}
)
KEYLESS = contract_from_document(
    {"name": "keyless", "version": 1, "label": "y", "columns": COLUMNS}
)


def _frame(ids, *, x=0.5):
    return pl.DataFrame({"id": list(ids), "x": [x] * len(ids), "y": ["0"] * len(ids)})


def _ids(frame):
    return set(frame["id"])


def test_every_record_falls_on_exactly_one_side_near_the_share_asked_for():
    training, held_back = split(_frame(range(5000)), contract=KEYED, holdout=0.2)
    assert _ids(training) | _ids(held_back) == set(range(5000))
    assert not _ids(training) & _ids(held_back)
    # Five standard deviations of a binomial count of 5000 draws at 0.2.
    assert abs(held_back.height - 1000) < 5 * (5000 * 0.2 * 0.8) ** 0.5


@settings(max_examples=25)
@given(
    st.lists(st.integers(0, 10**9), unique=True, max_size=60),
    st.lists(st.integers(0, 10**9), unique=True, max_size=60),
    st.randoms(use_true_random=False),
)
def test_growth_and_order_never_move_a_record(present, added, random):
    grown = sorted({*present, *added})
    random.shuffle(grown)
    _, before = split(_frame(present), contract=KEYED, holdout=0.3)
    _, after = split(_frame(grown), contract=KEYED, holdout=0.3)
    assert _ids(after) & set(present) == _ids(before)


def test_a_corrected_value_does_not_move_a_record_that_has_a_key():
    _, before = split(_frame(range(200), x=0.1), contract=KEYED, holdout=0.3)
    _, after = split(_frame(range(200), x=0.9), contract=KEYED, holdout=0.3)
    assert _ids(before) == _ids(after)


def test_a_larger_share_holds_back_what_a_smaller_one_does():
    _, small = split(_frame(range(300)), contract=KEYED, holdout=0.1)
    _, large = split(_frame(range(300)), contract=KEYED, holdout=0.4)
    assert _ids(small) < _ids(large)


def test_without_a_key_equal_rows_stay_together():
    rows = _frame([*range(100)] * 3)
    training, held_back = split(rows, contract=KEYLESS, holdout=0.3)
    assert not _ids(training) & _ids(held_back)
    assert training.height + held_back.height == 300


@pytest.mark.parametrize(("holdout", "held"), [(0.0, 0), (1.0, 50)])
def test_the_whole_table_may_be_on_one_side(holdout, held):
    assert split(_frame(range(50)), contract=KEYED, holdout=holdout)[1].height == held
