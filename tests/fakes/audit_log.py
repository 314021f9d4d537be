"""A log in memory: entries, stored subtrees, signed checkpoints, and bundles to tamper with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from entente_common.audit.bundle import BundleHeader, bundle_lines
from entente_common.audit.checkpoint import Checkpoint, cosign, sign_checkpoint
from entente_common.audit.entry import AuditEntry
from entente_common.audit.keys import Algorithm, SignerKey
from entente_common.audit.merkle import CompactTree, Position
from entente_common.audit.note import Note

ORIGIN = "coordinator.example/tenants/north"
MOMENT = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
LOG_KEY = SignerKey(ORIGIN, Algorithm.ED25519, bytes(range(32)))
WITNESS_A = SignerKey("site-a", Algorithm.COSIGNATURE, bytes([1]) * 32)
WITNESS_B = SignerKey("site-b", Algorithm.COSIGNATURE, bytes([2]) * 32)


def entry_at(index: int, **changes: Any) -> AuditEntry:
    """Entry number `index`, which differs from every other also in what it says."""
    fields: dict[str, Any] = {
        "index": index,
        "at": "2026-11-23T09:30:00.000Z",
        "actor": "site:a",
        "action": "run.submitted",
        "subject": f"run_{index:04}",
        "detail": {"sites": "a, b", "rounds": index, "epsilon": 0.5},
    }
    return AuditEntry(**(fields | changes))


class SubtreeStore:
    """Stored hashes of perfect subtrees, as a server keeps them; it counts what it is asked."""

    def __init__(self, leaves: Sequence[bytes] = ()) -> None:
        self.hashes: dict[Position, bytes] = {}
        self.tree = CompactTree()
        self.roots = [self.tree.root()]
        self.asked: list[int] = []
        for leaf in leaves:
            self.append(leaf)

    def append(self, leaf: bytes) -> None:
        self.hashes.update(self.tree.append(leaf))
        self.roots.append(self.tree.root())

    def __call__(self, positions: Sequence[Position]) -> list[bytes]:
        self.asked.append(len(positions))
        return [self.hashes[position] for position in positions]


@dataclass
class AuditLog:
    """A log whose parts a test may change before it is exported."""

    documents: list[dict[str, Any]]
    leaves: list[bytes]
    checkpoints: list[Note]
    header: BundleHeader = field(
        default_factory=lambda: BundleHeader(
            ORIGIN, (LOG_KEY.verifier,), (WITNESS_A.verifier, WITNESS_B.verifier)
        )
    )

    @classmethod
    def of(cls, size: int, *, signed_at: Sequence[int]) -> AuditLog:
        """A good log of `size` entries, signed and countersigned at the sizes given."""
        entries = [entry_at(index) for index in range(size)]
        log = cls([entry.document() for entry in entries], [e.leaf_hash() for e in entries], [])
        log.checkpoints = [log.signed(at) for at in signed_at]
        return log

    def signed(self, size: int, *, signer: SignerKey = LOG_KEY) -> Note:
        """A checkpoint over the first `size` stored leaves, countersigned by both witnesses."""
        checkpoint = Checkpoint(ORIGIN, size, SubtreeStore(self.leaves[:size]).tree.root())
        note = sign_checkpoint(checkpoint, signer=signer)
        for witness in (WITNESS_A, WITNESS_B):
            at = MOMENT + timedelta(seconds=size)
            note = note.with_signature(cosign(checkpoint, signer=witness, at=at))
        return note

    def number_anew(self) -> None:
        """Give every entry the index of the place where it stands."""
        for index, document in enumerate(self.documents):
            document["index"] = index

    def hash_anew(self) -> None:
        """Store for every entry the leaf hash that fits it."""
        self.leaves = [AuditEntry.from_document(d).leaf_hash() for d in self.documents]

    def export(self) -> list[bytes]:
        """The bundle's lines."""
        notes = [note.encode() for note in self.checkpoints]
        entries = zip(self.documents, self.leaves, strict=True)
        return list(bundle_lines(self.header, checkpoints=notes, entries=entries))
