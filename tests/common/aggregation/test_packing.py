"""Packing is linear: slots add up, and the fields of the sum come out of the sum of the slots."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente_common.aggregation.packing import FIELD_LIMIT, SLOT_LIMIT, pack, slots_for, unpack
from entente_common.aggregation.parameters import PLAIN_MODULUS
from entente_common.errors import ProtectionViolated

ints = st.lists(st.integers(-FIELD_LIMIT, FIELD_LIMIT), max_size=20)


@given(ints)
def test_unpacking_gives_back_what_was_packed(values: list[int]) -> None:
    slots = pack(np.array(values, dtype=np.int64))
    assert unpack(slots, length=len(values)).tolist() == values


@given(st.integers(1, 9), st.integers(1, 30), st.randoms(use_true_random=False))
def test_the_sum_of_slots_holds_the_sum_of_fields(length: int, sites: int, random) -> None:
    limit = FIELD_LIMIT // sites
    vectors = [[random.randint(-limit, limit) for _ in range(length)] for _ in range(sites)]
    slots = sum(pack(np.array(vector, dtype=np.int64)) for vector in vectors)
    expected = [sum(column) for column in zip(*vectors, strict=True)]
    assert unpack(slots, length=length).tolist() == expected


def test_two_full_fields_fit_the_plaintext_ring() -> None:
    slots = pack(np.array([FIELD_LIMIT, FIELD_LIMIT, -FIELD_LIMIT, -FIELD_LIMIT]))
    assert slots.tolist() == [SLOT_LIMIT, -SLOT_LIMIT]
    assert SLOT_LIMIT <= PLAIN_MODULUS // 2


@pytest.mark.parametrize(
    "values",
    [
        np.array([FIELD_LIMIT + 1]),
        np.array([-FIELD_LIMIT - 1]),
        np.zeros((2, 2), dtype=np.int64),
        np.zeros(2),
    ],
)
def test_integers_that_do_not_fit_are_refused(values: np.ndarray) -> None:
    with pytest.raises(ValueError):
        pack(values)


@pytest.mark.parametrize(
    ("slots", "length"),
    [([0], 3), ([0, 0], 2), ([SLOT_LIMIT + 1], 2), ([-SLOT_LIMIT - 1], 2), ([1 << 23], 1)],
)
def test_slots_that_no_packing_makes_are_refused(slots: list[int], length: int) -> None:
    with pytest.raises(ProtectionViolated):
        unpack(np.array(slots, dtype=np.int64), length=length)


@given(st.integers(0, 10_000))
def test_two_integers_take_one_slot(length: int) -> None:
    assert slots_for(length) == (length + 1) // 2
