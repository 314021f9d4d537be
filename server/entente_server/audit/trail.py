"""Appending to the audit trail, in the transaction of the change an entry tells of.

The tree over the entries (RFC 9162) is stored as its perfect subtrees, which never change. An
append reads the right edge and writes the leaf and the subtrees it completes: O(log n). Writing
transactions take turns (`Database.transaction`), so the entries have no gaps.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import tuple_
from sqlmodel import Session, col, func, select

from entente_common.audit.entry import AuditEntry
from entente_common.audit.merkle import CompactTree, Hashes, Position
from entente_common.clock import rfc3339, utc_now
from entente_common.errors import AuditBroken
from entente_server.kit.database import to_json
from entente_server.tables import AuditNodeRow, AuditRow


def audit(
    session: Session, *, actor: str, action: str, subject: str, **detail: str | int | None
) -> int:
    """Append an entry; return its index.

    Args:
        session: The transaction of the change.
        actor: Who did it.
        action: What was done, as noun and verb: `run.submitted`.
        subject: What it was done to.
        detail: More, without secrets and without data of a person.

    Raises:
        AuditBroken: The stored trail was tampered with; the change is not made either.
    """
    tree = CompactTree.load(trail_size(session), hashes=stored_hashes(session))
    if session.get(AuditNodeRow, (0, tree.size)) is not None:
        raise AuditBroken(f"Entries of the audit trail are gone, from {tree.size} on.")
    entry = AuditEntry(
        index=tree.size,
        at=rfc3339(utc_now()),
        actor=actor,
        action=action,
        subject=subject,
        detail=detail,
    )
    for subtree in tree.append(entry.leaf_hash()):
        level, offset = subtree.position
        session.add(AuditNodeRow(level=level, offset=offset, hash=subtree.hash))
    session.add(AuditRow(**{**entry.document(), "detail": to_json(entry.detail)}))
    return entry.index


def trail_size(session: Session) -> int:
    """Number of entries."""
    last = session.exec(select(func.max(AuditRow.index))).one()
    return 0 if last is None else int(last) + 1


def entry_of(row: AuditRow) -> AuditEntry:
    """The entry in a row.

    Raises:
        InvalidDocument: The row was changed into something that is no entry.
    """
    return AuditEntry.from_document({**row.model_dump(), "detail": json.loads(row.detail)})


def stored_hashes(session: Session) -> Hashes:
    """Hashes of stored subtrees, for roots and proofs."""

    def find(positions: Sequence[Position]) -> Sequence[bytes]:
        wanted = [(position.level, position.offset) for position in positions]
        place = tuple_(col(AuditNodeRow.level), col(AuditNodeRow.offset))
        rows = session.exec(select(AuditNodeRow).where(place.in_(wanted))).all()
        found = {(row.level, row.offset): row.hash for row in rows}
        if len(found) != len(set(wanted)):
            raise AuditBroken("Parts of the stored tree over the audit trail are gone.")
        return [found[position] for position in wanted]

    return find
