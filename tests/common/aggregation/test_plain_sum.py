"""The plain sum adds exactly, in any order, and refuses what no honest site sends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente_common.aggregation.framing import NO_KEY, Frame, Kind
from entente_common.aggregation.packing import FIELD_LIMIT
from entente_common.aggregation.plain import PlainSum, plain_bytes, plain_ints
from entente_common.errors import ProtectionViolated

value = st.integers(-FIELD_LIMIT, FIELD_LIMIT)


def vector(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


@given(st.lists(st.tuples(value, value, value), min_size=1, max_size=10), st.randoms())
def test_the_sum_is_exact_in_any_order(rows: list[tuple[int, int, int]], random) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    blobs = []
    for order in (rows, shuffled):
        total = PlainSum(length=3, limit=10)
        for row in order:
            total.add(plain_bytes(vector(*row)))
        blobs.append(total.serialise())
    assert blobs[0] == blobs[1]
    expected = [sum(column) for column in zip(*rows, strict=True)]
    assert plain_ints(blobs[0], length=3, sites=len(rows)).tolist() == expected


def test_an_upload_takes_four_bytes_per_integer() -> None:
    assert len(plain_bytes(np.zeros(1000, dtype=np.int64))) < 4000 + 100


def test_one_contribution_more_than_the_limit_is_refused() -> None:
    total = PlainSum(length=1, limit=2)
    total.add(plain_bytes(vector(1)))
    total.add(plain_bytes(vector(2)))
    with pytest.raises(ProtectionViolated, match="2 contributions"):
        total.add(plain_bytes(vector(3)))
    assert total.count == 2
    assert plain_ints(total.serialise(), length=1).tolist() == [3]


def test_an_empty_sum_is_not_given_out() -> None:
    with pytest.raises(ProtectionViolated, match="no contribution"):
        PlainSum(length=1, limit=2).serialise()


def test_a_sum_of_another_number_of_sites_is_refused() -> None:
    total = PlainSum(length=1, limit=2)
    total.add(plain_bytes(vector(1)))
    with pytest.raises(ProtectionViolated, match="contributions"):
        plain_ints(total.serialise(), length=1, sites=2)


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        plain_bytes(vector(1, 2)),
        plain_bytes(vector(1))[:-1],
        Frame(Kind.PLAIN_UPDATE, 1, 1, NO_KEY, bytes(8)).to_bytes(),
        Frame(Kind.PLAIN_UPDATE, 2, 1, NO_KEY, bytes(4)).to_bytes(),
        Frame(Kind.PLAIN_UPDATE, 1, 1, b"k" * 32, bytes(4)).to_bytes(),
        Frame(Kind.PLAIN_UPDATE, 1, 1, NO_KEY, (FIELD_LIMIT + 1).to_bytes(4, "little")).to_bytes(),
        Frame(Kind.PLAIN_SUM, 1, 1, NO_KEY, bytes(8)).to_bytes(),
    ],
)
def test_a_malformed_upload_is_refused_and_leaves_the_sum_alone(blob: bytes) -> None:
    total = PlainSum(length=1, limit=2)
    total.add(plain_bytes(vector(5)))
    with pytest.raises(ProtectionViolated):
        total.add(blob)
    assert total.count == 1
    assert plain_ints(total.serialise(), length=1).tolist() == [5]


def test_an_integer_out_of_range_is_not_sent() -> None:
    with pytest.raises(ValueError):
        plain_bytes(vector(FIELD_LIMIT + 1))
