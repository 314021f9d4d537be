"""What leaves a site is the same numbers in clear and encrypted, and only a true sum is opened."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente_client.node.protection import Protection
from entente_common.aggregation.fixedpoint import FixedPoint
from entente_common.aggregation.he import GroupKey
from entente_common.aggregation.plain import PlainSum, plain_ints
from entente_common.errors import ProtectionViolated, RunFailed
from entente_common.identity.manifest import Membership, Offer
from entente_common.protocol.messages import Aggregate

CODEC = FixedPoint(clip=2.0)
EXAMPLES = {"east": 10, "north": 30, "south": 60}
STAGE = "round-1"


def offer(site: str, examples: int) -> Offer:
    digests = dict.fromkeys(("job_digest", "contract_digest", "layout_digest"), "d")
    return Offer(
        run="run_1",
        site=site,
        application="a",
        dataset_version="v",
        agreement_key="0" * 64,
        examples=examples,
        **digests,
    )


MEMBERSHIP = Membership(offers={s: offer(s, n) for s, n in EXAMPLES.items()}, digest="d")


def protection(site: str, *, key: GroupKey | None = None, min_sites: int = 2) -> Protection:
    return Protection(site=site, membership=MEMBERSHIP, min_sites=min_sites, key=key)


def protect(site: str, vector: Any, *, key: GroupKey | None = None) -> Any:
    values = np.asarray(vector, dtype=np.float32)
    return protection(site, key=key).protect(values, codec=CODEC, stage=STAGE, seed=site.encode())


@given(
    vectors=st.lists(
        st.lists(st.floats(-2, 2, width=32), min_size=3, max_size=3), min_size=3, max_size=3
    ),
    missing=st.sampled_from([None, "north", "south"]),
)
def test_the_opened_sum_is_the_weighted_mean_of_those_who_are_in_it(
    vectors: list[list[float]], missing: str | None
) -> None:
    rows = dict(zip(EXAMPLES, vectors, strict=True))
    sites = tuple(site for site in EXAMPLES if site != missing)
    total = PlainSum(length=3, limit=3)
    for site in sites:
        total.add(protect(site, rows[site])[1])
    aggregate = Aggregate(stage=STAGE, key_id=None, sites=sites)
    mean = protection("east").open(aggregate, total.serialise(), codec=CODEC, stage=STAGE, length=3)
    weights = [EXAMPLES[site] for site in sites]
    expected = np.average([rows[site] for site in sites], axis=0, weights=weights)
    assert mean == pytest.approx(expected, abs=1e-5)


def test_both_forms_carry_the_same_integers() -> None:
    key = GroupKey.generate()
    vector = np.linspace(-2, 2, 11)
    plain, in_clear = protect("north", vector)
    sealed, encrypted = protect("north", vector, key=key)
    assert np.array_equal(plain_ints(in_clear, length=11), key.decrypt(encrypted, length=11))
    assert plain.model_copy(update={"key_id": key.key_id}) == sealed
    assert (sealed.weight, sealed.length, sealed.stage) == (0.3, 11, STAGE)


def test_an_encrypted_vector_looks_different_every_time() -> None:
    key = GroupKey.generate()
    assert protect("north", [1.0], key=key)[1] != protect("north", [1.0], key=key)[1]


def test_what_was_cut_to_the_bound_is_counted() -> None:
    contribution, _ = protect("east", [5.0, -2.0, 2.5, 0.0])
    assert contribution.clipped == 2


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_vector_that_is_not_finite_does_not_leave(value: float) -> None:
    with pytest.raises(RunFailed, match="NaN or infinite"):
        protect("east", [0.0, value])


@pytest.mark.parametrize(
    "sites", [("east",), ("north", "south"), ("east", "ghost"), ("east", "east"), ()]
)
def test_a_sum_over_the_wrong_sites_is_not_opened(sites: tuple[str, ...]) -> None:
    total = PlainSum(length=1, limit=3)
    total.add(protect("east", [1.0])[1])
    total.add(protect("north", [1.0])[1])
    aggregate = Aggregate(stage=STAGE, key_id=None, sites=sites)
    with pytest.raises(ProtectionViolated):
        protection("east").open(aggregate, total.serialise(), codec=CODEC, stage=STAGE, length=1)


def test_a_sum_larger_than_its_sites_can_reach_is_refused() -> None:
    total = PlainSum(length=1, limit=3)
    total.add(protect("south", [2.0])[1])  # 60 %, passed off as north's 30 %
    total.add(protect("east", [2.0])[1])
    aggregate = Aggregate(stage=STAGE, key_id=None, sites=("east", "north"))
    with pytest.raises(ProtectionViolated, match="exceeds"):
        protection("east").open(aggregate, total.serialise(), codec=CODEC, stage=STAGE, length=1)
