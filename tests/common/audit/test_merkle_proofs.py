"""Proofs prove what they say of every leaf and every pair of sizes, and nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entente_common.audit.merkle import SIZE_LIMIT, Position, leaf_hash
from entente_common.audit.proofs import (
    consistency_proof,
    first_difference,
    inclusion_proof,
    verify_consistency,
    verify_inclusion,
)
from entente_common.errors import AuditBroken
from fakes.audit_log import SubtreeStore

SIZE = 70
LEAVES = [leaf_hash(bytes([index])) for index in range(SIZE)]
STORE = SubtreeStore(LEAVES)
ROOTS = STORE.roots
CT_STORE = SubtreeStore(
    [
        leaf_hash(bytes.fromhex(text))
        for text in (
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        )
    ]
)
# Proofs of Certificate Transparency's reference tests, as (arguments, hashes).
CT_INCLUSION = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
}
CT_CONSISTENCY = {
    (1, 1): [],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.parametrize(("index", "size"), CT_INCLUSION)
def test_inclusion_proofs_are_those_of_certificate_transparency(index: int, size: int) -> None:
    proof = inclusion_proof(index, size, hashes=CT_STORE)
    assert [part.hex() for part in proof] == CT_INCLUSION[index, size]


@pytest.mark.parametrize(("older", "newer"), CT_CONSISTENCY)
def test_consistency_proofs_are_those_of_certificate_transparency(older: int, newer: int) -> None:
    proof = consistency_proof(older, newer, hashes=CT_STORE)
    assert [part.hex() for part in proof] == CT_CONSISTENCY[older, newer]


def test_every_leaf_of_every_size_is_proven() -> None:
    for size in range(1, SIZE + 1):
        for index in range(size):
            proof = inclusion_proof(index, size, hashes=STORE)
            verify_inclusion(LEAVES[index], proof, index=index, size=size, root=ROOTS[size])


def test_every_growth_is_proven() -> None:
    for newer in range(SIZE + 1):
        for older in range(newer + 1):
            proof = consistency_proof(older, newer, hashes=STORE)
            verify_consistency(
                proof,
                older=older,
                newer=newer,
                older_root=ROOTS[older],
                newer_root=ROOTS[newer],
            )


@given(st.data())
def test_no_bit_of_an_inclusion_proof_may_change(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, SIZE))
    index = data.draw(st.integers(0, size - 1))
    parts = [LEAVES[index], ROOTS[size], *inclusion_proof(index, size, hashes=STORE)]
    place = data.draw(st.integers(0, len(parts) - 1))
    parts[place] = flipped(parts[place], data.draw(st.integers(0, 255)))
    leaf, root, *proof = parts
    with pytest.raises(AuditBroken):
        verify_inclusion(leaf, proof, index=index, size=size, root=root)


@given(st.data())
def test_an_inclusion_proof_holds_at_its_index_only(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, SIZE))
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(-1, SIZE).filter(lambda value: value != index))
    proof = inclusion_proof(index, size, hashes=STORE)
    with pytest.raises(AuditBroken):
        verify_inclusion(LEAVES[index], proof, index=other, size=size, root=ROOTS[size])


@given(st.data())
def test_no_bit_of_a_consistency_proof_may_change(data: st.DataObject) -> None:
    newer = data.draw(st.integers(1, SIZE))
    older = data.draw(st.integers(1, newer))
    parts = [ROOTS[older], ROOTS[newer], *consistency_proof(older, newer, hashes=STORE)]
    place = data.draw(st.integers(0, len(parts) - 1))
    parts[place] = flipped(parts[place], data.draw(st.integers(0, 255)))
    older_root, newer_root, *proof = parts
    with pytest.raises(AuditBroken):
        verify_consistency(
            proof, older=older, newer=newer, older_root=older_root, newer_root=newer_root
        )


@given(st.data())
def test_a_rewritten_leaf_leaves_no_consistency_proof(data: st.DataObject) -> None:
    newer = data.draw(st.integers(1, SIZE))
    older = data.draw(st.integers(1, newer))
    changed = data.draw(st.integers(0, older - 1))
    leaves = [*LEAVES[:changed], leaf_hash(b"other"), *LEAVES[changed + 1 : newer]]
    forged = SubtreeStore(leaves)
    with pytest.raises(AuditBroken):
        verify_consistency(
            consistency_proof(older, newer, hashes=forged),
            older=older,
            newer=newer,
            older_root=ROOTS[older],
            newer_root=forged.roots[newer],
        )


@given(st.data())
def test_a_proof_with_a_hash_more_or_less_is_refused(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, SIZE))
    index = data.draw(st.integers(0, size - 1))
    older = data.draw(st.integers(1, size - 1))
    inclusion = inclusion_proof(index, size, hashes=STORE)
    consistency = consistency_proof(older, size, hashes=STORE)
    for wrong in (inclusion[1:], inclusion[:-1], [*inclusion, LEAVES[0]]):
        with pytest.raises(AuditBroken):
            verify_inclusion(LEAVES[index], wrong, index=index, size=size, root=ROOTS[size])
    for wrong in (consistency[1:], consistency[:-1], [*consistency, LEAVES[0]]):
        with pytest.raises(AuditBroken):
            verify_consistency(
                wrong, older=older, newer=size, older_root=ROOTS[older], newer_root=ROOTS[size]
            )


@pytest.mark.parametrize(
    ("older", "newer"), [(3, 2), (-1, 2), (0, SIZE_LIMIT + 1), (0, 2), (2, 2), (0, 0)]
)
def test_sizes_that_need_no_proof_take_none_and_no_other_root(older: int, newer: int) -> None:
    with pytest.raises(AuditBroken):
        verify_consistency(
            [] if older != newer else [LEAVES[0]],
            older=older,
            newer=newer,
            older_root=ROOTS[1],
            newer_root=ROOTS[1],
        )


def test_the_empty_tree_has_one_root_only() -> None:
    with pytest.raises(AuditBroken):
        verify_consistency([], older=0, newer=0, older_root=ROOTS[0], newer_root=ROOTS[1])


@pytest.mark.parametrize("bad", [b"", bytes(31), bytes(33)])
def test_hashes_of_another_length_are_refused(bad: bytes) -> None:
    with pytest.raises(AuditBroken):
        verify_inclusion(bad, [], index=0, size=1, root=bad)
    with pytest.raises(AuditBroken):
        verify_consistency([], older=1, newer=1, older_root=bad, newer_root=bad)
    with pytest.raises(AuditBroken):
        verify_inclusion(LEAVES[0], [bad], index=0, size=2, root=ROOTS[2])


@given(st.integers(1, SIZE_LIMIT), st.data())
def test_a_proof_asks_once_for_few_subtrees(size: int, data: st.DataObject) -> None:
    asked: list[int] = []

    def any_hash(positions: list[Position]) -> list[bytes]:
        asked.append(len(positions))
        assert all((offset + 1) << level <= size for level, offset in positions)
        return [bytes(32)] * len(positions)

    inclusion_proof(data.draw(st.integers(0, size - 1)), size, hashes=any_hash)
    consistency_proof(data.draw(st.integers(0, size)), size, hashes=any_hash)
    assert len(asked) <= 2
    assert sum(asked) <= 4 * size.bit_length()


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0), (0, SIZE_LIMIT + 1)])
def test_there_is_no_proof_of_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError):
        inclusion_proof(index, size, hashes=STORE)


@pytest.mark.parametrize(("older", "newer"), [(-1, 3), (4, 3), (0, SIZE_LIMIT + 1)])
def test_there_is_no_proof_of_shrinking(older: int, newer: int) -> None:
    with pytest.raises(ValueError):
        consistency_proof(older, newer, hashes=STORE)


def test_a_store_with_holes_makes_no_proof() -> None:
    with pytest.raises(ValueError):
        inclusion_proof(0, 3, hashes=lambda _positions: [])


@settings(max_examples=50)
@given(st.integers(1, SIZE), st.sets(st.integers(0, SIZE - 1)))
def test_two_stores_find_their_first_difference(size: int, changed: set[int]) -> None:
    theirs = SubtreeStore(
        [leaf_hash(b"other") if index in changed else LEAVES[index] for index in range(SIZE)]
    )
    within = [index for index in changed if index < size]
    found = first_difference(size, ours=STORE, theirs=theirs)
    assert found == (min(within) if within else None)
    assert len(theirs.asked) <= size.bit_length() + 1
