"""Proofs over the Merkle tree of a log: made from stored subtrees, checked from the proof alone.

An inclusion proof shows that a leaf is at its index under a root (RFC 9162 §2.1.3); a consistency
proof shows that a tree only grew (RFC 9162 §2.1.4). Making one asks `Hashes` once, for O(log n)
subtrees. Checking one trusts nothing in it: whatever does not prove raises `AuditBroken`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

from entente_common.audit.merkle import (
    EMPTY_ROOT,
    SIZE_LIMIT,
    Hashes,
    Position,
    cover,
    fold,
    is_hash,
    node_hash,
)
from entente_common.errors import AuditBroken

_Range = tuple[int, int]


def inclusion_proof(index: int, size: int, *, hashes: Hashes) -> list[bytes]:
    """Proof that leaf `index` is in the tree of `size` leaves, from the leaf up (§2.1.3.1).

    Raises:
        ValueError: Not `0 <= index < size`.
    """
    if not 0 <= index < size <= SIZE_LIMIT:
        raise ValueError(f"A tree of {size} leaves has no leaf {index}.")
    siblings: list[_Range] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            siblings.append((middle, end))
            end = middle
        else:
            siblings.append((start, middle))
            start = middle
    return _roots_of(siblings[::-1], hashes)


def consistency_proof(older: int, newer: int, *, hashes: Hashes) -> list[bytes]:
    """Proof that the tree of `newer` leaves begins with the tree of `older` leaves (§2.1.4.1).

    It is empty where nothing needs proof: from the empty tree, and between equal sizes.

    Raises:
        ValueError: Not `0 <= older <= newer`.
    """
    if not 0 <= older <= newer <= SIZE_LIMIT:
        raise ValueError(f"A tree of {newer} leaves does not begin with one of {older}.")
    if older in {0, newer}:
        return []
    parts: list[_Range] = []
    start, end = 0, newer
    while end != older:
        middle = start + _split(end - start)
        if older <= middle:
            parts.append((middle, end))
            end = middle
        else:
            parts.append((start, middle))
            start = middle
    # Where the older tree is a whole left edge, its root is known to whoever checks.
    if start:
        parts.append((start, end))
    return _roots_of(parts[::-1], hashes)


def verify_inclusion(
    leaf: bytes, proof: Sequence[bytes], *, index: int, size: int, root: bytes
) -> None:
    """Check that the leaf hash `leaf` is at `index` of the tree of `size` leaves (§2.1.3.2).

    Raises:
        AuditBroken: The proof is malformed or proves something else.
    """
    _check_form([leaf, root, *proof])
    if not 0 <= index < size <= SIZE_LIMIT:
        raise AuditBroken(f"A tree of {size} entries has no entry {index}.")
    node, last, reached = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise AuditBroken(f"The inclusion proof of entry {index} is too long.")
        if node & 1 or node == last:
            reached = node_hash(sibling, reached)
            # Levels at which the right edge has no sibling are passed over.
            rise = _trailing_zeros(node)
            node, last = node >> rise, last >> rise
        else:
            reached = node_hash(reached, sibling)
        node, last = node >> 1, last >> 1
    if last or reached != root:
        raise AuditBroken(f"Entry {index} is not in the tree of {size} entries with this root.")


def verify_consistency(
    proof: Sequence[bytes], *, older: int, newer: int, older_root: bytes, newer_root: bytes
) -> None:
    """Check that the tree of `newer` leaves only grew from that of `older` leaves (§2.1.4.2).

    Raises:
        AuditBroken: The proof is malformed, or the newer tree does not begin with the older one.
    """
    _check_form([older_root, newer_root, *proof])
    if not 0 <= older <= newer <= SIZE_LIMIT:
        raise AuditBroken(f"A log of {older} entries cannot have become one of {newer}.")
    if older in {0, newer}:
        expected = newer_root if older else EMPTY_ROOT
        fits = not proof and older_root == expected and (newer > 0 or newer_root == EMPTY_ROOT)
    else:
        # A perfect older tree is a node of the newer one: its root begins the path.
        path = list(proof) if older & (older - 1) else [older_root, *proof]
        fits = _rise_together(path, older, newer) == (older_root, newer_root)
    if not fits:
        raise AuditBroken(
            f"The log of {newer} entries does not begin with the {older} entries signed before."
        )


def first_difference(size: int, *, ours: Hashes, theirs: Hashes) -> int | None:
    """The first of `size` leaves that two stores hold differently; None where there is none.

    Asks each store O(log size) times, always for the same positions.

    Raises:
        ValueError: `size` is negative or too large.
    """
    pending = cover(0, size)
    while pending:
        mine, yours = ours(pending), theirs(pending)
        pairs = zip(pending, mine, yours, strict=True)
        differing = next((position for position, a, b in pairs if a != b), None)
        if differing is None:
            return None
        if differing.level == 0:
            return differing.offset
        level, offset = differing.level - 1, 2 * differing.offset
        pending = [Position(level, offset), Position(level, offset + 1)]
    return None


def _rise_together(path: Sequence[bytes], older: int, newer: int) -> tuple[bytes, bytes] | None:
    """Roots of the older and newer tree that `path` leads to; None when it leads nowhere."""
    node, last = older - 1, newer - 1
    rise = _trailing_zeros(older)
    node, last = node >> rise, last >> rise
    if not path:
        return None
    older_root = newer_root = path[0]
    for sibling in path[1:]:
        if last == 0:
            return None
        if node & 1 or node == last:
            older_root = node_hash(sibling, older_root)
            newer_root = node_hash(sibling, newer_root)
            rise = _trailing_zeros(node)
            node, last = node >> rise, last >> rise
        else:
            newer_root = node_hash(newer_root, sibling)
        node, last = node >> 1, last >> 1
    return None if last else (older_root, newer_root)


def _roots_of(ranges: Sequence[_Range], hashes: Hashes) -> list[bytes]:
    """Roots over ranges of leaves, asking for all their subtrees at once."""
    covers = [cover(start, end) for start, end in ranges]
    wanted = [position for part in covers for position in part]
    found = list(hashes(wanted)) if wanted else []
    if len(found) != len(wanted) or not all(map(is_hash, found)):
        raise ValueError("The store did not answer every subtree with a hash.")
    bounds = accumulate((len(part) for part in covers), initial=0)
    return [fold(found[begin:end]) for begin, end in pairwise(bounds)]


def _split(size: int) -> int:
    """The largest power of two below `size` (k of RFC 9162 §2.1.1)."""
    return 1 << ((size - 1).bit_length() - 1)


def _trailing_zeros(number: int) -> int:
    """Zero bits at the end of `number`; all of them for 0."""
    return (number & -number).bit_length() - 1 if number else 0


def _check_form(hashes: Sequence[object]) -> None:
    if not all(map(is_hash, hashes)):
        raise AuditBroken("A hash does not have 32 bytes.")
