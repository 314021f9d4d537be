"""What was done to a log, told from what comes after the first thing wrong.

Where the leaf hashes of a bundle still lead to a signed root, each is what was signed at its index
(the tree binds position, RFC 9162 §2.1), so an entry can be looked for by the hash of its place:
that tells an edit from a deletion, an insertion or a move, even after renumbering.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from entente_common.audit.bundle import EntryLine
from entente_common.audit.checkpoint import Checkpoint
from entente_common.audit.entry import AuditEntry
from entente_common.audit.merkle import CompactTree
from entente_common.audit.report import Fault, Finding


class Diagnosis(Protocol):
    """Follows the rest of a bundle after the first thing wrong."""

    def see(self, position: int, line: EntryLine) -> None:
        """Take in the entry that stands at `position`, counted from 0."""

    def reach(self, checkpoint: Checkpoint) -> None:
        """Take in that as many entries were seen as `checkpoint` signs."""

    def verdict(self) -> Fault:
        """What was wrong, as precisely as what was seen tells."""


class Settled:
    """Nothing more is to be learned."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault

    def see(self, position: int, line: EntryLine) -> None:
        """Pass it over."""

    def reach(self, checkpoint: Checkpoint) -> None:
        """Pass it over."""

    def verdict(self) -> Fault:
        """The fault that was found at once."""
        return self._fault


class WrongPlace:
    """At its index stands an entry that bears another index."""

    def __init__(self, index: int, *, found: int) -> None:
        self._index = index
        self._found = found
        self._moved_to: int | None = None

    def see(self, position: int, line: EntryLine) -> None:
        """Look for the entry that belongs where the other stands."""
        if line.entry.index == self._index and self._moved_to is None:
            self._moved_to = position

    def reach(self, checkpoint: Checkpoint) -> None:
        """Pass it over: the leaves are no longer where they were signed."""

    def verdict(self) -> Fault:
        """Duplicated, reordered or deleted."""
        index, found = self._index, self._found
        if found < index:
            return Fault.at(
                index,
                Finding.DUPLICATED,
                f"Entry {found} occurs again where entry {index} belongs.",
            )
        if self._moved_to is not None:
            return Fault.at(
                index,
                Finding.REORDERED,
                f"Entry {found} stands where entry {index} belongs, and entry {index} comes as "
                f"number {self._moved_to}, counted from 0.",
            )
        gap = f"Entry {index} is" if found == index + 1 else f"Entries {index} to {found - 1} are"
        return Fault.at(index, Finding.DELETED, f"{gap} missing: entry {found} comes next.")


class WrongLeaf:
    """An entry's leaf hash is not the one listed for it."""

    def __init__(self, index: int, line: EntryLine, *, before: CompactTree) -> None:
        self._index = index
        self._entry = line.entry
        self._wanted = line.listed
        self._listed, self._computed = before.copy(), before
        self._right: Finding | None = None
        self._reached = False
        self._moved_to: int | None = None
        self._moved_up = False
        self._grow(line)

    def see(self, position: int, line: EntryLine) -> None:
        """Look for the entry that was signed here, and for the place of the one that is here."""
        if not self._reached:
            self._grow(line)
        if self._moved_to is None and _hash_at(line.entry, self._index) == self._wanted:
            self._moved_to = position
        if position == self._index + 1 and _hash_at(self._entry, position) == line.listed:
            self._moved_up = True

    def reach(self, checkpoint: Checkpoint) -> None:
        """Let the first signature that covers the leaf say which side of it was changed."""
        if self._reached:
            return
        self._reached = True
        if self._listed.root() == checkpoint.root:
            self._right = Finding.EDITED
        elif self._computed.root() == checkpoint.root:
            self._right = Finding.LEAF_HASH

    def verdict(self) -> Fault:
        """Edited, deleted, inserted or reordered; or only the list of leaf hashes was changed."""
        index = self._index
        if self._right is Finding.LEAF_HASH:
            detail = f"Entry {index} is as it was signed, but the leaf hash listed for it is not."
            return Fault.at(index, Finding.LEAF_HASH, detail)
        fault = Fault.at(index, *self._what_happened())
        if self._right is Finding.EDITED:
            return fault
        doubt = " No signature confirms the leaf hashes around it, so there may be more."
        return replace(fault, detail=fault.detail + doubt)

    def _what_happened(self) -> tuple[Finding, str]:
        index, moved_to = self._index, self._moved_to
        if moved_to is None and not self._moved_up:
            return Finding.EDITED, f"Entry {index} was edited: its leaf is not the one signed."
        if moved_to is None:
            return Finding.DELETED, (
                f"Entry {index} was deleted, and the entries after it were numbered anew."
            )
        if moved_to == index + 1 and not self._moved_up:
            return Finding.INSERTED, (
                f"Entry {index} was put in later, and the entries after it were numbered anew."
            )
        return Finding.REORDERED, f"What was signed as entry {index} now stands at {moved_to}."

    def _grow(self, line: EntryLine) -> None:
        self._listed.append(line.listed)
        self._computed.append(line.computed)


class WrongRoot:
    """Entries and leaf hashes agree, and do not lead to the root that was signed."""

    def __init__(self, checkpoint: Checkpoint, *, proven: int, tree: CompactTree) -> None:
        self._checkpoint = checkpoint
        self._proven = proven
        self._tree = tree
        self._other: Checkpoint | None = None

    def see(self, position: int, line: EntryLine) -> None:  # noqa: ARG002 - of the protocol
        """Go on building the tree."""
        self._tree.append(line.computed)

    def reach(self, checkpoint: Checkpoint) -> None:
        """Look for a later signature that the same entries do lead to."""
        if self._other is None and self._tree.root() == checkpoint.root:
            self._other = checkpoint

    def verdict(self) -> Fault:
        """Rewritten entries; or a log that signed two histories."""
        first, size = self._proven, self._checkpoint.size
        if self._other is not None:
            detail = (
                f"The log signed two histories: its checkpoint of {size} entries contradicts that "
                f"of {self._other.size}, which the entries here lead to."
            )
            return Fault(Finding.CONTRADICTION, index=first, last=size - 1, detail=detail)
        which = f"Entry {first}"
        if first < size - 1:
            which = f"At least one of entries {first} to {size - 1}"
        detail = (
            f"{which} was rewritten together with its leaf hash: the root signed for {size} "
            f"entries is another."
        )
        return Fault(Finding.REWRITTEN, index=first, last=size - 1, detail=detail)


def _hash_at(entry: AuditEntry, index: int) -> bytes:
    """The leaf of `entry`, had it been logged at `index`."""
    return replace(entry, index=index).leaf_hash()
