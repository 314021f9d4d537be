"""The tree is that of RFC 6962 and RFC 9162, however it is grown, stored and restored."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entente_common.audit.merkle import (
    EMPTY_ROOT,
    CompactTree,
    Position,
    cover,
    fold,
    leaf_hash,
    node_hash,
    root_at,
    tree_root,
)
from fakes.audit_log import SubtreeStore

# Inputs and roots of Certificate Transparency's reference tests
# (google/certificate-transparency, merkle tree tests).
CT_LEAVES = [
    bytes.fromhex(text)
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
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAVES = st.lists(st.binary(max_size=8).map(leaf_hash), max_size=70)


def naive_root(leaves: list[bytes]) -> bytes:
    """MTH as RFC 9162 §2.1.1 defines it."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(naive_root(leaves[:split]), naive_root(leaves[split:]))


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_certificate_transparency(size: int) -> None:
    assert tree_root(map(leaf_hash, CT_LEAVES[:size])).hex() == CT_ROOTS[size]


def test_a_leaf_is_never_a_node() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(left + right) != node_hash(left, right)


@given(LEAVES)
def test_every_prefix_has_the_root_of_the_definition(leaves: list[bytes]) -> None:
    store = SubtreeStore(leaves)
    for size in range(len(leaves) + 1):
        expected = naive_root(leaves[:size])
        assert store.roots[size] == expected
        assert root_at(size, hashes=store) == expected


@given(LEAVES, LEAVES)
def test_a_tree_grows_on_from_its_state_or_its_store(
    first: list[bytes], second: list[bytes]
) -> None:
    store = SubtreeStore(first)
    trees = [
        CompactTree.restore(store.tree.serialise()),
        CompactTree.load(len(first), hashes=store),
        store.tree.copy(),
    ]
    for tree in trees:
        for leaf in second:
            tree.append(leaf)
        assert tree.root() == naive_root(first + second)
        assert tree.size == len(first + second)
    assert store.tree.root() == naive_root(first), "a copy must not change its source"


@given(LEAVES)
def test_appending_returns_every_perfect_subtree_once(leaves: list[bytes]) -> None:
    tree = CompactTree()
    told = [subtree for leaf in leaves for subtree in tree.append(leaf)]
    expected = {
        Position(level, offset): naive_root(leaves[offset << level : (offset + 1) << level])
        for level in range(len(leaves).bit_length())
        for offset in range(len(leaves) >> level)
    }
    assert dict(told) == expected
    assert len(told) == len(expected)


@given(st.integers(0, 2**62))
def test_a_root_of_any_size_needs_few_subtrees(size: int) -> None:
    positions = cover(0, size)
    assert len(positions) == size.bit_count()
    ends = list(accumulate((1 << level for level, _ in positions), initial=0))
    assert [offset << level for level, offset in positions] == ends[:-1]
    assert ends[-1] == size


def test_nothing_folds_to_the_empty_root() -> None:
    assert fold([]) == EMPTY_ROOT == CompactTree().root()


@pytest.mark.parametrize(("start", "end"), [(-1, 1), (2, 1), (0, 2**63), (1, 3), (2, 6)])
def test_ranges_that_are_no_subtree_are_refused(start: int, end: int) -> None:
    with pytest.raises(ValueError):
        cover(start, end)


@pytest.mark.parametrize("leaf", [b"", bytes(31), bytes(33), "x" * 32])
def test_a_leaf_that_is_no_hash_is_refused(leaf: bytes) -> None:
    tree = CompactTree()
    with pytest.raises(ValueError):
        tree.append(leaf)
    assert tree.size == 0


@pytest.mark.parametrize(
    "state",
    [
        b"",
        bytes(7),
        bytes(9),
        bytes(8 + 32),
        (1).to_bytes(8, "big"),
        (1).to_bytes(8, "big") + bytes(31),
        (3).to_bytes(8, "big") + bytes(32),
        b"\xff" * 8 + bytes(64 * 32),
    ],
)
def test_a_state_of_no_tree_is_refused(state: bytes) -> None:
    with pytest.raises(ValueError):
        CompactTree.restore(state)


def test_a_store_that_answers_nothing_is_refused() -> None:
    with pytest.raises(ValueError):
        CompactTree.load(3, hashes=lambda _positions: [])
