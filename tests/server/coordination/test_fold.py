"""A fold takes each member's fitting contribution once, in any order, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entente_common.aggregation.fixedpoint import FixedPoint
from entente_common.aggregation.he import GroupKey
from entente_common.aggregation.plain import plain_bytes, plain_ints
from entente_common.errors import ProtectionViolated
from entente_common.identity.manifest import Membership, Offer
from entente_common.protocol.messages import Contribution
from entente_server.coordination.fold import Fold

CODEC = FixedPoint(clip=1.0)
STAGE = "round-3"


def make_membership(**examples: int) -> Membership:
    offers = {
        site: Offer(
            run="run_1",
            site=site,
            job_digest="j",
            contract_digest="c",
            application="a",
            layout_digest="l",
            dataset_version="v",
            agreement_key="0" * 64,
            examples=count,
        )
        for site, count in examples.items()
    }
    return Membership(offers=offers, digest="d")


MEMBERSHIP = make_membership(east=10, north=20, south=70)


@dataclass(frozen=True)
class Given:
    """What one site contributes."""

    site: str
    contribution: Contribution
    payload: bytes


def give(
    site: str,
    vector: Any,
    *,
    membership: Membership = MEMBERSHIP,
    key: GroupKey | None = None,
    **changes: Any,
) -> Given:
    weight = membership.weight(site)
    encoded = CODEC.encode(np.asarray(vector, dtype=float), weight=weight, seed=site.encode())
    contribution = Contribution(
        stage=STAGE,
        key_id=None if key is None else key.key_id,
        length=len(encoded.values),
        weight=weight,
        clipped=encoded.clipped,
    ).model_copy(update=changes)
    values = encoded.values
    return Given(site, contribution, plain_bytes(values) if key is None else key.encrypt(values))


def make_fold(
    length: int, *, membership: Membership = MEMBERSHIP, key: GroupKey | None = None
) -> Fold:
    return Fold(
        STAGE,
        membership=membership,
        length=length,
        public_context=None if key is None else key.public_context(),
        key_id=None if key is None else key.key_id,
    )


def folded(fold: Fold, given: list[Given]) -> tuple[tuple[str, ...], bytes]:
    for part in given:
        fold.add(part.site, part.contribution, part.payload)
    aggregate, payload = fold.result()
    assert aggregate.stage == STAGE
    return aggregate.sites, payload


@given(
    vectors=st.lists(
        st.lists(st.floats(-1, 1), min_size=4, max_size=4), min_size=3, max_size=3
    ).map(lambda rows: dict(zip(("east", "north", "south"), rows, strict=True))),
    order=st.permutations(["east", "north", "south"]),
    count=st.integers(1, 3),
)
def test_the_sum_does_not_depend_on_the_order_of_arrival(
    vectors: dict[str, list[float]], order: list[str], count: int
) -> None:
    chosen = order[:count]
    arrived = folded(make_fold(4), [give(site, vectors[site]) for site in chosen])
    sorted_ = folded(make_fold(4), [give(site, vectors[site]) for site in sorted(chosen)])
    assert arrived == sorted_
    sites, payload = arrived
    assert sites == tuple(sorted(chosen)), "sites stand in the order of the manifest"
    mean = CODEC.decode(
        plain_ints(payload, length=4, sites=count), weight_total=MEMBERSHIP.total_weight(chosen)
    )
    weights = [MEMBERSHIP.weight(site) for site in chosen]
    expected = np.average([vectors[site] for site in chosen], axis=0, weights=weights)
    assert mean == pytest.approx(expected, abs=count * 3e-6)


@settings(max_examples=5, deadline=None)
@given(order=st.permutations(["east", "north", "south"]), count=st.integers(2, 3))
def test_an_encrypted_fold_opens_to_the_plain_one_bit_for_bit(order: list[str], count: int) -> None:
    key = GroupKey.generate()
    vector = np.linspace(-1, 1, 7)
    chosen = order[:count]
    sites, sealed = folded(make_fold(7, key=key), [give(s, vector, key=key) for s in chosen])
    plain_sites, plain = folded(make_fold(7), [give(s, vector) for s in chosen])
    assert sites == plain_sites
    opened = key.decrypt(sealed, length=7, sites=count)
    assert np.array_equal(opened, plain_ints(plain, length=7, sites=count))


@pytest.mark.parametrize(
    "changes",
    [
        {"stage": "round-2"},
        {"stage": "moments"},
        {"key_id": "sha256:other"},
        {"length": 5},
        {"weight": 0.3},
        {"weight": 1.0},
        {"weight": np.nextafter(0.2, 1)},
    ],
    ids=str,
)
def test_a_contribution_to_something_else_is_refused(changes: dict[str, Any]) -> None:
    fold = make_fold(4)
    misfit = give("north", np.ones(4), **changes)
    with pytest.raises(ProtectionViolated, match="does not fit"):
        fold.add(misfit.site, misfit.contribution, misfit.payload)


def test_a_second_contribution_is_refused_and_the_first_stays() -> None:
    fold = make_fold(4)
    first, second = give("north", np.ones(4)), give("north", -np.ones(4))
    fold.add(first.site, first.contribution, first.payload)
    before = fold.result()
    with pytest.raises(ProtectionViolated, match="second contribution"):
        fold.add(second.site, second.contribution, second.payload)
    assert fold.result() == before


@pytest.mark.parametrize(
    "payload", [b"", b"junk", give("north", np.ones(5)).payload, give("north", np.ones(3)).payload]
)
def test_a_malformed_payload_leaves_the_sum_as_it_was(payload: bytes) -> None:
    fold = make_fold(4)
    good = give("east", np.ones(4))
    fold.add(good.site, good.contribution, good.payload)
    before = fold.result()
    lie = give("north", np.ones(4)).contribution
    with pytest.raises(ProtectionViolated):
        fold.add("north", lie, payload)
    assert fold.result() == before
    repaired = give("north", np.ones(4))
    fold.add("north", repaired.contribution, repaired.payload)
    assert fold.result()[0].sites == ("east", "north"), "a refused site may still do it right"


def test_an_update_under_another_key_is_refused() -> None:
    key, other = GroupKey.generate(), GroupKey.generate()
    fold = make_fold(4, key=key)
    foreign = give("north", np.ones(4), key=other, key_id=key.key_id)
    with pytest.raises(ProtectionViolated):
        fold.add(foreign.site, foreign.contribution, foreign.payload)


def test_an_update_in_clear_is_refused_where_it_must_be_encrypted() -> None:
    key = GroupKey.generate()
    fold = make_fold(4, key=key)
    clear = give("north", np.ones(4), key_id=key.key_id)
    with pytest.raises(ProtectionViolated):
        fold.add(clear.site, clear.contribution, clear.payload)


def test_an_empty_fold_has_no_result() -> None:
    with pytest.raises(ProtectionViolated):
        make_fold(4).result()


def test_a_public_context_that_holds_a_key_is_refused() -> None:
    key = GroupKey.generate()
    with pytest.raises(ProtectionViolated):
        Fold(
            STAGE,
            membership=MEMBERSHIP,
            length=4,
            public_context=key.secret_bytes(),
            key_id=key.key_id,
        )
