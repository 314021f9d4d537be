"""The Merkle tree of a log (RFC 6962 §2.1, RFC 9162 §2.1): SHA-256, leaves and nodes kept apart.

Only perfect subtrees are ever stored, and a stored one never changes: the subtree at level `l`,
offset `i` covers leaves `i·2ˡ` to `(i+1)·2ˡ - 1`. Every root of every size, and every proof, comes
from O(log n) of them. What is proven with them is in `proofs`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from itertools import pairwise
from typing import NamedTuple

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()
# RFC 9162 §4.3 counts leaves in 64 bits; one bit less fits every database's integers.
SIZE_LIMIT = 2**63 - 1

_SIZE_BYTES = 8


class Position(NamedTuple):
    """Where a perfect subtree stands.

    Attributes:
        level: Its height: it has 2^level leaves; a leaf is at level 0.
        offset: Its number from the left, from 0, among the subtrees of its level.
    """

    level: int
    offset: int


class Subtree(NamedTuple):
    """A perfect subtree that is complete, and so will never change.

    Attributes:
        position: Where it stands.
        hash: Its root, 32 bytes.
    """

    position: Position
    hash: bytes


Hashes = Callable[[Sequence[Position]], Sequence[bytes]]
"""Answers the hashes of stored subtrees, in the order asked for. It is asked once a proof."""


def leaf_hash(data: bytes) -> bytes:
    """Hash of the leaf that holds `data` (RFC 9162 §2.1.1): SHA-256(0x00 ‖ data)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node (RFC 9162 §2.1.1): SHA-256(0x01 ‖ left ‖ right)."""
    return sha256(b"\x01" + left + right).digest()


def is_hash(value: object) -> bool:
    """Whether `value` has the form of a hash: 32 bytes."""
    return isinstance(value, bytes) and len(value) == HASH_BYTES


def tree_root(leaf_hashes: Iterable[bytes]) -> bytes:
    """Root over leaf hashes in order; `EMPTY_ROOT` over none."""
    tree = CompactTree()
    for leaf in leaf_hashes:
        tree.append(leaf)
    return tree.root()


def root_at(size: int, *, hashes: Hashes) -> bytes:
    """Root of the first `size` leaves, from O(log size) stored subtrees.

    Raises:
        ValueError: `size` is negative or too large.
    """
    return CompactTree.load(size, hashes=hashes).root()


def cover(start: int, end: int) -> list[Position]:
    """The perfect subtrees, from the left, that make up the tree over leaves `start` to `end - 1`.

    Args:
        start: First leaf; a multiple of the largest power of two not above `end - start`, as in
            every subtree of RFC 9162.
        end: One past the last leaf.

    Raises:
        ValueError: The range is negative, too large, or no subtree.
    """
    if not 0 <= start <= end <= SIZE_LIMIT:
        raise ValueError(f"No tree has the leaves {start} to {end}.")
    positions = []
    while start < end:
        level = (end - start).bit_length() - 1
        if start & ((1 << level) - 1):
            raise ValueError(f"Leaf {start} does not begin a subtree of 2^{level} leaves.")
        positions.append(Position(level, start >> level))
        start += 1 << level
    return positions


def fold(parts: Sequence[bytes]) -> bytes:
    """Root of the tree whose perfect subtrees, from the left, have the hashes `parts`."""
    if not parts:
        return EMPTY_ROOT
    root = parts[-1]
    for left in reversed(parts[:-1]):
        root = node_hash(left, root)
    return root


class CompactTree:
    """A tree that only grows, held as the perfect subtrees of its right edge: O(log n) memory.

    Its state is its size and one hash for each bit set in the size (the largest subtree first).
    """

    __slots__ = ("_frontier", "_size")

    def __init__(self) -> None:
        self._size = 0
        self._frontier: list[bytes] = []

    @classmethod
    def load(cls, size: int, *, hashes: Hashes) -> CompactTree:
        """The tree of the first `size` leaves, from stored subtrees.

        Raises:
            ValueError: `size` is negative or too large, or the store answered no hashes.
        """
        positions = cover(0, size)
        return cls._of(size, list(hashes(positions)) if positions else [])

    @classmethod
    def restore(cls, state: bytes) -> CompactTree:
        """The tree that `serialise` wrote.

        Raises:
            ValueError: `state` is no such tree.
        """
        size = int.from_bytes(state[:_SIZE_BYTES], "big")
        bounds = range(_SIZE_BYTES, len(state) + 1, HASH_BYTES)
        if len(state) < _SIZE_BYTES or bounds[-1] != len(state) or size > SIZE_LIMIT:
            raise ValueError("This is not the state of a tree.")
        return cls._of(size, [state[begin:end] for begin, end in pairwise(bounds)])

    @classmethod
    def _of(cls, size: int, frontier: list[bytes]) -> CompactTree:
        if len(frontier) != size.bit_count() or not all(map(is_hash, frontier)):
            raise ValueError(f"A tree of {size} leaves needs {size.bit_count()} subtree hashes.")
        tree = cls()
        tree._size = size
        tree._frontier = frontier
        return tree

    @property
    def size(self) -> int:
        """Number of leaves."""
        return self._size

    def append(self, leaf: bytes) -> list[Subtree]:
        """Add a leaf hash; return the subtrees it completes, the leaf itself first.

        Amortised two hashes; a store that keeps all that is returned can answer `Hashes`.

        Raises:
            ValueError: `leaf` is not 32 bytes.
        """
        if not is_hash(leaf):
            raise ValueError("A leaf hash has 32 bytes.")
        index, level, frontier = self._size, 0, self._frontier
        done = [Subtree(Position(0, index), leaf)]
        while index & 1:
            leaf = node_hash(frontier.pop(), leaf)
            index >>= 1
            level += 1
            done.append(Subtree(Position(level, index), leaf))
        frontier.append(leaf)
        self._size += 1
        return done

    def root(self) -> bytes:
        """Root over all leaves so far (RFC 9162 §2.1.1)."""
        return fold(self._frontier)

    def copy(self) -> CompactTree:
        """A tree of the same leaves that grows apart from this one."""
        return self._of(self._size, list(self._frontier))

    def serialise(self) -> bytes:
        """The state: size as 8 bytes, big-endian, then the subtree hashes, largest first."""
        return self._size.to_bytes(_SIZE_BYTES, "big") + b"".join(self._frontier)
